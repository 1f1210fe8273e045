//! The routes that ASM's lane objects make, asked with the route and lane code of the data plane.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decideAmong, decisionByRoute } from "../../src/lane/decide.ts";
import type { LaneDecision } from "../../src/lane/decide.ts";
import { prepareLanes } from "../../src/lane/prepare-lanes.ts";
import type { Resource } from "../../src/resources/object.ts";
import { parseManifests } from "../../src/resources/parse.ts";
import { validateResource } from "../../src/resources/validate.ts";
import { matchRoute, prepareRouteTable } from "../../src/route/route.ts";
import type { Route, Snapshot } from "../../src/snapshot/snapshot.ts";
import { compile } from "../../src/compile/compile.ts";
import type { CompileResult } from "../../src/compile/compile.ts";

const BASE = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ingressgateway, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: v1
kind: Service
metadata: {name: mocka}
spec: {selector: {app: mocka}, ports: [{port: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {selector: {app: other}, ports: [{port: 80}]}
---
`;

const group = (ingressRouting = "{}", more = ""): string => `
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLaneGroup
metadata: {name: canary}
spec:
  ingress:
    gateway: {name: ingressgateway, namespace: istio-system, type: ASM}
    ingressRouting: ${ingressRouting}
  isPermissive: true
  permissiveModeConfiguration: {fallbackTarget: s1, routeHeader: x-asm-prefer-tag}
  services: [{name: mocka}]
  ${more}
---
`;

const lane = (name: string, more: string): string => `
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLane
metadata: {name: ${name}, labels: {swimlane-group: canary}}
spec:
  labelSelector: {ASM_TRAFFIC_TAG: ${name}}
  ${more}
---
`;

const TO_A = "route: {destination: {host: mocka.default.svc.cluster.local, portNum: 8000}}";
const rules = (...list: readonly string[]): string => `ingressRules: [${list.join(", ")}]`;

const virtualService = (host: string, http: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mine, namespace: web}
spec: {gateways: [istio-system/ingressgateway], hosts: ["${host}"], http: [${http}]}
---
`;

function run(...texts: readonly string[]): CompileResult {
  const { documents } = parseManifests(BASE + texts.join(""), "t.yaml");
  const resources = documents.map(({ value, positionOf }): Resource => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  return compile({ resources, modules: new Map() });
}

interface Asked {
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** For a draw, from 0 to below 1. */
  readonly draw?: number;
}

/** `route id | reason lane` as the gateway decides; `404` without a route. */
function ask({ snapshot }: CompileResult, asked: Asked): string {
  const { path = "/mock", host = "shop.example", headers = {} } = asked;
  const table = snapshot.routeTables["istio=ingressgateway:80"];
  assert.ok(table !== undefined);
  const header = (name: string): string | undefined => headers[name];
  const request = { method: "GET", path, authority: host, header };
  const route = matchRoute(prepareRouteTable(table), request);
  if (route?.action.kind !== "forward") return "404";
  const decision = decide(snapshot, route, asked);
  return `${route.id} | ${decision.reason} ${decision.lane}`;
}

function decide(
  snapshot: Snapshot,
  { id, action }: Route,
  { path = "/mock", headers = {}, draw = 0 }: Asked,
): LaneDecision {
  const lanes = prepareLanes(snapshot);
  const target = action.kind === "forward" ? action.destinations[0]?.target : undefined;
  if (target?.kind === "cluster" && target.subset?.kind === "lane") {
    const group = lanes.groups.get(target.subset.group);
    assert.ok(group !== undefined);
    return decisionByRoute(group, target.subset.lane);
  }
  const operand = (kind: string, name: string): string | undefined =>
    kind === "path" ? path : headers[name];
  const decision = decideAmong(lanes.byGateway.get("istio=ingressgateway") ?? [], {
    context: (name) => headers[name],
    operand,
    isEntry: true,
    cohort: {
      routeId: id,
      read: operand,
      issueId: () => undefined,
      below: (limit) => Math.floor(draw * limit),
    },
  });
  assert.ok(decision !== null);
  return decision;
}

function told({ messages }: CompileResult, ...codes: readonly string[]): string[] {
  return messages
    .filter(({ code }) => codes.includes(code))
    .map(({ severity, code, object, path, message }) =>
      [severity, code, object?.name, path, message].join(" "),
    );
}

test("a rule makes a route to its service, in its lane, at its hosts", () => {
  const result = run(
    group(),
    lane(
      "s1",
      rules(`{name: r1, online: true, hosts: ["*"], match: {uri: {exact: /mock}}, ${TO_A}}`),
    ),
    lane(
      "s2",
      rules(
        `{name: r2, hosts: [gray.example], match: {uri: {prefix: /}}, ${TO_A}}`,
        `{name: off, online: false, match: {uri: {exact: /off}}, ${TO_A}}`,
      ),
    ),
  );
  const cases: readonly (readonly [Asked, string])[] = [
    [{}, "/s1/ingressRules[0] | route s1"],
    [{ path: "/else" }, "404"],
    [{ path: "/off" }, "404"],
    // The wider rule holds at the narrower host too.
    [{ host: "gray.example" }, "/s1/ingressRules[0] | route s1"],
    [{ host: "gray.example", path: "/else" }, "/s2/ingressRules[0] | route s2"],
  ];
  for (const [asked, expected] of cases) assert.equal(ask(result, asked), expected);
  assert.deepEqual(told(result, "GL0201", "GL0203", "GL0206", "GL0315", "GL0360"), []);
  const hosts = result.snapshot.routeTables["istio=ingressgateway:80"]?.virtualHosts ?? [];
  const [first] = hosts.flatMap(({ routes }) => routes);
  assert.deepEqual(first?.source, { kind: "ASMSwimLane", namespace: "", name: "s1" });
  assert.equal(first.label, "r1");
});

test("rules by the route header, as ASM's console writes them, believe what clients send", () => {
  const byTag = (tag: string): string =>
    lane(
      tag,
      rules(
        `{match: {uri: {exact: /mock}, headers: {x-asm-prefer-tag: {exact: ${tag}}}}, ${TO_A}}`,
      ),
    );
  const result = run(group(), byTag("s1"), byTag("s2"));
  const at = (tag: string): string => ask(result, { headers: { "x-asm-prefer-tag": tag } });
  assert.equal(at("s1"), "/s1/ingressRules[0] | route s1");
  assert.equal(at("s2"), "/s2/ingressRules[0] | route s2");
  assert.equal(ask(result, {}), "404");
  assert.equal(result.snapshot.laneGroups["/canary"]?.stripFromClients, false);
  assert.match(told(result, "GL0211")[0] ?? "", / s2 spec.ingressRules .*x-asm-prefer-tag/);
});

test("a rule that does not say whether it is online is, and that is told", () => {
  const result = run(group(), lane("s2", rules(`{match: {uri: {exact: /mock}}, ${TO_A}}`)));
  assert.equal(ask(result, {}), "/s2/ingressRules[0] | route s2");
  assert.deepEqual(told(result, "GL0363"), [
    "info GL0363 s2 spec.ingressRules[0] the rule does not say whether it is online, and is " +
      "taken to be",
  ]);
});

test("what ASM's own server writes for absent parts means none", () => {
  const empty = rules(`{match: {uri: {}}, route: {destination: {}}}`);
  const result = run(
    group("{weightedRoutingRule: {}}"),
    lane("s2", `${empty}\n  ingressWeight: {destination: {}}`),
  );
  assert.match(told(result, "GL0315")[0] ?? "", /left out: it has no match, and it names no/);
  assert.deepEqual(told(result, "GL0361"), []);
  assert.equal(ask(result, {}), "404");
});

test("a rule without a match takes every request of its hosts, and that is told", () => {
  const result = run(group(), lane("s2", rules(`{hosts: [a.example], ${TO_A}}`)));
  assert.equal(ask(result, { host: "a.example", path: "/x" }), "/s2/ingressRules[0] | route s2");
  assert.match(told(result, "GL0315")[0] ?? "", /takes every request of its hosts/);
});

test("a service that is missing, or not of the group, is told where the rule names it", () => {
  const rule = (host: string): string => rules(`{route: {destination: {host: ${host}}}}`);
  const missing = run(group(), lane("s2", rule("nowhere")));
  assert.match(
    told(missing, "GL0201")[0] ?? "",
    /^error GL0201 s2 spec\.ingressRules\[0\]\.route\.destination\.host no Service is /,
  );
  const stranger = run(group(), lane("s2", rule("other")));
  assert.match(told(stranger, "GL0311")[0] ?? "", /the service other is not of the lane group/);
  assert.equal(ask(stranger, {}), "/s2/ingressRules[0] | baseline null");
});

test("a VirtualService's route for the same requests is tried first, and both are named", () => {
  const rule = lane("s2", rules(`{match: {uri: {prefix: /mock}}, ${TO_A}}`));
  const mine = "{match: [{uri: {exact: /mock}}], route: [{destination: {host: other.default}}]}";
  const both = run(group(), rule, virtualService("*", mine));
  assert.equal(ask(both, {}), "web/mine/http[0] | rule s2");
  assert.equal(ask(both, { path: "/mock/2" }), "/s2/ingressRules[0] | route s2");
  assert.deepEqual(told(both, "GL0360", "GL0206"), [
    "warning GL0360 s2 spec.ingressRules[0] the VirtualService web/mine has a route for such " +
      "requests of the host * too (http[0]): that one is tried first",
  ]);
  const elsewhere = mine.replace("/mock", "/web");
  assert.deepEqual(told(run(group(), rule, virtualService("*", elsewhere)), "GL0360"), []);
  const narrow = lane("s2", rules(`{hosts: [a.example], match: {uri: {prefix: /m}}, ${TO_A}}`));
  assert.match(
    told(run(group(), narrow, virtualService("*", elsewhere)), "GL0360")[0] ?? "",
    /the host a\.example is narrower than those of the VirtualService web\/mine/,
  );
});

const WEIGHTED = `{ingressRoutingStrategy: weighted, weightedRoutingRule: {
      hosts: [shop.example], requestMatches: [
        {uri: {exact: /mock}, headers: {test: {exact: "yes"}}}, {uri: {prefix: /b}}]}}`;
const weight = (percent: number, host = "mocka"): string =>
  `ingressWeight: {destination: {host: ${host}, portNum: 8000}, weight: ${percent}}`;

test("weights make one route, and the lanes' shares of it", () => {
  const result = run(group(WEIGHTED), lane("s1", weight(60)), lane("s2", weight(30)));
  const yes = { headers: { test: "yes" } };
  const id = "/canary/weightedRoutingRule";
  const at = (draw: number): string => ask(result, { ...yes, draw });
  assert.deepEqual(
    [at(0.59), at(0.61), at(0.89), at(0.91)],
    [`${id} | cohort s1`, `${id} | cohort s2`, `${id} | cohort s2`, `${id} | baseline null`],
  );
  assert.equal(ask(result, { path: "/b/2", draw: 0.7 }), `${id} | cohort s2`);
  assert.equal(ask(result, {}), "404");
  assert.equal(ask(result, { ...yes, host: "else.example" }), "404");
  assert.deepEqual([...result.allocations], [], "a draw has no history to keep");
  assert.deepEqual(told(result, "GL0340", "GL0342", "GL0361"), []);
  const { share, shares } = result.findings.get("ASMSwimLane /s2") ?? {};
  assert.equal(share, "0 % to 30 %");
  assert.deepEqual(shares, [
    { route: "*", share: "0 %" },
    { route: id, share: "30 %" },
  ]);
});

test("shares of a weighted group are of its own route only", () => {
  const mine = "{match: [{uri: {exact: /web}}], route: [{destination: {host: mocka.default}}]}";
  const result = run(group(WEIGHTED), lane("s2", weight(100)), virtualService("*", mine));
  assert.equal(ask(result, { host: "x", path: "/web" }), "web/mine/http[0] | baseline null");
  const hidden = /the host shop\.example is narrower .*web\/mine/;
  assert.match(told(result, "GL0360")[0] ?? "", hidden);
});

test("weights above 100 are an error that names all lanes, and the baseline has all", () => {
  const result = run(group(WEIGHTED), lane("s1", weight(60)), lane("s2", weight(50)));
  assert.deepEqual(told(result, "GL0340"), [
    "error GL0340 canary spec.ingress.ingressRouting at the base route " +
      "/canary/weightedRoutingRule the shares come to 110 %: " +
      "lane group /canary (s1 60 %, s2 50 %)",
  ]);
  assert.equal(ask(result, { path: "/b" }), "/canary/weightedRoutingRule | baseline null");
});

test("weights that lead to two services, or to none, are told", () => {
  const two = run(group(WEIGHTED), lane("s1", weight(60)), lane("s2", weight(30, "other")));
  assert.deepEqual(told(two, "GL0361"), [
    "warning GL0361 s2 spec.ingressWeight.destination the lane leads to default/other:8000, and " +
      "s1 to default/mocka:8000: one route leads to one service, and that one counts",
  ]);
  const none = run(group(WEIGHTED), lane("s1", "ingressWeight: {weight: 5}"));
  assert.match(told(none, "GL0361")[0] ?? "", /no lane names a destination in ingressWeight/);
});

test("of rules and weights the strategy says which have effect", () => {
  const rule = rules(`{match: {uri: {exact: /mock}}, ${TO_A}}`);
  const byRule = run(group(), lane("s2", `${rule}\n  ${weight(50)}`));
  assert.match(told(byRule, "GL0361")[0] ?? "", / s2 spec\.ingressWeight .* canary is rule_based/);
  assert.equal(ask(byRule, {}), "/s2/ingressRules[0] | route s2");
  const byWeight = run(group(WEIGHTED), lane("s2", `${rule}\n  ${weight(50)}`));
  assert.match(told(byWeight, "GL0361")[0] ?? "", / s2 spec\.ingressRules .* canary is weighted/);
  assert.equal(byWeight.snapshot.laneGroups["/canary"]?.lanes[0]?.rule, null);
});

test("routes of a group that names no gateway are told to be missing", () => {
  const homeless = group()
    .replace(/gateway: \{.*\}/, "ingressRouting2: {}")
    .replace(/.*Routing2.*/, "");
  const result = run(homeless, lane("s2", rules(`{match: {uri: {exact: /mock}}, ${TO_A}}`)));
  assert.match(told(result, "GL0315")[0] ?? "", /makes no route: the group names no gateway/);
});
