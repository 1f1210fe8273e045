//! How many lines plug-ins may log: more are counted, dropped and told of once.

import type { Clock, Timer } from "../../base/clock.ts";

/** Lines that one plug-in may log in a second. */
export const LOG_LINES_PER_SECOND_MAX = 1_000;
const WINDOW_MS = 1_000;

/** One second is counted for all together, so that this holds no more than the names in it. */
export class LogLimiter {
  readonly #clock: Clock;
  readonly #onDropped: (plugin: string, count: number) => void;
  readonly #lines = new Map<string, number>();
  #windowStartMs = 0;
  #telling: Timer | null = null;

  /** `onDropped` hears of a second's dropped lines when that second is over. */
  constructor(clock: Clock, onDropped: (plugin: string, count: number) => void) {
    this.#clock = clock;
    this.#onDropped = onDropped;
  }

  admits(plugin: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) this.#turn(nowMs);
    const count = (this.#lines.get(plugin) ?? 0) + 1;
    this.#lines.set(plugin, count);
    if (count <= LOG_LINES_PER_SECOND_MAX) return true;
    this.#tellLater(nowMs);
    return false;
  }

  /** Else nobody would hear of lines after which no other comes. */
  #tellLater(nowMs: number): void {
    const waitMs = Math.ceil(this.#windowStartMs + WINDOW_MS - nowMs);
    const tell = (): void => {
      this.#turn(this.#clock.monotonicMs());
    };
    this.#telling ??= this.#clock.after(waitMs, tell, { unref: true });
  }

  #turn(nowMs: number): void {
    for (const [plugin, count] of this.#lines) {
      const dropped = count - LOG_LINES_PER_SECOND_MAX;
      if (dropped > 0) this.#onDropped(plugin, dropped);
    }
    this.#lines.clear();
    this.#telling?.cancel();
    this.#telling = null;
    this.#windowStartMs = nowMs;
  }
}
