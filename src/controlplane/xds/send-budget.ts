//! How much may be on its way to all Envoys together: a message counts until it is answered. A
//! thousand Envoys that come at once are so served one after the other, in bounded memory.

import type { Clock } from "../../base/clock.ts";

/** Bytes that may wait for an answer, of all Envoys. One larger message goes alone. */
export const IN_FLIGHT_BYTES_MAX: number = 32 << 20;
/** Small messages do not queue behind large ones: a change of an endpoint is one of them. */
const SMALL_BYTES_MAX = 16 << 10;
/** Who has not answered for so long holds up nobody else. */
const HELD_MS_MAX = 5_000;

interface Waiting {
  readonly bytes: number;
  readonly send: () => void;
  readonly owner: Lease;
}

/** One Envoy's part. */
export interface Lease {
  /** Calls `send` at once or in turn. */
  send(key: string, bytes: number, send: () => void): void;
  /** The message of that key was answered. */
  answered(key: string): void;
  /** The Envoy has gone: what it was to be sent is not. */
  close(): void;
}

export class SendBudget {
  readonly #clock: Clock;
  #inFlight = 0;
  #queue: Waiting[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get inFlightBytes(): number {
    return this.#inFlight;
  }

  lease(): Lease {
    const held = new Map<string, () => void>();
    const lease: Lease = {
      send: (key, bytes, send) => {
        if (bytes <= SMALL_BYTES_MAX && !this.#queue.some(({ owner }) => owner === lease)) {
          send();
          return;
        }
        this.#queue.push({
          ...{ bytes, owner: lease },
          send: () => {
            held.set(key, this.#hold(bytes));
            send();
          },
        });
        this.#advance();
      },
      answered: (key) => {
        held.get(key)?.();
        held.delete(key);
      },
      close: () => {
        this.#queue = this.#queue.filter(({ owner }) => owner !== lease);
        for (const release of held.values()) release();
        held.clear();
      },
    };
    return lease;
  }

  #hold(bytes: number): () => void {
    this.#inFlight += bytes;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      timer.cancel();
      this.#inFlight -= bytes;
      this.#advance();
    };
    const timer = this.#clock.after(HELD_MS_MAX, release, { unref: true });
    return release;
  }

  #advance(): void {
    for (let [next] = this.#queue; next !== undefined; [next] = this.#queue) {
      if (this.#inFlight > 0 && this.#inFlight + next.bytes > IN_FLIGHT_BYTES_MAX) return;
      this.#queue.shift();
      next.send();
    }
  }
}
