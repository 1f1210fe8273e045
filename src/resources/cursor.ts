//! Reads values of files that are no resources, place by place: what is wrong is noted with its
//! position, and reading goes on with a default, so that all faults come at once.

import { CODES } from "./codes.ts";
import type { Fault } from "./fault.ts";
import type { Path } from "./kinds/kind.ts";
import { pathText } from "./path-text.ts";
import { nearest } from "./suggest.ts";
import type { PositionOf } from "./validate.ts";

export interface CursorSource {
  readonly positionOf: PositionOf;
  /** Faults are added here. */
  readonly faults: Fault[];
  /** Of a value that is not what is wanted, and of a field that nobody reads. */
  readonly codes: { readonly wrong: string; readonly unknown: string };
  /** The name under which a field is known: for formats that spell one field in two ways. */
  readonly fieldName?: (written: string) => string;
  /** The word of a choice that is meant: for formats that do not mind how it is spelt. */
  readonly choiceWord?: (written: string) => string;
  /** A value stands for a list with it alone: Protocol buffers' reader of JSON takes that. */
  readonly listOfOne?: true;
}

type Members = Readonly<Record<string, unknown>>;

export class Cursor {
  readonly value: unknown;
  readonly path: Path;
  readonly #source: CursorSource;

  constructor(source: CursorSource, value: unknown, path: Path = []) {
    this.#source = source;
    this.value = value;
    this.path = path;
  }

  /** Not written, or null. */
  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  get place(): string {
    return pathText(this.path);
  }

  get line(): number {
    return this.#source.positionOf(this.path).line;
  }

  fault(code: string, message: string, remedy = "", part: "key" | "value" = "value"): void {
    this.#source.faults.push({
      severity: CODES[code]?.severity ?? "error",
      ...{ code, message, remedy, object: null },
      path: this.place,
      position: this.#source.positionOf(this.path, part),
    });
  }

  wrong(wanted: string, remedy = ""): void {
    const where = this.path.length === 0 ? "the document" : this.place;
    const what = this.isAbsent ? "is missing" : `is ${kindOf(this.value)}`;
    this.fault(this.#source.codes.wrong, `${where} ${what}; it must be ${wanted}`, remedy);
  }

  /** A member, under whatever spelling it is written. */
  at(name: string): Cursor {
    const members = this.#members();
    const written = Object.keys(members).find((key) => this.#known(key) === name) ?? name;
    const value = Object.hasOwn(members, written) ? members[written] : undefined;
    return new Cursor(this.#source, value, [...this.path, written]);
  }

  /** False, and noted, when this is no map. Fields that are not among `known` are noted. */
  isMap(known: readonly string[]): boolean {
    if (!this.#isMapValue()) {
      this.wrong("a map of fields");
      return false;
    }
    for (const written of Object.keys(this.#members())) {
      const name = this.#known(written);
      if (known.includes(name)) continue;
      const near = nearest(name, known);
      const remedy = near === null ? `Known here are ${known.join(", ")}.` : `Is ${near} meant?`;
      const field = new Cursor(this.#source, this.#members()[written], [...this.path, written]);
      field.fault(this.#source.codes.unknown, `${field.place} is not supported`, remedy, "key");
    }
    return true;
  }

  /** The members with their written names; none, and noted, when this is no map. */
  entries(): [name: string, value: Cursor][] {
    if (this.isAbsent) return [];
    if (!this.#isMapValue()) {
      this.wrong("a map");
      return [];
    }
    return Object.entries(this.#members()).map(([name, value]) => [
      name,
      new Cursor(this.#source, value, [...this.path, name]),
    ]);
  }

  items(): Cursor[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.value)) {
      if (this.#source.listOfOne === true) return [this];
      this.wrong("a list");
      return [];
    }
    return this.value.map(
      (value: unknown, index) => new Cursor(this.#source, value, [...this.path, index]),
    );
  }

  /** `fallback` stands for what is not written; null makes the text required. */
  text(fallback: string | null = ""): string {
    if (typeof this.value === "string") return this.value;
    if (!this.isAbsent || fallback === null) this.wrong("a text");
    return fallback ?? "";
  }

  flag(fallback: boolean): boolean {
    if (typeof this.value === "boolean") return this.value;
    if (!this.isAbsent) this.wrong("true or false");
    return fallback;
  }

  /** A whole number from `least` to `most`. */
  count(range: { readonly least: number; readonly most: number }, fallback: number | null): number {
    const { least, most } = range;
    const { value } = this;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
      return value;
    }
    if (!this.isAbsent || fallback === null) this.wrong(`a whole number from ${least} to ${most}`);
    return fallback ?? least;
  }

  choice<Word extends string>(words: readonly Word[], fallback: Word): Word {
    if (this.isAbsent) return fallback;
    const { value } = this;
    const meant = typeof value === "string" ? (this.#source.choiceWord?.(value) ?? value) : value;
    const found = words.find((word) => word === meant);
    if (found === undefined) this.wrong(`one of ${words.join(", ")}`);
    return found ?? fallback;
  }

  #known(written: string): string {
    return this.#source.fieldName?.(written) ?? written;
  }

  #isMapValue(): boolean {
    return typeof this.value === "object" && this.value !== null && !Array.isArray(this.value);
  }

  #members(): Members {
    return this.#isMapValue() ? (this.value as Members) : {};
  }
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  const text = JSON.stringify(value);
  return text.length > 60 ? `a ${typeof value}` : text;
}
