//! `node dist/bench/fleet.js [--envoys N] [--services N]`: a fleet of simulated Envoys.
//! `--changes N [--seconds N] [--stalled N]`: N changes of endpoints a second in place of single
//! ones, beside clients that do not read, or a byte a second.
//!
//! They are real clients of delta xDS over gRPC, in a process of their own on the same machine; they
//! have no data path. Prints what the control plane needs for them: the first synchronisation, one
//! endpoint's change, a lane, all of them coming back at once, and a control plane that was killed.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../src/base/testing/free-port.ts";
import { delay, systemClock } from "../src/base/clock.ts";
import { Graylane, KINDS } from "../test/support/graylane.ts";
import { Clients } from "./fleet/clients.ts";
import type { FleetReport } from "./fleet/clients-process.ts";
import { measureChanges } from "./fleet/changes.ts";
import { allInSync, cpuOf, memoryOf, now, print, seconds, traffic } from "./fleet/figures.ts";
import { LABELS, LANE, ROUTES, clusterOf, moved, world } from "./fleet/world.ts";

const { values } = parseArgs({
  options: {
    envoys: { type: "string", default: "1000" },
    services: { type: "string", default: "2000" },
    changes: { type: "string", default: "0" },
    seconds: { type: "string", default: "30" },
    stalled: { type: "string", default: "0" },
  },
});
const ENVOYS = Number(values.envoys);
const SERVICES = Number(values.services);
const CHANGES = Number(values.changes);
const POLL_MS = 100;
const PROBE_MS = 100;

/** Asks the API now and then, and remembers the slowest answer. */
class Probe {
  slowestMs = 0;
  count = 0;
  #isOver = false;
  readonly #run: Promise<void>;

  constructor(graylane: Graylane) {
    this.#run = this.#ask(graylane);
  }

  async stop(): Promise<string> {
    this.#isOver = true;
    await this.#run;
    return `slowest of ${this.count} other requests of the API ${this.slowestMs.toFixed(0)} ms`;
  }

  async #ask(graylane: Graylane): Promise<void> {
    while (!this.#isOver) {
      const startMs = now();
      // A connection that was idle may end just when it is used: asked again, with that time in it.
      const look = () => graylane.client.get(KINDS.Service, "default", "shop");
      await look().catch(look);
      this.slowestMs = Math.max(this.slowestMs, now() - startMs);
      this.count += 1;
      await delay(systemClock, PROBE_MS);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "graylane-fleet-"));
const file = join(folder, "world.yaml");
writeFileSync(file, world(SERVICES));
const xdsPort = await freePort();
const words = ["--xds", `127.0.0.1:${xdsPort}`, "--workers", "1"];
const stateDirectory = join(folder, "state");
let graylane = await Graylane.start({ files: [file], words, stateDirectory, waitsForPods: false });
const clients = new Clients();

const synced = (): Promise<void> => allInSync(graylane, ENVOYS);

async function changes(): Promise<void> {
  const address = `127.0.0.1:${xdsPort}`;
  await clients.do({ kind: "stall", count: Number(values.stalled), address, labels: LABELS });
  // One service has no ServiceEntry: that with lanes.
  const plan = { services: SERVICES - 1, perSecond: CHANGES, seconds: Number(values.seconds) };
  await measureChanges({ graylane, clients, ...plan });
}

async function firstSynchronisation(): Promise<void> {
  await graylane.published();
  print("the world", `${ENVOYS} Envoys, ${SERVICES} services, ${SERVICES * 10} endpoints`);
  print("control plane before", `${memoryOf(graylane.pid)}; CPU ${cpuOf(graylane.pid)}`);

  const probe = new Probe(graylane);
  const startMs = now();
  await clients.do({
    ...{ kind: "start", count: ENVOYS, address: `127.0.0.1:${xdsPort}`, labels: LABELS },
    routeNames: [ROUTES],
  });
  const first = await clients.until("the first synchronisation", ({ held }) =>
    [`clusters ${SERVICES}`, `endpoints ${SERVICES}`, "listeners 1", "routes 1"].every(
      (key) => held[key] === ENVOYS,
    ),
  );
  print("first synchronisation of all", seconds(first.lastMs - startMs));
  print("", `${traffic(first)}; ${await probe.stop()}`);
  print("", `control plane ${memoryOf(graylane.pid)}; CPU ${cpuOf(graylane.pid)}`);
  await graylane.published();
  await synced();
}

/** One after the other, with nothing else to do. */
async function singleSteps(): Promise<void> {
  let startMs = now();
  const told = (name: string) => (report: FleetReport) => (report.told[name] ?? 0) >= ENVOYS;
  for (const revision of [1, 2]) {
    await clients.do({ kind: "reset" });
    startMs = now();
    await graylane.patch(KINDS.ServiceEntry, ["default", "s7"], moved(revision));
    const writtenMs = now() - startMs;
    const report = await clients.until("one endpoint", told(`endpoints ${clusterOf(7)}`));
    const each = (report.bytes / report.messages).toFixed(0);
    print("one endpoint's change", `${seconds(report.lastMs - startMs)} to the last answer`);
    print(
      "",
      `(${seconds(writtenMs)} of it until it was written); ${traffic(report)}, ${each} B each`,
    );
  }

  await clients.do({ kind: "reset" });
  startMs = now();
  await graylane.apply(LANE);
  const lane = await clients.until("the lane", told(`routes ${ROUTES}`));
  print("a lane", `${seconds(lane.lastMs - startMs)} to the last answer; ${traffic(lane)}`);
  print("", `control plane ${memoryOf(graylane.pid)}; CPU ${cpuOf(graylane.pid)}`);
  await graylane.published();
  await synced();

  await clients.do({ kind: "reset" });
  const probe = new Probe(graylane);
  startMs = now();
  await clients.do({ kind: "reconnect" });
  await delay(systemClock, POLL_MS);
  await synced();
  const again = await clients.do({ kind: "report" });
  print("all come back at once", `${seconds(now() - startMs)} until all are in sync`);
  print("", `${traffic(again)}; ${await probe.stop()}`);
  print("", `control plane ${memoryOf(graylane.pid)}; CPU ${cpuOf(graylane.pid)}`);

  await graylane.kill();
  startMs = now();
  graylane = await Graylane.start({ files: [], words, stateDirectory, waitsForPods: false });
  const upMs = now() - startMs;
  await graylane.published();
  await synced();
  const killed = await clients.do({ kind: "report" });
  print(
    "killed and started again",
    `up in ${seconds(upMs)}, all in sync after ${seconds(now() - startMs)}`,
  );
  print("", `${traffic(killed)} since before; control plane ${memoryOf(graylane.pid)}`);
}

try {
  await firstSynchronisation();
  await (CHANGES > 0 ? changes() : singleSteps());
} finally {
  await clients.do({ kind: "stop" });
  await graylane.stop();
  rmSync(folder, { recursive: true, force: true });
}
