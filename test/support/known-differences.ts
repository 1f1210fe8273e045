//! The rows of docs/proxy-wasm-differences.md: each names lines of the probe that may differ between
//! Envoy and us. A row that no line needs is a fault of the document.

import { readFileSync } from "node:fs";

const DOCUMENT = "docs/proxy-wasm-differences.md";

export class KnownDifferences {
  readonly #patterns: readonly RegExp[];
  readonly #used = new Set<RegExp>();

  /** Of one section: rows `| \`pattern\` | ... |` of its table. */
  constructor(heading: string) {
    const sections = readFileSync(DOCUMENT, "utf8").split(/^#+ /m);
    const section = sections.find((text) => text.startsWith(`${heading}\n`));
    if (section === undefined) throw new Error(`${DOCUMENT} has no section "${heading}"`);
    const rows = section.matchAll(/^\| `([^`]+)` \|/gm);
    this.#patterns = [...rows].map(([, row = ""]) => new RegExp(row.replaceAll("\\|", "|")));
  }

  /** Whether a row allows these two lines, one of which may be missing, to differ. */
  allows(...lines: readonly string[]): boolean {
    const pattern = this.#patterns.find((candidate) => lines.every((line) => candidate.test(line)));
    if (pattern !== undefined) this.#used.add(pattern);
    return pattern !== undefined;
  }

  get unused(): readonly string[] {
    return this.#patterns.filter((row) => !this.#used.has(row)).map(({ source }) => source);
  }
}
