//! Reads what the JavaScript interface does not tell of a module: the types of its imports and
//! exports (WebAssembly specification, section 5.5). The engine has validated the bytes before.

import { ModuleReader } from "./module-reader.ts";

/** `iI:i` is (i32, i64) -> i32. Letters: i i32, I i64, f f32, F f64, ? anything else. */
export type Signature = string;

export interface ModuleSections {
  readonly functionImports: readonly {
    readonly module: string;
    readonly name: string;
    readonly signature: Signature;
  }[];
  /** Imports of memories, tables and globals: this host has none to give. */
  readonly otherImports: readonly { readonly module: string; readonly name: string }[];
  /** Function exports in their order in the file. */
  readonly functionExports: ReadonlyMap<string, Signature>;
  readonly exportsMemory: boolean;
}

const SECTION = { type: 1, import: 2, function: 3, export: 7 } as const;
const EXTERNAL = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
const FUNCTION_TYPE = 0x60;
const LETTERS: Readonly<Record<number, string>> = { 0x7f: "i", 0x7e: "I", 0x7d: "f", 0x7c: "F" };
const TYPE_NAMES: Readonly<Record<string, string>> = { i: "i32", I: "i64", f: "f32", F: "f64" };

/** `iii:i` as Envoy prints it: `i32 i32 i32 -> i32`. */
export function describeSignature(signature: Signature): string {
  const [parameters = "", results = ""] = signature.split(":");
  const names = (letters: string): string =>
    letters === "" ? "void" : Array.from(letters, (letter) => TYPE_NAMES[letter] ?? "?").join(" ");
  return `${names(parameters)} -> ${names(results)}`;
}

/** Throws a RangeError on a type form that this reader does not know (such as WasmGC's). */
export function readSections(bytes: Uint8Array): ModuleSections {
  const reader = new SectionReader(bytes);
  reader.readAll();
  return reader;
}

class SectionReader implements ModuleSections {
  readonly functionImports: { module: string; name: string; signature: Signature }[] = [];
  readonly otherImports: { module: string; name: string }[] = [];
  readonly functionExports = new Map<string, Signature>();
  exportsMemory = false;

  readonly #reader: ModuleReader;
  readonly #types: Signature[] = [];
  /** Type index of each function, imports first. */
  readonly #functions: number[] = [];

  constructor(bytes: Uint8Array) {
    this.#reader = new ModuleReader(bytes);
  }

  readAll(): void {
    this.#reader.eachSection((id) => {
      if (id === SECTION.type) this.#fill(this.#types, () => this.#functionType());
      if (id === SECTION.import)
        this.#each(() => {
          this.#importEntry();
        });
      if (id === SECTION.function) this.#fill(this.#functions, () => this.#reader.u32());
      if (id === SECTION.export)
        this.#each(() => {
          this.#exportEntry();
        });
    });
  }

  #each(read: () => void): void {
    const count = this.#reader.u32();
    for (let index = 0; index < count; index++) read();
  }

  #fill<T>(list: T[], read: () => T): void {
    this.#each(() => {
      list.push(read());
    });
  }

  #functionType(): Signature {
    if (this.#reader.byte() !== FUNCTION_TYPE)
      throw new RangeError("a type that is not a function type");
    const parameters = this.#valueTypes();
    return `${parameters}:${this.#valueTypes()}`;
  }

  #valueTypes(): string {
    let letters = "";
    this.#each(() => {
      letters += LETTERS[this.#reader.byte()] ?? "?";
    });
    return letters;
  }

  #importEntry(): void {
    const module = this.#reader.text();
    const name = this.#reader.text();
    const kind = this.#reader.byte();
    if (kind === EXTERNAL.function) {
      const type = this.#reader.u32();
      this.#functions.push(type);
      this.functionImports.push({ module, name, signature: this.#types[type] ?? "?" });
      return;
    }
    this.otherImports.push({ module, name });
    if (kind === EXTERNAL.table) this.#reader.at += 1;
    if (kind === EXTERNAL.table || kind === EXTERNAL.memory) this.#limits();
    if (kind === EXTERNAL.global || kind === EXTERNAL.tag) this.#reader.at += 2;
  }

  #limits(): void {
    const flags = this.#reader.byte();
    this.#reader.u32();
    if ((flags & 1) === 1) this.#reader.u32();
  }

  #exportEntry(): void {
    const name = this.#reader.text();
    const kind = this.#reader.byte();
    const index = this.#reader.u32();
    if (kind === EXTERNAL.memory && name === "memory") this.exportsMemory = true;
    if (kind !== EXTERNAL.function) return;
    this.functionExports.set(name, this.#types[this.#functions[index] ?? -1] ?? "?");
  }
}
