import assert from "node:assert/strict";
import { test } from "node:test";

import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { compile, foretellDelete } from "./compile.ts";
import type { CompileInput } from "./compile.ts";
import { durationMs } from "../resources/duration.ts";
import { compareMessages } from "./messages.ts";
import { serviceKeyOf } from "./service.ts";

const MODULE = { sha256: "ab".repeat(32), path: "/modules/a.wasm" };
const BROKEN = { code: "GL0403", error: "a.wasm is not a WebAssembly module", remedy: "Build it." };

function object(apiVersion: string, kind: string, name: string, spec: unknown): Resource {
  const namespace = apiVersion.startsWith("istio.alibabacloud.com") ? {} : { namespace: "default" };
  return { apiVersion, kind, metadata: { name, ...namespace }, spec };
}

const ISTIO = "networking.istio.io/v1";
const gateway = object(ISTIO, "Gateway", "edge", {
  selector: { istio: "edge" },
  servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
});
const service = object("v1", "Service", "cart", {
  type: "ClusterIP",
  selector: { app: "cart" },
  ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }],
});
const tagHeader = { "X-Lane": { exact: "blue" } };
const virtualService = (match: unknown): Resource =>
  object(ISTIO, "VirtualService", "vs", {
    gateways: ["edge"],
    hosts: ["*"],
    http: [{ match, route: [{ destination: { host: "cart", subset: "blue" } }] }],
  });
const laneGroup = (more: object = {}): Resource =>
  object("graylane.io/v1alpha1", "LaneGroup", "shop", {
    entry: { gateways: [{ name: "edge" }] },
    services: [{ name: "cart" }],
    baseline: {},
    fallback: "permissive",
    context: { mode: "header", routeHeader: "x-lane" },
    acceptFromClients: false,
    ...more,
  });
const lane = (name: string, more: object = {}): Resource =>
  object("graylane.io/v1alpha1", "Lane", name, {
    group: "shop",
    selector: { matchLabels: { lane: name } },
    enabled: true,
    priority: 0,
    ...more,
  });
const plugin = (more: object = {}): Resource =>
  object("extensions.istio.io/v1alpha1", "WasmPlugin", "tag", {
    url: "oci://example.com/tag:1",
    selector: { matchLabels: { istio: "edge" } },
    pluginConfig: { rules: [{ tagHeader: "x-lane", policies: [{ range: 1, tagValue: "blue" }] }] },
    ...more,
  });

const withModule = (resources: readonly Resource[]): CompileInput => ({
  resources,
  modules: new Map([["default/tag", MODULE]]),
});
const withoutModule = (resources: readonly Resource[]): CompileInput => ({
  resources,
  modules: new Map([["default/tag", BROKEN]]),
});

const codes = (messages: readonly Fault[]): string[] =>
  messages.map(({ severity, code }) => `${severity} ${code}`);

function firstRoute(
  snapshot: Snapshot,
): Snapshot["routeTables"][string]["virtualHosts"][0]["routes"][0] {
  return snapshot.routeTables["istio=edge:80"]!.virtualHosts[0]!.routes[0]!;
}

test("nothing compiles to a snapshot without anything, and no message", () => {
  const { snapshot, messages } = compile({ resources: [], modules: new Map() });
  assert.deepEqual(messages, []);
  assert.deepEqual(Object.keys(snapshot.gateways), []);
  assert.match(snapshot.version, /^[0-9a-f]{16}$/);
});

test("a gateway to which no route is bound still listens, with an empty route table", () => {
  const { snapshot } = compile(withModule([gateway]));
  assert.deepEqual(snapshot.routeTables["istio=edge:80"], {
    name: "istio=edge:80",
    virtualHosts: [],
  });
});

test("the version changes with behaviour and not with the bookkeeping of the store", () => {
  const version = (resource: Resource): string => compile(withModule([resource])).snapshot.version;
  const touched = { ...gateway, metadata: { ...gateway.metadata, resourceVersion: "7" } };
  assert.equal(version(touched), version(gateway));
  const spec = { ...(gateway.spec as object), selector: { istio: "other" } };
  assert.notEqual(version({ ...gateway, spec }), version(gateway));
});

test("the lane header of clients is stripped unless a route of the gateway matches on it", () => {
  const strips = (...resources: Resource[]): boolean | undefined =>
    compile(withModule([gateway, service, ...resources])).snapshot.laneGroups["default/shop"]
      ?.stripFromClients;
  const plain = virtualService([{ uri: { exact: "/" } }]);
  assert.equal(strips(laneGroup(), plain), true);
  assert.equal(strips(laneGroup(), virtualService([{ headers: tagHeader }])), false);
  assert.equal(strips(laneGroup(), virtualService([{ withoutHeaders: tagHeader }])), false);
  assert.equal(strips(laneGroup({ acceptFromClients: true }), plain), false);
  const elsewhere = virtualService([{ headers: tagHeader }]);
  const spec = { ...(elsewhere.spec as object), gateways: ["mesh"] };
  assert.equal(strips(laneGroup(), { ...elsewhere, spec }), true);
});

test("a group in baggage mode has a member of its own, stripped unless it says otherwise", () => {
  const contextOf = (changes: object): unknown =>
    compile(withModule([gateway, service, laneGroup(changes)])).snapshot.laneGroups["default/shop"]
      ?.context;
  const context = { mode: "baggage", routeHeader: "X-Tag" };
  const common = { mode: "baggage", routeHeader: "x-tag" };
  const baggageKey = "graylane-lane.default.shop";
  assert.deepEqual(contextOf({ context }), { ...common, baggageKey, stripFromClients: true });
  assert.deepEqual(
    contextOf({ context: { ...context, baggageKey: "k" }, acceptFromClients: true }),
    {
      ...common,
      baggageKey: "k",
      stripFromClients: false,
    },
  );
});

test("a group's context goes to no host outside but those that it names", () => {
  const hostsOf = (context: object): unknown =>
    compile(withModule([gateway, service, laneGroup({ context })])).snapshot.laneGroups[
      "default/shop"
    ]?.outsideHosts;
  const context = { mode: "header", routeHeader: "x-lane" };
  assert.equal(hostsOf(context), undefined);
  const outsideHosts = ["Partner.example.com", "*.corp.example"];
  assert.deepEqual(hostsOf({ ...context, outsideHosts }), [
    "partner.example.com",
    "*.corp.example",
  ]);
});

test("who is told which lane served is in the snapshot only where the group says it", () => {
  const toldBy = (spec: object): unknown =>
    compile(withModule([gateway, service, laneGroup(spec)])).snapshot.laneGroups["default/shop"]
      ?.traceFrom;
  assert.equal(toldBy({}), undefined);
  assert.deepEqual(toldBy({ trace: { allowFrom: [] } }), []);
  assert.deepEqual(toldBy({ trace: { allowFrom: ["10.0.0.0/8"] } }), ["10.0.0.0/8"]);
});

test("lane groups that one request meets need a route header and a member of their own", () => {
  const second = (context: object): string[] => {
    const first = laneGroup({ context: { mode: "baggage", routeHeader: "x-a", baggageKey: "k" } });
    const other = laneGroup({ context });
    const named = { ...other, metadata: { ...other.metadata, name: "other" } };
    const { messages } = compile(withModule([gateway, service, first, named]));
    return messages.filter(({ code }) => code === "GL0317").map(({ message }) => message);
  };
  const sameHeader = second({ mode: "header", routeHeader: "x-a" });
  assert.equal(sameHeader.length, 1);
  assert.match(sameHeader[0] ?? "", /default\/other|default\/shop/);
  assert.match(sameHeader[0] ?? "", /route header x-a too/);
  const sameMember = second({ mode: "baggage", routeHeader: "x-b", baggageKey: "k" });
  assert.match(sameMember.join(), /baggage member k too/);
  assert.deepEqual(second({ mode: "baggage", routeHeader: "x-b" }), []);
});

test("deleting a lane that a route names is foretold, and the route answers 503", () => {
  const input = withModule([gateway, service, laneGroup(), lane("blue"), virtualService([])]);
  const foretold = foretellDelete(input, ({ kind }) => kind === "Lane");
  assert.deepEqual(codes(foretold), ["error GL0203"]);
  assert.match(foretold[0]?.message ?? "", /answer 503$/);
  const { snapshot } = compile({ ...input, resources: input.resources.slice(0, 3) });
  assert.equal(snapshot.laneGroups["default/shop"]?.lanes.length, 0);
});

test("deleting the plug-in that sets the header foretells who gets a 404", () => {
  const routes = virtualService([{ headers: tagHeader }]);
  const input = withModule([gateway, service, laneGroup(), lane("blue"), routes, plugin()]);
  assert.deepEqual(
    codes(compile(input).messages).filter((code) => code.endsWith("GL0211")),
    ["info GL0211"],
  );
  const foretold = foretellDelete(input, ({ kind }) => kind === "WasmPlugin");
  assert.deepEqual(codes(foretold), ["warning GL0211"]);
  assert.match(
    foretold[0]?.message ?? "",
    /^requests without x-lane match no route of virtual host \*: 1 rule, no default route/,
  );
});

test("a plug-in that lost its module keeps the last good one, with its configuration", () => {
  const before = compile(withModule([gateway, plugin()])).snapshot;
  const { snapshot, messages } = compile({
    ...withoutModule([gateway, plugin({ pluginConfig: { rules: [] } })]),
    lastGoodPlugins: before.plugins,
  });
  assert.deepEqual(snapshot.plugins, before.plugins);
  assert.deepEqual(snapshot.gateways["istio=edge"]?.plugins, ["default/tag"]);
  assert.match(messages[0]?.message ?? "", /ran before keep serving$/);
});

test("a plug-in that never had a module blocks its gateway when it fails closed", () => {
  const { snapshot, messages } = compile(
    withoutModule([gateway, service, plugin(), virtualService([])]),
  );
  const { action } = firstRoute(snapshot);
  assert.deepEqual([action.kind, action.kind === "direct" && action.status], ["direct", 503]);
  assert.match(action.kind === "direct" ? action.body : "", /plug-in default\/tag has no module/);
  assert.ok(codes(messages).includes("error GL0403"));
});

test("a plug-in that never had a module is left out when it fails open", () => {
  const { snapshot } = compile(
    withoutModule([gateway, service, plugin({ failStrategy: "FAIL_OPEN" }), virtualService([])]),
  );
  assert.equal(firstRoute(snapshot).action.kind, "forward");
  assert.deepEqual(snapshot.gateways["istio=edge"]?.plugins, []);
});

test("an untagged baseline keeps out the lanes of other groups with a common service", () => {
  const other = { ...laneGroup(), metadata: { name: "other", namespace: "default" } };
  const green = lane("green", { group: "other", selector: { matchLabels: { colour: "green" } } });
  const { snapshot } = compile(withModule([gateway, service, laneGroup(), other, green]));
  const baseline = snapshot.laneGroups["default/shop"]?.baseline;
  assert.deepEqual(baseline?.kind === "untagged" && baseline.labelKeys, [
    "ASM_TRAFFIC_TAG",
    "alicloud.service.tag",
    "colour",
  ]);
});

test("lanes decide in the order of priority, then name", () => {
  const lanes = [lane("c"), lane("a", { priority: 5 }), lane("b")];
  const { snapshot } = compile(withModule([gateway, service, laneGroup(), ...lanes]));
  assert.deepEqual(
    snapshot.laneGroups["default/shop"]?.lanes.map(({ name }) => name),
    ["b", "c", "a"],
  );
});

test("the first ASM lane made is the baseline when the group names none", () => {
  const asm = "istio.alibabacloud.com/v1";
  const group = object(asm, "ASMSwimLaneGroup", "canary", {
    isPermissive: true,
    permissiveModeConfiguration: { routeHeader: "x-lane" },
  });
  const asmLane = (name: string, creationTimestamp: string): Resource => {
    const made = object(asm, "ASMSwimLane", name, { labelSelector: { lane: name } });
    const labels = { "swimlane-group": "canary" };
    return { ...made, metadata: { ...made.metadata, labels, creationTimestamp } };
  };
  const lanes = [asmLane("a", "2026-01-02T00:00:00Z"), asmLane("b", "2026-01-01T00:00:00Z")];
  const { snapshot } = compile(withModule([group, ...lanes]));
  assert.deepEqual(snapshot.laneGroups["/canary"]?.baseline, { kind: "lane", lane: "b" });
  assert.deepEqual(snapshot.laneGroups["/canary"].context.mode, "header");
});

test("only ready pods not being deleted are endpoints; placed ones keep their sidecar", () => {
  const pod = (name: string, status: object, more: object = {}): Resource => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      labels: { app: "cart" },
      annotations: {
        "local.graylane.io/ports": '{"8080":"127.64.0.1:1234"}',
        "local.graylane.io/outbound": "127.0.0.1:2345",
      },
      ...more,
    },
    spec: { containers: [] },
    status,
  });
  const ready = { podIP: "127.10.0.1", conditions: [{ type: "Ready", status: "True" }] };
  const { snapshot } = compile(
    withModule([
      service,
      pod("ready", ready),
      pod("starting", { ...ready, conditions: [{ type: "Ready", status: "False" }] }),
      pod("leaving", ready, { deletionTimestamp: "2026-01-01T00:00:00Z" }),
      pod("unplaced", { conditions: ready.conditions }),
    ]),
  );
  const set = snapshot.endpoints["outbound|80||cart.default.svc.cluster.local"];
  assert.deepEqual(set?.endpoints, [
    { address: "127.10.0.1", port: 8080, pod: "default/ready", labels: { app: "cart" } },
  ]);
  assert.deepEqual(Object.keys(snapshot.workloads), [
    "default/leaving",
    "default/ready",
    "default/starting",
  ]);
});

test("annotations of a pod that cannot be read are a message and no workload", () => {
  const annotations = {
    "local.graylane.io/ports": "[",
    "local.graylane.io/outbound": "127.0.0.1:1",
  };
  const broken: Resource = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "default", annotations },
    spec: { containers: [] },
    status: { podIP: "127.10.0.1" },
  };
  const { snapshot, messages } = compile(withModule([broken]));
  assert.deepEqual(snapshot.workloads, {});
  assert.deepEqual(codes(messages), ["error GL0212"]);
});

test("a destination's host is read as Kubernetes' DNS would", () => {
  const cases = [
    ["cart", "shop/cart"],
    ["cart.other", "other/cart"],
    ["Cart.other.svc", "other/cart"],
    ["cart.other.svc.cluster.local", "other/cart"],
    ["cart.other.svc.cluster.local.", "other/cart"],
    ["api.example.com", null],
  ] as const;
  for (const [host, want] of cases) assert.equal(serviceKeyOf(host, "shop"), want, host);
});

test("durations are read in Go's writing", () => {
  const cases = { "5s": 5_000, "1m30s": 90_000, "250ms": 250, "1.5s": 1_500, "0s": 0, "1h": 3.6e6 };
  for (const [text, wantMs] of Object.entries(cases)) assert.equal(durationMs(text), wantMs, text);
});

test("comparing messages gives what is new, also when only its severity is", () => {
  const { messages } = compile(withoutModule([gateway, plugin()]));
  assert.deepEqual(compareMessages(messages, messages), []);
  const softer = messages.map((message) => ({ ...message, severity: "info" as const }));
  assert.equal(compareMessages(messages, softer).length, messages.length);
});
