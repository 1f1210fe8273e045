//! Takes a module apart into its sections and counts what the rewriter must know: how many types,
//! functions, tables and globals there are, and how many values each function takes and gives.

import { ByteReader, Refusal } from "./byte-reader.ts";

export const Section = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** The order in which sections stand in a file: tags before globals, the data count before code. */
export const SECTION_ORDER: readonly number[] = [
  Section.type,
  Section.import,
  Section.function,
  Section.table,
  Section.memory,
  Section.tag,
  Section.global,
  Section.export,
  Section.start,
  Section.element,
  Section.dataCount,
  Section.code,
  Section.data,
];

const EXTERNAL = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
const FUNCTION_TYPE = 0x60;
const HEADER_BYTES = 8;

/** The contents of a section, without its id and length. */
export interface SectionSpan {
  readonly start: number;
  readonly end: number;
}

export interface Limits {
  readonly min: number;
  /** Null: none. */
  readonly max: number | null;
}

export interface TableType {
  /** The reference type's bytes. */
  readonly type: Uint8Array;
  readonly limits: Limits;
}

/** How many values a function takes and gives. */
export interface FunctionType {
  readonly parameters: number;
  readonly results: number;
}

export class Layout {
  readonly bytes: Uint8Array;
  readonly sections: Map<number, SectionSpan> = new Map();
  /** Custom sections, whole with id and length, by the known section before them (0: none). */
  readonly customs: Map<number, Uint8Array[]> = new Map();
  readonly exportNames: Set<string> = new Set();
  readonly tables: TableType[] = [];
  readonly memories: Limits[] = [];
  /** Of each function, those that are imported first. */
  readonly functionTypes: FunctionType[] = [];
  readonly types: FunctionType[] = [];
  /** The most values that a tag carries, at most; a tag's are a type's. */
  tagValuesMax = 0;
  importedFunctionCount = 0;
  importedTableCount = 0;
  importedGlobalCount = 0;
  /** The function that the start section names, or null. */
  startFunction: number | null = null;

  /** Throws a `Refusal`. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#readSections();
    this.#each(Section.type, (reader) => {
      this.#readType(reader);
    });
    this.#each(Section.import, (reader) => {
      this.#readImport(reader);
    });
    this.#each(Section.function, (reader) => {
      this.functionTypes.push(this.typeAt(reader.u32()));
    });
    this.#each(Section.table, (reader) => {
      this.tables.push(readTable(reader));
    });
    this.#each(Section.memory, (reader) => {
      this.memories.push(readMemory(reader));
    });
    this.#each(Section.export, (reader) => {
      this.exportNames.add(reader.text());
      reader.byte();
      reader.u32();
    });
    this.#readStart();
  }

  get functionCount(): number {
    return this.functionTypes.length;
  }

  typeAt(index: number): FunctionType {
    const type = this.types[index];
    if (type === undefined) throw new Refusal(`type ${index} is not there`);
    return type;
  }

  /** The number of entries of a vector section, and a reader that stands behind it. */
  open(id: number): { readonly count: number; readonly reader: ByteReader } {
    const span = this.sections.get(id);
    if (span === undefined) return { count: 0, reader: new ByteReader(this.bytes, 0, 0) };
    const reader = new ByteReader(this.bytes, span.start, span.end);
    return { count: reader.u32(), reader };
  }

  #readSections(): void {
    const reader = new ByteReader(this.bytes);
    reader.skip(HEADER_BYTES);
    let last = 0;
    while (!reader.isAtEnd) {
      const whole = reader.at;
      const id = reader.byte();
      const length = reader.u32();
      const start = reader.at;
      reader.skip(length);
      if (id === Section.custom) {
        this.#addCustom(last, { whole, start, end: reader.at });
        continue;
      }
      const rank = SECTION_ORDER.indexOf(id);
      if (rank === -1) throw new Refusal(`section ${id} is not known`);
      if (rank <= SECTION_ORDER.indexOf(last)) throw new Refusal("sections are out of order");
      this.sections.set(id, { start, end: reader.at });
      last = id;
    }
  }

  #addCustom(after: number, span: SectionSpan & { readonly whole: number }): void {
    const name = new ByteReader(this.bytes, span.start, span.end).text();
    if (name === "linking" || name.startsWith("reloc.")) {
      throw new Refusal(`section ${name}: this is an object file, not a linked module`);
    }
    if (holdsOffsets(name)) return;
    const list = this.customs.get(after) ?? [];
    list.push(this.bytes.subarray(span.whole, span.end));
    this.customs.set(after, list);
  }

  #each(id: number, read: (reader: ByteReader) => void): void {
    const { count, reader } = this.open(id);
    for (let index = 0; index < count; index++) read(reader);
    if (!reader.isAtEnd) throw new Refusal(`section ${id} is longer than what it holds`);
  }

  #readType(reader: ByteReader): void {
    const form = reader.byte();
    if (form !== FUNCTION_TYPE) {
      throw new Refusal(`type form 0x${form.toString(16)}: garbage-collected types are not run`);
    }
    const parameters = reader.u32();
    for (let left = parameters; left > 0; left--) reader.skipValueType();
    const results = reader.u32();
    for (let left = results; left > 0; left--) reader.skipValueType();
    this.types.push({ parameters, results });
    this.tagValuesMax = Math.max(this.tagValuesMax, parameters);
  }

  #readImport(reader: ByteReader): void {
    reader.text();
    reader.text();
    const kind = reader.byte();
    switch (kind) {
      case EXTERNAL.function:
        this.functionTypes.push(this.typeAt(reader.u32()));
        this.importedFunctionCount += 1;
        return;
      case EXTERNAL.table:
        readTable(reader);
        this.importedTableCount += 1;
        return;
      case EXTERNAL.memory:
        throw new Refusal("an imported memory cannot be limited");
      case EXTERNAL.global:
        reader.skipValueType();
        reader.byte();
        this.importedGlobalCount += 1;
        return;
      case EXTERNAL.tag:
        reader.byte();
        reader.u32();
        return;
      default:
        throw new Refusal(`an import of kind ${kind} is not known`);
    }
  }

  #readStart(): void {
    const span = this.sections.get(Section.start);
    if (span === undefined) return;
    this.startFunction = new ByteReader(this.bytes, span.start, span.end).u32();
  }
}

/** Sections that point into the code and would lie after the rewriting. */
function holdsOffsets(name: string): boolean {
  return (
    name.startsWith("metadata.code.") || name.startsWith(".debug_") || name === "compilationHints"
  );
}

function readTable(reader: ByteReader): TableType {
  const start = reader.at;
  if (reader.bytes[start] === 0x40) throw new Refusal("a table with an initial value is not run");
  reader.skipValueType();
  const type = reader.bytes.subarray(start, reader.at);
  return { type, limits: readLimits(reader, "table") };
}

function readMemory(reader: ByteReader): Limits {
  return readLimits(reader, "memory");
}

function readLimits(reader: ByteReader, what: string): Limits {
  const flags = reader.byte();
  if ((flags & 4) !== 0) throw new Refusal(`a 64-bit ${what} is not run`);
  if ((flags & 2) !== 0) throw new Refusal(`a shared ${what} is not run`);
  if (flags > 1) throw new Refusal(`limits of form ${flags} are not known`);
  const min = reader.u32();
  return { min, max: flags === 1 ? reader.u32() : null };
}
