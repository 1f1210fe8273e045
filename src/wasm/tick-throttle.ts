//! Keeps the ticks of all plug-ins of a worker from taking more than a fifth of its time, however
//! many timers there are and however long their callbacks run.

import type { Clock } from "../base/clock.ts";

/** A shorter period is raised to this. */
export const TICK_PERIOD_MS_MIN = 10;
/** After a millisecond in ticks this many go by without. */
const REST_PER_RUN = 4;
/** Time that is not used is saved up to this, so that ticks at the same moment do not wait. */
const SAVED_MS_MAX = 20;

export class TickThrottle {
  readonly #clock: Clock;
  /** Ticks are in credit until the clock has passed this moment. */
  #restedAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long a tick that falls due now must wait; 0 when it may run. */
  waitMs(): number {
    return Math.max(0, this.#restedAtMs - this.#clock.monotonicMs());
  }

  /** A tick has run for so long. */
  ran(tookMs: number): void {
    const earliestMs = this.#clock.monotonicMs() - SAVED_MS_MAX * REST_PER_RUN;
    this.#restedAtMs = Math.max(this.#restedAtMs, earliestMs) + tookMs * (1 + REST_PER_RUN);
  }
}
