//! Our gateway as `npm run bench` starts it, as one of the proxies that raw cases are sent through.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../../src/base/testing/free-port.ts";
import { snapshotOf } from "./our-front.ts";
import { startProgram } from "./raw-fronts.ts";
import type { Front, FrontPlan } from "./raw-fronts.ts";

/** The same program, options and flags, whatever is asked of it. */
export async function startBenchmarked(plan: FrontPlan): Promise<Front> {
  const directory = mkdtempSync(join(tmpdir(), "graylane-benchmarked-"));
  const [snapshot, accessLog] = [join(directory, "snapshot.json"), join(directory, "access.log")];
  writeFileSync(snapshot, JSON.stringify(snapshotOf(plan)));
  const port = await freePort();
  const entry = resolve("dist/bench/end-to-end/gateway.js");
  const command = [process.execPath, entry, snapshot, String(port), accessLog];
  const end = await startProgram("the benchmarked gateway", command, port);
  return {
    ...{ name: "Graylane", port, accessLog },
    stop: async () => {
      await end();
      rmSync(directory, { recursive: true });
    },
  };
}
