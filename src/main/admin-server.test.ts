import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Server } from "node:http";
import { endpointListOf } from "../snapshot/endpoint-list.ts";
import type { EndpointList } from "../snapshot/endpoint-list.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Cluster, Snapshot } from "../snapshot/snapshot.ts";
import type { LogLevel } from "../telemetry/logger.ts";
import { DURATION_BOUNDS_SECONDS, Metrics } from "../telemetry/metrics.ts";
import { startAdminServer } from "./admin-server.ts";

const CLUSTER: Cluster = {
  ...{ name: "default/shop:80", host: "shop.default.svc.cluster.local", aliases: ["shop"] },
  ...{ namespace: "default", port: 80, service: "default/shop", connectTimeoutMs: 1_000 },
  policy: { connections: { connectionsMax: 7 } },
};
const SNAPSHOT: Snapshot = {
  ...EMPTY_SNAPSHOT,
  clusters: { [CLUSTER.name]: CLUSTER },
  endpoints: {
    [CLUSTER.name]: {
      endpoints: [
        { address: "127.10.0.1", port: 8080, pod: "default/a", labels: {} },
        { address: "127.10.0.2", port: 8080, pod: "default/b", labels: {} },
      ],
    },
  },
};

const metrics = new Metrics();
const requests = metrics.counter({
  ...{ name: "graylane_requests_total", help: "Requests." },
  labelNames: ["role", "lane_group", "lane", "code_class"],
});
requests.with("gateway", "", "baseline", "2xx").add(3);
requests.with("gateway", "default/g", "gray", "2xx").add(2);
requests.with("gateway", "default/g", "gray", "5xx").add(1);
requests.with("inbound", "", "baseline", "2xx").add(5);
requests.with("gateway", "", "baseline", "gone").add(1);
metrics
  .histogram(
    { name: "graylane_request_duration_seconds", help: "Time.", labelNames: ["role", "lane"] },
    DURATION_BOUNDS_SECONDS,
  )
  .with("gateway", "gray")
  .observe(0.003);
metrics
  .counter({
    ...{ name: "graylane_upstream_requests_total", help: "Calls." },
    labelNames: ["service", "code_class"],
  })
  .with("default/shop", "2xx")
  .add(4);

metrics
  .gauge({
    ...{ name: "graylane_overload_pressure", help: "Part of a limit." },
    labelNames: ["worker", "resource"],
  })
  .with("gateway-2", "memory")
  .set(0.625);
metrics
  .gauge({ name: "graylane_overload_share", help: "Refused.", labelNames: ["worker"] })
  .with("gateway-2")
  .set(0.25);
metrics
  .counter({
    ...{ name: "graylane_refused_connections_total", help: "Connections." },
    labelNames: ["reason"],
  })
  .with("overflow")
  .add(9);
const failures = metrics.counter({
  ...{ name: "graylane_upstream_failures_total", help: "Failures." },
  labelNames: ["service", "reason"],
});
failures.with("default/shop", "upstream_connect_failed").add(2);
failures.with("default/shop", "upstream_tls_failed").add(1);
failures.with("default/shop", "upstream_timeout").add(5);
metrics
  .counter({ name: "graylane_upstream_retries_total", help: "Tries.", labelNames: ["service"] })
  .with("default/shop")
  .add(6);
metrics.gauge({ name: "graylane_downstream_connections", help: "Open." }).with().set(11);

let server: Server;
let origin: string;
let isReady = true;
let level: LogLevel = "info";
let isDrained = false;

before(async () => {
  const started = await startAdminServer(
    {
      version: "1.2.3",
      isReady: () => isReady,
      uptimeSeconds: () => 61.5,
      gatewayWorkers: () => 2,
      metrics: () => Promise.resolve(metrics.snapshot()),
      snapshot: () => SNAPSHOT,
      configDump: (withEndpoints) => ({ configs: [{ withEndpoints }] }),
      agentEndpoints: () => endpointListOf(SNAPSHOT, { withKeys: false }),
      listeners: () => [{ gateway: "istio=ingressgateway", address: "127.0.0.1:8080" }],
      ejected: () => Promise.resolve(new Set(["127.10.0.2:8080"])),
      logLevel: () => level,
      setLogLevel: (wanted) => {
        level = wanted;
        return Promise.resolve();
      },
      isDrained: () => isDrained,
      drainListeners: () => {
        isDrained = true;
        return Promise.resolve();
      },
    },
    { host: "127.0.0.1", port: 0 },
  );
  assert.ok(typeof started !== "string");
  server = started;
  const bound = server.address();
  assert.ok(bound !== null && typeof bound !== "string");
  origin = `http://127.0.0.1:${bound.port}`;
});

after(() => {
  server.close();
});

async function ask(
  path: string,
  method = "GET",
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(`${origin}${path}`, { method, headers });
  return { status: response.status, body: await response.text() };
}

const pages = [
  { path: "/ready", says: [/^LIVE\n$/] },
  { path: "/", says: [/GET {2}\/clusters/, /POST \/logging/] },
  { path: "/help", says: [/GET {2}\/stats\/prometheus/] },
  { path: "/listeners", says: [/^istio=ingressgateway::127\.0\.0\.1:8080\n$/] },
  {
    path: "/clusters",
    says: [
      /^default\/shop:80::observability_name::default\/shop:80\n/,
      /::default_priority::max_connections::7\n/,
      /::127\.10\.0\.1:8080::health_flags::healthy\n/,
      /::127\.10\.0\.2:8080::health_flags::\/failed_outlier_check\n/,
      /::127\.10\.0\.2:8080::hostname::default\/b\n/,
    ],
  },
  {
    path: "/stats",
    says: [
      /^server\.live: 1$/m,
      /^server\.uptime: 61$/m,
      /^overload\.envoy\.resource_monitors\.fixed_heap\.pressure: 63$/m,
      /^overload\.envoy\.overload_actions\.stop_accepting_requests\.active: 1$/m,
      /^overload\.envoy\.overload_actions\.stop_accepting_requests\.scale_percent: 25$/m,
      /^listener\.downstream_cx_overflow: 9$/m,
      /^http\.gateway\.downstream_rq_total: 7$/m,
      /^http\.gateway\.downstream_rq_2xx: 5$/m,
      /^http\.gateway\.downstream_rq_5xx: 1$/m,
      /^http\.inbound\.downstream_rq_2xx: 5$/m,
      /^http\.gateway\.downstream_rq_time\.count: 1$/m,
      /^http\.gateway\.downstream_rq_time\.sum: 3$/m,
      /^cluster\.default\/shop\.upstream_rq_2xx: 4$/m,
      /^cluster\.default\/shop\.upstream_cx_connect_fail: 3$/m,
      /^cluster\.default\/shop\.upstream_rq_timeout: 5$/m,
      /^cluster\.default\/shop\.upstream_rq_retry: 6$/m,
      /^cluster\.default\/shop\.membership_total: 2$/m,
      /^cluster\.default\/shop\.membership_healthy: 1$/m,
      /^http\.downstream_cx_active: 11$/m,
      /^graylane_requests_total\{role="gateway",lane_group="default\/g",lane="gray",.*\}: 2$/m,
    ],
  },
  { path: "/stats?filter=^server.live", says: [/^server\.live: 1\n$/] },
  {
    path: "/stats/prometheus",
    says: [
      /^graylane_requests_total\{.*code_class="2xx"\} 3$/m,
      /^# TYPE envoy_http_downstream_rq_xx counter$/m,
      /^envoy_http_downstream_rq_xx\{envoy_response_code_class="2",.*_prefix="gateway"\} 5$/m,
      /^envoy_http_downstream_rq_time_bucket\{.*_prefix="gateway",le="5"\} 1$/m,
      /^envoy_cluster_upstream_rq_xx\{envoy_response_code_class="2",envoy_cluster_name=.*\} 4$/m,
      /^envoy_server_live 1$/m,
      /^# TYPE envoy_cluster_membership_healthy gauge$/m,
      /^envoy_cluster_membership_healthy\{envoy_cluster_name="default\/shop"\} 1$/m,
      /^envoy_cluster_upstream_rq_retry\{envoy_cluster_name="default\/shop"\} 6$/m,
    ],
  },
];
for (const { path, says } of pages) {
  test(`GET ${path} answers as Envoy does`, async () => {
    const { status, body } = await ask(path);
    assert.equal(status, 200);
    for (const pattern of says) assert.match(body, pattern);
  });
}

const shapes = [
  {
    path: "/clusters?format=json",
    is: {
      cluster_statuses: [
        {
          ...{ name: "default/shop:80", added_via_api: true },
          host_statuses: [
            {
              address: { socket_address: { address: "127.10.0.1", port_value: 8080 } },
              health_status: { eds_health_status: "HEALTHY" },
              ...{ weight: 1, hostname: "default/a" },
            },
            {
              address: { socket_address: { address: "127.10.0.2", port_value: 8080 } },
              health_status: { eds_health_status: "HEALTHY", failed_outlier_check: true },
              ...{ weight: 1, hostname: "default/b" },
            },
          ],
        },
      ],
    },
  },
  {
    path: "/listeners?format=json",
    is: {
      listener_statuses: [
        {
          name: "istio=ingressgateway",
          local_address: { socket_address: { address: "127.0.0.1", port_value: 8080 } },
        },
      ],
    },
  },
  {
    path: "/server_info",
    is: {
      ...{ version: `graylane/1.2.3/node-${process.versions.node}`, state: "LIVE" },
      ...{ uptime_current_epoch: "61s", uptime_all_epochs: "61s" },
      command_line_options: { concurrency: 2 },
    },
  },
  {
    path: "/stats?format=json&filter=upstream_rq_2xx&usedonly",
    is: { stats: [{ name: "cluster.default/shop.upstream_rq_2xx", value: 4 }] },
  },
];
for (const { path, is } of shapes) {
  test(`GET ${path} has the shape of Envoy's answer`, async () => {
    assert.deepEqual(JSON.parse((await ask(path)).body), is);
  });
}

const refusals = [
  { asks: "an unknown path", path: "/nothing", method: "GET", status: 404, says: /\/ready/ },
  { asks: "a path of every object", path: "/toString", method: "GET", status: 404, says: /no/ },
  { asks: "a POST of a page", path: "/stats", method: "POST", status: 405, says: /takes GET/ },
  { asks: "a GET that would change", path: "/logging", method: "GET", status: 405, says: /POST/ },
  {
    ...{ asks: "a level that is none", path: "/logging?level=loud", method: "POST", status: 400 },
    says: /no level "loud"; take one of debug, info/,
  },
  {
    ...{ asks: "draining by a GET", path: "/drain_listeners", method: "GET", status: 405 },
    says: /POST/,
  },
  {
    ...{ asks: "draining of what is not", path: "/drain_listeners?inboundonly", method: "POST" },
    ...{ status: 400, says: /inboundonly is not offered: leave it out/ },
  },
  { asks: "a format that is none", path: "/stats?format=x", method: "GET", status: 400, says: /x/ },
  {
    ...{ asks: "a filter that is none", path: "/stats?filter=(", method: "GET", status: 400 },
    says: /no regular expression/,
  },
];
for (const { asks, path, method, status, says } of refusals) {
  test(`${asks} is answered ${status}, and how to ask`, async () => {
    const answer = await ask(path, method);
    assert.equal(answer.status, status);
    assert.match(answer.body, says);
  });
}

test("the level of the logs can be set, but not by a web page", async () => {
  assert.match((await ask("/logging", "POST")).body, /graylane: info/);
  const page = await ask("/logging?level=debug", "POST", { origin: "http://example.com" });
  assert.equal(page.status, 403);
  assert.equal(level, "info");
  assert.match((await ask("/logging?level=debug", "POST")).body, /graylane: debug/);
  assert.equal(level, "debug");
});

test("before every worker is synced the answer is 503 PRE_INITIALIZING", async () => {
  isReady = false;
  assert.deepEqual(await ask("/ready"), { status: 503, body: "PRE_INITIALIZING\n" });
  isReady = true;
});

test("drained gateways have no open port, and are not ready", async () => {
  const page = await ask("/drain_listeners", "POST", { origin: "http://example.com" });
  assert.equal(page.status, 403);
  assert.equal(isDrained, false);
  assert.deepEqual(await ask("/drain_listeners?graceful", "POST"), { status: 200, body: "OK\n" });
  assert.deepEqual(await ask("/ready"), { status: 503, body: "DRAINING\n" });
  assert.deepEqual(await ask("/listeners"), { status: 200, body: "" });
  assert.match((await ask("/server_info")).body, /"state": "DRAINING"/);
  assert.match((await ask("/stats")).body, /^server\.live: 0$/m);
  isDrained = false;
});

test("/config_dump is Envoy's, or the snapshot itself", async () => {
  const dump = (query: string) => ask(`/config_dump${query}`).then(({ body }) => body);
  assert.match(await dump(""), /"withEndpoints": false/);
  assert.match(await dump("?include_eds"), /"withEndpoints": true/);
  const snapshot = JSON.parse(await dump("?format=snapshot")) as Snapshot;
  assert.equal(snapshot.version, SNAPSHOT.version);
});

test("/agent_endpoints is the list for agents, sent again only when it has changed", async () => {
  const first = await fetch(`${origin}/agent_endpoints`);
  const list = (await first.json()) as EndpointList;
  assert.equal(list.endpoints[CLUSTER.name]?.endpoints.length, 2);
  assert.equal(list.clusters[CLUSTER.name]?.policy, undefined);
  const etag = first.headers.get("etag") ?? "";
  assert.equal(etag, `"${list.version}"`);
  const again = await fetch(`${origin}/agent_endpoints`, { headers: { "if-none-match": etag } });
  assert.equal(again.status, 304);
});
