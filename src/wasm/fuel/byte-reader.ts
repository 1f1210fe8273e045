//! Reads the binary format of WebAssembly strictly: no byte past the end, no number longer than its
//! type allows (specification, section 5.2.2). Whatever is not understood is a `Refusal`.

/** Thrown inside this folder only; `addFuel` turns it into a value. */
export class Refusal extends Error {}

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  /** Reads `[start, end)` of `bytes`. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    if (end > bytes.length) throw new Refusal("the file ends in the middle of a section");
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw new Refusal(`a part ends too soon, at byte ${this.at}`);
    return this.bytes[this.at++] as number;
  }

  skip(length: number): void {
    if (length > this.end - this.at) {
      throw new Refusal(`a part ends too soon, at byte ${this.at}`);
    }
    this.at += length;
  }

  /** LEB128, unsigned, 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.byte();
    if (last > 0x0f) throw new Refusal(`a number is too large, at byte ${this.at}`);
    return (value | (last << 28)) >>> 0;
  }

  /** Steps over a LEB128 number of at most `bytesMax` bytes. */
  skipNumber(bytesMax: number): void {
    for (let count = 0; count < bytesMax; count++) {
      if (this.byte() < 0x80) return;
    }
    throw new Refusal(`a number is too long, at byte ${this.at}`);
  }

  /** UTF-8 text with its length before it. */
  text(): string {
    const length = this.u32();
    const start = this.at;
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(start, this.at));
  }

  /** A value type: one byte, or a reference with its heap type. */
  skipValueType(): void {
    const byte = this.byte();
    if (byte === 0x63 || byte === 0x64) this.skipNumber(5);
    else if ((byte < 0x7b || byte > 0x7f) && (byte < 0x69 || byte > 0x73)) {
      throw new Refusal(`value type 0x${byte.toString(16)} is not known, at byte ${this.at - 1}`);
    }
  }
}

/** LEB128 of an unsigned number below 2^32. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

/** LEB128 of a number from 0 to 2^31 - 1 where the format wants a signed one (`i32.const`). */
export function positive(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  // Bit 6 of the last byte is the sign: 64 takes two bytes.
  while (rest >= 0x40) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

/** How many bytes `unsigned` gives. */
export function unsignedLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}
