//! Keeps the connections of the workers at one port even: whoever has clearly more than another
//! does not accept for a moment, so that the system wakes the others.
//!
//! The counts of the others come over the main process and are a little old. Nothing depends on
//! it: without news, or without a handle to go on with, a worker accepts what comes.

import type { Clock, Timer } from "../../base/clock.ts";
import type { SharedPort } from "./shared-port.ts";

/** A worker may be ahead by this many connections, or by this part of its own. */
const AHEAD_MIN = 8;
const AHEAD_PART = 0.02;
/**
 * A pause lasts for some connections at the pace at which they came last, and not longer: should
 * the others hang, a client waits for as long.
 */
const PAUSE_GAPS = 8;
const PAUSE_MS_MIN = 20;
const PAUSE_MS_MAX = 250;
/** Pauses in which nobody else took anything: before the next so many are accepted, doubling. */
const FRUITLESS_ACCEPTS_MAX = 1_024;
/** The counts of a worker are told at most so often. */
const TELL_EVERY_MS = 5;

export interface ShareLink {
  /** To the other workers. */
  tell(count: number): void;
  /** Another handle of the same port is wanted: `onHandle` brings it. */
  askHandle(port: number, handle: object): void;
}

export class EvenShare {
  readonly #clock: Clock;
  readonly #link: ShareLink;
  readonly #ports = new Map<number, SharedPort>();
  readonly #asked = new Set<number>();
  #lastPort = 0;
  #count = 0;
  #told = -1;
  #telling: Timer | null = null;
  /** Of the worker with the fewest connections; null: there is no other. */
  #least: number | null = null;
  #pause: { readonly timer: Timer; readonly least: number } | null = null;
  #lastAcceptMs = 0;
  #acceptsToPause = 0;
  #fruitless = 1;

  constructor(clock: Clock, link: ShareLink) {
    this.#clock = clock;
    this.#link = link;
  }

  /** A port that listens. Returns how to take it out again, before it is closed. */
  add(port: SharedPort): () => void {
    const id = ++this.#lastPort;
    this.#ports.set(id, port);
    this.#tellSoon();
    return () => {
      this.#ports.delete(id);
      port.close();
    };
  }

  onAccept(): void {
    this.#count += 1;
    const nowMs = this.#clock.monotonicMs();
    const gapMs = nowMs - this.#lastAcceptMs;
    this.#lastAcceptMs = nowMs;
    this.#tellSoon();
    if (this.#acceptsToPause > 0) this.#acceptsToPause -= 1;
    else if (this.#isAhead(1)) this.#pauseFor(gapMs);
  }

  onClose(): void {
    this.#count -= 1;
    this.#tellSoon();
  }

  /** How many connections each of the others has. */
  onPeers(counts: readonly number[]): void {
    const before = this.#least;
    this.#least = counts.length === 0 ? null : Math.min(...counts);
    if (this.#least === null || before === null || this.#least > before) {
      this.#fruitless = 1;
      this.#acceptsToPause = 0;
    }
    if (this.#least !== null) this.#askSpares();
    if (this.#pause !== null && !this.#isAhead(0.5)) this.#resume();
  }

  onHandle(port: number, handle: unknown): void {
    this.#asked.delete(port);
    const shared = this.#ports.get(port);
    if (shared !== undefined) shared.takeSpare(handle);
    else if (typeof handle === "object" && handle !== null) closeUnused(handle);
  }

  #isAhead(part: number): boolean {
    if (this.#least === null) return false;
    const allowed = Math.max(AHEAD_MIN, this.#count * AHEAD_PART);
    return this.#count - this.#least > allowed * part;
  }

  #pauseFor(gapMs: number): void {
    if (this.#pause !== null || this.#least === null) return;
    let isPaused = false;
    for (const port of this.#ports.values()) isPaused = port.pause() || isPaused;
    if (!isPaused) {
      this.#askSpares();
      return;
    }
    const pauseMs = Math.min(Math.max(gapMs * PAUSE_GAPS, PAUSE_MS_MIN), PAUSE_MS_MAX);
    const least = this.#least;
    const timer = this.#clock.after(pauseMs, () => {
      this.#onPauseOver(least);
    });
    this.#pause = { timer, least };
  }

  #onPauseOver(least: number): void {
    if (this.#least === least) {
      this.#acceptsToPause = this.#fruitless;
      this.#fruitless = Math.min(this.#fruitless * 2, FRUITLESS_ACCEPTS_MAX);
    }
    this.#resume();
  }

  #resume(): void {
    this.#pause?.timer.cancel();
    this.#pause = null;
    for (const port of this.#ports.values()) port.resume();
    this.#askSpares();
  }

  #askSpares(): void {
    for (const [id, port] of this.#ports) {
      const { handle } = port;
      if (port.hasSpare || handle === null || this.#asked.has(id)) continue;
      this.#asked.add(id);
      this.#link.askHandle(id, handle);
    }
  }

  #tellSoon(): void {
    if (this.#telling !== null || this.#count === this.#told) return;
    this.#telling = this.#clock.after(
      TELL_EVERY_MS,
      () => {
        this.#telling = null;
        if (this.#count === this.#told) return;
        this.#told = this.#count;
        this.#link.tell(this.#count);
      },
      { unref: true },
    );
  }
}

function closeUnused(handle: object): void {
  const close: unknown = Reflect.get(handle, "close");
  if (typeof close === "function") Reflect.apply(close, handle, []);
}
