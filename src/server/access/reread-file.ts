//! A file that is read again whenever it has changed.

import { readFileSync, statSync } from "node:fs";

const FILE_BYTES_MAX = 1024 * 1024;

/** A text says where the fault is. */
export type Parse<Content> = (text: string, path: string) => Content | string;

/** One that cannot be read, or has a fault, lets nobody in: its content is `empty` then. */
export class RereadFile<Content> {
  readonly #path: string;
  readonly #parse: Parse<Content>;
  readonly #empty: Content;
  readonly #onFault: (fault: string) => void;
  #stamp = "";
  #content: Content;

  constructor(
    path: string,
    { parse, empty }: { readonly parse: Parse<Content>; readonly empty: Content },
    onFault: (fault: string) => void,
  ) {
    this.#path = path;
    this.#parse = parse;
    this.#empty = empty;
    this.#content = empty;
    this.#onFault = onFault;
  }

  /** As it is now. The same value means that nothing has changed. */
  content(): Content {
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) return this.#content;
    const read = readWhole(this.#path, this.#parse);
    this.#stamp = stamp;
    this.#content = typeof read === "string" ? this.#empty : read;
    if (typeof read === "string") this.#onFault(read);
    return this.#content;
  }
}

export function readWhole<Content>(path: string, parse: Parse<Content>): Content | string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return `${path}: is larger than 1 MiB`;
    return parse(readFileSync(path, "utf8"), path);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return "missing";
  return [stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(" ");
}
