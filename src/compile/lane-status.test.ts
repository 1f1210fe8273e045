import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import { compile } from "./compile.ts";

const GROUP = `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop}
spec:
  entry: {gateways: [{name: gw}]}
  services: [{name: a}, {name: b}, {name: c}]
  baseline: {}
  context: {routeHeader: x-lane}`;

const lane = (name: string, more = ""): string => `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: ${name}}
spec: {group: shop, selector: {matchLabels: {lane: ${name}}}${more}}`;

const service = (name: string): string => `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{port: 80}]}`;

const deployment = (name: string, labels: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {run: ${name}}}
  template:
    metadata: {labels: {run: ${name}, ${labels}}}
    spec: {containers: [{name: c, image: i}]}`;

const pod = (name: string, labels: string, ready = "True"): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {${labels}}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "${ready}"}]}`;

const SERVICES = [service("a"), service("b"), service("c")];

function read(texts: readonly string[]): Resource[] {
  return texts.map((text) => {
    const [document] = parseManifests(text, "t.yaml").documents;
    assert.ok(document !== undefined);
    const { resource, faults } = validateResource(document.value, document.positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
}

/** What the status of `kind default/name` says; undefined: nothing was found out about it. */
function findings(
  of: string,
  ...texts: readonly string[]
): Readonly<Record<string, unknown>> | undefined {
  const nowMs = Date.UTC(2027, 0, 1);
  return compile({ resources: read(texts), modules: new Map(), nowMs }).findings.get(of);
}

test("a lane's status names the Deployments and counts the pods of each service", () => {
  const status = findings(
    "Lane default/gray",
    ...[GROUP, lane("gray"), ...SERVICES],
    deployment("a-gray", "app: a, lane: gray"),
    ...[pod("a-gray-1", "run: a-gray, app: a, lane: gray"), pod("a-base", "app: a")],
    pod("a-gray-2", "run: a-gray, app: a, lane: gray", "False"),
    deployment("b-gray", "app: b, lane: gray"),
    pod("c-gray", "app: c, lane: gray"),
    pod("c-blue", "app: c, lane: blue"),
  );
  assert.deepEqual(status, {
    state: "Open",
    services: "2/3",
    members: [
      { service: "default/a", workloads: ["Deployment default/a-gray"], pods: 2, ready: 1 },
      { service: "default/b", workloads: ["Deployment default/b-gray"], pods: 0, ready: 0 },
      { service: "default/c", workloads: ["Pod default/c-gray"], pods: 1, ready: 1 },
    ],
  });
});

test("a lane that names services is measured by those, and a missing Service has no pods", () => {
  const status = findings(
    "Lane default/gray",
    ...[GROUP, lane("gray", ", services: [{name: a}, {name: c}, {name: other}]"), service("a")],
    pod("a-gray", "app: a, lane: gray"),
  );
  assert.equal(status?.["services"], "1/2");
  assert.deepEqual(status["members"], [
    { service: "default/a", workloads: ["Pod default/a-gray"], pods: 1, ready: 1 },
    { service: "default/c", workloads: [], pods: 0, ready: 0 },
  ]);
});

test("a pod whose label the service and the lane want differently is of neither", () => {
  const selecting = service("a").replace("app: a", "app: a, lane: base");
  const status = findings(
    "Lane default/gray",
    ...[GROUP, lane("gray"), selecting, pod("p", "app: a, lane: base")],
  );
  assert.equal(status?.["services"], "0/3");
});

for (const { name, more, want } of [
  { name: "closed", more: ", enabled: false", want: "Closed" },
  { name: "expired", more: `, expiresAt: "2026-12-31T00:00:00Z"`, want: "Expired" },
  { name: "open", more: "", want: "Open" },
]) {
  test(`a lane that is ${name} says so, and the group counts it`, () => {
    const texts = [GROUP, lane("gray", more), lane("blue"), ...SERVICES];
    assert.equal(findings("Lane default/gray", ...texts)?.["state"], want);
    const open = want === "Open" ? "2/2" : "1/2";
    assert.equal(findings("LaneGroup default/shop", ...texts)?.["openLanes"], open);
  });
}

test("a lane without a group has no findings", () => {
  assert.equal(findings("Lane default/gray", lane("gray")), undefined);
});

test("a group's status lists its lanes, the baseline's pods and the shares of each route", () => {
  const virtualService = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: ["*"]
  gateways: [gw]
  http: [{route: [{destination: {host: a}}]}]`;
  const gateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]`;
  const texts = [
    ...[`${GROUP}\n  ratio: {sticky: true, key: {header: x-user}}`, ...SERVICES],
    ...[gateway, virtualService],
    lane("gray", `, ratio: {percent: "10%", routes: [{virtualService: vs, percent: "25%"}]}`),
    lane("blue", `, ratio: {percent: "0.5%"}`),
    ...[lane("shut", `, enabled: false, ratio: {percent: "1%"}`), lane("ruled")],
    ...[pod("a-1", "app: a"), pod("b-gray", "app: b, lane: gray")],
  ];
  assert.deepEqual(findings("LaneGroup default/shop", ...texts), {
    openLanes: "3/4",
    lanes: [
      { lane: "blue", state: "Open", services: "0/3", share: "0.5 %" },
      { lane: "gray", state: "Open", services: "1/3", share: "10 % to 25 %" },
      { lane: "ruled", state: "Open", services: "0/3" },
      { lane: "shut", state: "Closed", services: "0/3", share: "0 %" },
    ],
    baseline: [
      { service: "default/a", workloads: ["Pod default/a-1"], pods: 1, ready: 1 },
      { service: "default/b", workloads: [], pods: 0, ready: 0 },
      { service: "default/c", workloads: [], pods: 0, ready: 0 },
    ],
    shares: [
      {
        route: "*",
        lanes: [
          { lane: "blue", share: "0.5 %" },
          { lane: "gray", share: "10 %" },
        ],
        baseline: "89.5 %",
      },
      {
        route: "default/vs",
        lanes: [
          { lane: "blue", share: "0.5 %" },
          { lane: "gray", share: "25 %" },
        ],
        baseline: "74.5 %",
      },
    ],
  });
  assert.deepEqual(findings("Lane default/gray", ...texts)?.["shares"], [
    { route: "*", share: "10 %" },
    { route: "default/vs", share: "25 %" },
  ]);
});
