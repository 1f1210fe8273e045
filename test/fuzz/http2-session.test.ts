//! Sessions of HTTP/2, legal and mutated, through our codec: it never throws, and reads the same
//! however the bytes are cut; what it serves nghttp2 takes as well. GRAYLANE_FUZZ_SECONDS makes it
//! longer, GRAYLANE_FUZZ_SEED gives other sessions.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng, type Prng } from "../../src/base/prng.ts";
import {
  PREFACE,
  TYPE,
  frame,
  readFrames,
  setting,
} from "../../src/dataplane/testing/http2-frames.ts";
import { FIELD_CASES } from "./http2-field-cases.ts";
import { FRAMING_CASES } from "./http2-framing-cases.ts";
import { readSession, type SessionOutcome } from "./http2-session-reading.ts";
import { SESSION_CASES } from "./http2-session-cases.ts";
import { legalSession, mutateFrames } from "./http2-streams.ts";
import { split } from "./http-reading.ts";
import { LAST, Nghttp2Peer } from "./nghttp2-peer.ts";

const SEED = Number(process.env["GRAYLANE_FUZZ_SEED"] ?? 20_261_123);
const SECONDS = Number(process.env["GRAYLANE_FUZZ_SECONDS"] ?? 0);
const SESSIONS = 1_500;
/** Of so many sessions one goes to the library, which takes longer. */
const ASKED_EVERY = 5;
const CASE_BYTES_MAX = 3_000;
const CUT_BYTES_MAX = 600;
const PREFIX = Buffer.concat([PREFACE, frame("settings", setting(1, 0))]);
const CASES = [...SESSION_CASES, ...FRAMING_CASES, ...FIELD_CASES]
  .map(({ bytes }) => bytes)
  .filter(({ length }) => length < CASE_BYTES_MAX);

function session(prng: Prng): Buffer {
  const isCase = prng.below(2) === 0;
  const bytes = isCase ? CASES[prng.below(CASES.length)]! : legalSession(prng);
  return prng.below(8) === 0 ? bytes : mutateFrames(prng, bytes);
}

function cutsOf(prng: Prng, length: number): number[] {
  if (length < CUT_BYTES_MAX && prng.below(10) === 0) {
    return Array.from({ length: length - 1 }, (_unused, index) => index + 1);
  }
  const cuts = Array.from({ length: 1 + prng.below(4) }, () => prng.below(length));
  return cuts.sort((left, right) => left - right);
}

/** Of a connection that ends in an error, what came with the error is not served. */
function comparable({ served, resets, goaway, errors }: SessionOutcome): unknown {
  const isFailed = goaway !== null && goaway !== 0;
  return isFailed ? { goaway, errors } : { served, resets: [...resets].sort(), goaway, errors };
}

/** Where the library ends the connection, and need not. */
const STRICTER: readonly (readonly [
  name: string,
  is: (bytes: Buffer, ours: SessionOutcome) => boolean,
])[] = [
  [
    "frames behind the end of a stream, which we reset (5.1)",
    (_bytes, { resets }) => resets.length > 0,
  ],
  ["a wrong frame that has not come whole", (bytes) => readFrames(bytes).rest.length > 0],
  ["a head in more than nine frames", (bytes) => continuations(bytes) > 8],
];

function continuations(bytes: Buffer): number {
  return readFrames(bytes).frames.filter(({ type }) => type === TYPE.continuation).length;
}

async function laxness(bytes: Buffer, ours: SessionOutcome): Promise<string | null> {
  if (ours.served.length === 0 || (ours.goaway ?? 0) !== 0) return null;
  const peer = new Nghttp2Peer(4_096, false);
  const { taken, reset, goaway } = await peer.readAll(bytes);
  peer.close();
  const missed = ours.served.filter((one) => !taken.includes(parseInt(one, 10)));
  if (missed.length === 0 && goaway === null) return null;
  if (STRICTER.some(([, is]) => is(bytes, ours))) return null;
  const words = `${missed.join(", ")} of ${ours.served.join(", ")}; reset ${reset.join(" ")}; GOAWAY ${goaway ?? "none"}`;
  return words;
}

test("a session reads the same however it is cut, and nghttp2 takes what we serve", async (context) => {
  const findings: string[] = [];
  const endMs = performance.now() + 1_000 * SECONDS;
  let [count, served, asked] = [0, 0, 0];
  for (; count < SESSIONS || performance.now() < endMs; count++) {
    const prng = new SeededPrng(SEED + count);
    for (let warm = 0; warm < 4; warm++) prng.below(2);
    const bytes = Buffer.concat([session(prng), LAST]);
    const all = Buffer.concat([PREFIX, bytes]);
    const whole = readSession([all]);
    const cut = readSession(split(all, cutsOf(prng, all.length)));
    const isAlike = JSON.stringify(comparable(whole)) === JSON.stringify(comparable(cut));
    const said = JSON.stringify([whole, cut]);
    if (whole.errors.length > 0 || !isAlike) findings.push(`${bytes.toString("hex")}: ${said}`);
    served += whole.served.length;
    if (count % ASKED_EVERY === 0) {
      asked++;
      const words = await laxness(bytes, whole);
      if (words !== null) findings.push(`laxer: ${bytes.toString("hex")}: ${words}`);
    }
    if (findings.length > 9) break;
  }
  context.diagnostic(`${count} sessions, ${served} requests served, ${asked} sessions asked`);
  assert.deepEqual(findings, [], `replay with GRAYLANE_FUZZ_SEED=${SEED}`);
});
