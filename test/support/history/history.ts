//! What clients of the API did and saw, as data: what a checker decides about.
//!
//! All clients write into one recorder of one process, so that one counter orders their calls and
//! answers. This file and the checkers beside it know nothing of the program under test.

/** A state of an object. Each write of a history writes a text of its own. */
export interface Version {
  readonly value: string;
  readonly revision: number;
}

export type Action =
  | { readonly kind: "read" }
  | { readonly kind: "create"; readonly value: string }
  /** `expected`: the revision that the object must still have; `null`: any. */
  | { readonly kind: "update"; readonly value: string; readonly expected: number | null }
  | { readonly kind: "delete"; readonly expected: number | null };

export type Outcome =
  | { readonly kind: "found"; readonly version: Version | null }
  /** Of a deletion the answer does not tell the revision. */
  | { readonly kind: "done"; readonly revision: number | null }
  | { readonly kind: "exists" | "conflict" | "missing" }
  /** No answer: it may take effect at any time after the call, or never. */
  | { readonly kind: "unknown" };

export interface Operation {
  readonly client: number;
  readonly key: string;
  readonly calledAt: number;
  /** `Infinity` for one without an answer. */
  readonly returnedAt: number;
  readonly action: Action;
  readonly outcome: Outcome;
}

/** All objects at once. */
export interface Listing {
  readonly client: number;
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly revision: number;
  readonly versions: ReadonlyMap<string, Version>;
}

export interface SeenEvent {
  readonly kind: "event";
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly key: string;
  /** With the revision of the event; the value of DELETED is the last one. */
  readonly version: Version;
  readonly at: number;
}

/** What one watcher did and saw, in its order. `life`: how often the server had been started. */
export type WatchStep =
  | { readonly kind: "listed"; readonly listing: Listing; readonly life: number }
  | { readonly kind: "opened"; readonly from: number; readonly life: number }
  | SeenEvent
  | { readonly kind: "bookmark"; readonly revision: number }
  | { readonly kind: "expired"; readonly life: number };

export interface History {
  readonly operations: readonly Operation[];
  readonly listings: readonly Listing[];
  /** Each of them was let go on until it had caught up with the last write. */
  readonly watchers: readonly (readonly WatchStep[])[];
  /** So many events at least a server can tell again. */
  readonly eventsKept: number;
}

export function describeOperation(operation: Operation): string {
  const { client, key, calledAt, returnedAt, action, outcome } = operation;
  const when = `${calledAt} to ${returnedAt}`;
  return `client ${client}, ${when}: ${JSON.stringify(action)} of ${key}: ${JSON.stringify(outcome)}`;
}
