import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader } from "./frame-reader.ts";
import type { FrameSink } from "./frame-reader.ts";
import { ErrorCode, Flag, FRAME_BYTES_MAX, FrameType, PREFACE } from "./frames.ts";
import type { FrameHead } from "./frames.ts";

/** Writes down what it is given, with DATA put together. */
class Notes implements FrameSink {
  isOver = false;
  readonly said: string[] = [];
  #body = "";

  onFrame({ type, flags, stream }: FrameHead, bytes: Buffer, start: number, end: number): void {
    this.said.push(`${type} ${flags} ${stream} ${bytes.toString("latin1", start, end)}`);
  }

  onDataHead(_head: FrameHead, paddingBytes: number): void {
    this.#body = `${paddingBytes}:`;
  }

  onData(body: Buffer): void {
    this.#body += body.toString("latin1");
  }

  onDataEnd({ flags, stream }: FrameHead): void {
    this.said.push(`data ${flags} ${stream} ${this.#body}`);
  }

  onFrameFault(code: ErrorCode): void {
    this.isOver = true;
    this.said.push(`fault ${code}`);
  }
}

function frame(type: number, flags: number, stream: number, payload: string): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload, "latin1")]);
}

const FRAMES = Buffer.concat([
  PREFACE,
  frame(FrameType.settings, 0, 0, ""),
  frame(FrameType.headers, Flag.endHeaders, 0x8000_0001, "fields"),
  frame(FrameType.data, 0, 1, "a body"),
  frame(FrameType.data, 0, 1, ""),
  frame(FrameType.data, Flag.padded, 1, "\x02ab\0\0"),
  frame(FrameType.data, Flag.padded | Flag.endStream, 1, "\x02\0\0"),
  frame(0xbb, 0xff, 0x7fff_ffff, "unknown"),
]);
const SAID = [
  "4 0 0 ",
  "1 4 1 fields",
  "data 0 1 0:a body",
  "data 0 1 0:",
  "data 8 1 3:ab",
  "data 9 1 3:",
  "187 255 2147483647 unknown",
];

test("frames are the same however their bytes are cut", () => {
  for (let first = 0; first <= FRAMES.length; first += 1) {
    for (let second = first; second <= FRAMES.length; second += 7) {
      const notes = new Notes();
      const reader = new FrameReader(notes);
      reader.read(FRAMES.subarray(0, first));
      reader.read(FRAMES.subarray(first, second));
      reader.read(FRAMES.subarray(second));
      assert.deepEqual(notes.said, SAID, `cut at ${first} and ${second}`);
    }
  }
});

test("frames are the same byte by byte", () => {
  const notes = new Notes();
  const reader = new FrameReader(notes);
  for (const byte of FRAMES) reader.read(Buffer.from([byte]));
  assert.deepEqual(notes.said, SAID);
});

test("a part of DATA is handed on before the rest is there", () => {
  const notes = new Notes();
  const parts: string[] = [];
  notes.onData = (body): void => {
    parts.push(body.toString());
  };
  const reader = new FrameReader(notes);
  const bytes = Buffer.concat([PREFACE, frame(FrameType.data, 0, 1, "first second")]);
  reader.read(bytes.subarray(0, -7));
  assert.deepEqual(parts, ["first"]);
  reader.read(bytes.subarray(-7));
  assert.deepEqual(parts, ["first", " second"]);
});

const FAULTS = [
  ["another preface", Buffer.from("GET / HTTP/1.1\r\n"), ErrorCode.protocolError],
  [
    "a frame that is too long",
    Buffer.concat([PREFACE, frame(0xbb, 0, 0, "x".repeat(FRAME_BYTES_MAX + 1))]),
    ErrorCode.frameSizeError,
  ],
  [
    "padded DATA without the length of its padding",
    Buffer.concat([PREFACE, frame(FrameType.data, Flag.padded, 1, "")]),
    ErrorCode.frameSizeError,
  ],
  [
    "DATA with more padding than bytes",
    Buffer.concat([PREFACE, frame(FrameType.data, Flag.padded, 1, "\x03ab")]),
    ErrorCode.protocolError,
  ],
] as const;

for (const [name, bytes, code] of FAULTS) {
  test(`${name} is a fault, whole and byte by byte`, () => {
    for (const size of [1, bytes.length]) {
      const notes = new Notes();
      const reader = new FrameReader(notes);
      for (let at = 0; at < bytes.length; at += size) reader.read(bytes.subarray(at, at + size));
      assert.deepEqual(notes.said, [`fault ${code}`]);
    }
  });
}
