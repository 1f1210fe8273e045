//! A response's head as plug-ins see it: `:status` first.

import type { HeaderMap } from "../../wasm/stream-host.ts";
import type { ResponseDraft } from "../exchange/handler.ts";
import { isAllowedField, isRemovable } from "./request-header-map.ts";

const STATUS_MIN = 200;
const STATUS_MAX = 599;

export class ResponseHeaderMap implements HeaderMap {
  readonly #response: ResponseDraft;

  constructor(response: ResponseDraft) {
    this.#response = response;
  }

  get size(): number {
    return this.#response.headers.size + 1;
  }

  get(name: string): string | undefined {
    if (name === ":status") return String(this.#response.status);
    return this.#response.headers.get(name);
  }

  set(name: string, value: string): void {
    if (name === ":status") this.#setStatus(value);
    else if (isAllowedField(name, value)) this.#response.headers.set(name, value);
  }

  add(name: string, value: string): void {
    if (name === ":status") this.#setStatus(value);
    else if (isAllowedField(name, value)) this.#response.headers.add(name, value);
  }

  remove(name: string): void {
    if (isRemovable(name)) this.#response.headers.remove(name);
  }

  forEach(visit: (name: string, value: string) => void): void {
    visit(":status", String(this.#response.status));
    const { headers } = this.#response;
    headers.names.forEach((name, index) => {
      visit(name, headers.values[index] ?? "");
    });
  }

  replaceAll(pairs: readonly (readonly [name: string, value: string])[]): void {
    const { headers } = this.#response;
    const length = headers.get("content-length");
    for (const name of new Set(headers.names)) this.remove(name);
    for (const [name, value] of pairs) {
      if (name === "content-length" && value === length) headers.set(name, value);
      else this.add(name, value);
    }
  }

  #setStatus(value: string): void {
    const status = Number(value);
    if (Number.isInteger(status) && status >= STATUS_MIN && status <= STATUS_MAX) {
      this.#response.status = status;
    }
  }
}
