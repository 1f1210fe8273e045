//! How long to wait before an app is started again.

export const RESTART_DELAY_FIRST_MS = 1_000;
export const RESTART_DELAY_MAX_MS = 60_000;
/** An app that ran this long is healthy: its next crash starts the series anew. */
export const HEALTHY_AFTER_MS = 600_000;

/** The first restart is immediate; then 1 s, doubling to 60 s, until a run of ten minutes. */
export class BackOff {
  #failures = 0;

  /** The delay before the next start, in milliseconds, after a run of `ranMs`. */
  next(ranMs: number): number {
    if (ranMs >= HEALTHY_AFTER_MS) this.#failures = 0;
    const failures = this.#failures++;
    if (failures === 0) return 0;
    // 2^20 seconds is beyond the limit already; the cap keeps the shift meaningful.
    const doublings = Math.min(failures - 1, 20);
    return Math.min(RESTART_DELAY_FIRST_MS * 2 ** doublings, RESTART_DELAY_MAX_MS);
  }
}
