//! With any one check taken out of what reads frames and header blocks, a raw case must fail.
//! Survivors are listed with the reason why no case can tell.
//! Every fourth in a usual run; all:
//! GRAYLANE_MUTANTS=all node scripts/test.mjs --components http2-mutation

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { PREFACE, frame, setting } from "../../src/dataplane/testing/http2-frames.ts";
import type { FrameCase } from "../fuzz/http2-frame-case.ts";
import { FIELD_CASES } from "../fuzz/http2-field-cases.ts";
import { FRAMING_CASES } from "../fuzz/http2-framing-cases.ts";
import type * as Reading from "../fuzz/http2-session-reading.ts";
import { PREFACE_CASES, SESSION_CASES } from "../fuzz/http2-session-cases.ts";
import { split } from "../fuzz/http-reading.ts";
import { loadApart } from "./mutant-loader.ts";
import { makeHttp2Mutants, type Mutant } from "./mutants.ts";

const EVERY = process.env["GRAYLANE_MUTANTS"] === "all" ? 1 : 4;
const READER = resolve("test/fuzz/http2-session-reading.ts");
const PREFIX = Buffer.concat([PREFACE, frame("settings", setting(1, 0))]);
const CASES: readonly FrameCase[] = [
  ...[...SESSION_CASES, ...FRAMING_CASES, ...FIELD_CASES].map((one) => ({
    ...one,
    bytes: Buffer.concat([PREFIX, one.bytes]),
  })),
  ...PREFACE_CASES,
];
/** Longer ones are not read byte by byte. */
const CUT_BYTES_MAX = 2_000;
/** A mutant that takes so many times as long as the codec does never ends: a case has found it. */
const TIMES_AS_LONG_MAX = 5;
const CODEC_MS_MIN = 500;
/** Not served, and nothing is said of it before a deadline or by a session. */
const SILENT = new Set(["CONNECT, which nobody has allowed", "a head that does not end"]);

/** Taken out, these change nothing that can be seen; the reason for each. */
const EQUIVALENT: Readonly<Record<string, string>> = {
  "received-frames.ts this.#receiveWindow < 0": "opened again at once, it never runs out",
  "received-frames.ts id === 0":
    "then it is DATA of a stream that is not known, and the end as well",
  "received-frames.ts id > this.lastId":
    "of DATA: the same. Of other frames it stands in conditions that cases hold whole",
  "head-block.ts this.#bytes > BLOCK_BYTES_MAX":
    "a list of so many bytes is too large, or has bytes that no field may",
};

function fails(reader: typeof Reading, one: FrameCase, chunks: readonly Buffer[]): boolean {
  const { served, refused, resets, goaway, errors } = reader.readSession(chunks);
  if (errors.length > 0) return true;
  if (one.must !== "refuse") return served.length !== one.must;
  const isSaid = refused.length > 0 || resets.length > 0 || (goaway ?? 0) !== 0;
  return served.length > one.before || (!isSaid && !SILENT.has(one.name));
}

/** The first case that fails, or null. */
function firstFailure(reader: typeof Reading): string | null {
  for (const one of CASES) {
    if (fails(reader, one, [one.bytes])) return one.name;
  }
  for (const one of CASES) {
    if (one.bytes.length > CUT_BYTES_MAX) continue;
    const cuts = Array.from(one.bytes, (_byte, index) => index).slice(1);
    if (fails(reader, one, split(one.bytes, cuts))) return `${one.name}, byte by byte`;
  }
  return null;
}

test("every check of HTTP/2's frames and header blocks is held by a raw case", (context) => {
  const mutants = makeHttp2Mutants();
  assert.ok(mutants.length > 50, `${mutants.length} mutants`);
  const codec = loadApart(READER, null) as typeof Reading;
  const startMs = performance.now();
  assert.equal(firstFailure(codec), null);
  const codecMs = Math.max(CODEC_MS_MIN, Math.ceil(performance.now() - startMs));
  const survivors: string[] = [];
  const isExcused = ({ name }: Mutant): boolean => name.replace(/:\d+/, "") in EQUIVALENT;
  const chosen = mutants.filter((one, index) => index % EVERY === 0 && !isExcused(one));
  for (const mutant of chosen) {
    const reader = loadApart(READER, mutant) as typeof Reading;
    const sandbox = createContext({ run: () => firstFailure(reader) });
    let failed: unknown;
    try {
      failed = runInContext("run()", sandbox, { timeout: codecMs * TIMES_AS_LONG_MAX });
    } catch {
      failed = "it does not end, or throws";
    }
    if (failed === null) survivors.push(mutant.name);
  }
  const found = chosen.length - survivors.length;
  const equals = mutants.filter(isExcused).length;
  context.diagnostic(
    `mutation score: ${found} of ${chosen.length} (${mutants.length} in all, ${equals} equal)`,
  );
  assert.deepEqual(survivors, []);
});
