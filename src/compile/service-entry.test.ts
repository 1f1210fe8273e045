import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Resource } from "../resources/object.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";
import { NAMES_MAX, namesToResolve } from "./service-entry.ts";
import type { NameMap } from "./service-entry.ts";

function resourcesOf(text: string): Resource[] {
  const { documents } = parseManifests(text, "t.yaml");
  return documents.map(({ value, positionOf }) => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
}

function entry(name: string, spec: string, namespace = "default"): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
`;
}

function workload(name: string, spec: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: default}
spec: {${spec}}
`;
}

function compiled(text: string, names?: NameMap): CompileResult {
  const resources = resourcesOf(text);
  const rest = names === undefined ? {} : { names };
  return compile({ resources, modules: new Map(), ...rest });
}

/** `address:port` of the endpoints of a cluster. */
function endpointsOf({ snapshot }: CompileResult, cluster: string): string[] {
  const { endpoints = [] } = snapshot.endpoints[cluster] ?? {};
  return endpoints.map(({ address, port }) => `${address}:${port}`);
}

const said = ({ messages }: CompileResult): string[] =>
  messages.map(({ code, severity, path, message }) => `${code} ${severity} ${path}: ${message}`);

const PORTS = "ports: [{number: 80, name: http, protocol: HTTP}]";
const CLUSTER = "outbound|80||api.example.com";
const DNS = entry("api", `hosts: [API.example.com], ${PORTS}, resolution: DNS`);

describe("a ServiceEntry", () => {
  test("has a cluster for each port, and says where the lane's context may not go", () => {
    const ports = "[{number: 80, name: h, protocol: HTTP}, {number: 90, name: g, protocol: grpc}]";
    const result = compiled(
      entry("api", `hosts: [api.example.com], ports: ${ports}, resolution: DNS`) +
        entry("own", `hosts: [own.mesh], ${PORTS}, location: MESH_INTERNAL, resolution: DNS`),
    );
    const { clusters } = result.snapshot;
    assert.deepEqual(Object.keys(clusters), [
      CLUSTER,
      "outbound|80||own.mesh",
      "outbound|90||api.example.com",
    ]);
    assert.equal(clusters[CLUSTER]?.isOutside, true);
    assert.equal(clusters[CLUSTER].protocol, undefined);
    assert.equal(clusters["outbound|90||api.example.com"]?.protocol, "h2");
    assert.equal(clusters["outbound|80||own.mesh"]?.isOutside, undefined);
    assert.deepEqual(said(result), []);
  });

  test("has endpoints at their own ports, at the target port or at the port", () => {
    const ports = "ports: [{number: 80, name: http, targetPort: 8080}, {number: 81, name: b}]";
    const endpoints =
      "[{address: 10.0.0.1}, {address: 10.0.0.2, ports: {http: 9}, labels: {v: a}}, " +
      "{address: 'unix:///run/x.sock'}]";
    const result = compiled(
      entry("a", `hosts: [a.b.c], ${ports}, resolution: STATIC, endpoints: ${endpoints}`),
    );
    assert.deepEqual(endpointsOf(result, "outbound|80||a.b.c"), [
      "10.0.0.1:8080",
      "10.0.0.2:9",
      "unix:///run/x.sock:0",
    ]);
    assert.deepEqual(endpointsOf(result, "outbound|81||a.b.c"), [
      "10.0.0.1:81",
      "10.0.0.2:81",
      "unix:///run/x.sock:0",
    ]);
    const second = result.snapshot.endpoints["outbound|80||a.b.c"]?.endpoints[1];
    assert.deepEqual(second?.labels, { v: "a" });
  });

  test("selects WorkloadEntries of its namespace by their labels", () => {
    const result = compiled(
      entry(
        "a",
        `hosts: [a.b.c], ${PORTS}, resolution: STATIC, workloadSelector: {labels: {app: a}}`,
      ) +
        workload("one", "address: 10.0.0.1, labels: {app: a, v: '1'}, ports: {http: 81}") +
        workload("two", "address: 10.0.0.2, labels: {app: b}"),
    );
    assert.deepEqual(endpointsOf(result, "outbound|80||a.b.c"), ["10.0.0.1:81"]);
    assert.deepEqual(said(result), []);
  });

  test("that selects nothing says so", () => {
    const spec = `hosts: [a.b.c], ${PORTS}, resolution: STATIC, workloadSelector: {labels: {a: b}}`;
    assert.match(said(compiled(entry("a", spec))).join("\n"), /^GL0264 info spec.workloadSelector/);
  });

  test("has the addresses that DNS gives", () => {
    const answer = { addresses: ["10.0.0.1", "10.0.0.2"], fault: "" };
    const names = new Map([["api.example.com", answer]]);
    assert.deepEqual(endpointsOf(compiled(DNS, names), CLUSTER), ["10.0.0.1:80", "10.0.0.2:80"]);
    const one = entry("api", `hosts: [api.example.com], ${PORTS}, resolution: DNS_ROUND_ROBIN`);
    assert.deepEqual(endpointsOf(compiled(one, names), CLUSTER), ["10.0.0.1:80"]);
  });

  test("keeps the last addresses while DNS fails, and says so", () => {
    const names = new Map([["api.example.com", { addresses: ["10.0.0.1"], fault: "ETIMEOUT" }]]);
    const result = compiled(DNS, names);
    assert.deepEqual(endpointsOf(result, CLUSTER), ["10.0.0.1:80"]);
    assert.deepEqual(said(result), [
      "GL0263 warning spec.hosts: the name api.example.com cannot be resolved (ETIMEOUT): its " +
        "last addresses stay in use",
    ]);
  });

  test("without any address of its name has no endpoint, and says why", () => {
    const names = new Map([["api.example.com", { addresses: [], fault: "ENOTFOUND" }]]);
    const result = compiled(DNS, names);
    assert.deepEqual(endpointsOf(result, CLUSTER), []);
    assert.match(said(result).join("\n"), /^GL0263 error .*\(ENOTFOUND\): it has no endpoint$/);
  });

  test("stands behind a Service, and behind an earlier one, for the same host", () => {
    const service = `---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec: {selector: {app: a}, ports: [{port: 80}]}
`;
    const host = "a.default.svc.cluster.local";
    const result = compiled(
      service + entry("x", `hosts: [${host}, api.example.com], ${PORTS}, resolution: DNS`) + DNS,
    );
    const taken = said(result).filter((text) => text.startsWith("GL0260"));
    assert.equal(taken.length, 2);
    assert.match(taken.join("\n"), /the Service default\/a is the host/);
    assert.match(taken.join("\n"), /the ServiceEntry default\/api is the host api\.example\.com/);
    assert.equal(result.snapshot.clusters[`outbound|80||${host}`]?.service, "default/a");
  });

  test("is a destination by its host, with a DestinationRule's subsets and policy", () => {
    const result = compiled(`${DNS}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec:
  host: api.example.com
  trafficPolicy: {tls: {mode: SIMPLE}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: default}
spec: {selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec: {hosts: ["*"], gateways: [g], http: [{route: [{destination: {host: Api.Example.com}}]}]}
`);
    assert.deepEqual(said(result), []);
    const route = result.snapshot.routeTables["a=b:80"]?.virtualHosts[0]?.routes[0];
    assert.match(JSON.stringify(route?.action), /"cluster":"outbound\|80\|\|api\.example\.com"/);
    assert.equal(result.snapshot.clusters[CLUSTER]?.policy?.tls?.serverName, "api.example.com");
  });

  test("without resolution is no destination, as nobody knows where it is", () => {
    const result = compiled(`${entry("api", `hosts: [api.example.com], ${PORTS}`)}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec: {hosts: ["*"], http: [{route: [{destination: {host: api.example.com}}]}]}
`);
    assert.match(said(result).join("\n"), /^GL0265 error .*resolution NONE/m);
    assert.deepEqual(result.snapshot.clusters, {});
  });
});

test("names are those that are looked up, once, and bounded", () => {
  const many = Array.from({ length: NAMES_MAX + 5 }, (_, index) => `{address: n${index}.b}`);
  const others = "[{address: C.d}, {address: 1.2.3.4}]";
  assert.deepEqual(
    namesToResolve(
      resourcesOf(
        DNS +
          entry("a", `hosts: [a.b], ${PORTS}, resolution: DNS, endpoints: ${others}`) +
          entry("n", `hosts: [none.b], ${PORTS}`) +
          workload("w", "address: api.example.com"),
      ),
    ),
    ["api.example.com", "c.d"],
  );
  const all = entry("m", `hosts: [m.b], resolution: DNS, endpoints: [${many.join()}]`);
  assert.equal(namesToResolve(resourcesOf(all)).length, NAMES_MAX);
});

test("endpoints have the weight and the place that is written, or the place of a label", () => {
  const spec = `hosts: [api.example.com], ${PORTS}, resolution: STATIC, endpoints: [
    {address: 127.1.0.1, weight: 3, locality: us/us-1/a},
    {address: 127.1.0.2, weight: 1, labels: {istio-locality: us.us-2}},
    {address: 127.1.0.3, weight: 0, locality: eu, labels: {istio-locality: us.us-2}}]`;
  const { snapshot } = compiled(entry("api", spec));
  const told = snapshot.endpoints[CLUSTER]?.endpoints.map(({ weight, locality }) => [
    weight,
    locality,
  ]);
  assert.deepEqual(told, [
    [3, "us/us-1/a"],
    [undefined, "us/us-2"],
    [undefined, "eu"],
  ]);
  const { policy } = snapshot.clusters[CLUSTER] ?? {};
  assert.deepEqual(policy, { loadBalancer: { kind: "least-request" } });
});

const HEAVY = `hosts: [api.example.com], ${PORTS}, resolution: STATIC,
  endpoints: [{address: 127.1.0.1, weight: 3}, {address: 127.1.0.2}]`;

function rule(policy: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec: {host: api.example.com, trafficPolicy: {${policy}}}
`;
}

const GATEWAY = (annotations: string): string => `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: default, annotations: {${annotations}}}
spec: {selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
`;

const AT = 'graylane.io/locality: "us/us-1"';
const WATCHED = "outlierDetection: {consecutive5xxErrors: 5}";
const FAILOVER = "loadBalancer: {localityLbSetting: {failover: [{from: us, to: eu}]}}";

const SAID: readonly (readonly [what: string, policy: string, at: string, want: RegExp | null])[] =
  [
    ["weights and RANDOM", "loadBalancer: {simple: RANDOM}", AT, /^GL0290 warning .*\.simple: /],
    ["weights and ROUND_ROBIN", "loadBalancer: {simple: ROUND_ROBIN}", AT, null],
    ["failover alone", FAILOVER, AT, /^GL0288 warning .*\.localityLbSetting: /],
    ["failover and outlier detection", `${FAILOVER}, ${WATCHED}`, AT, null],
    ["no place of a Gateway", `${FAILOVER}, ${WATCHED}`, "", /^GL0289 warning .*LbSetting: /],
    [
      "parts by place, without outlier detection",
      "loadBalancer: {localityLbSetting: {distribute: [{from: us, to: {eu: 100}}]}}",
      AT,
      null,
    ],
    ["it is off", "loadBalancer: {localityLbSetting: {enabled: false}}", "", null],
  ];

describe("a DestinationRule says what has no effect", () => {
  for (const [what, policy, at, want] of SAID) {
    test(what, () => {
      const lines = said(compiled(entry("api", HEAVY) + rule(policy) + GATEWAY(at)));
      assert.equal(lines.length, want === null ? 0 : 1, lines.join("\n"));
      if (want !== null) assert.match(lines[0] ?? "", want);
    });
  }
});

test("a Gateway's place that cannot be read is refused", () => {
  const lines = said(compiled(GATEWAY("graylane.io/locality: a/b/c/d")));
  assert.match(lines.join(), /^GL0240 error metadata.annotations.*graylane.io\/locality is not/);
});

for (const [setting, want] of [
  ["{distribute: [{from: us, to: {us: 90}}]}", /^GL0119 .*distribute\[0\]\.to$/],
  [
    "{distribute: [{from: us, to: {us: 50, us/a: 50}}]}",
    /^GL0119 .*distribute\[0\]\.to\["us\/a"\]$/,
  ],
  ["{distribute: [{from: us/*/a, to: {us: 100}}]}", /^GL0113 .*distribute\[0\]\.from$/],
  ["{distribute: [{from: us, to: {us: 0, eu: 100}}]}", /^GL0111 .*to\.us$/],
  ["{distribute: [{from: us, to: {us: 100}}], failover: [{from: us, to: eu}]}", /^GL0114 /],
  [
    "{distribute: [{from: us, to: {us: 100}}], failoverPriority: [a]}",
    /^GL0119 .*failoverPriority$/,
  ],
  ["{failover: [{from: us, to: us}]}", /^GL0119 .*failover\[0\]\.to$/],
  ["{failover: [{from: us/a, to: eu}]}", /^GL0113 .*failover\[0\]\.from$/],
  ["{failoverPriority: ['a b']}", /^GL0113 .*failoverPriority\[0\]$/],
] as const) {
  test(`localityLbSetting is refused: ${setting}`, () => {
    const [document] = parseManifests(
      rule(`loadBalancer: {localityLbSetting: ${setting}}`),
      "t.yaml",
    ).documents;
    assert.ok(document !== undefined);
    const { faults } = validateResource(document.value, document.positionOf);
    const lines = faults.map(({ code, path }) => `${code} ${path}`);
    assert.equal(lines.length, 1, lines.join());
    assert.match(lines[0] ?? "", want);
    assert.ok((faults[0]?.position?.line ?? 0) > 0);
  });
}
