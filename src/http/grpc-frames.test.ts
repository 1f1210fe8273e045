import assert from "node:assert/strict";
import { test } from "node:test";
import { grpcFrame, GrpcFrameReader } from "./grpc-frames.ts";

const MESSAGE_BYTES_MAX = 64;

function frame(text: string, flags = 0): Buffer {
  const bytes = grpcFrame(Buffer.from(text));
  bytes.writeUInt8(flags, 0);
  return bytes;
}

/** The messages as text, and the fault that ended the reading. */
function read(chunks: readonly Buffer[]): string[] {
  const reader = new GrpcFrameReader(MESSAGE_BYTES_MAX);
  const got: string[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let next = reader.next(); next !== null; next = reader.next()) {
      if (typeof next === "string") return [...got, `fault ${next}`];
      got.push(Buffer.from(next).toString());
    }
  }
  return got;
}

const THREE = Buffer.concat([frame("one"), frame(""), frame("three")]);

const CASES = [
  { name: "several messages in one chunk", chunks: [THREE], want: ["one", "", "three"] },
  { name: "nothing", chunks: [Buffer.alloc(0)], want: [] },
  { name: "half a head", chunks: [THREE.subarray(0, 3)], want: [] },
  { name: "half a message", chunks: [THREE.subarray(0, 7)], want: [] },
  {
    name: "a message of the largest size",
    chunks: [frame("x".repeat(MESSAGE_BYTES_MAX))],
    want: ["x".repeat(MESSAGE_BYTES_MAX)],
  },
  {
    name: "a larger one, which is refused by its head alone",
    chunks: [frame("x".repeat(MESSAGE_BYTES_MAX + 1)).subarray(0, 5)],
    want: ["fault too_large"],
  },
  {
    name: "a compressed message behind a plain one",
    chunks: [Buffer.concat([frame("one"), frame("two", 1)])],
    want: ["one", "fault compressed"],
  },
  { name: "an empty message that is called compressed", chunks: [frame("", 1)], want: [""] },
  { name: "flags that do not exist", chunks: [frame("one", 2)], want: ["fault bad_flags"] },
];

for (const { name, chunks, want } of CASES) {
  test(`the reader of gRPC frames is given ${name}`, () => {
    assert.deepEqual(read(chunks), want);
  });
}

test("messages come whole however the bytes are cut", () => {
  for (let first = 0; first <= THREE.length; first++) {
    for (let second = first; second <= THREE.length; second++) {
      const chunks = [
        THREE.subarray(0, first),
        THREE.subarray(first, second),
        THREE.subarray(second),
      ];
      assert.deepEqual(read(chunks), ["one", "", "three"], `cut at ${first} and ${second}`);
    }
  }
});

test("a message that comes byte by byte is one message", () => {
  assert.deepEqual(read([...THREE].map((byte) => Buffer.from([byte]))), ["one", "", "three"]);
});
