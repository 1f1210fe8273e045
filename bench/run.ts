//! `npm run bench`: the gateway beside real Envoy, one core each in turn, on the same work.
//!
//! The proxy has core 0; wrk and the upstream share core 1. Contenders alternate, so that whatever
//! the machine does otherwise meets both. Answers are checked before and after; a run with a wrong
//! answer stops the benchmark.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort } from "../src/base/testing/free-port.ts";
import { LOAD_CORE, Pinned, check, coreTicks, startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import { figureOf, figuresOf } from "./end-to-end/figures.ts";
import { laneRules } from "./end-to-end/lane-rules.ts";
import { checkHttp2, runH2load, runH2loadAtRate } from "./end-to-end/h2load.ts";
import type { LatencyFigures, LatencyMs, Run, ScenarioFigures } from "./end-to-end/figures.ts";
import { report } from "./end-to-end/report.ts";
import type { ContenderPlan, Scenario } from "./end-to-end/scenario.ts";
import { ENVOY, SCENARIOS } from "./end-to-end/scenarios.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { missingTools, runWrk } from "./end-to-end/wrk.ts";
import type { WrkOptions, WrkResult } from "./end-to-end/wrk.ts";

const LANE_RULES = "lane rules";
const LATENCY_RATE_SHARE = 0.7;
const BLOCK_ROUNDS_PER_ROUND = 12;
/** Of so many checks one is made when answers are large. */
const BULKY_CHECKS_SHARE = 10;

interface Settings {
  readonly rounds: number;
  /** Of "lane rules". */
  readonly blockRounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  /** Requests before and after whose every answer is looked at. */
  readonly checks: number;
  readonly latencySeconds: number;
  readonly withEnvoy: boolean;
  /** Only scenarios whose name has this in it. */
  readonly only: string;
}

function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    try {
      const text = readFileSync(join(directory, "package.json"), "utf8");
      if ((JSON.parse(text) as { name?: string }).name === "graylane") return directory;
    } catch {
      // Not here: one folder up.
    }
    if (directory === dirname(directory)) throw new Error("no package.json above this file");
    directory = dirname(directory);
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function script(scenario: Scenario, { root }: BenchContext): string {
  return scenario.wrkScript === "" ? "" : join(root, "bench", "end-to-end", scenario.wrkScript);
}

async function mustBeRight(
  contender: Contender,
  scenario: Scenario,
  { checks }: Settings,
): Promise<void> {
  const count = scenario.isBulky === true ? checks / BULKY_CHECKS_SHARE : checks;
  const failures = await check(contender.port, scenario, count);
  const ofHttp2 =
    scenario.http2Streams === undefined ? "" : await checkHttp2(contender.port, count, "v1");
  const wrong = failures + ofHttp2;
  if (wrong !== "") throw new Error(`${contender.name}, ${scenario.name}: ${wrong}`);
}

interface Load extends Omit<WrkOptions, "port"> {
  /** 0: HTTP/1.1. */
  readonly streams: number;
}

/** With 32 streams each, well under the thousand requests that Envoy lets through by default. */
const HTTP2_CONNECTIONS = 8;

async function runLoad(port: number, load: Load): Promise<Omit<WrkResult, "p99Ms">> {
  if (load.streams === 0) return runWrk({ ...load, port });
  return runH2load({ ...load, port, connections: HTTP2_CONNECTIONS });
}

async function measure(contender: Contender, load: Load): Promise<Run> {
  const [cpuBefore, loadBefore] = [contender.cpuSeconds(), coreTicks(LOAD_CORE)];
  const result = await runLoad(contender.port, load);
  const [cpuAfter, loadAfter] = [contender.cpuSeconds(), coreTicks(LOAD_CORE)];
  if (result.errors !== "") throw new Error(`${contender.name}: ${result.errors}`);
  return {
    requestsPerSecond: result.requestsPerSecond,
    requestsPerCpuSecond: result.requests / (cpuAfter - cpuBefore),
    loadBusy: (loadAfter.busy - loadBefore.busy) / (loadAfter.total - loadBefore.total),
  };
}

function plansOf(scenario: Scenario, { withEnvoy }: Settings): readonly ContenderPlan[] {
  return scenario.contenders.filter(({ name }) => withEnvoy || name !== ENVOY);
}

async function runScenario(
  scenario: Scenario,
  context: BenchContext,
  settings: Settings,
): Promise<ScenarioFigures> {
  const contenders: Contender[] = [];
  const runs = new Map<string, Run[]>();
  const { seconds, connections } = settings;
  const { path, isSecure } = scenario;
  const load = {
    seconds,
    connections,
    script: script(scenario, context),
    streams: scenario.http2Streams ?? 0,
    ...(path === undefined ? {} : { path }),
    ...(isSecure === undefined ? {} : { isSecure }),
  };
  try {
    for (const plan of plansOf(scenario, settings)) {
      const contender = await startContender(plan, scenario, context);
      contenders.push(contender);
      runs.set(plan.name, []);
      await mustBeRight(contender, scenario, settings);
      await measure(contender, { ...load, seconds: settings.warmUpSeconds });
    }
    for (let round = 1; round <= settings.rounds; round++) {
      // There and back: who is second in a round is first in the next.
      const order = round % 2 === 0 ? [...contenders].reverse() : contenders;
      for (const contender of order) {
        const run = await measure(contender, load);
        runs.get(contender.name)?.push(run);
        say(
          `${scenario.name}, round ${round}, ${contender.name}: ` +
            `${Math.round(run.requestsPerSecond)} requests/s, ` +
            `${Math.round(run.requestsPerCpuSecond)} per CPU-second, ` +
            `load core ${Math.round(run.loadBusy * 100)} % busy`,
        );
      }
    }
    const figures = figuresOf(scenario.name, runs);
    const latency =
      scenario.isBulky === true
        ? null
        : await measureLatency(contenders, scenario, figures, {
            ...context,
            seconds: settings.latencySeconds,
          });
    for (const contender of contenders) await mustBeRight(contender, scenario, settings);
    return { ...figures, latency };
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
}

/** At a share of the first's peak that leaves both time to breathe. */
async function measureLatency(
  contenders: readonly Contender[],
  scenario: Scenario,
  { contenders: figures }: Pick<ScenarioFigures, "contenders">,
  { root, seconds }: BenchContext & { readonly seconds: number },
): Promise<LatencyFigures> {
  const peak = figures[contenders[0]?.name ?? ""]?.requestsPerSecond.median ?? 0;
  const ratePerSecond = Math.floor(peak * LATENCY_RATE_SHARE);
  const entry = join(root, "dist", "bench", "end-to-end", "latency.js");
  const measured: Record<string, LatencyMs> = {};
  const { http2Streams: streams } = scenario;
  for (const { name, port } of contenders) {
    if (streams !== undefined) {
      const load = { port, seconds, connections: HTTP2_CONNECTIONS, streams };
      const latency = runH2loadAtRate({ ...load, rate: ratePerSecond });
      measured[name] = latency;
      sayLatency(scenario, name, { ratePerSecond, ...latency });
      continue;
    }
    const values = [port, ratePerSecond, seconds].map(String);
    const client = new Pinned(LOAD_CORE, [process.execPath, entry, ...values, scenario.name]);
    await client.exited;
    const answer = JSON.parse(client.output) as {
      readonly failed: number;
      readonly failures: readonly string[];
      readonly latencyMs: LatencyMs;
    };
    if (answer.failed > 0) throw new Error(`${name}: ${answer.failures.join("; ")}`);
    measured[name] = answer.latencyMs;
    sayLatency(scenario, name, { ratePerSecond, ...answer.latencyMs });
  }
  return { ratePerSecond, contenders: measured };
}

function sayLatency(
  { name: scenario }: Scenario,
  name: string,
  { ratePerSecond, p50, p99 }: LatencyMs & { readonly ratePerSecond: number },
): void {
  say(`${scenario}, ${name}: at ${ratePerSecond} requests/s p50 ${p50} ms, p99 ${p99} ms`);
}

/** What load generator and upstream reach together on their one core, without a proxy. */
async function loadLimit(context: BenchContext, settings: Settings): Promise<number> {
  const { connections } = settings;
  const values: number[] = [];
  for (let round = 0; round < 3; round++) {
    const result = await runWrk({ port: context.ports.v1, seconds: 2, connections, script: "" });
    values.push(result.requestsPerSecond);
  }
  return figureOf(values).median;
}

function settingsOf(): Settings & { readonly json: boolean; readonly write: boolean } {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "11" },
      seconds: { type: "string", default: "3" },
      "warm-up": { type: "string", default: "4" },
      connections: { type: "string", default: "32" },
      // Without Envoy, where it cannot be had: each scenario begins with its next.
      "no-envoy": { type: "boolean", default: false },
      only: { type: "string", default: "" },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      // For CI: tells whether everything runs and answers rightly; its figures mean nothing.
      short: { type: "boolean", default: false },
    },
  });
  return {
    rounds: values.short ? 1 : Number(values.rounds),
    blockRounds: values.short ? 1 : Number(values.rounds) * BLOCK_ROUNDS_PER_ROUND,
    seconds: values.short ? 1 : Number(values.seconds),
    warmUpSeconds: values.short ? 1 : Number(values["warm-up"]),
    checks: values.short ? 500 : 2_000,
    latencySeconds: values.short ? 1 : 5,
    connections: Number(values.connections),
    withEnvoy: !values["no-envoy"],
    only: values.only,
    json: values.json,
    write: values.write,
  };
}

/** A name that is wrong must not look like a benchmark that has nothing to tell. */
function mustName(only: string): void {
  const names = [...SCENARIOS.map(({ name }) => name), LANE_RULES];
  if (names.some((name) => name.includes(only))) return;
  throw new Error(`no scenario has "${only}" in its name; there are: ${names.join("; ")}`);
}

async function main(): Promise<void> {
  const settings = settingsOf();
  mustName(settings.only);
  const missing = missingTools();
  if (missing !== "") throw new Error(missing);
  if (availableParallelism() < 2) throw new Error("two cores are needed: one for the proxy alone");

  // Before this process is moved to one core.
  const machine = `${cpus()[0]?.model ?? "unknown CPU"}, ${availableParallelism()} cores`;
  const root = packageRoot();
  const directory = mkdtempSync(join(tmpdir(), "graylane-bench-"));
  const ports = { v1: await freePort(), v2: await freePort() };
  const context: BenchContext = { root, directory, ports };
  const upstream = await startUpstream(context);
  try {
    const limit = await loadLimit(context, settings);
    say(
      `load generator with upstream (${upstream.kind}), no proxy: ${Math.round(limit)} requests/s`,
    );
    const figures: ScenarioFigures[] = [];
    for (const scenario of SCENARIOS.filter((one) => one.name.includes(settings.only))) {
      figures.push(await runScenario(scenario, context, settings));
    }
    // Last: it moves this process to the load core.
    if (LANE_RULES.includes(settings.only)) {
      say(`${LANE_RULES}: ${settings.blockRounds} rounds of short blocks`);
      figures.push(...(await laneRules(context, settings.blockRounds)));
    }
    const text = report(figures, {
      loadLimit: limit,
      machine,
      settings: `${settings.rounds} rounds of ${settings.seconds} s, ${settings.connections} connections`,
      node: process.version,
      upstream: upstream.kind,
    });
    process.stdout.write(settings.json ? `${JSON.stringify(figures, null, 2)}\n` : text);
    if (settings.write) writeFileSync(join(root, "bench", "RESULTS.md"), text);
  } finally {
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main().catch((cause: unknown) => {
  say(`bench: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 1;
});
