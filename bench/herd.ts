//! `node dist/bench/herd.js [--envoys N] [--services N] [--kills N]`: the control plane is killed
//! with `kill -9` and started again, and all simulated Envoys come back at once with the versions
//! that they hold. Prints how long that takes, from the start of the new process, and what they
//! were sent.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../src/base/testing/free-port.ts";
import { Graylane } from "../test/support/graylane.ts";
import { Clients } from "./fleet/clients.ts";
import { allInSync, cpuOf, memoryOf, now, print, seconds } from "./fleet/figures.ts";
import { LABELS, ROUTES, world } from "./fleet/world.ts";

const { values } = parseArgs({
  options: {
    envoys: { type: "string", default: "1000" },
    services: { type: "string", default: "100" },
    kills: { type: "string", default: "20" },
  },
});
const [ENVOYS, SERVICES, KILLS] = [values.envoys, values.services, values.kills].map(Number) as [
  number,
  number,
  number,
];

const folder = mkdtempSync(join(tmpdir(), "graylane-herd-"));
const file = join(folder, "world.yaml");
writeFileSync(file, world(SERVICES));
const address = `127.0.0.1:${await freePort()}`;
const words = ["--xds", address, "--workers", "1"];
const stateDirectory = join(folder, "state");
let graylane = await Graylane.start({ files: [file], words, stateDirectory, waitsForPods: false });
const clients = new Clients();
const took: number[] = [];
let sent = 0;

try {
  print("the world", `${ENVOYS} Envoys, ${SERVICES} services, ${SERVICES * 10} endpoints`);
  await graylane.published();
  const routeNames = [ROUTES];
  await clients.do({ kind: "start", count: ENVOYS, address, labels: LABELS, routeNames });
  await clients.until("the first synchronisation", ({ held }) => held["routes 1"] === ENVOYS);
  await allInSync(graylane, ENVOYS);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    await clients.do({ kind: "reset" });
    await graylane.kill();
    const startMs = now();
    graylane = await Graylane.start({ files: [], words, stateDirectory, waitsForPods: false });
    const upMs = now() - startMs;
    await allInSync(graylane, ENVOYS);
    took.push(now() - startMs);
    const { messages } = await clients.do({ kind: "report" });
    sent += messages;
    const all = seconds(took.at(-1) ?? 0);
    const cost = `CPU ${cpuOf(graylane.pid)}, ${memoryOf(graylane.pid)}`;
    print(`kill ${kill}`, `up in ${seconds(upMs)}, all in sync after ${all}; ${cost}`);
  }
  took.sort((a, b) => a - b);
  const median = took[Math.floor(took.length / 2)] ?? 0;
  print("in all", `median ${seconds(median)}, slowest ${seconds(took.at(-1) ?? 0)}`);
  print("", `${sent} messages sent to who came back (goal: 5 s, at most one each)`);
} finally {
  await clients.do({ kind: "stop" });
  await graylane.stop();
  rmSync(folder, { recursive: true, force: true });
}
