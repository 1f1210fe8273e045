//! Where connections to endpoints read into. Node would take 64 KiB of fresh memory for each read
//! and cut it to what came: most of what is allocated for an answer, and of the collector's work
//! for large bodies.
//!
//! All connections of a worker read into one small buffer, as what it holds has been used or copied
//! before the next read. One that fills it carries a large body: it gets a large buffer of its own
//! until that body has ended, as bytes that the client's system does not take at once must stay.

/** Also the most that a writer of HTTP/1.1 copies into its text (`JOINED_WRITE_BYTES_MAX`). */
const SHARED_BYTES = 16_384;
const OWN_BYTES = 65_536;
/** Large buffers that wait for their next user. */
const SPARES_MAX = 16;

const shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
const spares: Buffer[] = [];

/** The buffers of one connection. */
export class ReadBuffers {
  #current: Buffer = shared;
  /** Somebody holds bytes of the current buffer. */
  #isHeld = false;

  get current(): Buffer {
    return this.#current;
  }

  /** Others read into it as well: what is to be held must be copied. */
  get isShared(): boolean {
    return this.#current === shared;
  }

  /** Somebody keeps a part of what the last read brought. */
  hold(): void {
    this.#isHeld = true;
  }

  /** After a read has been used. `isBody`: more of a body is to come. */
  next(readBytes: number, isBody: boolean): void {
    const isFull = readBytes === this.#current.length;
    if (this.isShared) {
      if (isFull && isBody) this.#current = spares.pop() ?? Buffer.allocUnsafeSlow(OWN_BYTES);
    } else if (!isBody) {
      this.#giveBack();
      this.#current = shared;
    } else if (this.#isHeld) this.#current = spares.pop() ?? Buffer.allocUnsafeSlow(OWN_BYTES);
    this.#isHeld = false;
  }

  /** The connection reads no more. */
  end(): void {
    if (!this.isShared) this.#giveBack();
    this.#current = shared;
  }

  #giveBack(): void {
    if (!this.#isHeld && spares.length < SPARES_MAX) spares.push(this.#current);
  }
}
