//! Keeps records in an LMDB file.
//!
//! Transactions are synchronous: `transactionSync` flushes to the disk before it returns, and tells
//! a failure by an exception. The asynchronous interface of `lmdb` 3.5 leaves promises behind that
//! nobody can catch when a commit fails. Worse, after a failed page write its native part corrupts
//! the heap (seen with a file size limit: `malloc(): corrupted top size`), so a full disk is found
//! out before LMDB writes, and after a failure the disk is probed before it may write again.

import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { open, type Database, type RootDatabase } from "lmdb";
import type { Resource } from "../../resources/object.ts";
import { FORMAT_VERSION, migrate, NewerFormatError } from "./format.ts";
import { checkLmdbFile } from "./lmdb-file.ts";
import { MediumError, type Loaded, type Medium, type RecordChange } from "./medium.ts";
import { decodeRecord, encodeRecord } from "./record.ts";
import type { DamagedRecord, StoreKey } from "./store.ts";

/** Below this, plus what the transaction may take, nothing is written. */
const FREE_BYTES_MIN = 8 * 1024 * 1024;
/** LMDB copies the pages on the way to a record; values are stored once. */
const WRITE_AMPLIFICATION = 4;
const PROBE_BYTES = 256 * 1024;
/**
 * When the record of the last revision is damaged, revisions go on this much above the highest one
 * that is left, so that none is given twice.
 */
const REVISION_GAP = 1_000_000;

const FORMAT = "format";
const REVISION = "revision";

export class LmdbMedium implements Omit<Medium, "lend" | "takeBack"> {
  readonly #directory: string;
  readonly #root: RootDatabase<Buffer, string>;
  readonly #records: Database<Buffer, string>;
  readonly #meta: Database<Buffer, string>;
  /** The last commit failed: look before the next one. */
  #isSuspect = false;

  /** Throws `NewerFormatError`, `DamagedFileError`, or what the file system says. */
  constructor(directory: string) {
    checkLmdbFile(directory);
    this.#directory = directory;
    const encoding = "binary";
    this.#root = open<Buffer, string>({
      path: directory,
      encoding,
      maxDbs: 4,
      // A commit is durable when it returns, not some time after.
      overlappingSync: false,
    });
    this.#records = this.#root.openDB<Buffer, string>({ name: "records", encoding });
    this.#meta = this.#root.openDB<Buffer, string>({ name: "meta", encoding });
    this.#bringForward();
  }

  load(): Loaded {
    const entries: { key: StoreKey; resource: Resource }[] = [];
    const damaged: DamagedRecord[] = [];
    let highest = 0;
    for (const { key: text, value } of this.#records.getRange()) {
      const record = decodeRecord(text, value);
      const key = parseKey(text);
      if (!record.ok || key === null) {
        damaged.push({ key: text, reason: record.ok ? "its key is malformed" : record.reason });
        continue;
      }
      highest = Math.max(highest, record.revision);
      entries.push({ key, resource: JSON.parse(record.text) as Resource });
    }
    const revision = this.#readRevision(highest, damaged);
    return { revision, entries, damaged };
  }

  commit(changes: readonly RecordChange[], revision: number): void {
    const writes = changes.map(({ key, revision: at, text }) => ({
      key,
      value: text === null ? null : encodeRecord(key, at, text),
    }));
    this.#ensureSpace(writes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0));
    if (this.#isSuspect) this.#probe();
    try {
      this.#root.transactionSync(() => {
        for (const { key, value } of writes) {
          if (value === null) this.#records.removeSync(key);
          else this.#records.putSync(key, value);
        }
        this.#putRevision(revision);
      });
    } catch (error) {
      this.#isSuspect = true;
      throw new MediumError(`the disk refused the transaction: ${messageOf(error)}`);
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #bringForward(): void {
    const found = this.#formatVersion();
    if (found > FORMAT_VERSION) {
      void this.#root.close();
      throw new NewerFormatError(found, this.#directory);
    }
    if (found === FORMAT_VERSION) return;
    const records = this.#records;
    this.#root.transactionSync(() => {
      const tables = {
        *entries(): Generator<readonly [string, Buffer]> {
          for (const { key, value } of records.getRange()) yield [key, value];
        },
        put: (key: string, value: Buffer) => {
          records.putSync(key, value);
        },
        putRevision: (revision: number) => {
          this.#putRevision(revision);
        },
      };
      migrate(tables, found);
      this.#meta.putSync(FORMAT, Buffer.from(String(FORMAT_VERSION)));
    });
  }

  /** Format 0 did not write its version. */
  #formatVersion(): number {
    const value = this.#meta.get(FORMAT);
    return value === undefined ? 0 : Number(value.toString("utf8"));
  }

  #putRevision(revision: number): void {
    this.#meta.putSync(REVISION, encodeRecord(REVISION, revision, ""));
  }

  #readRevision(highest: number, damaged: DamagedRecord[]): number {
    const value = this.#meta.get(REVISION);
    const record =
      value === undefined
        ? { ok: false as const, reason: "it is missing" }
        : decodeRecord(REVISION, value);
    if (record.ok && record.revision >= highest) return record.revision;
    const reason = record.ok ? "it is older than the newest object" : record.reason;
    damaged.push({ key: REVISION, reason });
    return highest + REVISION_GAP;
  }

  #ensureSpace(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.#directory);
    const needed = FREE_BYTES_MIN + bytes * WRITE_AMPLIFICATION;
    if (bavail * bsize >= needed) return;
    const message = `${mebibytes(bavail * bsize)} MiB are free, ${mebibytes(needed)} are needed`;
    throw new MediumError(`the disk of ${this.#directory} is full: ${message}`);
  }

  #probe(): void {
    const path = join(this.#directory, "probe");
    try {
      const file = openSync(path, "w", 0o600);
      try {
        writeSync(file, Buffer.alloc(PROBE_BYTES, 1));
        fsyncSync(file);
      } finally {
        closeSync(file);
        rmSync(path, { force: true });
      }
      this.#isSuspect = false;
    } catch (error) {
      throw new MediumError(`the disk of ${this.#directory} fails: ${messageOf(error)}`);
    }
  }
}

/** `<plural>[.<group>]/<namespace>/<name>`, as `keyText` writes it. */
function parseKey(text: string): StoreKey | null {
  const [kind, namespace, name, ...rest] = text.split("/");
  if (kind === undefined || namespace === undefined || name === undefined) return null;
  if (rest.length > 0 || kind === "" || name === "") return null;
  const dot = kind.indexOf(".");
  return dot === -1
    ? { group: "", plural: kind, namespace, name }
    : { group: kind.slice(dot + 1), plural: kind.slice(0, dot), namespace, name };
}

function mebibytes(bytes: number): string {
  return (bytes / (1024 * 1024)).toFixed(1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
