//! The case suite is only worth its mutation score: with any one check taken out of the codec, a
//! case must fail. Survivors are listed with the reason why no case can tell.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { checkOutcome } from "../fuzz/http-case-check.ts";
import { HTTP2_CASES } from "../fuzz/http2-cases.ts";
import { REQUEST_CASES } from "../fuzz/http-cases.ts";
import type * as Reading from "../fuzz/http-reading.ts";
import { split } from "../fuzz/http-reading.ts";
import { RESPONSE_CASES } from "../fuzz/http-response-cases.ts";
import { loadApart } from "./mutant-loader.ts";
import { makeMutants } from "./mutants.ts";
import type { Mutant } from "./mutants.ts";

/** A mutant that takes so many times as long as the codec does never ends: a case has found it. */
const TIMES_AS_LONG_MAX = 5;
const CODEC_MS_MIN = 500;

/** Taken out, these change nothing that can be seen; the reason for each. */
const EQUIVALENT: Readonly<Record<string, string>> = {
  "framing.ts more === -1": "-1 has all bits, so the sum is -1, too",
  "head-reader.ts outcome === FAULT": "the same outcome is returned a few lines later",
  "http2-request.ts fields.length > 2 * FIELD_COUNT_MAX + 2 * PSEUDO.size":
    "a shortcut: they are counted again at the end",
  "request-line.ts start + VERSION_AND_END_BYTES > end": "the check after it sees the line's end",
  "response-parser.ts (reader.seenBits & (CONTENT_LENGTH | TRANSFER_ENCODING)) ===":
    "a shortcut: without those fields there is nothing to drop",
  "status-line.ts start + FIXED_BYTES < end ? digits(bytes, start + 9) : -1":
    "what stands in the place of a missing digit is none",
  "syntax.ts close === -1": "then no `]` is found at the end, either",
  'syntax.ts text[index] !== "%"': "a shortcut before the expression that says the same",
};

const READER = resolve("test/fuzz/http-reading.ts");

/** The reader of the case suite, with the mutated codec, if any, beneath it. */
function loadReader(mutant: Mutant | null): typeof Reading {
  return loadApart(READER, mutant) as typeof Reading;
}

/** The first case that fails with this reader, or null. The cheap ways to read come first. */
function firstFailure(reader: typeof Reading): string | null {
  return (
    firstFailureOfHttp2(reader) ?? firstFailureOf(reader, whole) ?? firstFailureOf(reader, cut)
  );
}

const whole = (bytes: Buffer): readonly Buffer[] => [bytes];

/** Byte by byte; null of a long one. */
function cut(bytes: Buffer): readonly Buffer[] | null {
  if (bytes.length > 2_000) return null;
  return split(bytes, Array.from({ length: bytes.length }, (_unused, index) => index).slice(1));
}

function firstFailureOf(
  reader: typeof Reading,
  chunksOf: (bytes: Buffer) => readonly Buffer[] | null,
): string | null {
  const suites = [
    { cases: REQUEST_CASES, read: reader.readRequests },
    { cases: RESPONSE_CASES, read: reader.readResponse },
  ];
  for (const { cases, read } of suites) {
    for (const { raw, method, want, name } of cases) {
      const chunks = chunksOf(Buffer.from(raw, "latin1"));
      if (chunks === null) continue;
      try {
        checkOutcome(read(chunks, method), want);
      } catch {
        return name;
      }
    }
  }
  return null;
}

function firstFailureOfHttp2(reader: typeof Reading): string | null {
  const missed = HTTP2_CASES.find(
    ({ fields, of = "request", want }) => reader.readHttp2(fields, of) !== want,
  );
  return missed?.name ?? null;
}

test("every check of the codec is held by a case", (context) => {
  const mutants = makeMutants();
  assert.ok(mutants.length > 60, `${mutants.length} mutants`);
  const startMs = performance.now();
  assert.equal(firstFailure(loadReader(null)), null);
  const codecMs = Math.max(CODEC_MS_MIN, Math.ceil(performance.now() - startMs));
  const timeout = codecMs * TIMES_AS_LONG_MAX;
  const survivors: string[] = [];
  for (const mutant of mutants) {
    const reader = loadReader(mutant);
    const sandbox = createContext({ run: () => firstFailure(reader) });
    let failed: unknown;
    try {
      failed = runInContext("run()", sandbox, { timeout });
    } catch {
      failed = "it does not end";
    }
    if (failed === null && !(mutant.name.replace(/:\d+/, "") in EQUIVALENT))
      survivors.push(mutant.name);
  }
  const equals = Object.keys(EQUIVALENT).length;
  const count = mutants.length - equals;
  context.diagnostic(`mutation score: ${count - survivors.length} of ${count}, ${equals} equal`);
  assert.deepEqual(survivors, []);
});
