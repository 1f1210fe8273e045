//! Work that comes in crowds, a little of it in each turn of the event loop: when a thousand Envoys
//! come back at once, the API and the workers are not kept waiting until all have been served.

import type { Clock } from "../../base/clock.ts";

/** How much of a turn is worked off; one task more may be begun just before. */
export const TURN_MS_MAX = 10;

export class FairTurns {
  readonly #clock: Clock;
  readonly #afterTurn: (run: () => void) => void;
  #tasks: (() => void)[] = [];
  #isAwaited = false;

  /** `afterTurn` calls back when everybody else has had a turn: `setImmediate`. */
  constructor(clock: Clock, afterTurn: (run: () => void) => void) {
    this.#clock = clock;
    this.#afterTurn = afterTurn;
  }

  /** The caller bounds how much it adds; what throws ends the turn, not what comes after it. */
  add(task: () => void): void {
    this.#tasks.push(task);
    this.#await();
  }

  #await(): void {
    if (this.#isAwaited || this.#tasks.length === 0) return;
    this.#isAwaited = true;
    this.#afterTurn(() => {
      this.#isAwaited = false;
      this.#work();
    });
  }

  #work(): void {
    const endMs = this.#clock.monotonicMs() + TURN_MS_MAX;
    let done = 0;
    try {
      for (const task of this.#tasks) {
        done += 1;
        task();
        if (this.#clock.monotonicMs() >= endMs) break;
      }
    } finally {
      this.#tasks = this.#tasks.slice(done);
      this.#await();
    }
  }
}
