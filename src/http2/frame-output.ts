//! What a session has to write until it does: frames one behind the other, in few pieces.

import type { Socket } from "node:net";
import { isNative } from "../base/direct-reads.ts";
import type { Headers } from "../http/headers.ts";
import { NOT_IN_HTTP2 } from "../http/http2-fields.ts";
import { ByteWriter } from "./byte-writer.ts";
import { Flag, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, FrameType } from "./frames.ts";
import type { ErrorCode } from "./frames.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";

/** Bodies up to this size are copied to their frame's head: one piece instead of three. */
const JOINED_BYTES_MAX = 4_096;
const BUFFER_BYTES = 4_096;
/** One that had to grow beyond this is not kept. */
const KEPT_BYTES_MAX = 65_536;

/** Of a response, or (`status` 0) its trailers. */
export interface FieldSection {
  readonly status: number;
  readonly headers: Headers;
}

export class FrameOutput {
  readonly #socket: Socket;
  readonly #isNative: boolean;
  #out = new ByteWriter(BUFFER_BYTES);
  /** Before this place the bytes stand in `#pieces`. */
  #cut = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#isNative = isNative(socket);
  }

  /** Not taken by the system yet. */
  get unsentBytes(): number {
    return this.#bytes + this.#out.length - this.#cut + this.#socket.writableLength;
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0 && this.#out.length === this.#cut;
  }

  /** `length`: of the payload, which the caller writes next. */
  frameHead(type: number, length: number, flags: number, stream: number): void {
    const out = this.#out;
    out.reserve(FRAME_HEAD_BYTES);
    const { bytes, length: at } = out;
    bytes[at] = length >> 16;
    bytes[at + 1] = length >> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = stream >> 24;
    bytes[at + 6] = stream >> 16;
    bytes[at + 7] = stream >> 8;
    bytes[at + 8] = stream;
    out.length += FRAME_HEAD_BYTES;
  }

  uint32(value: number): void {
    const out = this.#out;
    out.reserve(4);
    out.length = out.bytes.writeUInt32BE(value, out.length);
  }

  /** `bytes` is not to be changed any more. */
  append(bytes: Buffer): void {
    const out = this.#out;
    if (bytes.length <= JOINED_BYTES_MAX) {
      out.reserve(bytes.length);
      bytes.copy(out.bytes, out.length);
      out.length += bytes.length;
      return;
    }
    this.#cutHere();
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
  }

  rstStream(stream: number, code: ErrorCode): void {
    this.frameHead(FrameType.rstStream, 4, 0, stream);
    this.uint32(code);
  }

  windowUpdate(stream: number, bytes: number): void {
    this.frameHead(FrameType.windowUpdate, 4, 0, stream);
    this.uint32(bytes);
  }

  goaway(lastStream: number, code: ErrorCode): void {
    this.frameHead(FrameType.goaway, 8, 0, 0);
    this.uint32(lastStream);
    this.uint32(code);
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    const out = this.#out;
    this.frameHead(FrameType.settings, 6 * entries.length, 0, 0);
    out.reserve(6 * entries.length);
    for (const [id, value] of entries) {
      out.length = out.bytes.writeUInt16BE(id, out.length);
      out.length = out.bytes.writeUInt32BE(value, out.length);
    }
  }

  /** HEADERS, and CONTINUATION where they do not fit in one frame. */
  headers(encoder: HpackEncoder, section: FieldSection, stream: number, flags: number): void {
    const out = this.#out;
    out.reserve(FRAME_HEAD_BYTES);
    const headAt = out.length;
    out.length += FRAME_HEAD_BYTES;
    writeSection(encoder, section, out);
    const end = out.length;
    const length = end - headAt - FRAME_HEAD_BYTES;
    out.length = headAt;
    if (length <= FRAME_BYTES_MAX) {
      this.frameHead(FrameType.headers, length, flags | Flag.endHeaders, stream);
      out.length = end;
      return;
    }
    const block = Buffer.from(out.bytes.subarray(headAt + FRAME_HEAD_BYTES, end));
    for (let at = 0; at < block.length; at += FRAME_BYTES_MAX) {
      const part = block.subarray(at, at + FRAME_BYTES_MAX);
      const type = at === 0 ? FrameType.headers : FrameType.continuation;
      const ends = at + part.length === block.length ? Flag.endHeaders : 0;
      this.frameHead(type, part.length, (at === 0 ? flags : 0) | ends, stream);
      this.append(part);
    }
  }

  /** Hands all of it to the socket. */
  flush(): void {
    this.#cutHere();
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    const socket = this.#socket;
    this.#bytes = 0;
    const [only] = pieces;
    if (pieces.length === 1 && only !== undefined) socket.write(only);
    else {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    this.#pieces = [];
    this.#renew();
  }

  #cutHere(): void {
    const out = this.#out;
    if (out.length === this.#cut) return;
    this.#pieces.push(out.bytes.subarray(this.#cut, out.length));
    this.#bytes += out.length - this.#cut;
    this.#cut = out.length;
  }

  /** What the system has taken is free for the next frames. */
  #renew(): void {
    const isFree = this.#isNative && this.#socket.writableLength === 0;
    if (!isFree || this.#out.bytes.length > KEPT_BYTES_MAX)
      this.#out = new ByteWriter(BUFFER_BYTES);
    this.#out.length = 0;
    this.#cut = 0;
  }
}

function writeSection(encoder: HpackEncoder, section: FieldSection, out: ByteWriter): void {
  const { names, values } = section.headers;
  encoder.beginBlock(out);
  if (section.status !== 0) encoder.writeStatus(section.status, out);
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    if (!NOT_IN_HTTP2.has(name)) encoder.writeField(name, values[index] as string, out);
  }
}
