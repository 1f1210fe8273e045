//! Runs one real gateway worker on one snapshot, set up as `graylane up` sets it up.
//!
//! Usage: `gateway.js SNAPSHOT PORT ACCESS_LOG`. The snapshot's gateway asks for port 80.

import cluster from "node:cluster";
import { readFileSync } from "node:fs";
import { OVERLOAD_DEFAULT, parseOverload } from "../../src/cli/overload-option.ts";
import { RECENT_COUNT_DEFAULT } from "../../src/cli/up-options.ts";
import { WORKER_OPTIONS_VARIABLE } from "../../src/dataplane/worker/protocol.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "../../src/dataplane/worker/protocol.ts";
import { workerFlags } from "../../src/main/worker-command.ts";
import { fullDelta } from "../../src/snapshot/delta.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { programFile } from "../../test/support/program.ts";

const [snapshotFile = "", port = "", accessLogPath = ""] = process.argv.slice(2);
const snapshot = JSON.parse(readFileSync(snapshotFile, "utf8")) as Snapshot;
const overload = parseOverload(OVERLOAD_DEFAULT);
const options: WorkerOptions = {
  role: "gateway",
  id: "bench",
  gatewayHost: "127.0.0.1",
  portMap: { "80": Number(port) },
  accessLogPath,
  recentCount: RECENT_COUNT_DEFAULT,
  ...(overload !== null && { overload }),
  logLevel: "warn",
  logPath: "",
};

cluster.schedulingPolicy = cluster.SCHED_NONE;
cluster.setupPrimary({
  exec: programFile("worker.js"),
  args: [],
  execArgv: workerFlags(),
});
const worker = cluster.fork({ [WORKER_OPTIONS_VARIABLE]: JSON.stringify(options) });
worker.on("message", (message: FromWorker) => {
  if (message.type === "ready") {
    worker.send({ type: "config", id: 1, delta: fullDelta(snapshot) } satisfies ToWorker);
  } else if (message.type === "configured" && message.error !== null) {
    process.stderr.write(`${message.error}\n`);
    process.exit(1);
  }
});
worker.on("exit", () => process.exit(1));
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    worker.process.kill("SIGKILL");
  });
}
