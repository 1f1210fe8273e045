//! The records of a state directory under its lock, which another process may have for a while: in
//! a hot restart it opens them, and may fail after it has written. Then they are put back.

import { constants, copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory } from "./directory-lock.ts";
import type { DirectoryLock } from "./directory-lock.ts";
import { LmdbMedium } from "./lmdb-medium.ts";
import type { Loaded, Medium, RecordChange } from "./medium.ts";

const STORE_FOLDER = "store";
const DATA_FILE = "data.mdb";
/** How the records were when they were lent. */
const COPY_FILE = "data.mdb.lent";

interface Open {
  readonly lock: DirectoryLock;
  readonly records: LmdbMedium;
}

export class LentMedium implements Medium {
  readonly #directory: string;
  /** Null: another process has them, or they are closed. */
  #open: Open | null;

  /** Throws as `openStore`. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#open = open(directory);
  }

  load(): Loaded {
    return this.#records().load();
  }

  commit(changes: readonly RecordChange[], revision: number): void {
    this.#records().commit(changes, revision);
  }

  async lend(): Promise<void> {
    const folder = join(this.#directory, STORE_FOLDER);
    await this.#records().close();
    const own = this.#open;
    this.#open = null;
    try {
      const copy = join(folder, COPY_FILE);
      copyFileSync(join(folder, DATA_FILE), copy, constants.COPYFILE_FICLONE);
    } catch (error) {
      // Nobody else has had them.
      rmSync(join(folder, COPY_FILE), { force: true });
      own?.lock.release();
      this.#open = open(this.#directory);
      throw error;
    }
    own?.lock.release();
  }

  takeBack(): void {
    if (this.#open !== null) return;
    const folder = join(this.#directory, STORE_FOLDER);
    const lock = lockDirectory(this.#directory);
    try {
      renameSync(join(folder, COPY_FILE), join(folder, DATA_FILE));
      // Of the process that has died: LMDB makes another.
      rmSync(join(folder, "lock.mdb"), { force: true });
      this.#open = { lock, records: new LmdbMedium(folder) };
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    const own = this.#open;
    if (own === null) {
      // What was lent is another's for good.
      rmSync(join(this.#directory, STORE_FOLDER, COPY_FILE), { force: true });
      return;
    }
    this.#open = null;
    await own.records.close();
    own.lock.release();
  }

  #records(): LmdbMedium {
    if (this.#open === null) throw new Error("the records are in another process");
    return this.#open.records;
  }
}

function open(directory: string): Open {
  const lock = lockDirectory(directory);
  try {
    return { lock, records: new LmdbMedium(join(directory, STORE_FOLDER)) };
  } catch (error) {
    lock.release();
    throw error;
  }
}
