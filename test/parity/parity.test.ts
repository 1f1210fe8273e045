//! The embedded engine and real Envoys (a gateway, and a sidecar for each pod) do the same.

import { after, before, suite, test } from "node:test";
import { findEnvoy } from "../support/envoy.ts";
import { GROUPS } from "./cases/all.ts";
import { Pair } from "./compare.ts";
import { Engine } from "./engine.ts";
import { topology } from "./topology.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
/** A part of the names of the groups that run. */
const ONLY = process.env["GRAYLANE_PARITY_ONLY"] ?? "";
const binary = found.kind === "found" ? found.path : "";

suite("both engines", { skip, timeout: 600_000 }, () => {
  let pair: Pair;

  before(async () => {
    const objects = topology();
    const [embedded, envoy] = await Promise.all([
      Engine.start({ kind: "embedded", binary, objects }),
      Engine.start({ kind: "envoy", binary, objects }),
    ]);
    pair = new Pair(embedded, envoy);
  });
  after(async () => {
    await Promise.all(pair.engines.map((engine) => engine.stop()));
  });

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
});
