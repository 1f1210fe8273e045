import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { LaneContext, LaneGroup, Plugin, Snapshot, Workload } from "../snapshot/snapshot.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import { compileForEnvoy } from "./compile-envoy.ts";
import type { EnvoyConfig, SidecarView } from "./envoy-config.ts";
import { configurationOf } from "./own-extension.ts";

const MODULE = { path: "/lane-context.wasm", sha256: "0123" };
const GATEWAY = { role: "gateway", labels: { a: "b" }, bindAddress: "::", portMap: {} } as const;
const SIDECAR: SidecarView = { role: "sidecar", pod: "default/a-1" };
const LANE = { selector: { lane: "gray" }, services: [], enabled: true, rule: null };
const POD: Workload = {
  ...{ sidecar: "envoy", name: "a-1", namespace: "default", labels: { lane: "gray" } },
  ...{ address: "127.10.0.1", inbound: [], outbound: { address: "127.20.0.1", port: 20_002 } },
};
const PLUGIN = { name: "p", source: { kind: "WasmPlugin", namespace: "x", name: "p" } };

function group(name: string, more: Partial<LaneGroup> = {}, strips = true): LaneGroup {
  const context: LaneContext = {
    ...{ mode: "baggage", routeHeader: `X-${name}`, baggageKey: name, stripFromClients: strips },
  };
  return laneGroupOf({
    name: `default/${name}`,
    source: { kind: "LaneGroup", namespace: "default", name },
    gateways: ["a=b"],
    context,
    stripFromClients: strips,
    lanes: ["gray", "a,b"].map((tag) => ({ ...LANE, name: tag, tag })),
    ...more,
  });
}

interface Given {
  readonly groups: readonly LaneGroup[];
  readonly hasPlugin?: boolean;
}

function snapshotOf({ groups, hasPlugin = false }: Given): Snapshot {
  const listener = { port: 80, protocol: "HTTP", hosts: ["*"], routeTable: "a=b:80" } as const;
  const plugin: Plugin = {
    ...{ ...PLUGIN, module: { path: "/p.wasm", sha256: "01" }, vmId: "", rootId: "" },
    ...{ configuration: "", env: {}, failMode: "closed", phase: "UNSPECIFIED_PHASE", priority: 0 },
  } as unknown as Plugin;
  return {
    ...EMPTY_SNAPSHOT,
    gateways: {
      "a=b": {
        ...{ name: "a=b", labels: { a: "b" }, listeners: [listener] },
        plugins: hasPlugin ? ["p"] : [],
      },
    },
    plugins: hasPlugin ? { p: plugin } : {},
    laneGroups: Object.fromEntries(groups.map((one) => [one.name, one])),
    workloads: { "default/a-1": POD },
  };
}

function told({ extensions }: EnvoyConfig, place: string): JsonObject {
  const resource = extensions[`plugin|graylane.lane-context/${place}`];
  assert.ok(resource !== undefined, Object.keys(extensions).join());
  return JSON.parse(configurationOf(resource)) as JsonObject;
}

test("a gateway takes away what clients may not send, of groups entered elsewhere too", () => {
  const groups = [group("own"), group("elsewhere", { gateways: [] }), group("open", {}, false)];
  const config = compileForEnvoy(snapshotOf({ groups }), { ...GATEWAY, laneContext: MODULE });
  assert.deepEqual(told(config, "a=b/first"), {
    removedMembers: ["own", "elsewhere"],
    groups: [],
  });
  const found = { step: "find", routeHeader: "x-open", header: "x-graylane-found-x-open" };
  assert.deepEqual(told(config, "a=b/last"), {
    groups: [{ ...found, member: "open", tags: ["a,b"] }],
  });
  assert.deepEqual(config.refusals, []);
});

test("what one group of a gateway lets in is not taken away for a foreign one", () => {
  const foreign = group("elsewhere", { gateways: [] });
  const own = group("own", {}, false);
  const shared = { ...own, context: { ...own.context, baggageKey: "elsewhere" } as LaneContext };
  const snapshot = snapshotOf({ groups: [shared, foreign] });
  const { extensions } = compileForEnvoy(snapshot, { ...GATEWAY, laneContext: MODULE });
  assert.ok(!("plugin|graylane.lane-context/a=b/first" in extensions));
});

test("plug-ins of the gateway see the baggage without the lane's member, and may write it", () => {
  const snapshot = snapshotOf({ groups: [group("own")], hasPlugin: true });
  const { listeners } = compileForEnvoy(snapshot, { ...GATEWAY, laneContext: MODULE });
  const text = JSON.stringify(listeners["a=b:80"]?.json);
  const order = ["a=b/first", "plugin|p", "a=b/last", "cors", "a=b/upstream", "upstream_codec"];
  const places = order.map((word) => text.indexOf(word));
  assert.ok(!places.includes(-1), text);
  assert.deepEqual(
    places.toSorted((a, b) => a - b),
    places,
  );
});

test("a sidecar carries what calls say, and in an isolated group the lane of its pod", () => {
  const none = group("none", { isolated: true, lanes: [] });
  const groups = [group("calls"), group("fixed", { isolated: true }), none];
  const config = compileForEnvoy(snapshotOf({ groups }), { ...SIDECAR, laneContext: MODULE });
  const at = (name: string): object => ({ routeHeader: `x-${name}`, member: name });
  assert.deepEqual(told(config, "outbound"), {
    groups: [
      { step: "carry", ...at("calls"), tags: ["a,b"] },
      { step: "write", ...at("fixed"), tag: "gray" },
      { step: "remove", ...at("none") },
    ],
  });
  const upstream = told(config, "outbound/upstream");
  assert.equal(upstream["outside"], "x-graylane-outside");
  const outside =
    JSON.stringify(config.routes["outbound"]?.json).split('"name":"outside"')[1] ?? "";
  assert.match(outside, /"x-graylane-outside","value":"1"/);
  assert.doesNotMatch(outside, /"baggage"/);
});

test("without the plug-in, or in a group that signs, Envoys write no baggage", () => {
  const signature = { keys: [], epoch: 0, lifetimeMs: 1 };
  for (const [groups, view, says] of [
    [[group("own")], GATEWAY, /write W3C baggage/],
    [[group("own")], SIDECAR, /write W3C baggage/],
    [[group("own", { signature })], { ...GATEWAY, laneContext: MODULE }, /sign the context/],
    [[group("own", { signature })], { ...SIDECAR, laneContext: MODULE }, /sign the context/],
  ] as const) {
    const config = compileForEnvoy(snapshotOf({ groups }), view);
    assert.match(config.refusals.map(({ message }) => message).join(), says);
    assert.deepEqual(config.extensions, {});
  }
});

test("a group whose rules read the baggage that another writes is said to be beside it", () => {
  const operand = { kind: "header", name: "baggage" } as const;
  const condition = { kind: "test", operand, operator: "exists", values: [] } as const;
  const rule = { programVersion: 2, condition } as const;
  const reads = group("reads", { lanes: [{ ...LANE, name: "l", tag: "l", rule }] });
  const view = { ...GATEWAY, laneContext: MODULE };
  const { refusals } = compileForEnvoy(snapshotOf({ groups: [group("own"), reads] }), view);
  assert.deepEqual(
    refusals.map(({ message, object }) => [object?.name, message]),
    [["own", "Envoy cannot write W3C baggage beside another group's rules on it"]],
  );
});

test("an Envoy that fetches modules has each where it is used, also behind the routes", () => {
  const snapshot = snapshotOf({ groups: [group("own")] });
  const view = { ...SIDECAR, laneContext: MODULE, modules: "store" };
  const { extensions, listeners } = compileForEnvoy(snapshot, view);
  const [chain] = listeners["graylane-modules"]?.json["filter_chains"] as JsonObject[];
  const [filter] = chain?.["filters"] as JsonObject[];
  const manager = filter?.["typed_config"] as JsonObject;
  const filters = manager["http_filters"] as JsonObject[];
  const router = filters.at(-1)?.["typed_config"] as JsonObject;
  const namesOf = (list: unknown): unknown[] => (list as JsonObject[]).map(({ name }) => name);
  const before = namesOf(filters.slice(0, -1));
  const behind = namesOf(router["upstream_http_filters"]).slice(0, -1);
  assert.ok(behind.length > 0);
  assert.deepEqual([...before, ...behind].sort(), Object.keys(extensions).sort());
  for (const name of Object.keys(extensions)) {
    const isUpstream = extensions[name]?.isUpstream === true;
    assert.equal(behind.includes(name), isUpstream, name);
  }
});
