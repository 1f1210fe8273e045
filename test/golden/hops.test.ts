//! The golden snapshots, walked hop by hop with the very route and lane code of the data plane.

import assert from "node:assert/strict";
import { test } from "node:test";

import { compile } from "../../src/compile/compile.ts";
import { decideAmong, decisionByRoute } from "../../src/lane/decide.ts";
import type { LaneDecision } from "../../src/lane/decide.ts";
import { chooseEndpoints } from "../../src/lane/fallback.ts";
import { prepareLanes } from "../../src/lane/prepare-lanes.ts";
import type { Resource } from "../../src/resources/object.ts";
import { explainNoMatch } from "../../src/route/explain.ts";
import { matchRoute, prepareRouteTable } from "../../src/route/route.ts";
import type { Snapshot, Target } from "../../src/snapshot/snapshot.ts";
import { inputOf, loadCase } from "./golden.ts";

const GATEWAY = "istio=ingressgateway";

interface Walk {
  /** Pod and served lane of each hop; empty when no route took the request. */
  readonly hops: readonly string[];
  readonly reason: string;
  readonly noMatch: readonly string[];
}

/** The gateway's route and decision, then one hop for each of the services. */
function walk(
  snapshot: Snapshot,
  path: string,
  headers: Readonly<Record<string, string>>,
  services: readonly string[],
): Walk {
  const lanes = prepareLanes(snapshot);
  const table = prepareRouteTable(snapshot.routeTables[`${GATEWAY}:80`]!);
  const header = (name: string): string | undefined => headers[name];
  const request = { method: "GET", path, authority: "localhost:18080", header };
  const route = matchRoute(table, request);
  if (route?.action.kind !== "forward") {
    return { hops: [], reason: "", noMatch: explainNoMatch(table, request) };
  }
  const { target, fallback } = route.action.destinations[0]!;
  const decision = decide(target, lanes, header);
  const wanted = { group: decision.group, lane: decision.lane };
  const first = chooseEndpoints(lanes, { target, fallback, ...wanted });
  const later = services.map((service) => {
    const cluster = [...lanes.clusters.keys()].find((name) => name.includes(`||${service}.`))!;
    const next: Target = { kind: "cluster", cluster, subset: null };
    return chooseEndpoints(lanes, { target: next, fallback: null, ...wanted });
  });
  const hops = [first, ...later].map(
    ({ endpoints, servedLane }) => `${endpoints[0]?.pod ?? "none"} (${servedLane})`,
  );
  return { hops, reason: decision.reason, noMatch: [] };
}

function decide(
  target: Target,
  lanes: ReturnType<typeof prepareLanes>,
  header: (name: string) => string | undefined,
): LaneDecision {
  if (target.kind === "cluster" && target.subset?.kind === "lane") {
    return decisionByRoute(lanes.groups.get(target.subset.group)!, target.subset.lane);
  }
  const operand = (kind: string, name: string) => (kind === "header" ? header(name) : undefined);
  const input = { context: header, operand, isEntry: true };
  return decideAmong(lanes.byGateway.get(GATEWAY)!, input)!;
}

const hash = async (isKept: (resource: Resource) => boolean = () => true): Promise<Snapshot> => {
  const { resources } = await loadCase("asm-hash-tagging");
  return compile(inputOf(resources.filter(isKept))).snapshot;
};
const A = "default/mocka-v1-2 (s1)";
const B = "default/mockb-v1-3 (s1)";
const C1 = "default/mockc-v1-4 (s1)";
const C2 = "default/mockc-v2-5 (s2)";

test("hash tagging: jason and users tagged s2 leave the lane for A and B, not for C", async () => {
  const snapshot = await hash();
  for (const headers of [{ "x-user-id": "jason" }, { "x-asm-prefer-tag": "s2" }]) {
    const { hops, reason } = walk(snapshot, "/", headers, ["mockb", "mockc"]);
    assert.deepEqual(hops, [A, B, C2]);
    assert.equal(reason, "route");
  }
  const { hops } = walk(snapshot, "/", { "x-asm-prefer-tag": "s1" }, ["mockb", "mockc"]);
  assert.deepEqual(hops, [A, B, C1]);
});

test("hash tagging: once lane s2 is deleted, jason falls back to s1 at every hop", async () => {
  const snapshot = await hash(
    ({ kind, metadata }) => kind !== "ASMSwimLane" || metadata.name !== "s2",
  );
  const { hops } = walk(snapshot, "/", { "x-user-id": "jason" }, ["mockb", "mockc"]);
  assert.deepEqual(hops, [A, B, C1]);
});

test("hash tagging: without the plug-in a user without a tag is told every rule", async () => {
  const snapshot = await hash(({ kind }) => kind !== "WasmPlugin");
  const { hops, noMatch } = walk(snapshot, "/", { "x-user-id": "bob" }, []);
  assert.deepEqual(hops, []);
  assert.equal(noMatch.length, 3);
  assert.match(noMatch[0]!, /http\[0\] \(r2\): header x-user-id is "bob", must be "jason"$/);
});

const order = async (
  change: (resource: Resource) => Resource | null = (r) => r,
): Promise<Snapshot> => {
  const { resources } = await loadCase("mse-order");
  const ready = resources.map(markReady).map(change);
  return compile(inputOf(ready.filter((resource) => resource !== null))).snapshot;
};

/** The golden case has a pod that is not ready yet. */
function markReady(resource: Resource): Resource {
  if (resource.kind !== "Pod") return resource;
  const conditions = [{ type: "Ready", status: "True" }];
  return { ...resource, status: { ...(resource.status as object), conditions } };
}

const BASE = ["a-2", "b-3", "c-4"].map((name) => `default/spring-cloud-${name} (baseline)`);
const GRAY_A = "default/spring-cloud-a-gray-5 (gray)";
const GRAY_C = "default/spring-cloud-c-gray-6 (gray)";
const hopsOf = (snapshot: Snapshot, headers: Readonly<Record<string, string>>) =>
  walk(snapshot, "/a", headers, ["sc-b", "sc-c"]);

test("mse-order: the rule leads into gray, B is the baseline's, C is gray again", async () => {
  const snapshot = await order();
  assert.deepEqual(hopsOf(snapshot, {}).hops, BASE);
  const gray = hopsOf(snapshot, { canary: "gray" });
  assert.deepEqual(gray.hops, [GRAY_A, BASE[1], GRAY_C]);
  assert.equal(gray.reason, "rule");
});

test("mse-order: a closed lane's requests are the baseline's", async () => {
  const snapshot = await order((resource) =>
    resource.kind === "Lane"
      ? { ...resource, spec: { ...(resource.spec as object), enabled: false } }
      : resource,
  );
  assert.deepEqual(hopsOf(snapshot, { canary: "gray" }).hops, BASE);
  assert.deepEqual(hopsOf(snapshot, { "x-mse-tag": "gray" }).hops, BASE);
});

test("mse-order: with the gray A gone the baseline's A answers, and C is still gray", async () => {
  const snapshot = await order((resource) =>
    resource.metadata.name === "spring-cloud-a-gray-5" ? null : resource,
  );
  assert.deepEqual(hopsOf(snapshot, { canary: "gray" }).hops, [BASE[0], BASE[1], GRAY_C]);
});
