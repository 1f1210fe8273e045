//! A clock that stands still while this process does: stopped (SIGSTOP, Ctrl-Z, a frozen
//! container), asleep with its machine, or without a processor. Deadlines of peers run by it:
//! whoever was stopped has not read what came meanwhile, and must not take the peer for slow.

import type { Clock, Timer } from "./clock.ts";

/** Two looks at the clock that are this far apart: the process may not have run between them. */
const GAP_MS_MAX = 500;
/** Timers of Node fire up to a millisecond early. */
const EARLY_MS_MAX = 1;

export class RunningClock implements Clock {
  /** For how long the process has not run, as far as is known. */
  lostMs = 0;
  /** The real monotonic time that was read last, by whomever. */
  readMs: number;
  readonly #clock: Clock;
  readonly #cpuMs: () => number;
  #usedMs: number;

  /**
   * `cpuMs`: what the process has computed so far. A loop that is late by its own work has run.
   * Absent: nothing is known of it, and a gap is all lost.
   */
  constructor(clock: Clock, cpuMs: () => number = () => 0) {
    this.#clock = clock;
    this.#cpuMs = cpuMs;
    this.#usedMs = cpuMs();
    this.readMs = clock.monotonicMs();
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  monotonicMs(): number {
    return this.realMs() - this.lostMs;
  }

  /** Monotonic time that passes for others, too: what is measured and logged. */
  realMs(): number {
    const realMs = this.#clock.monotonicMs();
    const gapMs = realMs - this.readMs;
    this.readMs = realMs;
    if (gapMs > GAP_MS_MAX) this.#lose(gapMs);
    return realMs;
  }

  /** Whoever has this clock calls it oftener than gaps are long. */
  beat(): void {
    this.realMs();
    this.#usedMs = this.#cpuMs();
  }

  after(delayMs: number, run: () => void, options?: { readonly unref?: boolean }): Timer {
    const dueMs = this.monotonicMs() + delayMs;
    const onTime = (): void => {
      const leftMs = dueMs - this.monotonicMs();
      if (leftMs > EARLY_MS_MAX) timer = this.#clock.after(leftMs, onTime, options);
      else run();
    };
    let timer = this.#clock.after(delayMs, onTime, options);
    return {
      cancel() {
        timer.cancel();
      },
    };
  }

  #lose(gapMs: number): void {
    const usedMs = this.#cpuMs();
    this.lostMs += Math.max(0, gapMs - (usedMs - this.#usedMs));
    this.#usedMs = usedMs;
  }
}
