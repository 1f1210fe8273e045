//! The only door to time. Everything that waits or stamps takes a `Clock`, so tests own the time.

export interface Timer {
  /** Stops the timer; harmless when it has fired. */
  cancel(): void;
}

export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. May jump. */
  nowMs(): number;
  /** Monotonic time in milliseconds, with fractions. Never jumps back. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`. An unreferenced timer does not keep the process alive. */
  after(delayMs: number, run: () => void, options?: { readonly unref?: boolean }): Timer;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run, options) {
    const handle = setTimeout(run, delayMs);
    if (options?.unref === true) handle.unref();
    return {
      cancel() {
        clearTimeout(handle);
      },
    };
  },
};

/** Resolves after `delayMs` of `clock`. One that may lose a race is to be unreferenced. */
export function delay(
  clock: Clock,
  delayMs: number,
  options?: { readonly unref?: boolean },
): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve, options);
  });
}

/** For libraries that want one. */
export function dateOf(wallMs: number): Date {
  return new Date(wallMs);
}

/** RFC 3339 text of a wall time, as Kubernetes writes it (whole seconds, UTC). */
export function timestamp(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}

/** RFC 3339 text of a wall time with its milliseconds, UTC. */
export function timestampMs(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** Its first moment, UTC, as libraries take times. */
export function newYear(year: number): Date {
  return new Date(Date.UTC(year, 0));
}

/** `2026-11-21 15:40:00.123`, UTC: the time of a line in Envoy's log. */
export function logTime(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 23).replace("T", " ");
}

/** Wall time in milliseconds of an RFC 3339 text; NaN when it is none. */
export function wallTimeOf(text: string): number {
  return Date.parse(text);
}

let lastSecond = -1;
let lastSecondText = "";

/** RFC 3339 with milliseconds, UTC. The text of the current second is made once. */
export function timeTextOf(wallMs: number): string {
  const second = Math.floor(wallMs / 1_000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastSecondText = timestamp(second * 1_000).slice(0, -1);
  }
  const ms = Math.floor(wallMs) - second * 1_000;
  return `${lastSecondText}.${ms < 10 ? "00" : ms < 100 ? "0" : ""}${ms}Z`;
}
