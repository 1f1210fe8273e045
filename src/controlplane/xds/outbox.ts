//! What was encoded for one Envoy and not yet taken by its connection: bounded, however slowly that
//! Envoy reads. What waits is not encoded: its resources are those of all others.

/** One message that is larger by itself goes alone. */
export const UNSENT_BYTES_MAX: number = 1 << 20;

interface Waiting {
  readonly bytes: number;
  readonly encode: () => Buffer;
}

/** `taken` is called when nothing of the message is left in this process. */
export type Write = (message: Buffer, taken: () => void) => void;

export class Outbox {
  readonly #write: Write;
  /** At most one message of each type: the next of a type is made when the last was answered. */
  #waiting: Waiting[] = [];
  #unsent = 0;

  constructor(write: Write) {
    this.#write = write;
  }

  /** Of what was encoded. */
  get unsentBytes(): number {
    return this.#unsent;
  }

  add(bytes: number, encode: () => Buffer): void {
    this.#waiting.push({ bytes, encode });
    this.#advance();
  }

  /** The Envoy has gone. */
  close(): void {
    this.#waiting = [];
  }

  #advance(): void {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      if (this.#unsent > 0 && this.#unsent + next.bytes > UNSENT_BYTES_MAX) return;
      this.#waiting.shift();
      const message = next.encode();
      this.#unsent += message.length;
      this.#write(message, () => {
        this.#unsent -= message.length;
        this.#advance();
      });
    }
  }
}
