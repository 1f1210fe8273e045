//! Where a store keeps its records. One transaction at a time; what it accepted is durable.

import type { DamagedRecord, StoreKey } from "./store.ts";
import type { Resource } from "../../resources/object.ts";

/** One change of a transaction. */
export interface RecordChange {
  readonly key: string;
  readonly revision: number;
  /** The object as JSON; `null` removes the record. */
  readonly text: string | null;
}

export interface Loaded {
  readonly revision: number;
  readonly entries: readonly { readonly key: StoreKey; readonly resource: Resource }[];
  readonly damaged: readonly DamagedRecord[];
}

/** Thrown by `commit`: nothing of the transaction has happened. */
export class MediumError extends Error {
  override readonly name = "MediumError";
}

export interface Medium {
  load(): Loaded;
  /** All or nothing, and durable when it returns. Throws `MediumError`. */
  commit(changes: readonly RecordChange[], revision: number): void;
  /** Leaves the records to another process for a while, or for good. */
  lend(): Promise<void>;
  /** Takes them back as they were when they were lent. Throws what opening throws. */
  takeBack(): void;
  close(): Promise<void>;
}

/** Keeps nothing: for tests, and for a store that may be lost. */
export const memoryMedium: Medium = {
  load: () => ({ revision: 0, entries: [], damaged: [] }),
  commit: () => undefined,
  lend: () => Promise.resolve(),
  takeBack: () => undefined,
  close: () => Promise.resolve(),
};
