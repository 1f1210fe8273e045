//! Explain says where calls between pods follow routes, which it is not asked about.

import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import { meshTableName } from "../../lane/mesh-routes.ts";
import { preparer } from "../testing/harness.ts";
import { cluster, forwardRoute, gatewaySnapshot, SOURCE } from "../testing/snapshot-maker.ts";
import { explainQuestion } from "./explain-question.ts";
import { laneGroupOf } from "../../snapshot/testing/lane-maker.ts";

const FIRST = { ...cluster("a"), laneGroups: ["default/shop"] };
const LATER = { ...cluster("b"), laneGroups: ["default/shop"] };
const GROUP = laneGroupOf({
  services: [FIRST.service, LATER.service],
  context: { mode: "header", routeHeader: "x-tag" },
});

test("explain names the routes that calls of pods follow, and none for its own hop", async () => {
  const tables = [FIRST, LATER].map(({ name }) => {
    const source = { ...SOURCE, kind: "VirtualService", name: `${name}-routes` };
    const routes = [0, 1].map((at) => ({ ...forwardRoute(name), id: `${name}[${at}]`, source }));
    return { name: meshTableName(name), virtualHosts: [{ domains: ["*"], routes }] };
  });
  const plain = gatewaySnapshot(80, [forwardRoute(FIRST.name)], {
    clusters: { [FIRST.name]: FIRST, [LATER.name]: LATER },
    laneGroups: { [GROUP.name]: GROUP },
  });
  const routeTables = Object.fromEntries(tables.map((table) => [table.name, table]));
  const snapshot = { ...plain, routeTables: { ...plain.routeTables, ...routeTables } };
  const runtime = await preparer().prepareGateway(snapshot, null);
  const question = { method: "GET", authority: "a", target: "/", headers: [], port: 80 };
  const deps = { prng: new SeededPrng(1), clock: systemClock };
  const hops = (await explainQuestion(runtime, question, deps))?.hops ?? [];
  const told = hops.map(({ service, meshRoutes }) => [service, meshRoutes]);
  const named = `VirtualService ${SOURCE.namespace}/${LATER.name}-routes`;
  assert.deepEqual(told, [
    [FIRST.service, []],
    [LATER.service, [named]],
  ]);
});
