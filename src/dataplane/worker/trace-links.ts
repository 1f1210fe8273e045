//! Lanes by trace ids that two sidecar workers know together while one takes over from the other: a
//! request may come in at one of them, and the calls that it causes go out through the other.
//!
//! Each id is a symbolic link in a folder in memory, whose target is what is known of it: it is
//! made, replaced and read in one step each, without waiting, as the lookup must be.

import { createHash } from "node:crypto";
import { mkdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { SharedTraces } from "../../lane/context.ts";

/** Ids of one worker; more are known to it alone. */
const LINKS_MAX = 50_000;
/** Before a tag; a request without one has `NONE`. */
const TAG = "=";
const NONE = "-";

export class TraceLinks {
  readonly #folder: string;
  readonly #own = new Set<string>();

  /** Throws what the file system says. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
  }

  /** Of one pod's table for a lane group. */
  table(pod: string, group: string): SharedTraces {
    const pathOf = (key: string): string => {
      const name = createHash("sha1")
        .update(JSON.stringify([pod, group, key]))
        .digest("hex");
      return join(this.#folder, name);
    };
    return {
      set: (key, tag) => {
        this.#set(pathOf(key), tag === null ? NONE : `${TAG}${encodeURIComponent(tag)}`);
      },
      get: (key) => targetOf(pathOf(key)),
      remove: (key) => {
        this.#remove(pathOf(key));
      },
    };
  }

  /** What the other worker has is left to it. */
  close(): void {
    for (const path of [...this.#own]) this.#remove(path);
  }

  #set(path: string, target: string): void {
    if (!this.#own.has(path) && this.#own.size >= LINKS_MAX) return;
    const draft = `${path}.${process.pid}`;
    try {
      symlinkSync(target, draft);
      renameSync(draft, path);
      this.#own.add(path);
    } catch {
      // No room: this worker alone knows it, as before.
    }
  }

  #remove(path: string): void {
    if (!this.#own.delete(path)) return;
    try {
      unlinkSync(path);
    } catch {
      // The other worker has removed it.
    }
  }
}

function targetOf(path: string): string | null | undefined {
  let target: string;
  try {
    target = readlinkSync(path);
  } catch {
    return undefined;
  }
  return target === NONE ? null : decodeURIComponent(target.slice(TAG.length));
}
