//! Finds Envoys that have stalled: whose machine has gone without a word, whose process stands
//! still, or who do not read what they are sent.
//!
//! What moves is counted by looks and not by time: when this process has stood still itself, what
//! came meanwhile is read only after the look, and costs nobody their connection.

import type { Clock, Timer } from "../../base/clock.ts";

export const LOOK_MS = 5_000;
/** Who has not moved at so many looks in a row is cut: after 25 to 30 s. */
export const LOOKS_MAX = 5;
/** Written in the time between two looks that is no configuration: pings, settings and windows. */
const CONTROL_BYTES_MAX = 256;

/**
 * - `silent`: nothing came from it, not even the answer to a ping.
 * - `not_taken`: it answers, and takes nothing of what waits for it.
 */
export type StallReason = "silent" | "not_taken";

/** One connection. The bytes are counted since its begin. */
export interface Watched {
  readonly bytesRead: () => number;
  readonly bytesWritten: () => number;
  /** What it was to take and has not. */
  readonly unsentBytes: () => number;
  readonly cut: (reason: StallReason) => void;
}

interface Seen {
  read: number;
  written: number;
  silentLooks: number;
  untakenLooks: number;
}

export class StallWatch {
  readonly #clock: Clock;
  readonly #seen = new Map<Watched, Seen>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The caller bounds how many there are. Each is sent pings, more often than it is cut. */
  add(one: Watched): void {
    const [read, written] = [one.bytesRead(), one.bytesWritten()];
    this.#seen.set(one, { read, written, silentLooks: 0, untakenLooks: 0 });
    this.#timer ??= this.#next();
  }

  remove(one: Watched): void {
    this.#seen.delete(one);
    if (this.#seen.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #next(): Timer {
    const look = (): void => {
      this.#timer = this.#next();
      for (const [one, seen] of [...this.#seen]) this.#look(one, seen);
    };
    return this.#clock.after(LOOK_MS, look, { unref: true });
  }

  #look(one: Watched, seen: Seen): void {
    const [read, written] = [one.bytesRead(), one.bytesWritten()];
    const hasTaken = one.unsentBytes() === 0 || written - seen.written > CONTROL_BYTES_MAX;
    seen.silentLooks = read > seen.read ? 0 : seen.silentLooks + 1;
    seen.untakenLooks = hasTaken ? 0 : seen.untakenLooks + 1;
    [seen.read, seen.written] = [read, written];
    if (seen.silentLooks >= LOOKS_MAX) this.#cut(one, "silent");
    else if (seen.untakenLooks >= LOOKS_MAX) this.#cut(one, "not_taken");
  }

  #cut(one: Watched, reason: StallReason): void {
    this.remove(one);
    one.cut(reason);
  }
}
