//! One fault of the user's configuration: what is wrong, where, and what to do about it.

import type { ObjectRef } from "./object.ts";

export type Severity = "error" | "warning" | "info";

/** A place in a file, 1-based. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Faults are returned, never thrown, and all at once. */
export interface Fault {
  readonly severity: Severity;
  /** Stable code `GL0101`; each has a section in docs/errors.md. */
  readonly code: string;
  /** What is wrong: one sentence without a full stop. */
  readonly message: string;
  /** What to do: one sentence; `""` when the message says it all. */
  readonly remedy: string;
  /** Path into the object, e.g. `spec.http[0].route[0].destination.host`; `""` for the whole. */
  readonly path: string;
  readonly object: ObjectRef | null;
  readonly position: Position | null;
}
