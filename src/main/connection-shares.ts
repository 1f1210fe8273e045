//! The main process's part in keeping gateway workers' connections even: tells each of them how
//! many the others have (`dataplane/listener/even-share.ts`).

import type { Clock } from "../base/clock.ts";

/** News of several workers within this time are told together. */
const TELL_AFTER_MS = 5;

export interface ShareMember {
  /** How many connections each of the others has. */
  peers(counts: readonly number[]): void;
}

export class ConnectionShares {
  readonly #clock: Clock;
  readonly #counts = new Map<ShareMember, number>();
  /** The counts that each was told last, as text. */
  readonly #told = new WeakMap<ShareMember, string>();
  #isDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The worker accepts, and has so many. */
  set(member: ShareMember, count: number): void {
    this.#counts.set(member, count);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.after(
      TELL_AFTER_MS,
      () => {
        this.#isDue = false;
        this.#tell();
      },
      { unref: true },
    );
  }

  /** It has gone. Nobody waits for it a moment longer. */
  remove(member: ShareMember): void {
    if (this.#counts.delete(member)) this.#tell();
  }

  #tell(): void {
    for (const member of this.#counts.keys()) {
      const others = [...this.#counts].flatMap(([one, count]) => (one === member ? [] : count));
      const text = others.join();
      if (this.#told.get(member) === text) continue;
      this.#told.set(member, text);
      member.peers(others);
    }
  }
}
