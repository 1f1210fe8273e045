import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { ExchangeRecord } from "../observer.ts";
import { startFixture } from "../testing/fixture.ts";
import { endAll, sendRaw } from "../testing/harness.ts";
import { gatewaySnapshot } from "../testing/snapshot-maker.ts";
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
  for (const fallbackReason of reasons) report.onExchangeEnd({ ...RECORD, fallbackReason });
  report.onExchangeEnd({ ...RECORD, lane: "", fallbackReason: "fallback:closed" });
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
