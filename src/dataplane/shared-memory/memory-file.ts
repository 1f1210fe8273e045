//! A database in memory that all gateway workers map: LMDB in a folder of a memory file system.
//! What one process has written the others read, in the next call; a process that is killed in the
//! midst of a write leaves the state before it.

import { statfsSync } from "node:fs";
import { join } from "node:path";
import { open, type RootDatabase } from "lmdb";

/** Below this nothing is written: a page that LMDB cannot write may cost the process. */
const FREE_BYTES_MIN = 16 * 1024 * 1024;
/** How much one process writes before it looks again, at most. */
const UNCHECKED_BYTES_MAX = 1024 * 1024;
/** As many processes may write unchecked at a time. */
const PROCESSES = 32;
/** Pages on the way to a record, for each of a transaction's few records. */
const PAGES_BYTES = 16 * 1024;
/** Processes that may map it: workers, spares, and those on their way out. */
const READERS_MAX = 512;

/** Beside the database; it holds nothing. */
const TURN_FOLDER = "turn";

/** There is no room, or the memory file system said no. */
export class MemoryFullError extends Error {}

export class MemoryFile {
  readonly #directory: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  /**
   * Whoever opens or writes the database is in a transaction of this one, one at a time. A process
   * that opens an LMDB database of this version sets the number of its last transaction, for all
   * processes, to that which it has read a moment before (`mdb_env_open2`), and so undoes what
   * others have committed in between; here nothing is ever committed.
   */
  readonly #turn: RootDatabase<Buffer, Buffer>;
  #uncheckedBytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
    this.#turn = openDatabase(join(directory, TURN_FOLDER));
    this.#root = this.#turn.transactionSync(() => openDatabase(directory));
  }

  /** What is there now, also what another process has just written. */
  get(key: Buffer): Buffer | undefined {
    this.#root.resetReadTxn();
    return this.#root.get(key);
  }

  /**
   * Runs `task`, all of it or nothing, while nobody else writes. `bytes` is how much it is going to
   * put. Throws `MemoryFullError` when there is no room.
   */
  write<Result>(bytes: number, task: (transaction: MemoryTransaction) => Result): Result {
    this.#ensureRoom(bytes);
    const root = this.#root;
    return this.#turn.transactionSync(() =>
      root.transactionSync(() =>
        task({
          get: (key) => root.get(key),
          put: (key, value) => {
            root.putSync(key, value);
          },
          remove: (key) => {
            root.removeSync(key);
          },
          keysFrom: (prefix) => keysFrom(root, prefix),
        }),
      ),
    );
  }

  async close(): Promise<void> {
    await this.#root.close();
    await this.#turn.close();
  }

  #ensureRoom(bytes: number): void {
    const taken = 2 * bytes + PAGES_BYTES;
    this.#uncheckedBytes -= taken;
    if (this.#uncheckedBytes >= 0) return;
    const { bavail, bsize } = statfsSync(this.#directory);
    const spare = bavail * bsize - FREE_BYTES_MIN;
    if (spare < taken) {
      this.#uncheckedBytes = 0;
      throw new MemoryFullError(`${this.#directory} is full`);
    }
    this.#uncheckedBytes = Math.min(UNCHECKED_BYTES_MAX, spare / PROCESSES);
  }
}

function openDatabase(path: string): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path,
    encoding: "binary",
    keyEncoding: "binary",
    maxReaders: READERS_MAX,
    // Otherwise a writer that is killed leaves the others waiting.
    overlappingSync: false,
  });
}

export interface MemoryTransaction {
  get(key: Buffer): Buffer | undefined;
  put(key: Buffer, value: Buffer): void;
  remove(key: Buffer): void;
  /** All keys that begin with `prefix`. */
  keysFrom(prefix: Buffer): Buffer[];
}

function keysFrom(root: RootDatabase<Buffer, Buffer>, prefix: Buffer): Buffer[] {
  const keys: Buffer[] = [];
  for (const key of root.getKeys({ start: prefix })) {
    if (!key.subarray(0, prefix.length).equals(prefix)) break;
    keys.push(Buffer.from(key));
  }
  return keys;
}
