//! A clock whose time moves only when its owner says so: for tests, ours and those of plug-ins.

import type { Clock, Timer } from "./clock.ts";

interface Pending {
  readonly atMs: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  #nowMs: number;
  #wallAheadMs = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = 1_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#wallAheadMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const pending = { atMs: this.#nowMs + delayMs, run };
    this.#pending.add(pending);
    return {
      cancel: () => {
        this.#pending.delete(pending);
      },
    };
  }

  /** Moves time on and fires every timer that falls due, in order, also those set on the way. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > endMs) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** The process is stopped for so long: no timer fires until it runs again, by `advance`. */
  stop(forMs: number): void {
    this.#nowMs += forMs;
  }

  /** Sets the wall clock forward or back, as whoever owns the machine may: no time passes. */
  jump(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  #earliest(): Pending | undefined {
    let earliest: Pending | undefined;
    for (const pending of this.#pending) {
      if (earliest === undefined || pending.atMs < earliest.atMs) earliest = pending;
    }
    return earliest;
  }
}
