import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { ExchangeRecord } from "../observer.ts";
import { TrafficReport } from "./traffic-report.ts";

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
