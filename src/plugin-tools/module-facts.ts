//! Reads from a module's bytes what neither the JavaScript interface nor the host's own reader
//! tells: the sizes of its sections, its memory, its producers. The engine has validated them.

import { ModuleReader } from "../wasm/module-reader.ts";

/** Custom sections that are listed; a module with more is cut there. */
const CUSTOM_SECTIONS_MAX = 1_000;
const PRODUCERS_MAX = 100;

export interface CustomSection {
  readonly name: string;
  readonly bytes: number;
}

/** One line of the `producers` section: field, name, version. */
export interface Producer {
  readonly field: string;
  readonly name: string;
  readonly version: string;
}

export interface ModuleFacts {
  readonly codeBytes: number;
  readonly dataBytes: number;
  /** Defined in the module, without imports. */
  readonly functionCount: number;
  /** In pages of 64 KiB; null when the module defines no memory. */
  readonly memory: { readonly pages: number; readonly pagesMax: number | null } | null;
  readonly customSections: readonly CustomSection[];
  readonly producers: readonly Producer[];
  /** As its compiler says, or as can be told from its runtime; `""` when nothing tells. */
  readonly language: string;
}

const SECTION = { custom: 0, function: 3, memory: 5, code: 10, data: 11 } as const;

class FactReader {
  codeBytes = 0;
  dataBytes = 0;
  functionCount = 0;
  memory: { pages: number; pagesMax: number | null } | null = null;
  readonly customSections: CustomSection[] = [];
  readonly producers: Producer[] = [];
  readonly #reader: ModuleReader;

  constructor(bytes: Uint8Array) {
    this.#reader = new ModuleReader(bytes);
  }

  readAll(): void {
    this.#reader.eachSection((id, length, end) => {
      this.#section(id, length, end);
    });
  }

  #section(id: number, length: number, end: number): void {
    if (id === SECTION.code) this.codeBytes = length;
    else if (id === SECTION.data) this.dataBytes = length;
    else if (id === SECTION.function) this.functionCount = this.#reader.u32();
    else if (id === SECTION.memory) this.#memory();
    else if (id === SECTION.custom) this.#custom(length, end);
  }

  #memory(): void {
    if (this.#reader.u32() === 0) return;
    const flags = this.#reader.byte();
    const pages = this.#reader.u32();
    this.memory = { pages, pagesMax: (flags & 1) === 1 ? this.#reader.u32() : null };
  }

  #custom(length: number, end: number): void {
    const name = this.#reader.text();
    if (this.customSections.length < CUSTOM_SECTIONS_MAX) {
      this.customSections.push({ name, bytes: length });
    }
    if (name !== "producers") return;
    try {
      this.#producers(end);
    } catch {
      // What is in a custom section is not validated: a broken one says nothing.
    }
  }

  #producers(end: number): void {
    for (let fields = this.#reader.u32(); fields > 0; fields--) {
      const field = this.#reader.text();
      for (let values = this.#reader.u32(); values > 0 && this.#reader.at < end; values--) {
        if (this.producers.length >= PRODUCERS_MAX) return;
        this.producers.push({ field, name: this.#reader.text(), version: this.#reader.text() });
      }
    }
  }
}

/** `exportNames` and `importNames` (`env.abort`) help to tell the language. */
export function readModuleFacts(
  bytes: Uint8Array,
  names: { readonly exports: ReadonlySet<string>; readonly imports: ReadonlySet<string> },
): ModuleFacts {
  const reader = new FactReader(bytes);
  reader.readAll();
  const { codeBytes, dataBytes, functionCount, memory, customSections, producers } = reader;
  const facts = { codeBytes, dataBytes, functionCount, memory, customSections, producers };
  return { ...facts, language: languageOf(facts, names) };
}

/** Compilers that say nothing are known by what only their runtime has. */
function languageOf(
  facts: Omit<ModuleFacts, "language">,
  names: { readonly exports: ReadonlySet<string>; readonly imports: ReadonlySet<string> },
): string {
  const languages = facts.producers.filter(({ field }) => field === "language");
  const tools = facts.producers.map(({ name }) => name).join(" ");
  if (/tinygo/i.test(tools)) return "Go (TinyGo)";
  if (languages.length > 0) return [...new Set(languages.map(({ name }) => name))].join(", ");
  if (facts.customSections.some(({ name }) => name === "go:buildid" || name === "go.buildid")) {
    return "Go";
  }
  if (names.imports.has("env.abort") || names.exports.has("__pin")) return "AssemblyScript";
  if (names.exports.has("resume") && names.exports.has("asyncify_start_unwind")) {
    return "Go (TinyGo)";
  }
  if (/clang|LLVM/.test(tools)) return "C or C++";
  return "";
}
