//! Messages of gRPC in their frames: one byte of flags, four of length, then the message (the gRPC
//! protocol over HTTP/2, "Length-Prefixed-Message").

const FRAME_HEAD_BYTES = 5;
const COMPRESSED = 1;

/** A message as it goes out; a copy. */
export function grpcFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEAD_BYTES);
  return frame;
}

/** `compressed`: we offer no compression, so nobody may use it. */
export type GrpcFrameFault = "compressed" | "bad_flags" | "too_large";

/** Cuts the bytes of one direction of a stream into messages. */
export class GrpcFrameReader {
  readonly #messageBytesMax: number;
  readonly #chunks: Buffer[] = [];
  /** Of all chunks. */
  #bytes = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Keeps `chunk`, which must stay as it is. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next whole message; null while there is none. After a fault there is nothing to read. */
  next(): Uint8Array | GrpcFrameFault | null {
    if (this.#bytes < FRAME_HEAD_BYTES) return null;
    const head = this.#gather(FRAME_HEAD_BYTES);
    const flags = head.readUInt8(0);
    const length = head.readUInt32BE(1);
    if (flags > COMPRESSED) return "bad_flags";
    if (length > this.#messageBytesMax) return "too_large";
    // An empty message is the same in every encoding.
    if (flags === COMPRESSED && length > 0) return "compressed";
    if (this.#bytes < FRAME_HEAD_BYTES + length) return null;
    const frame = this.#gather(FRAME_HEAD_BYTES + length);
    const rest = frame.subarray(FRAME_HEAD_BYTES + length);
    this.#bytes -= FRAME_HEAD_BYTES + length;
    if (rest.length === 0) this.#chunks.shift();
    else this.#chunks[0] = rest;
    return frame.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + length);
  }

  /** The first chunk, when it has at least `size` bytes: else chunks are joined until it has. */
  #gather(size: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= size) return first;
    const joined: Buffer[] = [];
    for (let bytes = 0; bytes < size;) {
      const chunk = this.#chunks.shift() as Buffer;
      joined.push(chunk);
      bytes += chunk.length;
    }
    const whole = Buffer.concat(joined);
    this.#chunks.unshift(whole);
    return whole;
  }
}
