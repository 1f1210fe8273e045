//! Shared queues in the memory file. A queue's record says which worker registered it last: that
//! one is told of each item, by a message through the main process when it is another.

import {
  BYTES_PER_QUEUE_MAX,
  ITEMS_PER_QUEUE_MAX,
  QUEUES_BYTES_MAX,
  QUEUES_MAX,
} from "../../wasm/shared-queues.ts";
import type { EnqueueOutcome, QueueOwner, SharedQueueStore } from "../../wasm/shared-queues.ts";
import type { MemoryFile, MemoryTransaction } from "./memory-file.ts";
import {
  itemKey,
  itemPrefix,
  QUEUE_TOTALS_KEY,
  queueKey,
  queueNameKey,
  queueNamePrefix,
  SpaceIds,
} from "./record-keys.ts";

/** How this worker reaches the owners of queues. */
export interface QueueReach {
  /** This worker's id, unique among all that map the file. */
  readonly workerId: string;
  /** Runs a task when no guest is running. */
  readonly later: (task: () => void) => void;
  /** Something came into a queue that `workerId` registered last. */
  readonly tell: (workerId: string, token: number) => void;
}

interface Queue {
  /** Number of the first item; the next ones follow without a gap. */
  readonly first: number;
  readonly count: number;
  readonly bytes: number;
  /** Id of the worker that registered it last. */
  readonly owner: string;
}

interface Totals {
  readonly lastToken: number;
  readonly queues: number;
  readonly bytes: number;
}

const RECORD_BYTES = 256;

export class MappedSharedQueues implements SharedQueueStore {
  readonly #file: MemoryFile;
  readonly #reach: QueueReach;
  readonly #spaces = new SpaceIds();
  /** Roots of this worker, by the queues that they registered last here. */
  readonly #owners = new Map<number, QueueOwner>();

  constructor(file: MemoryFile, reach: QueueReach) {
    this.#file = file;
    this.#reach = reach;
  }

  register(vmId: string, name: string, owner: QueueOwner): number | null {
    const key = queueNameKey(this.#spaces.of(vmId), name);
    const { workerId } = this.#reach;
    const found = this.#file.write(RECORD_BYTES, (transaction) => {
      const token = transaction.get(key)?.readUInt32LE(0) ?? this.#add(key, transaction);
      if (token === null) return null;
      const queue = readQueue(transaction.get(queueKey(token)));
      const before = queue ?? { first: 0, count: 0, bytes: 0, owner: workerId };
      transaction.put(queueKey(token), encodeQueue({ ...before, owner: workerId }));
      return { token, before };
    });
    if (found === null) return null;
    const { token, before } = found;
    const wasHere = before.owner === workerId && this.#owners.has(token);
    this.#owners.set(token, owner);
    // Whoever was told of these has gone, or takes them out before us.
    if (!wasHere) this.#tellOwner(token, before.count);
    return token;
  }

  resolve(vmId: string, name: string): number | null {
    const record = this.#file.get(queueNameKey(this.#spaces.of(vmId), name));
    return record?.readUInt32LE(0) ?? null;
  }

  enqueue(token: number, value: Uint8Array): EnqueueOutcome {
    const outcome = this.#file.write(RECORD_BYTES + value.length, (transaction) => {
      const queue = readQueue(transaction.get(queueKey(token)));
      if (queue === null) return "unknown";
      const totals = readTotals(transaction.get(QUEUE_TOTALS_KEY));
      const bytes = queue.bytes + value.length;
      const total = totals.bytes + value.length;
      const isFull =
        queue.count >= ITEMS_PER_QUEUE_MAX ||
        bytes > BYTES_PER_QUEUE_MAX ||
        total > QUEUES_BYTES_MAX;
      if (isFull) return "full";
      transaction.put(itemKey(token, queue.first + queue.count), Buffer.from(value));
      transaction.put(queueKey(token), encodeQueue({ ...queue, count: queue.count + 1, bytes }));
      transaction.put(QUEUE_TOTALS_KEY, encodeTotals({ ...totals, bytes: total }));
      return queue;
    });
    if (typeof outcome === "string") return outcome;
    if (outcome.owner === this.#reach.workerId) this.#tellOwner(token, 1);
    else this.#reach.tell(outcome.owner, token);
    return "ok";
  }

  dequeue(token: number): Uint8Array | "unknown" | "empty" {
    const seen = readQueue(this.#file.get(queueKey(token)));
    if (seen === null) return "unknown";
    if (seen.count === 0) return "empty";
    return this.#file.write(RECORD_BYTES, (transaction) => {
      const queue = readQueue(transaction.get(queueKey(token)));
      if (queue === null) return "unknown";
      const key = itemKey(token, queue.first);
      const item = queue.count === 0 ? undefined : transaction.get(key);
      if (item === undefined) return "empty";
      const totals = readTotals(transaction.get(QUEUE_TOTALS_KEY));
      transaction.remove(key);
      const left = { first: queue.first + 1, count: queue.count - 1 };
      const bytes = queue.bytes - item.length;
      transaction.put(queueKey(token), encodeQueue({ ...left, bytes, owner: queue.owner }));
      const total = totals.bytes - item.length;
      transaction.put(QUEUE_TOTALS_KEY, encodeTotals({ ...totals, bytes: total }));
      return item;
    });
  }

  forget(owner: QueueOwner): void {
    for (const [token, one] of this.#owners) if (one === owner) this.#owners.delete(token);
  }

  /** Another worker has put `count` items into a queue that was registered last here. */
  ready(token: number, count: number): void {
    this.#tellOwner(token, Math.min(count, ITEMS_PER_QUEUE_MAX));
  }

  /** Nobody has this vm_id any more. */
  erase(vmId: string, transaction: MemoryTransaction): void {
    for (const name of transaction.keysFrom(queueNamePrefix(this.#spaces.of(vmId)))) {
      const token = transaction.get(name)?.readUInt32LE(0) ?? 0;
      const queue = readQueue(transaction.get(queueKey(token)));
      for (const key of transaction.keysFrom(itemPrefix(token))) transaction.remove(key);
      transaction.remove(queueKey(token));
      transaction.remove(name);
      const totals = readTotals(transaction.get(QUEUE_TOTALS_KEY));
      const bytes = totals.bytes - (queue?.bytes ?? 0);
      const next = { ...totals, queues: totals.queues - 1, bytes };
      transaction.put(QUEUE_TOTALS_KEY, encodeTotals(next));
    }
  }

  #add(key: Buffer, transaction: MemoryTransaction): number | null {
    const totals = readTotals(transaction.get(QUEUE_TOTALS_KEY));
    if (totals.queues >= QUEUES_MAX) return null;
    const token = totals.lastToken + 1;
    const next = { lastToken: token, queues: totals.queues + 1, bytes: totals.bytes };
    transaction.put(QUEUE_TOTALS_KEY, encodeTotals(next));
    const record = Buffer.alloc(4);
    record.writeUInt32LE(token, 0);
    transaction.put(key, record);
    return token;
  }

  /** Once for each item, as in Envoy: many plug-ins take out one each time. */
  #tellOwner(token: number, count: number): void {
    if (count === 0) return;
    this.#reach.later(() => {
      const owner = this.#owners.get(token);
      if (owner === undefined) return;
      this.#tellOwner(token, count - 1);
      owner.onQueueReady(token);
    });
  }
}

function readQueue(record: Buffer | undefined): Queue | null {
  if (record === undefined) return null;
  return {
    first: record.readUIntLE(0, 6),
    count: record.readUInt32LE(6),
    bytes: record.readUInt32LE(10),
    owner: record.toString("utf8", 14),
  };
}

function encodeQueue({ first, count, bytes, owner }: Queue): Buffer {
  const record = Buffer.alloc(14 + Buffer.byteLength(owner));
  record.writeUIntLE(first, 0, 6);
  record.writeUInt32LE(count, 6);
  record.writeUInt32LE(bytes, 10);
  record.write(owner, 14, "utf8");
  return record;
}

function readTotals(record: Buffer | undefined): Totals {
  if (record === undefined) return { lastToken: 0, queues: 0, bytes: 0 };
  return {
    lastToken: record.readUInt32LE(0),
    queues: record.readUInt32LE(4),
    bytes: record.readUInt32LE(8),
  };
}

function encodeTotals({ lastToken, queues, bytes }: Totals): Buffer {
  const record = Buffer.allocUnsafe(12);
  record.writeUInt32LE(lastToken, 0);
  record.writeUInt32LE(queues, 4);
  record.writeUInt32LE(bytes, 8);
  return record;
}
