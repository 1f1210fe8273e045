import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { compileLogFormat } from "../../telemetry/log-format.ts";
import { DEFAULT_EDGE } from "../exchange/edge-fields.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { ExchangeRecord } from "../observer.ts";
import { startFixture } from "../testing/fixture.ts";
import { endAll, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { TrafficReport } from "./traffic-report.ts";

after(endAll);

const RECORD: ExchangeRecord = {
  ...{ role: "gateway", startMs: 0, method: "GET", path: "/", protocol: "HTTP/1.1", status: 200 },
  ...{ flags: "", bytesReceived: 0, bytesSent: 0, durationMs: 1, upstreamMs: -1 },
  ...{ forwardedFor: "", userAgent: "", requestId: "", authority: "", upstream: "", cluster: "" },
  ...{ service: "", servedLane: "baseline", fallbackReason: "", attempts: 1, headers: [] },
  ...{ route: "", laneGroup: "default/shop", lane: "gray", reason: "rule", fallback: "" },
};

test("fallbacks are counted by lane and reason, and a hop without one is not", async () => {
  const report = await TrafficReport.open({
    ...{ clock: systemClock, logger: silentLogger, accessLogPath: "" },
  });
  const reasons = ["", "fallback:no-copy", "fallback:no-endpoint", "fallback:no-copy"];
  // Only formats look at it.
  const exchange = null as unknown as Exchange;
  for (const fallbackReason of reasons) {
    report.onExchangeEnd({ ...RECORD, fallbackReason }, exchange);
  }
  report.onExchangeEnd({ ...RECORD, lane: "", fallbackReason: "fallback:closed" }, exchange);
  const family = report.metrics
    .snapshot()
    .families.find(({ name }) => name === "graylane_lane_fallbacks_total");
  assert.deepEqual(family?.labelNames, ["role", "lane_group", "lane", "reason"]);
  assert.deepEqual(
    family.series.map(({ labelValues, values }) => `${labelValues.join(" ")} ${values.join()}`),
    [
      "gateway default/shop gray no-copy 2",
      "gateway default/shop gray no-endpoint 1",
      "gateway default/shop baseline closed 1",
    ],
  );
  await report.close();
});

test("what was no HTTP is counted by its fault, and has a line without what came", async () => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-report-"));
  const accessLogPath = join(directory, "access.log");
  const report = await TrafficReport.open({
    ...{ clock: systemClock, logger: silentLogger, accessLogPath },
  });
  const snapshot = gatewaySnapshot(80, [], { clusters: {}, endpoints: {} });
  const gateway = await startFixture(snapshot, systemClock, { observer: report });
  await sendRaw(gateway.port, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  await report.close();
  const { time, ...line } = JSON.parse(readFileSync(accessLogPath, "latin1")) as { time: string };
  assert.match(time, /^20\d\d-/);
  assert.deepEqual(line, {
    ...{ role: "gateway", protocol: "HTTP/1.1", status: 400, flags: "repeated_host" },
    ...{ bytesReceived: 0, bytesSent: 42, durationMs: 0, forwardedFor: "127.0.0.1" },
  });
  const counted = report.metrics
    .snapshot()
    .families.find(({ name }) => name === "graylane_refused_requests_total");
  assert.deepEqual(counted?.series, [{ labelValues: ["repeated_host"], values: [1] }]);
  rmSync(directory, { recursive: true });
});

test("a format reads the connections of an exchange, and of what was no HTTP", async () => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-report-"));
  const accessLogPath = join(directory, "access.log");
  const commands =
    "DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_LOCAL_PORT UPSTREAM_LOCAL_ADDRESS RESP(X-A)";
  const format = compileLogFormat(
    commands.replaceAll(/[^ ]+/g, "%$&%") + " %UPSTREAM_HOST% %REQ(:SCHEME)%",
  );
  assert.ok(typeof format !== "string");
  const report = await TrafficReport.open({
    ...{ clock: systemClock, logger: silentLogger, accessLogPath, format },
  });
  let caller = 0;
  const upstream = await startRawUpstream((socket) => {
    caller = socket.remotePort ?? 0;
    socket.once("data", () => {
      socket.end("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 0\r\n\r\n");
    });
  });
  const a = cluster("a");
  const snapshot = gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const edge = { ...DEFAULT_EDGE, trustedProxies: 1 };
  const gateways = Object.entries(snapshot.gateways).map(
    ([name, gateway]) => [name, { ...gateway, edge }] as const,
  );
  const { port } = await startFixture(
    { ...snapshot, gateways: Object.fromEntries(gateways) },
    systemClock,
    { observer: report },
  );
  const told = "X-Forwarded-For: 203.0.113.7\r\n";
  await sendRaw(port, `GET / HTTP/1.1\r\nHost: a\r\n${told}Connection: close\r\n\r\n`);
  await sendRaw(port, "no HTTP\r\n\r\n");
  await report.close();
  const [served = "", refused = ""] = readFileSync(accessLogPath, "latin1").split("\n");
  const to = `127\\.0\\.0\\.1:${caller} b 127\\.0\\.0\\.1:${upstream.port}`;
  assert.match(served, new RegExp(`^203\\.0\\.113\\.7:0 ${port} ${to} http$`));
  assert.match(refused, new RegExp(`^127\\.0\\.0\\.1:[1-9]\\d* ${port} - - - http$`));
  rmSync(directory, { recursive: true });
});
