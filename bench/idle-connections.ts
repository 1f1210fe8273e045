//! `node dist/bench/idle-connections.js [COUNT]`: what an idle client connection costs the gateway
//! in memory, beside real Envoy (row D4 of docs/reliability.md). Each connection has been asked
//! once, or has sent half a head. Resident memory; what the system keeps for a socket is not in it.

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import { pinToLoadCore, startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import { SCENARIOS } from "./end-to-end/scenarios.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";

const COUNT = Number(process.argv[2] ?? 10_000);
/** At once; more would overflow the queue of connections that wait to be accepted. */
const OPENING_MAX = 200;
const PROBES = 1_000;
/** Between two: some three seconds in all, and not only what follows upon the opening. */
const PROBE_PAUSE_MS = 2;
const WHOLE = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const HALF = "GET / HTTP/1.1\r\nhost: localhost\r\n";
const KINDS = [
  ["idle", WHOLE],
  ["half a head", HALF],
] as const;

/** Resolves with the first byte of the answer; for half a head when it has been sent. */
function open(port: number, text: string): Promise<Socket> {
  return new Promise((done, failed) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.write(text, () => {
        if (text === HALF) done(socket);
      });
    });
    socket.once("data", () => {
      done(socket);
    });
  });
}

async function openAll(port: number, text: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < COUNT) {
    const count = Math.min(OPENING_MAX, COUNT - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: count }, () => open(port, text)))));
  }
  return sockets;
}

/** 99th percentile of one request after the other, milliseconds. */
async function probe(port: number): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < PROBES; index++) {
    const startMs = performance.now();
    const socket = await open(port, WHOLE);
    times.push(performance.now() - startMs);
    socket.destroy();
    await sleep(PROBE_PAUSE_MS);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(PROBES * 0.99)] ?? 0;
}

async function measure(contender: Contender, what: string, text: string): Promise<void> {
  const { name, port } = contender;
  const before = contender.residentKib();
  const sockets = await openAll(port, text);
  const perConnection = (contender.residentKib() - before) / COUNT;
  const p99 = await probe(port);
  const figures = `${perConnection.toFixed(1)} KiB each, probe p99 ${p99.toFixed(1)} ms`;
  process.stdout.write(`${name}: ${COUNT} connections, ${what}: ${figures}\n`);
  for (const socket of sockets) socket.on("error", () => undefined).destroy();
}

pinToLoadCore();
const directory = mkdtempSync(join(tmpdir(), "graylane-idle-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
const [scenario] = SCENARIOS;
for (const plan of scenario?.contenders ?? []) {
  if (scenario === undefined) break;
  for (const [what, text] of KINDS) {
    // Anew for each: memory that was once used is used again.
    const contender = await startContender(plan, scenario, context);
    await measure(contender, what, text);
    await contender.stop();
  }
}
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
