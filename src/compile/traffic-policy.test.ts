import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LoadBalancerSettings } from "../resources/kinds/traffic-policy.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import { compileTrafficPolicy, protocolOf } from "./traffic-policy.ts";

const WARM = { windowMs: 30_000, percentMin: 10, aggression: 1 };

const CASES: readonly (readonly [what: string, LoadBalancerSettings, want: unknown])[] = [
  [
    "a duration alone",
    { simple: "ROUND_ROBIN", warmupDurationSecs: "30s" },
    { kind: "round-robin", slowStart: WARM },
  ],
  [
    "all of it, by the default balancer",
    { warmup: { duration: "30s", minimumPercent: 0.5, aggression: 2 } },
    { kind: "least-request", slowStart: { ...WARM, percentMin: 0.5, aggression: 2 } },
  ],
  ["no duration", { simple: "ROUND_ROBIN", warmupDurationSecs: "0s" }, { kind: "round-robin" }],
  ["no effect on RANDOM", { simple: "RANDOM", warmup: { duration: "1s" } }, { kind: "random" }],
];

describe("warmup", () => {
  for (const [what, loadBalancer, want] of CASES) {
    test(`is ${what}`, () => {
      const policy = compileTrafficPolicy({ loadBalancer }, 80, () => null);
      assert.deepEqual(policy.loadBalancer, want);
    });
  }

  for (const [warmup, want] of [
    ["{}", /^GL0104 .*warmup\.duration/],
    ["{duration: soon}", /^GL0113 .*warmup\.duration/],
    ["{duration: 1s, minimumPercent: 101}", /^GL0111 .*minimumPercent/],
    ["{duration: 1s, aggression: 0.5}", /^GL0111 .*aggression/],
  ] as const) {
    test(`is refused: ${warmup}`, () => {
      const text = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, trafficPolicy: {loadBalancer: {warmup: ${warmup}}}}`;
      const [first] = parseManifests(text, "t.yaml").documents;
      assert.ok(first !== undefined);
      const said = validateResource(first.value, first.positionOf).faults.map(
        ({ code, path }) => `${code} ${path}`,
      );
      assert.equal(said.length, 1, said.join());
      assert.match(said[0] ?? "", want);
    });
  }
});

describe("retryBudget", () => {
  for (const [what, retryBudget, want] of [
    ["Istio's defaults", {}, { percent: 20, countMin: 3 }],
    ["as it is written", { percent: 0.5, minRetryConcurrency: 0 }, { percent: 0.5, countMin: 0 }],
  ] as const) {
    test(`is ${what}`, () => {
      const policy = compileTrafficPolicy({ retryBudget }, 80, () => null);
      assert.deepEqual(policy.retryBudget, want);
    });
  }
});

describe("proxyProtocol", () => {
  for (const [written, want] of [
    [{}, "v1"],
    [{ version: "V1" }, "v1"],
    [{ version: "V2" }, "v2"],
  ] as const) {
    test(`of ${JSON.stringify(written)} is version ${want.slice(1)}`, () => {
      const policy = compileTrafficPolicy({ proxyProtocol: written }, 80, () => null);
      assert.deepEqual(policy, { proxyProtocol: want });
    });
  }

  test("of another version is refused", () => {
    const manifest = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, trafficPolicy: {proxyProtocol: {version: V3}}}`;
    const [first] = parseManifests(manifest, "t.yaml").documents;
    assert.ok(first !== undefined);
    const { faults } = validateResource(first.value, first.positionOf);
    assert.deepEqual(
      faults.map(({ severity, path }) => `${severity} ${path}`),
      ["error spec.trafficPolicy.proxyProtocol.version"],
    );
  });
});

describe("the protocol of a host", () => {
  const upgrade = { connectionPool: { http: { h2UpgradePolicy: "UPGRADE" } } } as const;
  const client = {
    connectionPool: { http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } },
  } as const;
  const portLevelSettings = [{ port: { number: 80 }, ...client }];
  for (const [what, policy, want] of [
    ["is its port's", {}, {}],
    ["is HTTP/2 when it is upgraded", upgrade, { protocol: "h2" }],
    ["is the client's rather than upgraded", client, { protocol: "client" }],
    ["may be another one at a port", { ...upgrade, portLevelSettings }, { protocol: "client" }],
  ] as const) {
    test(what, () => {
      assert.deepEqual(protocolOf(policy, 80), want);
    });
  }
});

const FIELDS: readonly (readonly [text: string, want: readonly string[]])[] = [
  ["tcp: {maxConnections: 1, connectTimeout: 1s}", []],
  ["tcp: {maxConnections: -1}", ["error GL0111 spec.trafficPolicy.connectionPool.tcp"]],
  ["tcp: {tcpKeepalive: {}, maxConnectionDuration: 1s}", []],
  ["tcp: {tcpKeepalive: {time: 5m}}", []],
  [
    "tcp: {tcpKeepalive: {probes: 3}}",
    ["warning GL0107 spec.trafficPolicy.connectionPool.tcp.tcpKeepalive"],
  ],
  ["tcp: {maxConnectionDuration: soon}", ["error GL0113 spec.trafficPolicy.connectionPool.tcp"]],
  ["tcp: {idleTimeout: 1s}", ["warning GL0107 spec.trafficPolicy.connectionPool.tcp"]],
  ["http: {http1MaxPendingRequests: 1, http2MaxRequests: 1}", []],
  ["http: {maxRequestsPerConnection: 1, maxRetries: 1, idleTimeout: 1s}", []],
  ["http: {h2UpgradePolicy: UPGRADE}", []],
  ["http: {useClientProtocol: true}", []],
  ["http: {useClientProtocol: 1}", ["error GL0103 spec.trafficPolicy.connectionPool.http"]],
  ["http: {maxConcurrentStreams: 1}", []],
];

describe("connectionPool", () => {
  for (const [text, want] of FIELDS) {
    test(`{${text}} is ${want.length === 0 ? "honoured" : "answered by a message"}`, () => {
      const manifest = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, trafficPolicy: {connectionPool: {${text}}}}`;
      const [first] = parseManifests(manifest, "t.yaml").documents;
      assert.ok(first !== undefined);
      const said = validateResource(first.value, first.positionOf).faults.map(
        ({ severity, code, path }) => `${severity} ${code} ${path.replace(/\.[^.]*$/, "")}`,
      );
      assert.deepEqual(said, want);
    });
  }
});
