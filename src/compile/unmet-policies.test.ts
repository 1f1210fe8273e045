import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import { compile } from "./compile.ts";

const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`;

const pod = (annotations: string): string => `---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default, labels: {app: shop}, annotations: {${annotations}}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 127.1.0.1, conditions: [{type: Ready, status: "True"}]}
`;
const SIDECAR = pod('local.graylane.io/outbound: "127.1.0.1:15001"');
const PLAIN = pod("");

const rule = (spec: string): string => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec: {host: shop, ${spec}}
`;

function said(text: string): string[] {
  const resources = parseManifests(SERVICE + text, "t.yaml").documents.map((document) => {
    const { resource, faults } = validateResource(document.value, document.positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  const { messages } = compile({ resources, modules: new Map() });
  return messages
    .filter(({ code }) => code === "GL0291" || code === "GL0292")
    .map(({ code, severity, path }) => `${code} ${severity} ${path}`);
}

const TLS = "tls: {mode: SIMPLE}";
const CASES: readonly (readonly [what: string, text: string, want: readonly string[]])[] = [
  [
    "TLS to a sidecar",
    SIDECAR + rule(`trafficPolicy: {${TLS}}`),
    ["GL0292 warning spec.trafficPolicy.tls"],
  ],
  [
    "a PROXY header to a sidecar, of one port of a subset",
    SIDECAR +
      rule(`subsets: [{name: a, trafficPolicy:
        {portLevelSettings: [{port: {number: 80}, proxyProtocol: {version: V2}}]}}]`),
    ["GL0292 warning spec.subsets[0].trafficPolicy.portLevelSettings[0].proxyProtocol"],
  ],
  ["TLS to a pod without a sidecar", PLAIN + rule(`trafficPolicy: {${TLS}}`), []],
  ["no TLS to a sidecar", SIDECAR + rule("trafficPolicy: {tls: {mode: DISABLE}}"), []],
  [
    "the client's protocol in a subset",
    PLAIN +
      rule(`subsets: [{name: a, trafficPolicy:
        {connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}}}]`),
    ["h2UpgradePolicy", "useClientProtocol"].map(
      (name) => `GL0291 warning spec.subsets[0].trafficPolicy.connectionPool.http.${name}`,
    ),
  ],
  [
    "the client's protocol of the host",
    PLAIN + rule("trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}"),
    [],
  ],
];

describe("a DestinationRule says what cannot be had:", () => {
  for (const [what, text, want] of CASES) {
    test(what, () => {
      assert.deepEqual(said(text), want);
    });
  }
});
