//! A buffer that grows, for those who write and do not know beforehand how much.

const BYTES_FIRST = 1024;

export class ByteWriter {
  /** Replaced when it grows. */
  bytes: Buffer;
  /** Of `bytes`, these many are written. */
  length = 0;

  constructor(bytes: number = BYTES_FIRST) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
