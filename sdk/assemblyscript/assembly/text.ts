//! UTF-8 bytes of texts that are passed again and again. Encode once, keep, pass by address.

export class Utf8 {
  readonly bytes!: ArrayBuffer;

  constructor(text: string) {
    this.bytes = String.UTF8.encode(text);
  }

  get pointer(): usize {
    return changetype<usize>(this.bytes);
  }

  get length(): usize {
    return this.bytes.byteLength;
  }
}
