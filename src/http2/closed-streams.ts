//! The streams that were closed last, and how: what still comes for one that we broke off was on
//! its way, what comes for one that the client ended is an error (RFC 9113 section 5.1).

/** More than a client has on its way at once, with a hundred streams at a time. */
const REMEMBERED_MAX = 1_024;

export class ClosedStreams {
  readonly #ids = new Int32Array(REMEMBERED_MAX);
  readonly #isOurs = new Uint8Array(REMEMBERED_MAX);
  #next = 0;

  /** `isOurs`: we broke it off before the client had ended its side. */
  add(id: number, isOurs: boolean): void {
    this.#ids[this.#next] = id;
    this.#isOurs[this.#next] = isOurs ? 1 : 0;
    this.#next = (this.#next + 1) % REMEMBERED_MAX;
  }

  /** Undefined: never open, or long ago. */
  isOurs(id: number): boolean | undefined {
    const index = this.#ids.lastIndexOf(id);
    return index === -1 ? undefined : this.#isOurs[index] === 1;
  }
}
