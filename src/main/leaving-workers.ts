//! Gateway workers whose place another has taken: they accept nothing new, and end with what runs.

import type { Clock } from "../base/clock.ts";
import type { WorkerLink } from "./worker-link.ts";

/**
 * Idle connections are closed after this, so that who asks after a change has settled is not
 * answered by what was before it (`DRAIN_MAX_MS` of the publisher).
 */
const IDLE_MS = 4_000;
/** What still runs then, such as a tunnel, has this long (Envoy's `--parent-shutdown-time-s`). */
const LEAVE_MS_MAX = 900_000;
/** For each gateway so many may be leaving at a time; the oldest is ended. */
const PER_GATEWAY_MAX = 2;

export class LeavingWorkers {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #links = new Set<WorkerLink>();

  constructor(clock: Clock, gatewayCount: number) {
    this.#clock = clock;
    this.#max = PER_GATEWAY_MAX * gatewayCount;
  }

  get links(): readonly WorkerLink[] {
    return [...this.#links];
  }

  add(link: WorkerLink): void {
    const [oldest] = this.#links;
    if (oldest !== undefined && this.#links.size >= this.#max) void oldest.stop(0);
    this.#links.add(link);
    // One that has gone answers nothing: its exit tells.
    link.drainListeners(true).catch(() => undefined);
    this.#clock.after(
      IDLE_MS,
      () => {
        link.drainListeners(false).catch(() => undefined);
        void link.stop(LEAVE_MS_MAX);
      },
      { unref: true },
    );
  }

  /** True when it was one of them. */
  remove(link: WorkerLink): boolean {
    return this.#links.delete(link);
  }
}
