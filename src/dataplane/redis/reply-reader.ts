//! Finds where each reply of Redis ends (RESP2). The bytes themselves are passed on as they came:
//! the plug-in reads them.

const CR = 0x0d;
const LF = 0x0a;
const PLUS = 0x2b;
const MINUS = 0x2d;
const COLON = 0x3a;
const DOLLAR = 0x24;
const STAR = 0x2a;

/** A larger reply is not kept; it is skipped, and the call that it answers fails. */
export const REPLY_BYTES_MAX: number = 1024 * 1024;
/** A line without an end, such as an HTTP server's page, is not read on for ever. */
const LINE_BYTES_MAX = 65_536;
/** Redis' own limits: a string of 512 MiB, an array of as many elements as fit in 32 bits. */
const STRING_BYTES_MAX = 512 * 1024 * 1024;
const ELEMENTS_MAX = 0xffff_ffff;

const EMPTY = Buffer.alloc(0);

/** What is not a reply: nothing that comes after it can be understood. */
export class NotRedis extends Error {}

export class ReplyReader {
  readonly #onReply: (reply: Buffer | null) => void;
  /** What has come of the reply that is being read, unless it is too large. */
  #bytes: Buffer = EMPTY;
  /** How far `#bytes` has been looked at. */
  #at = 0;
  /** Of a string whose length has been read: bytes still to come, its line end included. */
  #stringBytes = 0;
  /** Values of the reply that are still to come: an array brings as many as it has elements. */
  #valuesLeft = 1;
  #isTooLarge = false;

  /** `onReply` gets null in place of a reply that is too large. */
  constructor(onReply: (reply: Buffer | null) => void) {
    this.#onReply = onReply;
  }

  /** Throws `NotRedis`. */
  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    while (this.#readSome()) if (this.#valuesLeft === 0) this.#finish();
    if (this.#bytes.length > REPLY_BYTES_MAX) this.#isTooLarge = true;
    if (this.#isTooLarge) this.#drop();
    // What is kept must not be a part of a buffer that is reused.
    else if (this.#bytes === chunk) this.#bytes = Buffer.from(chunk);
  }

  /** False: more must come first. */
  #readSome(): boolean {
    if (this.#stringBytes > 0) return this.#readString();
    const end = this.#bytes.indexOf(LF, this.#at);
    if (end === -1) {
      if (this.#bytes.length - this.#at > LINE_BYTES_MAX) throw new NotRedis("an endless line");
      return false;
    }
    if (this.#bytes[end - 1] !== CR) throw new NotRedis("a line that does not end as Redis' do");
    this.#readLine(this.#bytes[this.#at] ?? 0, this.#at + 1, end - 1);
    this.#at = end + 1;
    return true;
  }

  #readString(): boolean {
    const taken = Math.min(this.#stringBytes, this.#bytes.length - this.#at);
    this.#at += taken;
    this.#stringBytes -= taken;
    if (this.#stringBytes > 0) return false;
    this.#valuesLeft -= 1;
    return true;
  }

  #readLine(kind: number, start: number, end: number): void {
    switch (kind) {
      case PLUS:
      case MINUS:
      case COLON:
        this.#valuesLeft -= 1;
        return;
      case DOLLAR: {
        const length = this.#count(start, end, STRING_BYTES_MAX);
        if (length === -1) this.#valuesLeft -= 1;
        else this.#stringBytes = length + 2;
        return;
      }
      case STAR:
        this.#valuesLeft += Math.max(0, this.#count(start, end, ELEMENTS_MAX)) - 1;
        return;
      default:
        throw new NotRedis("bytes that are no reply");
    }
  }

  #count(start: number, end: number, max: number): number {
    const text = this.#bytes.toString("latin1", start, end);
    const value = /^(?:-1|\d{1,10})$/.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max)) throw new NotRedis("a length that is none");
    return value;
  }

  #finish(): void {
    const reply = this.#bytes.subarray(0, this.#at);
    const isTooLarge = this.#isTooLarge || reply.length > REPLY_BYTES_MAX;
    this.#bytes = this.#bytes.subarray(this.#at);
    this.#at = 0;
    this.#valuesLeft = 1;
    this.#isTooLarge = false;
    this.#onReply(isTooLarge ? null : reply);
  }

  #drop(): void {
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#at));
    this.#at = 0;
  }
}
