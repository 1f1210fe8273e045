//! `node dist/bench/http2-floods.js [SECONDS] [NAME]`: what floods of HTTP/2 do to the gateway and to
//! others at it, beside real Envoy (row D6 of docs/reliability.md). Two attackers send as fast as the
//! proxy reads and come again when they are cut off; beside them one client sends a request after
//! the other. Attackers, client and upstream share a core, so latencies are upper bounds.

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../src/base/testing/free-port.ts";
import { FLOODS } from "../src/dataplane/testing/http2-floods.ts";
import type { Flood } from "../src/dataplane/testing/http2-floods.ts";
import { PREFACE, frame } from "../src/dataplane/testing/http2-frames.ts";
import { startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import { SCENARIOS } from "./end-to-end/scenarios.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";

const SECONDS = Number(process.argv[2] ?? 3);
const ONLY = process.argv[3] ?? "";
const ATTACKERS = 2;
const ROUND_BYTES = 16_384;
const CALM_MS = 1_000;
const PAUSE_MS = 2;

class Attacker {
  connections = 0;
  /** How long the longest of its connections was let be. */
  longestMs = 0;
  bytes = 0;
  readonly #port: number;
  readonly #flood: Flood;
  #socket: Socket | null = null;
  #isOver = false;

  constructor(port: number, flood: Flood) {
    this.#port = port;
    this.#flood = flood;
  }

  start(): void {
    if (this.#isOver) return;
    this.connections += 1;
    const startMs = performance.now();
    const socket = connect(this.#port, "127.0.0.1");
    this.#socket = socket;
    socket.resume();
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      setTimeout(() => {
        this.start();
      }, PAUSE_MS);
    });
    const opening = this.#flood.opening ?? Buffer.alloc(0);
    socket.write(Buffer.concat([PREFACE, frame("settings", Buffer.alloc(0)), opening]));
    this.#send(socket, 0);
  }

  stop(): void {
    this.#isOver = true;
    this.#socket?.destroy();
  }

  #send(socket: Socket, first: number): void {
    if (socket.destroyed) return;
    const round: Buffer[] = [];
    let bytes = 0;
    while (bytes < ROUND_BYTES) {
      const unit = this.#flood.unit(first + round.length);
      round.push(unit);
      bytes += unit.length;
    }
    socket.write(Buffer.concat(round), () => {
      this.bytes += bytes;
      setImmediate(() => {
        this.#send(socket, first + round.length);
      });
    });
  }
}

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
  const startMs = performance.now();
  const attackers = Array.from({ length: ATTACKERS }, () => new Attacker(port, flood));
  for (const attacker of attackers) attacker.start();
  const p99 = await probe(port, SECONDS * 1_000);
  const seconds = (performance.now() - startMs) / 1_000;
  const cpu = (contender.cpuSeconds() - cpuBefore) / seconds;
  const resident = (contender.residentKib() - residentBefore) / 1_024;
  const cut = attackers.reduce((sum, { connections }) => sum + connections - 1, 0);
  const longest = Math.max(...attackers.map(({ longestMs }) => longestMs));
  const mebibytes = attackers.reduce((sum, { bytes }) => sum + bytes, 0) / 1_048_576;
  for (const attacker of attackers) attacker.stop();
  const closing = cut === 0 ? "none cut" : `${cut} cut, within ${longest.toFixed(0)} ms`;
  process.stdout.write(
    `${name}: ${flood.name}: ${closing}; ${(mebibytes / seconds).toFixed(1)} MiB/s taken, ` +
      `${(cpu * 100).toFixed(0)} % of a core, ${resident.toFixed(1)} MiB more; ` +
      `p99 beside it ${p99} ms (calm: ${calm} ms)\n`,
  );
}

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
