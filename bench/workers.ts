//! `node dist/bench/workers.js [ROUNDS]`: what a second gateway worker costs: requests for each second
//! of processor time with two workers and with one, of the whole `graylane up`, asked in turn for a
//! second each (goal: at least 0.9). Load and upstream share the processors with the workers, which
//! is why requests per second by the clock say nothing here.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../src/base/testing/free-port.ts";
import { Graylane } from "../test/support/graylane.ts";
import { GATEWAY, outsideHost, virtualService } from "../test/support/load-manifests.ts";
import { cpuSecondsOfTree } from "./end-to-end/contender.ts";
import type { BenchContext } from "./end-to-end/contender.ts";
import { figureOf, medianBounds } from "./end-to-end/figures.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { runWrk } from "./end-to-end/wrk.ts";

const ROUNDS = Number(process.argv[2] ?? 20);
const CONNECTIONS = 64;
const WORKERS = [1, 2] as const;
const WARM_UP_ROUNDS = 3;

async function requestsPerCpuSecond({ port, pid }: Graylane): Promise<number> {
  const before = cpuSecondsOfTree(pid);
  const run = await runWrk({ port, seconds: 1, connections: CONNECTIONS, script: "" });
  if (run.errors !== "") throw new Error(run.errors);
  return run.requests / (cpuSecondsOfTree(pid) - before);
}

const directory = mkdtempSync(join(tmpdir(), "graylane-workers-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
const objects = [
  GATEWAY,
  outsideHost("upstream", ports.v1),
  virtualService("upstream.outside.test", 1),
];
const file = join(directory, "objects.yaml");
writeFileSync(file, objects.map((object) => JSON.stringify(object)).join("\n---\n"));
const started = await Promise.all(
  WORKERS.map((count) => Graylane.start({ files: [file], words: ["--workers", String(count)] })),
);
const figures: number[][] = WORKERS.map(() => []);
const ratios: number[] = [];
for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
  const order = round % 2 === 0 ? [0, 1] : [1, 0];
  const both = [0, 0];
  for (const which of order) {
    const one = started[which];
    if (one !== undefined) both[which] = await requestsPerCpuSecond(one);
  }
  if (round < WARM_UP_ROUNDS) continue;
  for (const which of order) figures[which]?.push(both[which] ?? 0);
  ratios.push((both[1] ?? 0) / (both[0] ?? 1));
}
const [one, two] = figures.map((values) => figureOf(values).median.toFixed(0));
const [low, high] = medianBounds(ratios);
process.stdout.write(
  `requests per CPU-second, ${ROUNDS} rounds: one worker ${one}, two ${two}; ` +
    `ratio ${figureOf(ratios).median.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)})\n`,
);
for (const graylane of started) await graylane.stop();
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
