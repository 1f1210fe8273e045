//! Asks for what belongs to names, and keeps it: each is asked for again after a while, and what
//! was known stays while there is no answer.

import type { Clock, Timer } from "../../base/clock.ts";

export interface Found<A> {
  readonly answer: A;
  /** After this it is asked for again. */
  readonly keptMs: number;
}

export interface KeptAnswersOptions<A> {
  /** Rejects with an error that has a `code`, or a message. */
  readonly lookUp: (name: string) => Promise<Found<A>>;
  /** What is known of a name now that it could not be looked up. */
  readonly failed: (before: A, fault: string) => A;
  /** Before the first answer. */
  readonly unknown: A;
  readonly clock: Clock;
  /** What is known of some name has changed. */
  readonly onChange: () => void;
}

/** Names that are new are waited for this long at most, so that the first answer is in time. */
export const FIRST_WAIT_MS = 2_000;
export const RETRY_MS_MIN = 5_000;
export const RETRY_MS_MAX = 60_000;
/** Look-ups at one time: c-ares and the thread pool are for others, too. */
export const LOOK_UPS_AT_ONCE_MAX = 16;

/** One name that somebody wants. */
interface Known<A> {
  readonly name: string;
  answer: A;
  retryMs: number;
  timer: Timer | null;
  /** Resolves those who wait for the first answer; null: it has come. */
  first: (() => void)[] | null;
}

export class KeptAnswers<A> {
  readonly #options: KeptAnswersOptions<A>;
  readonly #known = new Map<string, Known<A>>();
  readonly #queue = new Set<Known<A>>();
  #running = 0;
  #isStopped = false;

  constructor(options: KeptAnswersOptions<A>) {
    this.#options = options;
  }

  /** What is known of these names; all others are forgotten. New ones are waited for. */
  async resolve(names: readonly string[]): Promise<ReadonlyMap<string, A>> {
    const { unknown } = this.#options;
    this.#retain(new Set(names));
    const fresh = names.filter((name) => !this.#known.has(name));
    for (const name of fresh) this.#add(name);
    if (names.some((name) => this.#known.get(name)?.first !== null)) await this.#awaitFirst(names);
    return new Map(names.map((name) => [name, this.#known.get(name)?.answer ?? unknown]));
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
    const { unknown } = this.#options;
    const known = { name, answer: unknown, retryMs: RETRY_MS_MIN, timer: null, first: [] };
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

  #enqueue(known: Known<A>): void {
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

  async #lookUp(known: Known<A>): Promise<void> {
    const { lookUp, failed } = this.#options;
    let found: Found<A>;
    try {
      found = await lookUp(known.name);
      known.retryMs = RETRY_MS_MIN;
    } catch (error) {
      found = { answer: failed(known.answer, faultOf(error)), keptMs: known.retryMs };
      known.retryMs = Math.min(RETRY_MS_MAX, known.retryMs * 2);
    }
    if (this.#isStopped || this.#known.get(known.name) !== known) return;
    this.#take(known, found);
  }

  #take(known: Known<A>, { answer, keptMs }: Found<A>): void {
    const { clock, onChange } = this.#options;
    const isSame = JSON.stringify(known.answer) === JSON.stringify(answer);
    const waiters = known.first;
    known.answer = answer;
    known.first = null;
    known.timer = clock.after(
      keptMs,
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
