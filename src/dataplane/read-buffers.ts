//! Where connections in clear read into. Node would take 64 KiB of fresh memory for each read
//! and cut it to what came: most of what is allocated for a request and its
//! answer, and of the collector's work for large bodies.
//!
//! All connections of a worker read into one small buffer, as what it holds has been used or copied
//! before the next read. One that fills it carries a large body: it gets a large buffer of its own
//! until that body has ended, as bytes that the other side's system does not take at once must
//! stay.

/** Also the most that a writer of HTTP/1.1 copies into its text (`JOINED_WRITE_BYTES_MAX`). */
const SHARED_BYTES = 16_384;
/** Four times what Node reads at once: a quarter of the calls for a large body. */
const LARGE_BYTES = 262_144;
/** Connections that have a large one at once: 16 MiB. Others have one of what Node would take. */
const LARGE_MAX = 64;
const MEDIUM_BYTES = 65_536;
/** Large buffers that wait for their next user. */
const SPARES_MAX = 16;

const shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
const spares: Buffer[] = [];
let largeCount = 0;

function take(): Buffer {
  if (largeCount >= LARGE_MAX) return Buffer.allocUnsafeSlow(MEDIUM_BYTES);
  largeCount += 1;
  return spares.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
}

function leave(buffer: Buffer, isHeld: boolean): void {
  if (buffer.length !== LARGE_BYTES) return;
  largeCount -= 1;
  if (!isHeld && spares.length < SPARES_MAX) spares.push(buffer);
}

/** The buffers of one connection. */
export class ReadBuffers {
  #current: Buffer = shared;
  /** Somebody holds bytes of the current buffer. */
  #isHeld = false;

  get current(): Buffer {
    return this.#current;
  }

  /** What it holds is gone with the next read of any connection. */
  get isShared(): boolean {
    return this.#current === shared;
  }

  /** A read that leaves the shared buffer in use. */
  isSmall(readBytes: number): boolean {
    return this.#current === shared && readBytes < SHARED_BYTES;
  }

  /** A read has come. If the one before was held, it was also paused until all had been taken. */
  begin(): void {
    this.#isHeld = false;
  }

  /** Somebody keeps a part of what the read has brought. */
  hold(): void {
    this.#isHeld = true;
  }

  /**
   * The read has been used. `isBody`: more of a body is to come. `isPaused`: no read comes until
   * everything has been taken.
   */
  next(readBytes: number, { isBody, isPaused }: { isBody: boolean; isPaused: boolean }): void {
    const current = this.#current;
    if (current === shared) {
      if (readBytes === SHARED_BYTES && isBody) this.#current = take();
    } else if (!isBody) this.end();
    else if (this.#isHeld && !isPaused) {
      leave(current, true);
      this.#current = take();
      this.#isHeld = false;
    }
  }

  /** The connection reads no more, or no large body. */
  end(): void {
    if (this.#current !== shared) leave(this.#current, this.#isHeld);
    this.#current = shared;
    this.#isHeld = false;
  }
}
