//! Lists take turns: one at a time, and between two of them at least as long for everything else.
//!
//! A list of 10,000 objects is some 0.1 s of work that nothing interrupts. Clients that all list at
//! once must not keep writes waiting (as Kubernetes' API Priority and Fairness has it).

import type { ServerResponse } from "node:http";
import type { Clock, Timer } from "../base/clock.ts";
import { failure, StatusError } from "./status.ts";

/** Kubernetes' `--max-requests-inflight`. */
export const LISTS_WAITING_MAX = 400;
/** A quarter of a request's time, as in Kubernetes. */
export const LIST_WAIT_MS_MAX = 15_000;
/** Of lists that clients have not read yet; above it the next one waits. */
export const LIST_BYTES_MAX: number = 128 * 1024 * 1024;
/** A client that has not read its list by then is cut off. */
export const LIST_SENT_MS_MAX = 60_000;
const RETRY_AFTER_SECONDS = 1;

interface Waiting {
  readonly endMs: number;
  readonly run: () => void;
  readonly refuse: (error: StatusError) => void;
}

export class ListTurns {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #unreadBytes = 0;
  #timer: Timer | null = null;
  /** A list runs, or what comes after it has not had its time. */
  #isTaken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `list`, which answers by `response`, in its turn. Rejects with 429, or as it throws. */
  async take(response: ServerResponse, list: () => void): Promise<void> {
    if (this.#isFree) this.#isTaken = true;
    else await this.#wait(response);
    const startedMs = this.#clock.monotonicMs();
    try {
      list();
    } finally {
      this.#watch(response);
      this.#rest(this.#clock.monotonicMs() - startedMs);
    }
  }

  get #isFree(): boolean {
    return !this.#isTaken && this.#unreadBytes < LIST_BYTES_MAX;
  }

  /** Resolves when the turn is taken. */
  #wait(response: ServerResponse): Promise<void> {
    if (this.#waiting.length >= LISTS_WAITING_MAX) {
      throw tooMany(`${LISTS_WAITING_MAX} lists wait for their turn, the limit`);
    }
    const endMs = this.#clock.monotonicMs() + LIST_WAIT_MS_MAX;
    return new Promise((resolve, reject) => {
      const one = { endMs, run: resolve, refuse: reject };
      this.#waiting.push(one);
      response.once("close", () => {
        this.#forget(one);
      });
      this.#expireAfter(LIST_WAIT_MS_MAX);
    });
  }

  /** The others' time. */
  #rest(tookMs: number): void {
    const end = (): void => {
      this.#isTaken = false;
      this.#next();
    };
    if (tookMs < 1) setImmediate(end);
    else this.#clock.after(Math.round(tookMs), end);
  }

  #next(): void {
    if (!this.#isFree) return;
    const first = this.#waiting.shift();
    if (first === undefined) return;
    this.#isTaken = true;
    first.run();
  }

  /** What the client has not read counts until it has, or has gone. */
  #watch(response: ServerResponse): void {
    const bytes = response.writableLength;
    if (bytes === 0 || response.closed) return;
    this.#unreadBytes += bytes;
    const cut = this.#clock.after(LIST_SENT_MS_MAX, () => response.destroy(), { unref: true });
    response.once("close", () => {
      cut.cancel();
      this.#unreadBytes -= bytes;
      this.#next();
    });
  }

  #expire(): void {
    this.#timer = null;
    const nowMs = this.#clock.monotonicMs();
    while ((this.#waiting[0]?.endMs ?? Infinity) <= nowMs) {
      const seconds = LIST_WAIT_MS_MAX / 1_000;
      this.#waiting.shift()?.refuse(tooMany(`the list has waited ${seconds} s for its turn`));
    }
    const [first] = this.#waiting;
    if (first !== undefined) this.#expireAfter(Math.ceil(first.endMs - nowMs));
  }

  #expireAfter(waitMs: number): void {
    const expire = (): void => {
      this.#expire();
    };
    this.#timer ??= this.#clock.after(waitMs, expire, { unref: true });
  }

  /** The client has gone, or has its answer. */
  #forget(one: Waiting): void {
    const at = this.#waiting.indexOf(one);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    one.refuse(tooMany("the client has gone"));
  }
}

function tooMany(message: string): StatusError {
  const details = { retryAfterSeconds: RETRY_AFTER_SECONDS };
  return new StatusError(failure(429, "TooManyRequests", message, details));
}
