import assert from "node:assert/strict";
import { test } from "node:test";

import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Endpoint, Lane, LaneGroup, Snapshot, Target } from "../snapshot/snapshot.ts";
import { decisionByCaller } from "./group.ts";
import { chooseEndpoints } from "./fallback.ts";
import { prepareLanes } from "./prepare-lanes.ts";
import type { Wanted } from "./fallback.ts";

const KEY = "ASM_TRAFFIC_TAG";
const clusterName = (service: string) => `outbound|8000||${service}.default.svc.cluster.local`;
const pod = (name: string, tag: string | null): Endpoint => ({
  address: "127.10.0.1",
  port: 8000,
  pod: `default/${name}`,
  labels: tag === null ? { app: name } : { app: name, [KEY]: tag },
});
const lane = (name: string, tag: string, more: Partial<Lane> = {}): Lane => ({
  name,
  tag: name,
  selector: { [KEY]: tag },
  services: [],
  enabled: true,
  rule: null,
  ...more,
});

interface Scene {
  readonly services: Readonly<Record<string, readonly Endpoint[]>>;
  readonly group: Partial<LaneGroup>;
}

function snapshotOf({ services, group }: Scene): Snapshot {
  const names = Object.keys(services);
  return {
    ...EMPTY_SNAPSHOT,
    clusters: Object.fromEntries(
      names.map((name) => [
        clusterName(name),
        {
          name: clusterName(name),
          host: `${name}.default.svc.cluster.local`,
          aliases: [name],
          namespace: "default",
          port: 8000,
          service: `default/${name}`,
          connectTimeoutMs: 1_000,
        },
      ]),
    ),
    endpoints: Object.fromEntries(
      Object.entries(services).map(([name, endpoints]) => [clusterName(name), { endpoints }]),
    ),
    laneGroups: {
      "/canary": {
        name: "/canary",
        source: { kind: "ASMSwimLaneGroup", namespace: "", name: "canary" },
        gateways: ["istio=ingressgateway"],
        services: names.filter((name) => name !== "outside").map((name) => `default/${name}`),
        baseline: { kind: "lane", lane: "s1" },
        fallback: "permissive",
        serviceFallback: {},
        context: { mode: "header", routeHeader: "x-asm-prefer-tag" },
        stripFromClients: false,
        lanes: [lane("s1", "v1"), lane("s2", "v2", { services: ["default/mockc"] })],
        ...group,
      },
    },
  };
}

const services = {
  mocka: [pod("mocka-v1", "v1"), pod("mocka-stray", "v2")],
  mockc: [pod("mockc-v1", "v1"), pod("mockc-v2", "v2")],
  outside: [pod("outside", null), pod("outside-v2", "v2")],
};
const untagged = { kind: "untagged" as const, labelKeys: [KEY] };

const toCluster = (service: string): Target => ({
  kind: "cluster",
  cluster: clusterName(service),
  subset: null,
});
const toLane = (service: string, name: string): Target => ({
  kind: "cluster",
  cluster: clusterName(service),
  subset: { kind: "lane", group: "/canary", lane: name },
});
const want = (target: Target, name: string | null, fallback: Target | null = null): Wanted => ({
  target,
  fallback,
  group: "/canary",
  lane: name,
});

function choose(group: Partial<LaneGroup>, wanted: Wanted, more: Partial<Scene> = {}): unknown {
  const prepared = prepareLanes(snapshotOf({ services, group, ...more }));
  const choice = chooseEndpoints(prepared, wanted);
  const pods = choice.endpoints.map((endpoint) => endpoint.pod.slice("default/".length));
  return [pods.join(), choice.servedLane, choice.reason];
}

const lanes = (...list: Lane[]): Partial<LaneGroup> => ({ lanes: list });
const s1 = lane("s1", "v1");
const cases: readonly {
  readonly title: string;
  readonly group?: Partial<LaneGroup>;
  readonly wanted: Wanted;
  readonly want: readonly [string, string, string];
}[] = [
  {
    title: "a lane is served by its own endpoints",
    wanted: want(toCluster("mockc"), "s2"),
    want: ["mockc-v2", "s2", "lane"],
  },
  {
    title: "a service that the lane does not hold falls back, whatever labels its pods carry",
    wanted: want(toCluster("mocka"), "s2"),
    want: ["mocka-v1", "s1", "fallback:no-copy"],
  },
  {
    title: "the baseline that is a lane is its pods",
    wanted: want(toCluster("mockc"), null),
    want: ["mockc-v1", "s1", "baseline"],
  },
  {
    title: "the untagged baseline is the pods with none of the keys",
    group: { baseline: untagged },
    wanted: want(toCluster("mockc"), null),
    want: ["", "baseline", "baseline"],
  },
  {
    title: "a lane that should have an endpoint but has none falls back",
    group: lanes(s1, lane("s2", "v9", { services: ["default/mockc"] })),
    wanted: want(toCluster("mockc"), "s2"),
    want: ["mockc-v1", "s1", "fallback:no-endpoint"],
  },
  {
    title: "a closed lane's traffic goes to the baseline",
    group: lanes(s1, lane("s2", "v2", { enabled: false })),
    wanted: want(toLane("mockc", "s2"), null),
    want: ["mockc-v1", "s1", "fallback:closed"],
  },
  {
    title: "a closed lane's traffic goes to the baseline under the policy strict too",
    group: { fallback: "strict", ...lanes(s1, lane("s2", "v2", { enabled: false })) },
    wanted: want(toLane("mockc", "s2"), null),
    want: ["mockc-v1", "s1", "fallback:closed"],
  },
  {
    title: "the policy strict serves nothing else, not even the route's fallback",
    group: { fallback: "strict" },
    wanted: want(toLane("mocka", "s2"), "s2", toLane("mocka", "s1")),
    want: ["", "baseline", "fallback:no-copy"],
  },
  {
    title: "the route's fallback comes before the group's",
    group: { serviceFallback: { "default/mocka": "s1" } },
    wanted: want(toLane("mocka", "s2"), "s2", toLane("mockc", "s2")),
    want: ["mockc-v2", "s2", "fallback:no-copy"],
  },
  {
    title: "a route's fallback that has nothing either gives way to the group's",
    wanted: want(toLane("mocka", "s2"), "s2", { kind: "missing", message: "gone" }),
    want: ["mocka-v1", "s1", "fallback:no-copy"],
  },
  {
    title: "the group's fallback lane for a service comes before the baseline",
    group: {
      serviceFallback: { "default/mocka": "s3" },
      ...lanes(s1, lane("s2", "v7"), lane("s3", "v2")),
    },
    wanted: want(toCluster("mocka"), "s2"),
    want: ["mocka-stray", "s3", "fallback:no-copy"],
  },
  {
    title: "a subset that does not exist is served by the route's fallback",
    wanted: want({ kind: "missing", message: "no s9" }, null, toLane("mockc", "s1")),
    want: ["mockc-v1", "s1", "fallback:unknown"],
  },
  {
    title: "a label subset is served by the pods with its labels",
    wanted: want(
      {
        kind: "cluster",
        cluster: clusterName("mockc"),
        subset: { kind: "labels", name: "canary", labels: { [KEY]: "v2" } },
      },
      null,
    ),
    want: ["mockc-v2", "baseline", "cluster"],
  },
  {
    title: "a service outside every group is served by all its endpoints",
    wanted: want(toCluster("outside"), "s2"),
    want: ["outside,outside-v2", "baseline", "cluster"],
  },
  {
    title: "a member service that no group decided for is served by its baseline",
    wanted: { ...want(toCluster("mockc"), null), group: null },
    want: ["mockc-v1", "s1", "baseline"],
  },
  {
    title: "a chain goes to the parent before the baseline",
    group: {
      fallback: "chain",
      ...lanes(s1, lane("s2", "v7", { parents: ["s3"] }), lane("s3", "v2")),
    },
    wanted: want(toCluster("mockc"), "s2"),
    want: ["mockc-v2", "s3", "fallback:no-copy"],
  },
  {
    title: "a chain passes over a parent that is closed or has no copy",
    group: {
      fallback: "chain",
      ...lanes(
        s1,
        lane("s2", "v7", { parents: ["s3", "s4", "s5"] }),
        lane("s3", "v2", { enabled: false }),
        lane("s4", "v2", { services: ["default/other"] }),
        lane("s5", "v2"),
      ),
    },
    wanted: want(toCluster("mockc"), "s2"),
    want: ["mockc-v2", "s5", "fallback:no-copy"],
  },
  {
    title: "without the policy chain a parent serves nothing",
    group: lanes(s1, lane("s2", "v7", { parents: ["s3"] }), lane("s3", "v2")),
    wanted: want(toCluster("mockc"), "s2"),
    want: ["mockc-v1", "s1", "fallback:no-copy"],
  },
  {
    title: "a service's own policy goes before the group's",
    group: { servicePolicies: { "default/mocka": "strict" } },
    wanted: want(toCluster("mocka"), "s2"),
    want: ["", "baseline", "fallback:no-copy"],
  },
  {
    title: "a service may be permissive in a strict group",
    group: { fallback: "strict", servicePolicies: { "default/mocka": "permissive" } },
    wanted: want(toCluster("mocka"), "s2"),
    want: ["mocka-v1", "s1", "fallback:no-copy"],
  },
];
for (const { title, group, wanted, want: expected } of cases) {
  test(title, () => {
    assert.deepEqual(choose(group ?? {}, wanted), expected);
  });
}

test("what may serve nothing says which service and lane, and whether strictness is why", () => {
  const missing = (group: Partial<LaneGroup>, wanted: Wanted) =>
    chooseEndpoints(prepareLanes(snapshotOf({ services, group })), wanted).missing;
  assert.equal(
    missing({ fallback: "strict" }, want(toCluster("mocka"), "s2")),
    'service default/mocka has no ready endpoint in lane "s2" of lane group "/canary", ' +
      "and the group's fallback policy is strict",
  );
  assert.equal(
    missing({ baseline: untagged }, want(toCluster("mocka"), null)),
    'service default/mocka has no ready endpoint in the baseline of lane group "/canary"',
  );
  assert.equal(missing({}, want({ kind: "missing", message: "no host x" }, null)), "no host x");
});

test("the same hop gives the same ready choice, also through a route's fallback", () => {
  const prepared = prepareLanes(snapshotOf({ services, group: {} }));
  const hop = want(toLane("mocka", "s2"), "s2", toLane("mocka", "s1"));
  const first = chooseEndpoints(prepared, hop);
  assert.equal(chooseEndpoints(prepared, hop), first);
  assert.deepEqual([first.servedLane, first.reason], ["s1", "fallback:no-copy"]);
});

test("with a health predicate a lane without a healthy endpoint falls back", () => {
  const prepared = prepareLanes(snapshotOf({ services, group: {} }));
  const choice = chooseEndpoints(
    prepared,
    want(toCluster("mockc"), "s2"),
    (endpoint) => endpoint.pod !== "default/mockc-v2",
  );
  assert.deepEqual([choice.servedLane, choice.reason], ["s1", "fallback:no-endpoint"]);
});

test("preparing again takes over the clusters that did not change", () => {
  const before = snapshotOf({ services, group: {} });
  const first = prepareLanes(before);
  const after = {
    ...before,
    endpoints: { ...before.endpoints, [clusterName("mockc")]: { endpoints: [] } },
  };
  const second = prepareLanes(after, first);
  assert.equal(second.clusters.get(clusterName("mocka")), first.clusters.get(clusterName("mocka")));
  assert.equal(chooseEndpoints(second, want(toCluster("mockc"), "s2")).endpoints.length, 0);
});

test("in an isolated group the lane of the calling pod decides", () => {
  const group = prepareLanes(snapshotOf({ services, group: { isolated: true } })).groups;
  const canary = group.get("/canary");
  assert.ok(canary !== undefined);
  const decide = (labels: Readonly<Record<string, string>>): string | null =>
    decisionByCaller(canary, labels).lane;
  assert.equal(decide({ [KEY]: "v2", app: "mocka" }), "s2");
  assert.equal(decide({ [KEY]: "v1" }), "s1");
  assert.equal(decide({ app: "mocka" }), null);
});
