//! `node dist/bench/http2-floods.js [SECONDS] [NAME]`: what floods of HTTP/2 do to the gateway and to
//! others at it, beside real Envoy (row D6 of docs/reliability.md). Two attackers send as fast as the
//! proxy reads and come again when they are cut off; beside them one client sends a request after
//! the other. Attackers, client and upstream share a core, where the attackers give way.

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../src/base/testing/free-port.ts";
import { FLOODS } from "../src/dataplane/testing/http2-floods.ts";
import type { Flood } from "../src/dataplane/testing/http2-floods.ts";
import { AttackProcess } from "./attack/attack-process.ts";
import type { FloodOrder, FloodReport } from "./attack/http2-flood-process.ts";
import { pinToLoadCore, startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import { SCENARIOS } from "./end-to-end/scenarios.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";

const SECONDS = Number(process.argv[2] ?? 3);
const ONLY = process.argv[3] ?? "";
const ATTACKERS = 2;
const CALM_MS = 1_000;
const PAUSE_MS = 2;

/** Milliseconds to the first byte of an answer over a connection of its own. */
function ask(port: number): Promise<number> {
  return new Promise((done, failed) => {
    const startMs = performance.now();
    const socket = connect(port, "127.0.0.1");
    socket.once("error", failed);
    socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    socket.once("data", () => {
      done(performance.now() - startMs);
      socket.destroy();
    });
  });
}

async function probe(port: number, ms: number): Promise<string> {
  const times: number[] = [];
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    times.push(await ask(port));
    await new Promise((resume) => setTimeout(resume, PAUSE_MS));
  }
  times.sort((a, b) => a - b);
  return (times[Math.floor(times.length * 0.99)] ?? 0).toFixed(1);
}

async function measure(contender: Contender, flood: Flood): Promise<void> {
  const { name, port } = contender;
  const calm = await probe(port, CALM_MS);
  const [cpuBefore, residentBefore] = [contender.cpuSeconds(), contender.residentKib()];
  const order = { port, flood: flood.name, attackers: ATTACKERS };
  const attack = await AttackProcess.start<FloodOrder, FloodReport>("http2-flood-process", order);
  const startMs = performance.now();
  const p99 = await probe(port, SECONDS * 1_000);
  const seconds = (performance.now() - startMs) / 1_000;
  const cpu = (contender.cpuSeconds() - cpuBefore) / seconds;
  const resident = (contender.residentKib() - residentBefore) / 1_024;
  const { cut, longestMs, bytes } = await attack.end();
  const closing = cut === 0 ? "none cut" : `${cut} cut, within ${longestMs.toFixed(0)} ms`;
  process.stdout.write(
    `${name}: ${flood.name}: ${closing}; ${(bytes / 1_048_576 / seconds).toFixed(1)} MiB/s taken, ` +
      `${(cpu * 100).toFixed(0)} % of a core, ${resident.toFixed(1)} MiB more; ` +
      `p99 beside it ${p99} ms (calm: ${calm} ms)\n`,
  );
}

pinToLoadCore();
const directory = mkdtempSync(join(tmpdir(), "graylane-floods-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
const [scenario] = SCENARIOS;
for (const plan of scenario?.contenders ?? []) {
  if (scenario === undefined) break;
  const contender = await startContender(plan, scenario, context);
  for (const flood of FLOODS.filter((one) => one.name.includes(ONLY))) {
    await measure(contender, flood);
  }
  await contender.stop();
}
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
