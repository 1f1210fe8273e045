//! Shared data and shared queues of all gateway workers. Until a plug-in is loaded that can use
//! them nothing is opened, and LMDB not even loaded; where the memory file cannot be had, each
//! worker has data and queues of its own.

import type { Logger } from "../../telemetry/logger.ts";
import type { PluginModule } from "../../wasm/module.ts";
import { InProcessSharedData } from "../../wasm/shared-data-store.ts";
import type { SharedDataStore } from "../../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../../wasm/shared-queues.ts";
import type { SharedQueueStore } from "../../wasm/shared-queues.ts";
import type { MappedSharedData } from "./mapped-shared-data.ts";
import type { MappedSharedQueues, QueueReach } from "./mapped-shared-queues.ts";
import type { MemoryFile } from "./memory-file.ts";

const USERS = /^proxy_(?:[gs]et_shared_data|(?:register|resolve|enqueue|dequeue)_shared_queue)$/;

/** Room for the records that erasing rewrites. */
const ERASE_BYTES = 4096;

interface Opened {
  readonly file: MemoryFile;
  readonly data: MappedSharedData;
  readonly queues: MappedSharedQueues;
}

export interface SharedMemoryOptions {
  /** A folder in memory that the main process has made; "" when there is none. */
  readonly directory: string;
  readonly reach: QueueReach;
  readonly logger: Logger;
}

export class SharedMemory {
  readonly data: SharedDataStore;
  readonly queues: SharedQueueStore;
  readonly #options: SharedMemoryOptions;
  #opened: Opened | null = null;
  #opening: Promise<void> | null = null;
  #hasFailed = false;
  #vmIds: ReadonlySet<string> = new Set();

  constructor(options: SharedMemoryOptions) {
    this.#options = options;
    const ownData = new InProcessSharedData();
    const ownQueues = new InProcessSharedQueues(options.reach.later);
    const data = (): SharedDataStore => this.#opened?.data ?? ownData;
    const queues = (): SharedQueueStore => this.#opened?.queues ?? ownQueues;
    this.data = {
      get: (vmId, key) => this.#guard(null, () => data().get(vmId, key)),
      set: (vmId, key, entry) => this.#guard("full", () => data().set(vmId, key, entry)),
    };
    this.queues = {
      register: (vmId, name, owner) =>
        this.#guard(null, () => queues().register(vmId, name, owner)),
      resolve: (vmId, name) => this.#guard(null, () => queues().resolve(vmId, name)),
      enqueue: (token, value) => this.#guard("full", () => queues().enqueue(token, value)),
      dequeue: (token) => this.#guard("empty", () => queues().dequeue(token)),
      forget: (owner) => {
        queues().forget(owner);
      },
    };
  }

  /** Comes before the first VM of `module`. */
  async prepareFor({ compiled }: PluginModule): Promise<void> {
    const uses = WebAssembly.Module.imports(compiled).some(({ name }) => USERS.test(name));
    if (!uses || this.#options.directory === "") return;
    this.#opening ??= this.#open();
    await this.#opening;
  }

  /** These are the vm_ids that serve now; what belongs to others that served before is erased. */
  retain(vmIds: ReadonlySet<string>): void {
    const gone = [...this.#vmIds].filter((vmId) => !vmIds.has(vmId));
    this.#vmIds = vmIds;
    const opened = this.#opened;
    if (opened === null || gone.length === 0) return;
    this.#guard(undefined, () => {
      opened.file.write(ERASE_BYTES, (transaction) => {
        for (const vmId of gone) {
          opened.data.erase(vmId, transaction);
          opened.queues.erase(vmId, transaction);
        }
      });
    });
  }

  /** Another worker has put items into a queue that was registered last here. */
  queueReady(token: number, count: number): void {
    this.#opened?.queues.ready(token, count);
  }

  async close(): Promise<void> {
    await this.#opening;
    const opened = this.#opened;
    this.#opened = null;
    await opened?.file.close();
  }

  async #open(): Promise<void> {
    const { directory, reach, logger } = this.#options;
    try {
      const { openMapped } = await import("./open-mapped.ts");
      this.#opened = openMapped(directory, reach);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.error("shared data and queues of plug-ins are each worker's own", { reason });
    }
  }

  /** A memory file that refuses costs the guest an error, not the worker its life. */
  #guard<Result>(refused: Result, run: () => Result): Result {
    try {
      return run();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#hasFailed) {
        this.#options.logger.error("shared data of plug-ins cannot be written", { reason });
      }
      this.#hasFailed = true;
      return refused;
    }
  }
}
