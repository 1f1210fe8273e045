//! How long the place of a worker that has ended stays empty.

/** A worker that died at once is started again after this, doubling up to the maximum. */
const DELAY_MS_MIN = 50;
const DELAY_MS_MAX = 10_000;
/**
 * A worker that lived this long is replaced at once: it has served, so the fault is not in its
 * start, and a pause would only add an outage.
 */
const HEALTHY_AFTER_MS = 2_000;

export class RestartDelay {
  #delayMs = DELAY_MS_MIN;

  /** Asked once for each worker that has ended. */
  after(livedMs: number): number {
    if (livedMs >= HEALTHY_AFTER_MS) {
      this.#delayMs = DELAY_MS_MIN;
      return 0;
    }
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, DELAY_MS_MAX);
    return delayMs;
  }
}
