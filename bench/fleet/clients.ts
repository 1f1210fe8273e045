//! The simulated Envoys, as their parent sees them.

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { FleetOrder, FleetReport } from "./clients-process.ts";

const POLL_MS = 100;
const WAIT_MS_MAX = 300_000;
const HEAP_MIB_MAX = 6_000;

export class Clients {
  readonly #child: ChildProcess;

  constructor() {
    const path = fileURLToPath(new URL("./clients-process.js", import.meta.url));
    this.#child = fork(path, { execArgv: [`--max-old-space-size=${HEAP_MIB_MAX}`] });
  }

  do(order: FleetOrder): Promise<FleetReport> {
    return new Promise((resolve) => {
      this.#child.once("message", resolve as (message: unknown) => void);
      this.#child.send(order);
    });
  }

  /** Polls until it is so. */
  async until(what: string, isSo: (report: FleetReport) => boolean): Promise<FleetReport> {
    const endMs = performance.now() + WAIT_MS_MAX;
    for (;;) {
      const report = await this.do({ kind: "report" });
      if (isSo(report)) return report;
      if (performance.now() > endMs)
        throw new Error(`${what}: not so in time: ${JSON.stringify(report)}`);
      await delay(systemClock, POLL_MS);
    }
  }
}
