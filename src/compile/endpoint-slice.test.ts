import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Resource } from "../resources/object.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";

function compiled(...texts: readonly string[]): CompileResult {
  const { documents } = parseManifests(texts.join("---\n"), "t.yaml");
  const resources = documents.map(({ value, positionOf }): Resource => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  return compile({ resources, modules: new Map() });
}

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: stock, namespace: shop}
spec: {ports: [{name: web, port: 80}, {name: admin, port: 90}]}
`;
const SELECTING = SERVICE.replace("spec: {", "spec: {selector: {app: stock}, ");

const POD = `apiVersion: v1
kind: Pod
metadata: {name: stock-1, namespace: shop, labels: {app: other, version: gray}}
spec: {containers: [{name: app}]}
status: {podIP: 10.0.0.9, conditions: [{type: Ready, status: "True"}]}
`;

interface SliceText {
  readonly name?: string;
  readonly labels?: string;
  readonly type?: string;
  readonly ports?: string;
}

function slice(
  endpoints: string,
  { name = "a", labels = "", type = "IPv4", ports = "[{name: web, port: 8080}]" }: SliceText = {},
): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: stock-${name}
  namespace: shop
  labels: {kubernetes.io/service-name: stock${labels}}
addressType: ${type}
endpoints: ${endpoints}
ports: ${ports}
`;
}

const CLUSTER = "outbound|80||stock.shop.svc.cluster.local";

function endpointsOf({ snapshot }: CompileResult, cluster = CLUSTER): string[] {
  const { endpoints = [] } = snapshot.endpoints[cluster] ?? {};
  return endpoints.map(({ address, port, pod, labels }) => {
    const own = pod === "" ? "" : ` ${pod} ${JSON.stringify(labels)}`;
    return `${address}:${port}${own}`;
  });
}

const ONE = "[{addresses: [10.0.0.1]}]";

const CASES: readonly { readonly name: string; readonly texts: string[]; readonly is: string[] }[] =
  [
    { name: "has the endpoints of its slice", texts: [slice(ONE)], is: ["10.0.0.1:8080"] },
    {
      name: "has those of all its slices, each once",
      texts: [
        slice(ONE),
        slice("[{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]", { name: "b" }),
      ],
      is: ["10.0.0.1:8080", "10.0.0.2:8080"],
    },
    {
      name: "has those that are ready, and those of which nothing is known",
      texts: [
        slice(`[{addresses: [10.0.0.1], conditions: {ready: false}},
          {addresses: [10.0.0.2], conditions: {ready: true, serving: true, terminating: false}},
          {addresses: [10.0.0.3], conditions: {ready: null}}]`),
      ],
      is: ["10.0.0.2:8080", "10.0.0.3:8080"],
    },
    {
      name: "has the first of the addresses of an endpoint",
      texts: [slice("[{addresses: [10.0.0.1, 10.0.0.2]}]")],
      is: ["10.0.0.1:8080"],
    },
    {
      name: "has IPv6 as well",
      texts: [slice('[{addresses: ["fd00::1"]}]', { type: "IPv6" })],
      is: ["fd00::1:8080"],
    },
    {
      name: "has no endpoint by a name",
      texts: [slice("[{addresses: [a.example.com]}]", { type: "FQDN" })],
      is: [],
    },
    {
      name: "has none where the slice has another port",
      texts: [slice(ONE, { ports: "[{name: other, port: 8080}]" })],
      is: [],
    },
    {
      name: "has none where the slice has no ports",
      texts: [slice(ONE, { ports: "null" })],
      is: [],
    },
    { name: "has none where the slice has no endpoints", texts: [slice("null")], is: [] },
    {
      name: "has none of a slice for another Service",
      texts: [slice(ONE).replace("service-name: stock", "service-name: stocks")],
      is: [],
    },
    {
      name: "knows the Pod that an endpoint names",
      texts: [POD, slice("[{addresses: [10.0.0.9], targetRef: {kind: Pod, name: stock-1}}]")],
      is: ['10.0.0.9:8080 shop/stock-1 {"app":"other","version":"gray"}'],
    },
    {
      name: "has an endpoint whose Pod nobody knows",
      texts: [slice("[{addresses: [10.0.0.9], targetRef: {kind: Pod, name: stock-2}}]")],
      is: ["10.0.0.9:8080"],
    },
    {
      name: "has none of a slice that the cluster made of Pods",
      texts: [
        slice(ONE, {
          labels: ", endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io",
        }),
      ],
      is: [],
    },
  ];

describe("a Service without a selector", () => {
  for (const { name, texts, is } of CASES) {
    test(name, () => {
      assert.deepEqual(endpointsOf(compiled(SERVICE, ...texts)), is);
    });
  }

  test("has each port's own number", () => {
    const ports = "[{name: web, port: 8080}, {name: admin, port: 9090}]";
    const result = compiled(SERVICE, slice(ONE, { ports }));
    const admin = "outbound|90||stock.shop.svc.cluster.local";
    assert.deepEqual(endpointsOf(result), ["10.0.0.1:8080"]);
    assert.deepEqual(endpointsOf(result, admin), ["10.0.0.1:9090"]);
  });

  test("with a single port without a name has the port without a name", () => {
    const service = SERVICE.replace(/ports: .*/, "ports: [{port: 80}]}");
    const result = compiled(service, slice(ONE, { ports: '[{name: "", port: 7070}]' }));
    assert.deepEqual(endpointsOf(result), ["10.0.0.1:7070"]);
  });

  test("and without a slice is told of", () => {
    const says = (...texts: readonly string[]): string[] =>
      compiled(...texts).messages.map(({ code, message }) => `${code} ${message}`);
    const what = "GL0215 the Service has no selector and no EndpointSlice, so calls answer 503";
    assert.deepEqual(says(SERVICE), [what]);
    assert.deepEqual(says(SERVICE, slice(ONE)), []);
  });
});

test("a Service with a selector has its Pods, whatever a slice says", () => {
  assert.deepEqual(endpointsOf(compiled(SELECTING, slice(ONE))), []);
});

test("of an EndpointSlice a wrong address, no address and a wrong type are refused", () => {
  const codes = (text: string): string[] => {
    const { documents } = parseManifests(text, "t.yaml");
    return documents.flatMap(({ value, positionOf }) =>
      validateResource(value, positionOf).faults.map(({ code, path }) => `${code} ${path}`),
    );
  };
  const cases: readonly (readonly [string, string])[] = [
    [slice('[{addresses: ["a b"]}]'), "endpoints[0].addresses[0]"],
    [slice("[{addresses: []}]"), "endpoints[0].addresses"],
    [slice("[{}]"), "endpoints[0].addresses"],
    [slice(ONE, { type: "IPv5" }), "addressType"],
    [slice(ONE, { ports: "[{name: web, port: 70000}]" }), "ports[0].port"],
  ];
  for (const [text, path] of cases) {
    const found = codes(text);
    assert.equal(found.length, 1, `${path}: ${found.join()}`);
    assert.ok(String(found[0]).endsWith(path), `${path}: ${found.join()}`);
  }
});
