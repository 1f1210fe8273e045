//! Queues that plug-ins of one vm_id share (`proxy_register_shared_queue`). The store here lives in
//! one process; an embedder with several may put another behind the interface.

/** Bounds over all plug-ins of a store. More is refused. */
export const QUEUES_MAX = 10_000;
export const ITEMS_PER_QUEUE_MAX = 10_000;
export const BYTES_PER_QUEUE_MAX: number = 16 * 1024 * 1024;
export const QUEUES_BYTES_MAX: number = 64 * 1024 * 1024;

export type EnqueueOutcome = "ok" | "unknown" | "full";

/** Who registered a queue last is told of what comes into it. */
export interface QueueOwner {
  onQueueReady(token: number): void;
}

export interface SharedQueueStore {
  /** The token of the queue, the same for everybody; null when there are too many. */
  register(vmId: string, name: string, owner: QueueOwner): number | null;
  resolve(vmId: string, name: string): number | null;
  enqueue(token: number, value: Uint8Array): EnqueueOutcome;
  dequeue(token: number): Uint8Array | "unknown" | "empty";
  /** The owner has gone; what is in its queues stays, and the next owner is told of it. */
  forget(owner: QueueOwner): void;
}

interface Queue {
  readonly items: Uint8Array[];
  bytes: number;
  owner: QueueOwner | null;
}

export class InProcessSharedQueues implements SharedQueueStore {
  /** By vm_id, NUL and name. */
  readonly #tokens = new Map<string, number>();
  readonly #queues = new Map<number, Queue>();
  readonly #later: (task: () => void) => void;
  #bytes = 0;

  /** `later` runs a task when no guest is running. */
  constructor(later: (task: () => void) => void) {
    this.#later = later;
  }

  register(vmId: string, name: string, owner: QueueOwner): number | null {
    const key = `${vmId}\0${name}`;
    const known = this.#tokens.get(key);
    const queue = known === undefined ? undefined : this.#queues.get(known);
    if (known !== undefined && queue !== undefined) {
      if (queue.owner === null) {
        for (let left = queue.items.length; left > 0; left--) this.#tell(known, queue);
      }
      queue.owner = owner;
      return known;
    }
    if (this.#queues.size >= QUEUES_MAX) return null;
    const token = this.#queues.size + 1;
    this.#tokens.set(key, token);
    this.#queues.set(token, { items: [], bytes: 0, owner });
    return token;
  }

  resolve(vmId: string, name: string): number | null {
    return this.#tokens.get(`${vmId}\0${name}`) ?? null;
  }

  enqueue(token: number, value: Uint8Array): EnqueueOutcome {
    const queue = this.#queues.get(token);
    if (queue === undefined) return "unknown";
    const bytes = queue.bytes + value.length;
    if (queue.items.length >= ITEMS_PER_QUEUE_MAX || bytes > BYTES_PER_QUEUE_MAX) return "full";
    if (this.#bytes + value.length > QUEUES_BYTES_MAX) return "full";
    queue.items.push(value);
    queue.bytes = bytes;
    this.#bytes += value.length;
    this.#tell(token, queue);
    return "ok";
  }

  dequeue(token: number): Uint8Array | "unknown" | "empty" {
    const queue = this.#queues.get(token);
    if (queue === undefined) return "unknown";
    const item = queue.items.shift();
    if (item === undefined) return "empty";
    queue.bytes -= item.length;
    this.#bytes -= item.length;
    return item;
  }

  forget(owner: QueueOwner): void {
    for (const queue of this.#queues.values()) if (queue.owner === owner) queue.owner = null;
  }

  /**
   * Once for each item, as in Envoy: many plug-ins take out one each time. Whether anybody is there
   * to be told is asked then.
   */
  #tell(token: number, queue: Queue): void {
    this.#later(() => {
      queue.owner?.onQueueReady(token);
    });
  }
}
