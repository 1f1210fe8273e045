//! Makes streams of frames: legal sessions, and what becomes of them when some bytes are others.

import type { Prng } from "../../src/base/prng.ts";
import {
  END_STREAM,
  FRAME_HEAD_BYTES,
  dataFrame,
  frame,
  headersFrame,
  readFrames,
  setting,
  uint32,
  type FieldList,
} from "../../src/dataplane/testing/http2-frames.ts";
import { fieldsWith } from "./http2-frame-case.ts";

const INITIAL_WINDOW_SIZE = 4;
const EDGES = [0, 1, 2, 4, 5, 8, 9, 0x24, 0x40, 0x7f, 0x80, 0xff];

/** A few requests, with and without bodies and trailers, among frames of the connection. */
export function legalSession(prng: Prng): Buffer {
  const parts: Buffer[] = [];
  const count = 1 + prng.below(4);
  for (let stream = 1; stream <= 2 * count; stream += 2) {
    if (prng.below(3) === 0) parts.push(betweenRequests(prng, stream));
    parts.push(...requestOn(prng, stream));
  }
  return Buffer.concat(parts);
}

function betweenRequests(prng: Prng, stream: number): Buffer {
  const pick = prng.below(5);
  if (pick === 0) return frame("ping", Buffer.alloc(8, prng.below(256)));
  if (pick === 1) return frame("settings", setting(INITIAL_WINDOW_SIZE, prng.below(100_000)));
  if (pick === 2) return frame("window", uint32(1 + prng.below(1_000)));
  if (pick === 3) return frame("priority", Buffer.from([0, 0, 0, 0, 1]), { stream });
  return frame("unknown", Buffer.alloc(prng.below(20)), { stream: prng.below(9) });
}

function requestOn(prng: Prng, stream: number): Buffer[] {
  const fields: FieldList = [
    ...fieldsWith(":path", `/${"p".repeat(prng.below(9))}`),
    ...Array.from({ length: prng.below(4) }, (_unused, index) => [`a-${index}`, "b"] as const),
  ];
  if (prng.below(2) === 0) return [headersFrame(fields, { flags: END_STREAM, stream })];
  const post = fields.map(([name, value]) =>
    name === ":method" ? ([name, "POST"] as const) : ([name, value] as const),
  );
  const chunks = Array.from({ length: prng.below(3) }, () =>
    dataFrame("x".repeat(prng.below(30)), { flags: 0, stream }),
  );
  const end =
    prng.below(2) === 0
      ? dataFrame("end", { stream })
      : headersFrame([["t", "1"]], { flags: END_STREAM, stream });
  return [headersFrame(post, { flags: 0, stream }), ...chunks, end];
}

/** Some frames left out, doubled or put elsewhere, with another word in their heads; other bytes. */
export function mutateFrames(prng: Prng, bytes: Buffer): Buffer {
  let mutated = bytes;
  for (let count = 1 + prng.below(3); count > 0; count--) mutated = mutateOnce(prng, mutated);
  return mutated;
}

function mutateOnce(prng: Prng, bytes: Buffer): Buffer {
  const kind = prng.below(8);
  if (kind < 2 || bytes.length === 0) return changeByte(prng, bytes);
  const { frames, rest } = readFrames(bytes);
  if (frames.length === 0) return changeByte(prng, bytes);
  let at = 0;
  const parts = frames.map(({ payload }) => {
    const part = bytes.subarray(at, at + FRAME_HEAD_BYTES + payload.length);
    at += part.length;
    return part;
  });
  const index = prng.below(parts.length);
  const part = parts[index]!;
  if (kind === 2) parts.splice(index, 1);
  else if (kind === 3) parts.splice(prng.below(parts.length), 0, part);
  else if (kind === 4) parts.push(...parts.splice(index, 1));
  else if (kind === 5) parts[index] = changeByte(prng, part);
  else {
    const changed = Buffer.from(part);
    changed[3 + prng.below(6)] = prng.below(2) === 0 ? EDGES[prng.below(12)]! : prng.below(16);
    parts[index] = changed;
  }
  return Buffer.concat([...parts, rest]);
}

function changeByte(prng: Prng, bytes: Buffer): Buffer {
  const at = prng.below(bytes.length + 1);
  const byte = Buffer.from([prng.below(2) === 0 ? EDGES[prng.below(12)]! : prng.below(256)]);
  const skipped = prng.below(3);
  const added = prng.below(3) === 0 ? [] : [byte];
  return Buffer.concat([bytes.subarray(0, at), ...added, bytes.subarray(at + skipped)]);
}
