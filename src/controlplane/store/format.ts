//! Which format the store's file has, and how an older one is brought forward.
//!
//! A migration runs inside the transaction that also writes the new version: a store is in one
//! format or the other, never between.

import { encodeRecord } from "./record.ts";

export const FORMAT_VERSION = 1;

/** The tables a migration may read and write. */
export interface FormatTables {
  entries(): Iterable<readonly [key: string, value: Buffer]>;
  put(key: string, value: Buffer): void;
  putRevision(revision: number): void;
}

/** The store was written by a newer Graylane. Nothing was changed. */
export class NewerFormatError extends Error {
  override readonly name = "NewerFormatError";

  constructor(found: number, directory: string) {
    super(
      `the store in ${directory} has format ${found}, this Graylane knows formats up to ` +
        `${FORMAT_VERSION}; run the version that wrote it, or a newer one`,
    );
  }
}

/** `MIGRATIONS[n]` turns format n into format n + 1. */
const MIGRATIONS: readonly ((tables: FormatTables) => void)[] = [addChecksums];

export function migrate(tables: FormatTables, from: number): void {
  for (const step of MIGRATIONS.slice(from)) step(tables);
}

/** Format 0 kept bare JSON, and the revision only inside the objects. */
function addChecksums(tables: FormatTables): void {
  let last = 0;
  for (const [key, value] of [...tables.entries()]) {
    const text = value.toString("utf8");
    const object = JSON.parse(text) as { metadata?: { resourceVersion?: string } };
    const revision = Number(object.metadata?.resourceVersion ?? 0);
    last = Math.max(last, revision);
    tables.put(key, encodeRecord(key, revision, text));
  }
  tables.putRevision(last);
}
