//! Our codec beside llhttp on generated and mutated streams of requests (beside real Envoy: in
//! test/components). GRAYLANE_FUZZ_SECONDS makes it longer, GRAYLANE_FUZZ_SEED gives other streams.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "./http-differential.ts";
import type { FuzzPlan } from "./http-differential.ts";
import { LLHTTP_DIFFERENCES, LlhttpReader } from "./llhttp-reading.ts";

const PLAN: FuzzPlan = {
  /** Always the same, so that a run without findings stays one. */
  seed: Number(process.env["GRAYLANE_FUZZ_SEED"] ?? 20_261_122),
  seconds: Number(process.env["GRAYLANE_FUZZ_SECONDS"] ?? 0),
  streams: 20_000,
  atOnce: 500,
};

test("what our codec takes of a stream llhttp takes and reads in the same way", async (context) => {
  const reader = new LlhttpReader();
  const read = (raw: string): ReturnType<typeof reader.read> => reader.read(raw);
  const result = await fuzz({ name: "llhttp", differences: LLHTTP_DIFFERENCES, read }, PLAN);
  const { streams, seconds, tally, findings } = result;
  context.diagnostic(`${streams} streams, ${Math.round(streams / seconds)}/s: ${tally}`);
  assert.deepEqual(findings, [], `replay with GRAYLANE_FUZZ_SEED=${PLAN.seed}`);
});

test("a parser that is lax in the place of ours is found out, and its streams shrunk", async () => {
  const [strict, lenient] = [new LlhttpReader(), new LlhttpReader({ isLenient: true })];
  const peer = {
    name: "strict llhttp",
    differences: [],
    read: (raw: string) => strict.read(raw),
    ours: (raw: string) => lenient.read(raw),
  };
  const { findings } = await fuzz(peer, { ...PLAN, seed: 1, seconds: 0 });
  assert.ok(findings.some((one) => one.includes("laxer: HPE_")));
  for (const one of findings) assert.ok(one.length < 250, one);
});
