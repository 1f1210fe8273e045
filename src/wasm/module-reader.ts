//! The binary format of modules (WebAssembly specification, section 5), section by section. The
//! engine has validated the bytes before, but for what stands in custom sections.

const HEADER_BYTES = 8;

export class ModuleReader {
  readonly bytes: Uint8Array;
  /** Of the next byte. */
  at: number = HEADER_BYTES;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** `read` need not read its section to the end. */
  eachSection(read: (id: number, length: number, end: number) => void): void {
    while (this.at < this.bytes.length) {
      const id = this.byte();
      const length = this.u32();
      const end = this.at + length;
      read(id, length, end);
      this.at = end;
    }
  }

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new RangeError("the file ends in the middle of a section");
    this.at += 1;
    return byte;
  }

  /** LEB128, unsigned. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  text(): string {
    const length = this.u32();
    const start = this.at;
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(start, this.at));
  }
}
