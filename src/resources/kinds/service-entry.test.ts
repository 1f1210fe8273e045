import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "../parse.ts";
import { validateResource } from "../validate.ts";

/** `code path` of each fault, and what it says. */
function faultsOf(kind: string, spec: string): string[] {
  const text = `apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: {name: a}
spec: {${spec}}`;
  const { documents, faults } = parseManifests(text, "t.yaml");
  const found = documents.flatMap(({ value, positionOf }) => {
    return [...validateResource(value, positionOf).faults];
  });
  return [...faults, ...found].map(({ code, path, message }) => `${code} ${path}: ${message}`);
}

const ENTRY = "hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}]";

const CASES: readonly {
  readonly name: string;
  readonly spec: string;
  readonly kind?: string;
  readonly want: RegExp | null;
}[] = [
  {
    name: "every field of Istio that counts here is taken",
    spec:
      `${ENTRY}, addresses: [10.9.0.1], location: MESH_INTERNAL, resolution: STATIC, ` +
      "endpoints: [{address: 10.0.0.1, ports: {http: 8080}, labels: {v: a}, network: n, " +
      "serviceAccount: s}, {address: 'unix:///run/a.sock'}]",
    want: null,
  },
  { name: "DNS needs no endpoints", spec: `${ENTRY}, resolution: DNS`, want: null },
  {
    name: "DNS looks endpoints' names up",
    spec: `${ENTRY}, resolution: DNS, endpoints: [{address: a.example.com}]`,
    want: null,
  },
  {
    name: "STATIC needs endpoints",
    spec: `${ENTRY}, resolution: STATIC`,
    want: /^GL0104 spec: .*needs endpoints or a workloadSelector/,
  },
  {
    name: "NONE has no endpoints",
    spec: `${ENTRY}, endpoints: [{address: 10.0.0.1}]`,
    want: /^GL0119 spec\.endpoints: .*resolution NONE/,
  },
  {
    name: "a wildcard cannot be looked up",
    spec: "hosts: ['*.example.com'], resolution: DNS",
    want: /^GL0119 spec\.hosts\[0\]: .*wildcard/,
  },
  {
    name: "a name is no endpoint of STATIC",
    spec: `${ENTRY}, resolution: STATIC, endpoints: [{address: a.example.com}]`,
    want: /^GL0119 spec\.endpoints\[0\]\.address: .*does not look up/,
  },
  {
    name: "an endpoint needs an address",
    spec: `${ENTRY}, resolution: STATIC, endpoints: [{labels: {a: b}}]`,
    want: /^GL0104 spec\.endpoints\[0\]: .*needs an address/,
  },
  {
    name: "an endpoint's port names one of the ServiceEntry's",
    spec: `${ENTRY}, resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {grpc: 1}}]`,
    want: /^GL0119 spec\.endpoints\[0\]\.ports\.grpc: .*no port of the ServiceEntry/,
  },
  {
    name: "one endpoint is enough for DNS_ROUND_ROBIN",
    spec: `${ENTRY}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]`,
    want: /^GL0119 spec\.endpoints: .*one endpoint only/,
  },
  {
    name: "endpoints and a selector exclude each other",
    spec: `${ENTRY}, resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {}`,
    want: /^GL0114 /,
  },
  {
    name: "a protocol that does not exist is refused",
    spec: "hosts: [a.b], ports: [{number: 80, name: http, protocol: HTPP}]",
    want: /^GL0113 spec\.ports\[0\]\.protocol: .*a protocol/,
  },
  {
    name: "what is not honoured is said",
    spec: `${ENTRY}, resolution: DYNAMIC_DNS`,
    want: /^GL0107 spec\.resolution: /,
  },
  {
    name: "a WorkloadEntry's address is checked",
    kind: "WorkloadEntry",
    spec: "address: 'not a name'",
    want: /^GL0113 spec\.address: .*an IP address, a host name, or unix:/,
  },
  {
    name: "a WorkloadEntry is taken",
    kind: "WorkloadEntry",
    spec: "address: 10.0.0.1, ports: {http: 8080}, labels: {app: a}",
    want: null,
  },
];

for (const { name, spec, kind = "ServiceEntry", want } of CASES) {
  test(name, () => {
    const faults = faultsOf(kind, spec);
    if (want === null) assert.deepEqual(faults, []);
    else {
      assert.equal(faults.length, 1, faults.join("\n"));
      assert.match(faults[0] ?? "", want);
    }
  });
}
