//! One gateway worker that runs a snapshot from a file, without a control plane: for benchmarks.
//!
//!   node dist/src/main/gateway-standalone.js --snapshot FILE.json --listen PORT [--access-log FILE]

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { systemClock } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import { DeadlineSweeper } from "../dataplane/deadlines.ts";
import { Preparer } from "../dataplane/runtime/prepare.ts";
import { UpstreamPools } from "../dataplane/upstream/upstream-pools.ts";
import { GatewayRole } from "../dataplane/worker/gateway-role.ts";
import { pluginServices } from "../dataplane/worker/plugin-services.ts";
import { TrafficReport } from "../dataplane/worker/traffic-report.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createLogger } from "../telemetry/logger.ts";

const { values } = parseArgs({
  options: {
    snapshot: { type: "string" },
    listen: { type: "string" },
    "access-log": { type: "string" },
  },
});
const snapshot = JSON.parse(readFileSync(values.snapshot ?? "", "utf8")) as Snapshot;
const listened = Number(values.listen);
const accessLogPath = values["access-log"] ?? "";
const clock = systemClock;
const logger = createLogger({ level: "warn" });
const report = await TrafficReport.open({ clock, logger, accessLogPath });
const sweeper = new DeadlineSweeper(clock);
const pools = new UpstreamPools(sweeper);
const ports = Object.values(snapshot.gateways).flatMap(({ listeners }) =>
  listeners.map(({ port }) => [String(port), listened] as const),
);
const role = new GatewayRole(
  {
    role: "gateway",
    id: "standalone",
    gatewayHost: "127.0.0.1",
    portMap: Object.fromEntries(ports),
    accessLogPath,
    logLevel: "warn",
    logPath: "",
  },
  { clock, prng: systemPrng, sweeper, pools, observer: report },
  new Preparer({ logger, plugins: pluginServices(clock, logger) }),
);
const failure = await role.configure(snapshot);
if (failure !== null) {
  process.stderr.write(`error: ${failure}\n`);
  process.exit(1);
}
process.stdout.write(`listening on 127.0.0.1:${listened}\n`);
process.once("SIGTERM", () => {
  void report.close().finally(() => process.exit(0));
});
