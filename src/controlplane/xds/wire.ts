//! Protocol Buffers' wire format: tags, varints and lengths, without any schema.

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

const FIXED64_BYTES = 8;
const FIXED32_BYTES = 4;
const VARINT_BYTES_MAX = 10;
const CHUNK_BYTES_MIN = 256;
const CUT_SHORT = "the message ends within a field";

/** A message that is not what the wire format allows. */
export class WireError extends Error {
  override readonly name = "WireError";
}

export class WireWriter {
  #buffer = Buffer.allocUnsafe(CHUNK_BYTES_MIN);
  #length = 0;

  tag(id: number, wireType: number): void {
    this.varint(BigInt(id * 8 + wireType));
  }

  /** A negative number takes ten bytes, as int32 and int64 do. */
  varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    this.#reserve(VARINT_BYTES_MAX);
    while (rest > 0x7fn) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  double(value: number): void {
    this.#reserve(FIXED64_BYTES);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  float(value: number): void {
    this.#reserve(FIXED32_BYTES);
    this.#length = this.#buffer.writeFloatLE(value, this.#length);
  }

  /** With its length in front. */
  bytes(value: Uint8Array): void {
    this.varint(BigInt(value.length));
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

export class WireReader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#buffer.length;
  }

  tag(): { readonly id: number; readonly wireType: number } {
    const tag = this.#count();
    return { id: Math.floor(tag / 8), wireType: tag % 8 };
  }

  varint(): bigint {
    let value = 0n;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.#buffer[this.#offset++];
      if (byte === undefined) throw new WireError("the message ends within a number");
      value |= BigInt(byte & 0x7f) << BigInt(count * 7);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new WireError("a number has more than ten bytes");
  }

  double(): number {
    return this.#take(FIXED64_BYTES).readDoubleLE();
  }

  float(): number {
    return this.#take(FIXED32_BYTES).readFloatLE();
  }

  bytes(): Buffer {
    return this.#take(this.#count());
  }

  /** Begins to read what has a length in front, in place; returns where that ends. */
  enter(): number {
    const count = this.#count();
    if (this.#offset + count > this.#buffer.length) throw new WireError(CUT_SHORT);
    return this.#offset + count;
  }

  get offset(): number {
    return this.#offset;
  }

  /** UTF-8. */
  text(): string {
    const start = this.#skip(this.#count());
    return this.#buffer.toString("utf8", start, this.#offset);
  }

  skip(wireType: number): void {
    if (wireType === WIRE_VARINT) this.varint();
    else if (wireType === WIRE_FIXED64) this.#take(FIXED64_BYTES);
    else if (wireType === WIRE_BYTES) this.bytes();
    else if (wireType === WIRE_FIXED32) this.#take(FIXED32_BYTES);
    else throw new WireError(`wire type ${wireType} is not known`);
  }

  /** A tag or a length: nearly always of few bytes, for which a bigint would be dear. */
  #count(): number {
    const first = this.#buffer[this.#offset];
    const second = this.#buffer[this.#offset + 1];
    if (first !== undefined && first < 0x80) {
      this.#offset += 1;
      return first;
    }
    if (first !== undefined && second !== undefined && second < 0x80) {
      this.#offset += 2;
      return (first & 0x7f) | (second << 7);
    }
    return Number(this.varint());
  }

  #take(count: number): Buffer {
    const start = this.#skip(count);
    return this.#buffer.subarray(start, this.#offset);
  }

  /** Returns where it was. */
  #skip(count: number): number {
    const start = this.#offset;
    const end = start + count;
    if (end > this.#buffer.length) throw new WireError(CUT_SHORT);
    this.#offset = end;
    return start;
  }
}
