//! Trailers as plug-ins see them: plain fields, no pseudo names.

import type { Headers } from "../../http/headers.ts";
import type { HeaderMap } from "../../wasm/stream-host.ts";
import { isAllowedField } from "./request-header-map.ts";

/** Fields that no trailer section may have (RFC 9110 section 6.5.1), besides the framing ones. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  "authorization",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "cookie",
  "set-cookie",
  "te",
  "trailer",
]);

export class FieldMap implements HeaderMap {
  readonly #fields: Headers;

  constructor(fields: Headers) {
    this.#fields = fields;
  }

  get size(): number {
    return this.#fields.size;
  }

  get(name: string): string | undefined {
    return this.#fields.get(name);
  }

  set(name: string, value: string): void {
    if (isAllowedTrailer(name, value)) this.#fields.set(name, value);
  }

  add(name: string, value: string): void {
    if (isAllowedTrailer(name, value)) this.#fields.add(name, value);
  }

  remove(name: string): void {
    this.#fields.remove(name);
  }

  forEach(visit: (name: string, value: string) => void): void {
    this.#fields.names.forEach((name, index) => {
      visit(name, this.#fields.values[index] ?? "");
    });
  }

  replaceAll(pairs: readonly (readonly [name: string, value: string])[]): void {
    for (const name of new Set(this.#fields.names)) this.remove(name);
    for (const [name, value] of pairs) this.add(name, value);
  }
}

function isAllowedTrailer(name: string, value: string): boolean {
  return isAllowedField(name, value) && !NOT_IN_TRAILERS.has(name);
}
