//! Queues that plug-ins of one vm_id share (`proxy_register_shared_queue`). This store lives in one
//! process; queues among worker processes are not shared yet.

/** Bounds over all plug-ins of a worker. More is refused. */
const QUEUES_MAX = 10_000;
const ITEMS_PER_QUEUE_MAX = 10_000;
const BYTES_PER_QUEUE_MAX = 16 * 1024 * 1024;

export type EnqueueOutcome = "ok" | "unknown" | "full";

/** Who registered a queue last is told of what comes into it. */
export interface QueueOwner {
  onQueueReady(token: number): void;
}

interface Queue {
  readonly items: Uint8Array[];
  bytes: number;
  owner: QueueOwner | null;
}

export class SharedQueues {
  /** By vm_id, NUL and name. */
  readonly #tokens = new Map<string, number>();
  readonly #queues = new Map<number, Queue>();
  readonly #later: (task: () => void) => void;

  /** `later` runs a task when no guest is running. */
  constructor(later: (task: () => void) => void) {
    this.#later = later;
  }

  /** The token of the queue; null when there are too many. */
  register(vmId: string, name: string, owner: QueueOwner): number | null {
    const key = `${vmId}\0${name}`;
    const known = this.#tokens.get(key);
    const queue = known === undefined ? undefined : this.#queues.get(known);
    if (known !== undefined && queue !== undefined) {
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
    queue.items.push(value);
    queue.bytes = bytes;
    // Once for each item, as in Envoy: many plug-ins take out one each time. Whether anybody is
    // there to be told is asked then.
    this.#later(() => {
      queue.owner?.onQueueReady(token);
    });
    return "ok";
  }

  dequeue(token: number): Uint8Array | "unknown" | "empty" {
    const queue = this.#queues.get(token);
    if (queue === undefined) return "unknown";
    const item = queue.items.shift();
    if (item === undefined) return "empty";
    queue.bytes -= item.length;
    return item;
  }

  /** The owner has gone; what is in its queues stays. */
  forget(owner: QueueOwner): void {
    for (const queue of this.#queues.values()) if (queue.owner === owner) queue.owner = null;
  }
}
