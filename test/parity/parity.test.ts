//! The embedded engine and real Envoys (a gateway, and a sidecar for each pod) do the same.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { allBegun, stopAll } from "../support/ending.ts";
import { findEnvoy } from "../support/envoy.ts";
import { GROUPS } from "./cases/all.ts";
import { Pair } from "./compare.ts";
import { Engine } from "./engine.ts";
import type { EngineKind } from "./engine.ts";
import { makeMutant } from "./mutant.ts";
import { runRandom, shrink, textOf } from "./random.ts";
import type { Difference } from "./random.ts";
import { topology } from "./topology.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const WORLDS = 6;
/** The long form: configurations are drawn for so long. */
const SECONDS = Number(process.env["GRAYLANE_PARITY_SECONDS"] ?? 0);
const FIRST_SEED = Number(process.env["GRAYLANE_PARITY_SEED"] ?? 1);
const SHRINK_SECONDS = 60;
/** Where a lane has no pods, the first that stands in for it is passed over. */
const FAULT = [
  "lane/fallback",
  "for (const other of step.others)",
  "for (const other of step.others.slice(1))",
] as const;
const FAULT_WORLDS = 40;
const FAULT_SHRINK_SECONDS = 4;
const FOUND_MS_MAX = 60_000;
/** A part of the names of the groups that run. */
const ONLY = process.env["GRAYLANE_PARITY_ONLY"] ?? "";
const binary = found.kind === "found" ? found.path : "";

suite("both engines", { skip, timeout: 600_000 + SECONDS * 1_000 }, () => {
  const engines: Engine[] = [];
  let pair: Pair;

  before(async () => {
    const objects = topology();
    const start = async (kind: EngineKind): Promise<Engine> => {
      const engine = await Engine.start({ kind, binary, objects });
      engines.push(engine);
      return engine;
    };
    const both = [start("embedded"), start("envoy")] as const;
    await allBegun(both);
    pair = new Pair(await both[0], await both[1]);
  });
  after(() => stopAll(engines));

  for (const group of GROUPS.filter(({ name }) => name.includes(ONLY))) {
    suite(group.name, () => {
      before(() => pair.configure(group));
      for (const one of group.cases) test(one.name, () => pair.check(one));
      for (const refused of group.refused ?? []) {
        test(`the ${refused.kind} ${refused.name} says what Envoys cannot do`, () =>
          pair.checkRefused(refused));
      }
    });
  }

  test("random configurations and requests come to the same, as the oracle says", async (context) => {
    const options = { firstSeed: FIRST_SEED, worlds: WORLDS, seconds: SECONDS };
    const { worlds, requests, difference } = await runRandom(pair, options);
    context.diagnostic(`${worlds} configurations, ${requests} requests`);
    if (difference === null) return;
    assert.fail(textOf(await shrink(pair, difference, SHRINK_SECONDS)));
  });

  test("a fault in the fallback is found within 60 s, and made small", async (context) => {
    await pair.configure({ objects: [] });
    const [path, text, by] = FAULT;
    const mutant = makeMutant(path, text, by);
    const { command } = mutant;
    const embedded = await Engine.start({ kind: "embedded", binary, command, objects: topology() });
    try {
      const faulty = new Pair(embedded, pair.envoy);
      const startMs = performance.now();
      const options = { firstSeed: FIRST_SEED, worlds: FAULT_WORLDS, seconds: 0 };
      const { worlds, requests, difference } = await runRandom(faulty, options);
      const tookMs = performance.now() - startMs;
      assert.ok(difference !== null, `${requests} requests did not show it`);
      assert.match(difference.why, /^embedded differs from the oracle: /);
      assert.ok(tookMs < FOUND_MS_MAX, `${tookMs} ms`);
      const small = await shrink(faulty, difference, FAULT_SHRINK_SECONDS);
      assert.ok(sizeOf(small) < sizeOf(difference), textOf(small));
      context.diagnostic(`found in ${Math.round(tookMs)} ms, configuration ${worlds}`);
      context.diagnostic(textOf(small));
    } finally {
      await embedded.stop();
      mutant.remove();
    }
  });
});

function sizeOf({ world, request }: Difference): number {
  return JSON.stringify({ world, request }).length;
}
