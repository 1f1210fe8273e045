import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HostIndex } from "../lane/host-index.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";

const WORLD = `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: team}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: web}
spec: {selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
`;

const POD = `---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: team, labels: {app: shop}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 127.1.0.1, conditions: [{type: Ready, status: "True"}]}
`;

function object(kind: string, spec: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: one, namespace: team}
spec: {${spec}}
`;
}

function compiled(text: string): { readonly snapshot: Snapshot; readonly said: string[] } {
  const resources = parseManifests(WORLD + text, "t.yaml").documents.map((document) => {
    const { resource, faults } = validateResource(document.value, document.positionOf);
    assert.ok(resource !== null && faults.length === 0, JSON.stringify(faults));
    return resource;
  });
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const said = messages
    .filter(({ code }) => code !== "GL0215")
    .map(({ code, path, message }) => `${code} ${path}: ${message}`);
  return { snapshot, said };
}

const routesIn = ({ routeTables }: Snapshot): number =>
  routeTables["a=b:80"]?.virtualHosts.flatMap(({ routes }) => routes).length ?? 0;

const TO = (host: string, more = ""): string =>
  object(
    "VirtualService",
    `hosts: ["*"], gateways: [web/g], http: [{route: [{destination: {host: ${host}}}]}]${more}`,
  );

describe("a VirtualService serves at a Gateway of", () => {
  for (const [exportTo, want] of [
    ["", true],
    ["[]", true],
    ['["*"]', true],
    ["[web]", true],
    ["[other, web]", true],
    ['["."]', false],
    ['["~"]', false],
    ["[other]", false],
  ] as const) {
    test(`web ${want ? "with" : "not with"} exportTo ${exportTo || "absent"}`, () => {
      const more = exportTo === "" ? "" : `, exportTo: ${exportTo}`;
      const { snapshot, said } = compiled(TO("shop", more) + POD);
      assert.equal(routesIn(snapshot), want ? 1 : 0);
      const wanted = "GL0286 spec.exportTo: not exported to the namespace of the Gateway web/g,";
      assert.deepEqual(
        said.filter((line) => line.startsWith("GL0286")).map((line) => line.startsWith(wanted)),
        want ? [] : [true],
      );
    });
  }
});

const ENTRY = (exportTo: string): string =>
  object(
    "ServiceEntry",
    `hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}],
     resolution: STATIC, endpoints: [{address: 127.1.0.9}], exportTo: ${exportTo}`,
  );
const CLUSTER = "outbound|80||api.example.com";

describe("a ServiceEntry's host", () => {
  for (const [exportTo, atGateway, inTeam, inOther] of [
    ['["*"]', true, true, true],
    ['["."]', false, true, false],
    ["[web, other]", true, false, true],
    ['["~"]', false, false, false],
  ] as const) {
    test(`exported to ${exportTo} is known there, and nowhere else`, () => {
      const { snapshot, said } = compiled(TO("api.example.com") + ENTRY(exportTo));
      const [route] = snapshot.routeTables["a=b:80"]?.virtualHosts[0]?.routes ?? [];
      const target = route?.action.kind === "forward" ? route.action.destinations[0]?.target : null;
      assert.equal(target?.kind, atGateway ? "cluster" : "missing");
      assert.equal(said.filter((line) => line.startsWith("GL0287")).length, atGateway ? 0 : 1);
      const hosts = new HostIndex(snapshot);
      const isKnown = (namespace: string): boolean =>
        hosts.resolve("api.example.com", namespace)?.cluster.name === CLUSTER;
      assert.deepEqual([isKnown("team"), isKnown("other")], [inTeam, inOther]);
    });
  }
});

describe("a DestinationRule", () => {
  const rule = (exportTo: string): string =>
    object(
      "DestinationRule",
      `host: shop, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, exportTo: ${exportTo}`,
    );
  for (const [exportTo, isUsed, says] of [
    ['["*"]', true, null],
    ["[web, team]", true, null],
    ['["."]', true, /^GL0285 spec.exportTo: counts for the callers of web as well/],
    ["[web]", true, /^GL0285 spec.exportTo: counts for the callers of team as well/],
    ["[other]", false, /^GL0285 spec.exportTo: exported to none of team, web/],
    ['["~"]', false, /^GL0285 spec.exportTo: exported to none of/],
  ] as const) {
    test(`with exportTo ${exportTo} is ${isUsed ? "used" : "not used"}`, () => {
      const { snapshot, said } = compiled(TO("shop") + POD + rule(exportTo));
      const { policy } = snapshot.clusters["outbound|80||shop.team.svc.cluster.local"] ?? {};
      assert.equal(policy?.loadBalancer?.kind, isUsed ? "round-robin" : undefined);
      const about = said.filter((line) => line.startsWith("GL0285"));
      assert.equal(about.length, says === null ? 0 : 1);
      if (says !== null) assert.match(about[0] ?? "", says);
    });
  }

  test("of two the first that is seen counts", () => {
    const first = rule("[other]").replace("name: one", "name: a").replace("ROUND_ROBIN", "RANDOM");
    const { snapshot } = compiled(TO("shop") + POD + first + rule('["*"]'));
    const { policy } = snapshot.clusters["outbound|80||shop.team.svc.cluster.local"] ?? {};
    assert.equal(policy?.loadBalancer?.kind, "round-robin");
  });
});
