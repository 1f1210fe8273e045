//! The fields of an answer to a call of a plug-in: nothing in them can be changed.

import type { HeaderPair } from "./header-pairs.ts";
import type { HeaderMap } from "./stream-host.ts";

export class FixedHeaderMap implements HeaderMap {
  readonly #pairs: readonly HeaderPair[];

  constructor(pairs: readonly HeaderPair[]) {
    this.#pairs = pairs;
  }

  get size(): number {
    return this.#pairs.length;
  }

  get(name: string): string | undefined {
    return this.#pairs.find((pair) => pair[0] === name)?.[1];
  }

  set(): void {
    // Answers are read only; the host functions refuse before they come here.
  }

  add(): void {
    // As `set`.
  }

  remove(): void {
    // As `set`.
  }

  replaceAll(): void {
    // As `set`.
  }

  forEach(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.#pairs) visit(name, value);
  }
}
