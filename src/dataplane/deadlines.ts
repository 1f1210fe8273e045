//! Deadlines of everything that waits on a peer, swept by one coarse timer per worker.
//!
//! A timer per request would cost more than the request's own work; a sweep over the open
//! connections every quarter of a second keeps each deadline to within that quarter. Time in which
//! the process did not run is charged to nobody.

import type { Clock, Timer } from "../base/clock.ts";
import { RunningClock } from "../base/running-clock.ts";

/** How far a deadline may be overrun. */
const SWEEP_INTERVAL_MS = 250;
/** Then everybody else has a turn: thousands of deadlines may be due at once. */
const DUE_PER_TURN_MAX = 50;

/** A client has this long to send a whole request head, from its first byte. */
export const REQUEST_HEAD_TIMEOUT_MS = 10_000;
/** Where a listener awaits a PROXY header, it is there after this: proxies send it at once. */
export const PROXY_HEADER_TIMEOUT_MS = 5_000;
/** An idle keep-alive connection of a client is closed after this. */
export const DOWNSTREAM_IDLE_TIMEOUT_MS = 75_000;
/** An idle upstream connection is closed earlier than our own sidecars would close it. */
export const UPSTREAM_IDLE_TIMEOUT_MS = 60_000;
/** No byte in either direction for this long ends an exchange (Envoy's stream idle timeout). */
export const EXCHANGE_IDLE_TIMEOUT_MS = 300_000;
/** No byte in either direction for this long ends a tunnel (Envoy's TCP idle timeout). */
export const TUNNEL_IDLE_TIMEOUT_MS = 3_600_000;
/**
 * While a request's body is awaited, at least `REQUEST_BODY_BYTES_MIN` of it come in each such
 * window, else 408: a client that drips a byte now and then would hold an endpoint for ever. The
 * window does not run while we do not read (back-pressure), nor once the response has begun.
 */
export const REQUEST_BODY_WINDOW_MS = 60_000;
export const REQUEST_BODY_BYTES_MIN = 1_024;
/** A connection that is to end may be asked once more: that request may be on its way. */
export const DRAIN_IDLE_MS = 250;
/** After an early answer the rest of a request body is read and dropped for this long. */
export const LINGER_TIMEOUT_MS = 2_000;
export const NO_DEADLINE: number = Number.POSITIVE_INFINITY;

export interface Expirable {
  /** In the sweeper's time; `NO_DEADLINE` when nothing is awaited. */
  readonly deadlineMs: number;
  onDeadline(): void;
}

export class DeadlineSweeper {
  /** Coarse time of `clock`, at most one sweep old. */
  nowMs: number;
  /** By which deadlines run: for timers of their own. */
  readonly clock: RunningClock;
  readonly #timers: Clock;
  readonly #members = new Set<Expirable>();
  #timer: Timer | null = null;

  /** `cpuMs`: as `RunningClock` has it. */
  constructor(clock: Clock, cpuMs?: () => number) {
    this.clock = new RunningClock(clock, cpuMs);
    this.#timers = clock;
    this.nowMs = this.clock.monotonicMs();
    this.#arm();
  }

  /** By a fresh reading: `nowMs` may be a whole sweep old. */
  readNowMs(): number {
    return this.clock.monotonicMs();
  }

  /** The moment `ms` from now, by a fresh reading. */
  after(ms: number): number {
    return this.readNowMs() + ms;
  }

  /** As `nowMs`, of the time that passed for the peers, too. */
  get realNowMs(): number {
    return this.nowMs + this.clock.lostMs;
  }

  /** How many are watched. */
  get size(): number {
    return this.#members.size;
  }

  add(member: Expirable): void {
    this.#members.add(member);
  }

  remove(member: Expirable): void {
    this.#members.delete(member);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    this.#timer = this.#timers.after(
      SWEEP_INTERVAL_MS,
      () => {
        this.clock.beat();
        this.#sweep(this.#members.values());
      },
      { unref: true },
    );
  }

  /** What is left of one look at all of them. */
  #sweep(left: SetIterator<Expirable>): void {
    this.nowMs = this.clock.monotonicMs();
    let dueCount = 0;
    for (const member of left) {
      if (member.deadlineMs > this.nowMs) continue;
      member.onDeadline();
      dueCount += 1;
      if (dueCount < DUE_PER_TURN_MAX) continue;
      this.#timer = this.#timers.after(0, () => {
        this.#sweep(left);
      });
      return;
    }
    this.#arm();
  }
}
