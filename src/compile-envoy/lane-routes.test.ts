import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Lane, LaneGroup, Route, Snapshot } from "../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../snapshot/testing/lane-maker.ts";
import { compileForEnvoy } from "./compile-envoy.ts";
import type { GatewayView } from "./envoy-config.ts";

const CLUSTER = "outbound|80||shop.default.svc.cluster.local";
const VIEW = { role: "gateway", labels: { a: "b" }, bindAddress: "::", portMap: {} } as const;
const GRAY = laneOf("gray");

function pathRule(regex: string): Pick<Lane, "rule"> {
  const operand = { kind: "path", name: "" } as const;
  const condition = { kind: "test", operand, operator: "regex", values: [regex] } as const;
  return { rule: { programVersion: 2, condition } };
}

function group(name: string, more: Partial<LaneGroup>): LaneGroup {
  return laneGroupOf({
    name: `default/${name}`,
    source: { kind: "LaneGroup", namespace: "default", name },
    gateways: ["a=b"],
    services: ["default/shop"],
    context: { mode: "header", routeHeader: `x-${name}` },
    lanes: [GRAY],
    ...more,
  });
}

function share(toPpm: number, sticky = false): Pick<LaneGroup, "cohorts"> {
  const key = { kind: "clientIp" } as const;
  const deal = sticky ? ({ key, hash: "murmur3", salt: "", modulo: 100 } as const) : null;
  return { cohorts: { deal, tables: { "*": [{ fromPpm: 0, toPpm, lane: "gray" }] }, routes: {} } };
}

function route(weights: readonly number[], more: Partial<Route> = {}): Route {
  const target = { kind: "cluster", cluster: CLUSTER, subset: null } as const;
  const none = NO_HEADER_OPERATIONS;
  const common = { target, fallback: null, requestHeaders: none, responseHeaders: none };
  return {
    id: "default/shop/http[0]",
    label: "",
    source: { kind: "VirtualService", namespace: "default", name: "shop" },
    matches: [],
    action: { kind: "forward", destinations: weights.map((weight) => ({ weight, ...common })) },
    requestHeaders: none,
    responseHeaders: none,
    timeoutMs: 0,
    ...more,
  };
}

function compiled(
  groups: readonly LaneGroup[],
  routes: readonly Route[],
  view: GatewayView = VIEW,
): {
  readonly routes: readonly JsonObject[];
  readonly refused: readonly string[];
  /** With the listeners that they are in. */
  readonly plugins: string;
} {
  const host = "shop.default.svc.cluster.local";
  const listener = { port: 80, protocol: "HTTP", hosts: ["*"], routeTable: "a=b:80" } as const;
  const snapshot: Snapshot = {
    ...EMPTY_SNAPSHOT,
    gateways: { "a=b": { name: "a=b", labels: { a: "b" }, listeners: [listener], plugins: [] } },
    routeTables: { "a=b:80": { name: "a=b:80", virtualHosts: [{ domains: ["*"], routes }] } },
    clusters: {
      [CLUSTER]: {
        ...{ name: CLUSTER, host, aliases: [], namespace: "default", port: 80 },
        ...{ service: "default/shop", connectTimeoutMs: 1_000 },
      },
    },
    laneGroups: Object.fromEntries(groups.map((one) => [one.name, one])),
  };
  const config = compileForEnvoy(snapshot, view);
  const [host0] = config.routes["a=b:80"]?.json["virtual_hosts"] as readonly JsonObject[];
  return {
    routes: (host0?.["routes"] ?? []) as readonly JsonObject[],
    plugins: JSON.stringify([config.listeners, config.extensions]),
    refused: config.refusals.map(
      ({ object, message }) => `${object?.kind} ${object?.name}: ${message}`,
    ),
  };
}

function weightsOf({ route: action }: JsonObject): readonly unknown[] {
  const { weighted_clusters: weighted } = action as JsonObject;
  const { clusters } = weighted as JsonObject;
  return (clusters as readonly JsonObject[]).map(({ weight }) => weight);
}

test("a share is exact to a millionth, within each destination's weight", () => {
  const cases: readonly (readonly [number, readonly number[], readonly number[]])[] = [
    [1_000, [1], [1, 999]],
    [1, [1], [1, 999_999]],
    [1_000_000, [1], [1]],
    [250_000, [30, 70], [3, 9, 7, 21]],
    [1, [30, 70], [3, 2_999_997, 7, 6_999_993]],
  ];
  for (const [partsPpm, weights, want] of cases) {
    const { routes, refused } = compiled([group("shops", share(partsPpm))], [route(weights)]);
    assert.deepEqual(routes.map(weightsOf), [want]);
    assert.deepEqual(refused, []);
  }
});

test("a sticky share is a range of buckets, told by a plug-in behind the gateway's own", () => {
  const laneBucket = { path: "/lane-bucket.wasm", sha256: "0123" };
  const one = group("shops", share(1, true));
  const { routes, refused, plugins } = compiled([one], [route([1])], { ...VIEW, laneBucket });
  assert.deepEqual(refused, []);
  const [sticky, plain] = routes.map(({ match }) => (match as JsonObject)["headers"]);
  const range = { name: "x-graylane-bucket", range_match: { start: 0, end: 1 } };
  assert.deepEqual([sticky, plain], [[range], undefined]);
  assert.match(plugins, /"vm_id":"graylane.lane-bucket\/0123"/);
  assert.match(plugins, /\\"key\\":\{\\"kind\\":\\"clientIp\\",\\"trustedHops\\":0\}/);
});

test("a rule that no route can say is asked of the lane filter, and no other is", () => {
  const laneFilter = { path: "/lane-filter.wasm", sha256: "0123" };
  const ruled = (operator: "==" | "semver", kind: "header" | "geo" = "header"): LaneGroup => {
    const one = group("shops", {});
    const operand = { kind, name: "x-version" };
    const condition = { kind: "test", operand, operator, values: ["1.2.3"] } as const;
    const rule = { programVersion: 2, condition } as const;
    return { ...one, lanes: one.lanes.map((lane) => ({ ...lane, rule })) };
  };
  const at = (of: LaneGroup, view: GatewayView): ReturnType<typeof compiled> =>
    compiled([of], [route([1])], view);
  const plain = at(ruled("=="), { ...VIEW, laneFilter });
  assert.ok(!plain.plugins.includes("lane-filter"));
  const { routes, refused, plugins } = at(ruled("semver"), { ...VIEW, laneFilter });
  assert.deepEqual(refused, []);
  const asked = JSON.stringify(routes[0]?.["match"]);
  const [, id = ""] =
    /"x-graylane-rules","string_match":\{"contains":",(\w{16}),"/.exec(asked) ?? [];
  assert.match(plugins, new RegExp(`\\\\"id\\\\":\\\\"${id}\\\\"`));
  assert.match(plugins, /"vm_id":"graylane.lane-filter\/0123"/);
  for (const [of, view, says] of [
    [ruled("semver"), VIEW, /Envoy cannot enter the lane \w+ by semver on the header x-version/],
    [ruled("==", "geo"), { ...VIEW, laneFilter }, /enter the lane \w+ by the operand geo/],
  ] as const) {
    const without = at(of, view);
    assert.match(without.refused.join(), says);
    assert.ok(!without.plugins.includes("lane-filter"));
  }
});

test("what no route can say is refused at the object that asks for it", () => {
  const cases: readonly (readonly [readonly LaneGroup[], Route, string])[] = [
    [
      [group("shops", share(1, true))],
      route([1]),
      "LaneGroup shops: Envoy cannot enter lanes by shares that keep",
    ],
    [
      [group("shops", share(1))],
      route([10_000, 1]),
      "VirtualService shop: Envoy cannot divide requests by weights of",
    ],
    [
      [group("one", share(1)), group("two", { lanes: [{ ...GRAY, ...pathRule("/a") }] })],
      route([1]),
      "LaneGroup one: Envoy cannot enter lanes of several groups",
    ],
    [
      [group("shops", { lanes: [{ ...GRAY, ...pathRule("/a") }] })],
      route([1], { policy: { rewrite: { uri: "/b" } } }),
      "Lane gray: Envoy cannot enter the lane by the path at the route default/shop/http[0]",
    ],
  ];
  for (const [groups, one, want] of cases) {
    const { refused } = compiled(groups, [one]);
    assert.ok(refused[0]?.startsWith(want) === true, `${refused.join("; ")} is not ${want}`);
  }
});

test("a route of a path stays one when a rule asks for a pattern of the path as well", () => {
  const lanes = [{ ...GRAY, ...pathRule("/a.*") }];
  const prefix = route([1], { matches: [{ uri: { kind: "prefix", value: "/api" } }] });
  const { routes } = compiled([group("shops", { lanes })], [prefix]);
  assert.deepEqual(
    routes.map(({ match }) => match),
    [
      {
        safe_regex: { regex: "/a.*" },
        headers: [{ name: ":path", string_match: { prefix: "/api" } }],
      },
      { prefix: "/api" },
    ],
  );
});

test("who may not send a lane's header has it taken away, but for the tag that is written", () => {
  const { routes } = compiled([group("shops", share(500_000))], [route([1])]);
  const { weighted_clusters: weighted } = routes[0]?.["route"] as JsonObject;
  const clusters = (weighted as JsonObject)["clusters"] as readonly JsonObject[];
  for (const one of clusters) assert.deepEqual(one["request_headers_to_remove"], ["x-shops"]);
  assert.deepEqual(
    clusters.map((one) => one["request_headers_to_add"] !== undefined),
    [true, false],
  );
});

test("the share of a backend that is not there is answered as the route says", () => {
  const missing = { kind: "missing", message: "gone", status: 500 } as const;
  const none = NO_HEADER_OPERATIONS;
  const gone = { target: missing, fallback: null, requestHeaders: none, responseHeaders: none };
  const whole = route([], { action: { kind: "forward", destinations: [{ weight: 1, ...gone }] } });
  const { action } = route([9]);
  const some = action.kind === "forward" ? action.destinations : [];
  const both = { kind: "forward", destinations: [...some, { weight: 1, ...gone }] } as const;
  const path = { policy: { rewrite: { path: "/new" } } };
  const [first, second] = compiled([], [whole, route([], { action: both, ...path })]).routes;
  const body = { inline_string: "route_target_missing: gone\n" };
  assert.deepEqual(first?.["direct_response"], { status: 500, body });
  const forward = second?.["route"] as JsonObject;
  assert.equal(forward["cluster_not_found_response_code"], "INTERNAL_SERVER_ERROR");
  assert.deepEqual(forward["regex_rewrite"], {
    pattern: { regex: "(?s)^.*$" },
    substitution: "/new",
  });
});
