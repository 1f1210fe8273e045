//! The calls out (HTTP, gRPC, Redis) of one VM: how many may be under way, and how soon one may
//! fail that is made because another has failed. Without that a plug-in that calls again from each
//! failed answer would do nothing else where nobody can be reached, and let nobody else do much.

import type { Clock, Timer } from "../base/clock.ts";

/** More, of all kinds together, are refused. */
export const CALLS_PER_EXCHANGE_MAX = 100;
export const CALLS_PER_VM_MAX = 1_000;
/** The first call after a failed one fails after 1 ms, the next after 2 ms, and so on. */
const FAILURE_MS_MAX = 1_024;
const FAILURES_COUNTED_MAX = 11;

/** Whose calls are counted apart: an exchange. */
export interface Caller {
  callsUnderWay: number;
}

export interface CallUnderWay {
  readonly caller: Caller | null;
  readonly startedMs: number;
  /** Calls that failed one after the other, the last of which led to this one. */
  readonly failuresBefore: number;
  /** It has failed, and nobody knows yet. */
  failing: Timer | null;
}

export class CallsUnderWay {
  readonly #clock: Clock;
  #count = 0;
  /** While a failed answer is told. */
  #failures = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null: as many are under way as may be. `caller` is null for a call without an exchange. */
  begin(caller: Caller | null): CallUnderWay | null {
    if (this.#count >= CALLS_PER_VM_MAX) return null;
    if (caller !== null && caller.callsUnderWay >= CALLS_PER_EXCHANGE_MAX) return null;
    this.#count += 1;
    if (caller !== null) caller.callsUnderWay += 1;
    const startedMs = this.#clock.monotonicMs();
    return { caller, startedMs, failuresBefore: this.#failures, failing: null };
  }

  end(call: CallUnderWay): void {
    this.#count -= 1;
    if (call.caller !== null) call.caller.callsUnderWay -= 1;
    call.failing?.cancel();
  }

  /** Nobody has answered: tells it at once, or later in a chain of failures. */
  fail(call: CallUnderWay, tell: () => void): void {
    const counted = Math.min(call.failuresBefore, FAILURES_COUNTED_MAX);
    const tellMs = counted === 0 ? 0 : Math.min(2 ** (counted - 1), FAILURE_MS_MAX);
    const waitMs = call.startedMs + tellMs - this.#clock.monotonicMs();
    const run = (): void => {
      this.#failures = counted + 1;
      try {
        tell();
      } finally {
        this.#failures = 0;
      }
    };
    if (waitMs <= 0) run();
    else call.failing = this.#clock.after(waitMs, run);
  }
}
