//! Where a request's CPU time goes: profiles one worker under the load of a scenario of
//! `npm run bench`, prints the share of each part, and draws a flame graph.
//!
//!   node dist/bench/profile.js [--only TEXT] [--seconds N] [--svg FILE]
//!   node dist/bench/profile.js --floor [--rounds N]: beside a proxy that only hands bytes on

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort } from "../src/base/testing/free-port.ts";
import { flameGraph } from "../src/plugin-tools/flame-graph.ts";
import type { CpuProfile } from "../src/plugin-tools/cpu-stacks.ts";
import {
  check,
  cpuSecondsOfTree,
  Pinned,
  PROXY_CORE,
  startContender,
} from "./end-to-end/contender.ts";
import type { BenchContext } from "./end-to-end/contender.ts";
import { runH2load } from "./end-to-end/h2load.ts";
import type { Scenario } from "./end-to-end/scenario.ts";
import { SCENARIOS } from "./end-to-end/scenarios.ts";
import { sharesOf } from "./end-to-end/shares.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { missingTools, runWrk } from "./end-to-end/wrk.ts";

const ROOT = resolve(fileURLToPath(new URL("../..", import.meta.url)));
const WARM_UP_SECONDS = 4;
const CONNECTIONS = 32;
const HTTP2_CONNECTIONS = 8;

async function load(scenario: Scenario, port: number, seconds: number): Promise<number> {
  const { path, isSecure, http2Streams: streams } = scenario;
  const script =
    scenario.wrkScript === "" ? "" : join(ROOT, "bench", "end-to-end", scenario.wrkScript);
  const result =
    streams === undefined
      ? await runWrk({
          ...{ port, seconds, connections: CONNECTIONS, script },
          ...(path === undefined ? {} : { path }),
          ...(isSecure === undefined ? {} : { isSecure }),
        })
      : runH2load({ port, seconds, connections: HTTP2_CONNECTIONS, streams });
  if (result.errors !== "") throw new Error(result.errors);
  return result.requests;
}

async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await isTrue()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what} within 10 s`);
}

/** Loads one worker, and takes the profile of the time in which it is loaded. */
async function profile(scenario: Scenario, context: BenchContext, seconds: number): Promise<void> {
  const file = join(context.directory, "worker.cpuprofile");
  const hook = new URL("./end-to-end/profiled.js", import.meta.url);
  const plan = scenario.contenders.find((each) => "snapshot" in each);
  if (plan === undefined) throw new Error(`${scenario.name} has nothing of ours`);
  process.env["GRAYLANE_PROFILE"] = file;
  process.env["NODE_OPTIONS"] = `--import ${hook.href}`;
  const worker = await startContender(plan, scenario, context);
  try {
    const pid = Number(readFileSync(`${file}.pid`, "utf8"));
    await load(scenario, worker.port, WARM_UP_SECONDS);
    process.kill(pid, "SIGUSR2");
    const cpuBefore = worker.cpuSeconds();
    const requests = await load(scenario, worker.port, seconds);
    const cpuSeconds = worker.cpuSeconds() - cpuBefore;
    process.kill(pid, "SIGUSR2");
    await until(() => existsSync(file) && isWhole(file), "no profile was written");
    const { parts, stacks } = sharesOf(JSON.parse(readFileSync(file, "utf8")) as CpuProfile);
    const each = ((cpuSeconds / requests) * 1e6).toFixed(1);
    process.stdout.write(`${scenario.name}: ${requests} requests, ${each} us of CPU time each\n\n`);
    process.stdout.write("| Part | Share | us |\n| --- | ---: | ---: |\n");
    for (const [part, share] of parts) {
      const us = ((share * cpuSeconds * 1e6) / requests).toFixed(1);
      process.stdout.write(`| ${part} | ${(share * 100).toFixed(1)} % | ${us} |\n`);
    }
    if (values.svg === "") return;
    writeFileSync(values.svg, flameGraph(stacks, `${scenario.name}: CPU time of one worker`));
  } finally {
    await worker.stop();
  }
}

function isWhole(file: string): boolean {
  return readFileSync(file, "latin1").endsWith("}");
}

/** Of Graylane and of a proxy that looks at nothing, in requests per CPU-second, in turn. */
async function floor(scenario: Scenario, context: BenchContext, rounds: number): Promise<void> {
  const plan = scenario.contenders.find((each) => "snapshot" in each);
  if (plan === undefined) throw new Error(`${scenario.name} has nothing of ours`);
  const worker = await startContender(plan, scenario, context);
  const port = await freePort();
  const entry = fileURLToPath(new URL("./end-to-end/bytes-only.js", import.meta.url));
  const args = [String(port), String(context.ports.v1)];
  const bytes = new Pinned(PROXY_CORE, [process.execPath, entry, ...args]);
  await until(async () => (await check(port, scenario, 1)) === "", "the bytes did not come");
  const both = [
    { name: "bytes only", port, cpuSeconds: (): number => cpuSecondsOfTree(bytes.pid) },
    worker,
  ];
  const ratios: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const perSecond: number[] = [];
    for (const each of both) {
      const before = each.cpuSeconds();
      const requests = await load(scenario, each.port, round < 0 ? WARM_UP_SECONDS : 1);
      perSecond.push(requests / (each.cpuSeconds() - before));
    }
    const [ofBytes = 0, ours = 0] = perSecond;
    if (round >= 0) ratios.push(ours / ofBytes);
    process.stdout.write(`${ofBytes.toFixed(0)} bytes only, ${ours.toFixed(0)} Graylane\n`);
  }
  ratios.sort((a, b) => a - b);
  const at = (share: number): string => (ratios[Math.floor(share * ratios.length)] ?? 0).toFixed(3);
  process.stdout.write(`${scenario.name}: ratio ${at(0.5)} (quartiles ${at(0.25)}, ${at(0.75)})\n`);
  await Promise.all([worker.stop(), bytes.stop()]);
}

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "plain proxy" },
    seconds: { type: "string", default: "8" },
    svg: { type: "string", default: "" },
    floor: { type: "boolean", default: false },
    rounds: { type: "string", default: "9" },
  },
});
const missing = missingTools();
if (missing !== "") throw new Error(missing);
const scenario = SCENARIOS.find(({ name }) => name.includes(values.only));
if (scenario === undefined) throw new Error(`no scenario has "${values.only}" in its name`);
const directory = mkdtempSync(join(tmpdir(), "graylane-profile-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: ROOT, directory, ports };
const upstream = await startUpstream(context);
try {
  if (values.floor) await floor(scenario, context, Number(values.rounds));
  else await profile(scenario, context, Number(values.seconds));
} finally {
  await upstream.stop();
  rmSync(directory, { recursive: true, force: true });
}
