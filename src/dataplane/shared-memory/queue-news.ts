//! News for owners of shared queues in other workers, one message for all of a turn.

import type { Clock } from "../../base/clock.ts";

type Send = (worker: string, queues: readonly (readonly [token: number, count: number])[]) => void;

export class QueueNews {
  readonly #clock: Clock;
  readonly #send: Send;
  /** By worker, then token: how many items. There are no more than there are queues. */
  readonly #waiting = new Map<string, Map<number, number>>();

  constructor(clock: Clock, send: Send) {
    this.#clock = clock;
    this.#send = send;
  }

  add(worker: string, token: number): void {
    if (this.#waiting.size === 0) {
      this.#clock.after(0, () => {
        this.#flush();
      });
    }
    let counts = this.#waiting.get(worker);
    if (counts === undefined) {
      counts = new Map();
      this.#waiting.set(worker, counts);
    }
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }

  #flush(): void {
    for (const [worker, counts] of this.#waiting) this.#send(worker, [...counts]);
    this.#waiting.clear();
  }
}
