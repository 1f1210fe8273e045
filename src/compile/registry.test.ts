import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";
import type { RegistryAnswer, RegistryAnswers, RegistryInstance } from "./registry.ts";

const HOST = "sc-a.default-group.public.nacos";
const CLUSTER = `outbound|20001||${HOST}`;
const TAG = "alicloud.service.tag";

const BRIDGE = `---
apiVersion: networking.higress.io/v1
kind: McpBridge
metadata: {name: default, namespace: higress-system}
spec:
  registries:
  - {name: nacos, type: nacos2, domain: nacos.example, port: 8848, nacosGroups: [DEFAULT_GROUP]}
`;
const ROUTES = `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  gateways: [gw]
  hosts: ['*']
  http: [{route: [{destination: {host: sc-A.DEFAULT-GROUP.public.nacos}}]}]
`;
const LANES = `---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: g, namespace: default}
spec:
  entry: {gateways: [{name: gw}]}
  services: [{name: ${HOST}}]
  context: {routeHeader: x-lane}
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray, namespace: default}
spec:
  group: g
  selector: {matchLabels: {${TAG}: gray}}
  rule: {header: canary, operator: '==', value: gray}
`;
const POD = `---
apiVersion: v1
kind: Pod
metadata: {name: a-1, namespace: shop, labels: {${TAG}: gray, app: a}}
spec: {containers: [{name: a, image: x}]}
status: {podIP: 10.0.0.3, conditions: [{type: Ready, status: 'True'}]}
`;

function instance(address: string, more: Partial<RegistryInstance> = {}): RegistryInstance {
  return { address, port: 20001, weight: 1, metadata: {}, ...more };
}

function answered(...instances: readonly RegistryInstance[]): RegistryAnswer {
  const services = [{ host: HOST, port: 20001, isHttp2: false, instances }];
  return { services, fault: "", heardAt: "", leftOut: [] };
}

/** Of the one registry; undefined: nobody is asked. */
function compiled(text: string, answer?: RegistryAnswer): CompileResult {
  const resources = parseManifests(text, "t.yaml").documents.map(({ value, positionOf }) => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  const registries: RegistryAnswers | undefined =
    answer === undefined
      ? undefined
      : { version: "1", answers: new Map([["higress-system/default#nacos", answer]]) };
  const rest = registries === undefined ? {} : { registries };
  return compile({ resources, modules: new Map(), ...rest });
}

const said = ({ messages }: CompileResult): string[] =>
  messages.map(({ code, severity, path, message }) => `${code} ${severity} ${path}: ${message}`);

const endpointsOf = ({ snapshot }: CompileResult): readonly object[] =>
  snapshot.endpoints[CLUSTER]?.endpoints ?? [];

describe("a service of a registry", () => {
  test("is a destination by the name that Higress gives it, in any case", () => {
    const result = compiled(BRIDGE + ROUTES, answered(instance("10.0.0.1")));
    assert.deepEqual(said(result), []);
    const routes = Object.values(result.snapshot.routeTables).flatMap(({ virtualHosts }) =>
      virtualHosts.flatMap((host) => host.routes),
    );
    const [action] = routes.map((route) => route.action);
    assert.ok(action?.kind === "forward", JSON.stringify(action));
    const { target } = action.destinations[0] ?? {};
    assert.deepEqual(target, { kind: "cluster", cluster: CLUSTER, subset: null });
  });

  test("has its instances' metadata for labels, over those of the Pod that has the address", () => {
    const result = compiled(
      BRIDGE + POD,
      answered(
        instance("10.0.0.1", { metadata: { [TAG]: "gray" } }),
        instance("10.0.0.3", { metadata: { app: "b" } }),
      ),
    );
    assert.deepEqual(endpointsOf(result), [
      { address: "10.0.0.1", port: 20001, pod: "", labels: { [TAG]: "gray" } },
      { address: "10.0.0.3", port: 20001, pod: "shop/a-1", labels: { [TAG]: "gray", app: "b" } },
    ]);
  });

  test("has no endpoint where its Pod is not ready", () => {
    const unready = POD.replace("'True'", "'False'");
    const result = compiled(BRIDGE + unready, answered(instance("10.0.0.3")));
    assert.deepEqual(endpointsOf(result), []);
  });

  test("has weights in whole numbers, and none where all are alike", () => {
    const weights = (...all: readonly number[]): unknown[] => {
      const instances = all.map((weight, index) => instance(`10.0.0.${index}`, { weight }));
      return endpointsOf(compiled(BRIDGE, answered(...instances))).map((endpoint) =>
        "weight" in endpoint ? endpoint.weight : undefined,
      );
    };
    assert.deepEqual(weights(2, 2), [undefined, undefined]);
    assert.deepEqual(weights(1, 3), [1, 3]);
    assert.deepEqual(weights(0.5, 1, 0.001), [50, 100, 1]);
  });

  test("is a member of lanes, and the lane's status counts its instances", () => {
    const gray = instance("10.0.0.2", { metadata: { [TAG]: "gray" } });
    const result = compiled(BRIDGE + ROUTES + LANES, answered(instance("10.0.0.1"), gray));
    assert.deepEqual(said(result), []);
    assert.deepEqual(result.snapshot.laneGroups["default/g"]?.services, [HOST]);
    const member = { service: HOST, workloads: ["10.0.0.2:20001"], pods: 1, ready: 1 };
    const { services, members } = result.findings.get("Lane default/gray") ?? {};
    assert.deepEqual([services, members], ["1/1", [member]]);
  });

  test("whose instances are all stray or gone is told of", () => {
    const stray = instance("10.0.0.2", { metadata: { [TAG]: "blue" } });
    const result = compiled(BRIDGE + ROUTES + LANES, answered(stray));
    const codes = result.messages.map(({ code }) => code);
    assert.deepEqual(codes, ["GL0309", "GL0308"]);
  });

  test("is unknown and no error where nobody asks, an error where the registry has it not", () => {
    const offline = compiled(BRIDGE + ROUTES + LANES);
    const codes = offline.messages.map(({ code, severity }) => `${code} ${severity}`);
    assert.deepEqual(codes, ["GL0309 info", "GL0296 info"]);
    const asked = compiled(BRIDGE + ROUTES + LANES, { ...answered(), services: [] });
    assert.deepEqual(
      said(asked).filter((line) => /GL0201|GL0303|GL0295/.test(line)),
      [
        `GL0303 warning spec.services[0]: no registry has the service ${HOST}`,
        "GL0295 warning spec.registries[0]: the registry nacos has no service in the namespace " +
          "public, groups DEFAULT_GROUP",
        "GL0201 error spec.http[0].route[0].destination.host: no registry has the service " +
          "sc-A.DEFAULT-GROUP.public.nacos: requests that take the route answer 503",
      ],
    );
  });

  test("gives way to a ServiceEntry for its host", () => {
    const entry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: default}
spec:
  hosts: [${HOST}]
  ports: [{number: 20001, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.9.9.9}]
`;
    const result = compiled(BRIDGE + entry, answered(instance("10.0.0.1")));
    assert.deepEqual(
      endpointsOf(result).map((endpoint) => "address" in endpoint && endpoint.address),
      ["10.9.9.9"],
    );
  });
});

describe("the status of an McpBridge", () => {
  const heardAt = "2026-11-22T18:00:00Z";
  const statusOf = (result: CompileResult): unknown =>
    result.findings.get("McpBridge higress-system/default")?.["registries"];

  test("counts what is followed", () => {
    const result = compiled(BRIDGE, answered(instance("10.0.0.1"), instance("10.0.0.2")));
    const state = { name: "nacos", state: "Connected", services: 1, instances: 2 };
    assert.deepEqual(statusOf(result), [state]);
  });

  test("says since when what it has is old", () => {
    const away = { ...answered(instance("10.0.0.1")), fault: "ECONNREFUSED", heardAt };
    const result = compiled(BRIDGE, away);
    assert.deepEqual(statusOf(result), [
      { name: "nacos", state: "Away", services: 1, instances: 1, lastHeard: heardAt },
    ]);
    assert.deepEqual(said(result), [
      "GL0293 warning spec.registries[0]: the registry nacos at nacos.example:8848 " +
        "cannot be read (ECONNREFUSED): its last 1 services stay in use, " +
        `as they were at ${heardAt}`,
    ]);
  });

  test("says that there is nothing yet, and what is left out", () => {
    const never = compiled(BRIDGE, { services: [], fault: "no", heardAt: "", leftOut: [] });
    assert.match(said(never).join(), /^GL0293 error .*none of its services has an endpoint$/);
    const partly = compiled(BRIDGE, { ...answered(), leftOut: ["a:b", "c:d"] });
    assert.match(said(partly).join(), /^GL0294 warning .*cannot be called: a:b, c:d$/);
  });

  test("says what kinds of registry are not asked", () => {
    const result = compiled(BRIDGE.replace("nacos2", "consul"), answered());
    assert.deepEqual(statusOf(result), [
      { name: "nacos", state: "Unsupported", services: 0, instances: 0 },
    ]);
  });
});
