//! `node dist/bench/slow-clients.js [SECONDS] [HEADS] [OTHERS]`: clients that drip their heads or
//! their bodies, or do not read their answers, and what 500 requests a second see beside them, with
//! real Envoy with the deadlines of an edge (row D5 of docs/reliability.md). Heads are due in 10 s
//! at both; at Envoy a stream on which nothing moves for 60 s ends, at Graylane a body of less than
//! 1 KiB in 60 s; an answer that is not read ends there by the route's time limit, 15 s.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import { AttackProcess } from "./attack/attack-process.ts";
import type { SlowOrder, SlowReport } from "./attack/slow-clients-process.ts";
import { pinToLoadCore, startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import type { ContenderPlan } from "./end-to-end/scenario.ts";
import { planned } from "./end-to-end/scenario.ts";
import { ENVOY, SCENARIOS } from "./end-to-end/scenarios.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { OpenLoopClient } from "./support/open-loop.ts";

const SECONDS = Number(process.argv[2] ?? 15);
const HEADS = Number(process.argv[3] ?? 5_000);
const OTHERS = Number(process.argv[4] ?? 500);
const RATE_PER_SECOND = 500;
const CALM_SECONDS = 5;
/** TCP_ESTABLISHED, as proc(5) writes it. */
const OPEN = "01";
const PROCESS = "slow-clients-process";

/** Ports of the clients whose connections to this port are open at the server's end: proc(5). */
function openAt(port: number): ReadonlySet<number> {
  const portOf = (address = ""): number => Number.parseInt(address.slice(-4), 16);
  const lines = readFileSync("/proc/net/tcp", "latin1").trim().split("\n").slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const open = fields.filter(([, local, , state]) => portOf(local) === port && state === OPEN);
  return new Set(open.map(([, , remote]) => portOf(remote)));
}

function startLoad(port: number): OpenLoopClient {
  const client = new OpenLoopClient({
    ...{ host: "127.0.0.1", port, ratePerSecond: RATE_PER_SECOND },
    ...{ connectionsMax: 200, timeoutMs: 30_000 },
    request: () => planned({ fields: "" }, "v1"),
  });
  client.start();
  return client;
}

async function figuresOf(client: OpenLoopClient): Promise<string> {
  const { sent, failed, failures, latencyUs } = await client.stop();
  const p99 = (latencyUs.percentile(99) / 1_000).toFixed(1);
  const first = failures[0] === undefined ? "" : ` (${failures[0]})`;
  return `${failed} of ${sent} failed${first}, p99 ${p99} ms`;
}

/** One that does not read does not see that it was cut off: the server's end tells. */
function goneOf({ name, clients }: SlowReport, open: ReadonlySet<number>): string {
  const gone = clients.filter(({ localPort }) => !open.has(localPort));
  const last = gone.reduce((most, { goneAfterMs }) => Math.max(most, goneAfterMs ?? 0), 0);
  const when = last === 0 ? "" : `, the last after ${(last / 1_000).toFixed(1)} s`;
  return `${gone.length} of ${clients.length} ${name} gone${when}`;
}

async function measure({ name, port }: Contender): Promise<string> {
  const quiet = startLoad(port);
  await sleep(CALM_SECONDS * 1_000);
  const calm = await figuresOf(quiet);
  const coming = startLoad(port);
  const order = { port, heads: HEADS, bodies: OTHERS, readers: OTHERS };
  const startMs = performance.now();
  const attack = await AttackProcess.start<SlowOrder, readonly SlowReport[]>(PROCESS, order);
  const openingSeconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const whileTheyCome = await figuresOf(coming);
  const load = startLoad(port);
  await sleep(SECONDS * 1_000);
  const beside = await figuresOf(load);
  const open = openAt(port);
  const gone = (await attack.end()).map((report) => goneOf(report, open)).join("; ");
  return (
    `${name}: calm ${calm}; while the slow clients come (${openingSeconds} s) ${whileTheyCome}; ` +
    `beside them ${beside}; ${gone}`
  );
}

pinToLoadCore();
const directory = mkdtempSync(join(tmpdir(), "graylane-slow-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
const [scenario] = SCENARIOS;
for (const plan of scenario?.contenders ?? []) {
  if (scenario === undefined) break;
  const edge: ContenderPlan = plan.name === ENVOY ? { name: ENVOY, envoyFile: "slow.yaml" } : plan;
  const contender = await startContender(edge, scenario, context);
  process.stdout.write(`${await measure(contender)}\n`);
  await contender.stop();
}
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
