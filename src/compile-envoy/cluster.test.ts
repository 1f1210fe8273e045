import assert from "node:assert/strict";
import { test } from "node:test";
import type { Place } from "../lane/locality.ts";
import type { ClusterPolicy, HealthQuestion } from "../snapshot/routing.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import { compileAssignment, compileCluster } from "./cluster.ts";
import { SubsetKeys } from "./subset-keys.ts";

const VIEW = { role: "gateway", labels: {}, bindAddress: "127.0.0.1", portMap: {} } as const;

const TIMES = {
  ...{ timeoutMs: 1_000, intervalMs: 5_000, unhealthyIntervalMs: 2_000, jitterMs: 100 },
  ...{ unhealthyEdgeIntervalMs: 500, healthyEdgeIntervalMs: 3_000, jitterPercent: 10 },
  ...{ initialJitterMs: 0, unhealthyThreshold: 3, healthyThreshold: 2 },
};

const CASES: readonly { readonly ask: HealthQuestion; readonly want: unknown }[] = [
  {
    ask: {
      ...{ kind: "http", method: "HEAD", path: "/healthz", host: "h" },
      ...{ statuses: [[200, 300]], retriable: [[503, 504]] },
    },
    want: {
      http_health_check: {
        ...{ path: "/healthz", method: "HEAD", host: "h" },
        expected_statuses: [{ start: 200, end: 300 }],
        retriable_statuses: [{ start: 503, end: 504 }],
      },
    },
  },
  {
    ask: { kind: "tcp", send: "ff", receive: ["0a"] },
    want: { tcp_health_check: { send: { text: "ff" }, receive: [{ text: "0a" }] } },
  },
  {
    ask: { kind: "grpc", service: "s", authority: "a" },
    want: { grpc_health_check: { service_name: "s", authority: "a" } },
  },
];

test("slow start is the same for Envoys", () => {
  const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
  const slowStart = { windowMs: 30_000, percentMin: 10, aggression: 2 };
  const policy = { loadBalancer: { kind: "least-request", slowStart } } as const;
  const cluster = { ...about, service: "default/c", connectTimeoutMs: 1_000, policy };
  const { json } = compileCluster(cluster, new SubsetKeys(EMPTY_SNAPSHOT, []), VIEW).resource;
  assert.equal(json["lb_policy"], "LEAST_REQUEST");
  assert.deepEqual(json["least_request_lb_config"], {
    slow_start_config: {
      slow_start_window: "30s",
      aggression: { default_value: 2, runtime_key: "graylane.slow_start.aggression" },
      min_weight_percent: { value: 10 },
    },
  });
});

test("a retry budget is the same for Envoys", () => {
  const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
  const policy = { retryBudget: { percent: 12.5, countMin: 2 } };
  const cluster = { ...about, service: "default/c", connectTimeoutMs: 1_000, policy };
  const { json } = compileCluster(cluster, new SubsetKeys(EMPTY_SNAPSHOT, []), VIEW).resource;
  const unlimited = 4_294_967_295;
  assert.deepEqual(json["circuit_breakers"], {
    thresholds: [
      {
        ...{ max_connections: unlimited, max_pending_requests: unlimited },
        ...{ max_requests: unlimited, max_retries: unlimited },
        retry_budget: { budget_percent: { value: 12.5 }, min_retry_concurrency: 2 },
      },
    ],
  });
});

test("a PROXY header is the same for Envoys", () => {
  const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
  const policy = { proxyProtocol: "v2" } as const;
  const cluster = { ...about, service: "default/c", connectTimeoutMs: 1_000, policy };
  const { json } = compileCluster(cluster, new SubsetKeys(EMPTY_SNAPSHOT, []), VIEW).resource;
  const type = "type.googleapis.com/envoy.extensions.transport_sockets";
  assert.deepEqual(json["transport_socket"], {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    typed_config: {
      "@type": `${type}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
      config: { version: "V2" },
      transport_socket: {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: { "@type": `${type}.raw_buffer.v3.RawBuffer` },
      },
    },
  });
});

const HTTP2 = { http2_protocol_options: { max_concurrent_streams: 5 } };
const PROTOCOLS = {
  h1: { explicit_http_config: { http_protocol_options: {} } },
  h2: { explicit_http_config: HTTP2 },
  client: { use_downstream_protocol_config: { http_protocol_options: {}, ...HTTP2 } },
};

for (const protocol of ["h2", "client", undefined] as const) {
  test(`limits of connections are the same for Envoys, of ${protocol ?? "h1"}`, () => {
    const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
    const connections = { connectionMsMax: 60_000, streamsMax: 5, keepAliveMs: 300_000 };
    const settings = { service: "default/c", connectTimeoutMs: 1_000, policy: { connections } };
    const cluster = { ...about, ...settings, ...(protocol !== undefined && { protocol }) };
    const { json } = compileCluster(cluster, new SubsetKeys(EMPTY_SNAPSHOT, []), VIEW).resource;
    assert.deepEqual(json["upstream_connection_options"], {
      tcp_keepalive: { keepalive_time: 300 },
    });
    const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    const { [type]: options } = json["typed_extension_protocol_options"] as Record<string, object>;
    assert.deepEqual(options, {
      "@type": `type.googleapis.com/${type}`,
      common_http_protocol_options: { max_connection_duration: "60s" },
      ...PROTOCOLS[protocol ?? "h1"],
    });
  });
}

for (const { ask, want } of CASES) {
  test(`a check by ${ask.kind} is the same for Envoys`, () => {
    const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
    const policy = { healthCheck: { ...TIMES, ask } };
    const cluster = { ...about, service: "default/c", connectTimeoutMs: 1_000, policy };
    const { json } = compileCluster(cluster, new SubsetKeys(EMPTY_SNAPSHOT, []), VIEW).resource;
    assert.deepEqual(json["health_checks"], [
      {
        ...{ timeout: "1s", interval: "5s", no_traffic_interval: "5s", unhealthy_interval: "2s" },
        ...{ unhealthy_edge_interval: "0.5s", healthy_edge_interval: "3s" },
        ...{ interval_jitter: "0.1s", interval_jitter_percent: 10, initial_jitter: "0s" },
        ...{ unhealthy_threshold: 3, healthy_threshold: 2 },
        ...(want as object),
      },
    ]);
  });
}

test("weights, levels and parts by place are the same for Envoys", () => {
  const outliers = {
    ...{ consecutive5xx: 5, consecutiveGatewayErrors: 0, intervalMs: 1_000 },
    ...{ baseEjectionMs: 1_000, ejectedPercentMax: 100, healthyPercentMin: 0 },
  };
  const about = { name: "c", host: "c", aliases: [], namespace: "default", port: 80 };
  const cluster = { ...about, service: "default/c", connectTimeoutMs: 1_000 };
  const common = { port: 80, pod: "", labels: {} };
  const endpoints = [
    { ...common, address: "10.0.0.1", locality: "r1/z1/s1", weight: 3 },
    { ...common, address: "10.0.0.2", locality: "r2" },
  ];
  const snapshot = { ...EMPTY_SNAPSHOT, endpoints: { c: { endpoints } } };
  const keys = new SubsetKeys(EMPTY_SNAPSHOT, []);
  const place = { locality: "r1", labels: {} };
  const address = (ip: string, more = {}): object => ({
    endpoint: { address: { socket_address: { address: ip, port_value: 80 } } },
    ...more,
  });
  const heavy = address("10.0.0.1", { load_balancing_weight: 3 });
  const light = address("10.0.0.2");
  const [first, second] = [
    { region: "r1", zone: "z1", sub_zone: "s1" },
    { region: "r2", zone: "", sub_zone: "" },
  ];
  const compiled = (policy: ClusterPolicy, at: Place | null): unknown =>
    compileAssignment({ ...cluster, policy }, snapshot, { keys, place: at }).json["endpoints"];
  assert.deepEqual(compiled({ outliers }, place), [
    { locality: first, priority: 0, lb_endpoints: [heavy] },
    { locality: second, priority: 1, lb_endpoints: [light] },
  ]);
  assert.deepEqual(compiled({ outliers }, null), [{ lb_endpoints: [heavy, light] }]);
  const locality = { distribute: [{ from: "r1", to: { r1: 30, r2: 70 } }] };
  assert.deepEqual(compiled({ locality }, place), [
    { locality: first, priority: 0, load_balancing_weight: 30, lb_endpoints: [heavy] },
    { locality: second, priority: 0, load_balancing_weight: 70, lb_endpoints: [light] },
  ]);
  // Envoy gives nothing to a place without a weight.
  const elsewhere = { locality: "r9", labels: {} };
  assert.deepEqual(compiled({ locality }, elsewhere), [
    { load_balancing_weight: 1, lb_endpoints: [heavy, light] },
  ]);
  const { json } = compileCluster({ ...cluster, policy: { locality } }, keys, VIEW).resource;
  assert.deepEqual(json["common_lb_config"], {
    update_merge_window: "0s",
    healthy_panic_threshold: { value: 0 },
    locality_weighted_lb_config: {},
  });
});
