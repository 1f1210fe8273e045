//! Keeps the addresses of names: each is looked up again when its TTL is over, and what was known
//! stays when DNS does not answer.

import type { Clock, Timer } from "../../base/clock.ts";
import type { NameAnswer, NameMap } from "../../compile/service-entry.ts";

export interface FoundAddresses {
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
}

export interface NameResolverOptions {
  /** Rejects with an error that has a `code`, or a message. */
  readonly lookUp: (name: string) => Promise<FoundAddresses>;
  readonly clock: Clock;
  /** What is known of some name has changed. */
  readonly onChange: () => void;
}

/** Names that are new are waited for this long at most, so that the first answer is in time. */
export const FIRST_WAIT_MS = 2_000;
/** A shorter TTL would make every answer a change of configuration. */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 300_000;
export const RETRY_MS_MIN = 5_000;
export const RETRY_MS_MAX = 60_000;
/** Of one name; further ones are left out. */
export const ADDRESSES_MAX = 256;
/** Look-ups at one time: c-ares and the thread pool are for others, too. */
export const LOOK_UPS_AT_ONCE_MAX = 16;

const MS_PER_SECOND = 1_000;
const UNKNOWN: NameAnswer = { addresses: [], fault: "not looked up yet" };

/** One name that somebody wants. */
interface Known {
  readonly name: string;
  answer: NameAnswer;
  retryMs: number;
  timer: Timer | null;
  /** Resolves those who wait for the first answer; null: it has come. */
  first: (() => void)[] | null;
}

export class NameResolver {
  readonly #options: NameResolverOptions;
  readonly #known = new Map<string, Known>();
  readonly #queue = new Set<Known>();
  #running = 0;
  #isStopped = false;

  constructor(options: NameResolverOptions) {
    this.#options = options;
  }

  /** What is known of these names; all others are forgotten. New ones are waited for. */
  async resolve(names: readonly string[]): Promise<NameMap> {
    this.#retain(new Set(names));
    const fresh = names.filter((name) => !this.#known.has(name));
    for (const name of fresh) this.#add(name);
    if (names.some((name) => this.#known.get(name)?.first !== null)) await this.#awaitFirst(names);
    return new Map(names.map((name) => [name, this.#known.get(name)?.answer ?? UNKNOWN]));
  }

  stop(): void {
    this.#isStopped = true;
    this.#retain(new Set());
  }

  #retain(wanted: ReadonlySet<string>): void {
    for (const [name, known] of this.#known) {
      if (wanted.has(name)) continue;
      known.timer?.cancel();
      this.#known.delete(name);
      this.#queue.delete(known);
      for (const resolve of known.first ?? []) resolve();
    }
  }

  #add(name: string): void {
    const known = { name, answer: UNKNOWN, retryMs: RETRY_MS_MIN, timer: null, first: [] };
    this.#known.set(name, known);
    this.#enqueue(known);
  }

  #awaitFirst(names: readonly string[]): Promise<unknown> {
    const firsts = names.map((name) => {
      const waiters = this.#known.get(name)?.first;
      if (waiters == null) return Promise.resolve();
      return new Promise<void>((resolve) => waiters.push(resolve));
    });
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(FIRST_WAIT_MS, () => {
        resolve(null);
      });
      void Promise.all(firsts).then(() => {
        timer.cancel();
        resolve(null);
      });
    });
  }

  #enqueue(known: Known): void {
    this.#queue.add(known);
    this.#runQueue();
  }

  #runQueue(): void {
    for (const known of this.#queue) {
      if (this.#running >= LOOK_UPS_AT_ONCE_MAX) return;
      this.#queue.delete(known);
      this.#running += 1;
      void this.#lookUp(known).finally(() => {
        this.#running -= 1;
        this.#runQueue();
      });
    }
  }

  async #lookUp(known: Known): Promise<void> {
    let answer: NameAnswer;
    let delayMs: number;
    try {
      const { addresses, ttlSeconds } = await this.#options.lookUp(known.name);
      if (addresses.length === 0) throw new Error("no address");
      answer = { addresses: [...new Set(addresses)].sort().slice(0, ADDRESSES_MAX), fault: "" };
      delayMs = Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, ttlSeconds * MS_PER_SECOND));
      known.retryMs = RETRY_MS_MIN;
    } catch (error) {
      answer = { addresses: known.answer.addresses, fault: faultOf(error) };
      delayMs = known.retryMs;
      known.retryMs = Math.min(RETRY_MS_MAX, known.retryMs * 2);
    }
    if (this.#isStopped || this.#known.get(known.name) !== known) return;
    this.#take(known, answer, delayMs);
  }

  #take(known: Known, answer: NameAnswer, delayMs: number): void {
    const { clock, onChange } = this.#options;
    const isSame = JSON.stringify(known.answer) === JSON.stringify(answer);
    const waiters = known.first;
    known.answer = answer;
    known.first = null;
    known.timer = clock.after(
      delayMs,
      () => {
        known.timer = null;
        this.#enqueue(known);
      },
      { unref: true },
    );
    for (const resolve of waiters ?? []) resolve();
    // Who has waited reads the answer; who has given up waiting has to be told.
    if (!isSame) onChange();
  }
}

function faultOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
