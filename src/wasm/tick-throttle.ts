//! Keeps callbacks that no exchange waits for from taking more than a part of a worker's time: all
//! ticks of all plug-ins together a fifth, news of queues a half, however many there are and
//! however long they run.

import type { Clock } from "../base/clock.ts";

/** A shorter period is raised to this. */
export const TICK_PERIOD_MS_MIN = 10;
/** After a millisecond in ticks this many go by without. */
const REST_PER_TICK = 4;
/** The same for news of queues, of which there are as many as exchanges make. */
export const REST_PER_NEWS = 1;
/** Time that is not used is saved up to this, so that ticks at the same moment do not wait. */
const SAVED_MS_MAX = 20;

export class TickThrottle {
  readonly #clock: Clock;
  readonly #restPerRun: number;
  /** They are in credit until the clock has passed this moment. */
  #restedAtMs = 0;

  constructor(clock: Clock, restPerRun: number = REST_PER_TICK) {
    this.#clock = clock;
    this.#restPerRun = restPerRun;
  }

  /** How long a callback that falls due now must wait; 0 when it may run. */
  waitMs(): number {
    return Math.max(0, this.#restedAtMs - this.#clock.monotonicMs());
  }

  /** A callback has run for so long. */
  ran(tookMs: number): void {
    const earliestMs = this.#clock.monotonicMs() - SAVED_MS_MAX * this.#restPerRun;
    this.#restedAtMs = Math.max(this.#restedAtMs, earliestMs) + tookMs * (1 + this.#restPerRun);
  }
}
