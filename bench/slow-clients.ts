//! `node dist/bench/slow-clients.js [SECONDS] [HEADS] [OTHERS]`: clients that drip their heads or
//! their bodies, or do not read their answers, and what 500 requests a second see beside them, with
//! real Envoy with the deadlines of an edge (row D5 of docs/reliability.md). Heads are due in 10 s
//! at both; at Envoy a stream on which nothing moves for 60 s ends, at Graylane a body of less than
//! 1 KiB in 60 s, and what is not read in 300 s.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import { startContender } from "./end-to-end/contender.ts";
import type { BenchContext, Contender } from "./end-to-end/contender.ts";
import { LARGE_PATH } from "./end-to-end/large-body.ts";
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
const DRIP_EVERY_MS = 1_000;
/** TCP_ESTABLISHED, as proc(5) writes it. */
const OPEN = "01";
/** At once; more would overflow the queue of connections that wait to be accepted. */
const OPENING_MAX = 200;

interface SlowKind {
  readonly name: string;
  readonly count: number;
  readonly opening: string;
  /** Sent every second. */
  readonly drip: string;
  /** Whether it takes what is answered. */
  readonly reads: boolean;
}

const KINDS: readonly SlowKind[] = [
  {
    ...{ name: "slow heads", count: HEADS, drip: "x", reads: true },
    opening: "GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
  },
  {
    ...{ name: "slow bodies", count: OTHERS, drip: "x", reads: true },
    opening: "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n",
  },
  {
    ...{ name: "slow readers", count: OTHERS, drip: "", reads: false },
    // More than the system's buffers hold.
    opening: `GET ${LARGE_PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(16),
  },
];

/** One that is slow until it is cut off. */
class SlowClient {
  /** From its first byte; null while it is there. */
  goneAfterMs: number | null = null;
  readonly opened: Promise<void>;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, { opening, drip, reads }: SlowKind) {
    const socket = connect(port, "127.0.0.1");
    this.#socket = socket;
    if (reads) socket.resume();
    else socket.pause();
    let startMs = performance.now();
    this.opened = new Promise((done) => {
      socket.once("connect", () => {
        startMs = performance.now();
        socket.write(opening, () => {
          done();
        });
      });
      socket.once("close", () => {
        this.goneAfterMs ??= performance.now() - startMs;
        clearInterval(this.#timer);
        done();
      });
    });
    socket.on("error", () => undefined);
    this.#timer = setInterval(() => {
      if (drip !== "" && socket.writable) socket.write(drip);
    }, DRIP_EVERY_MS);
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}

/** Ports of the clients whose connections to this port are open at the server's end: proc(5). */
function openAt(port: number): ReadonlySet<number> {
  const portOf = (address = ""): number => Number.parseInt(address.slice(-4), 16);
  const lines = readFileSync("/proc/net/tcp", "latin1").trim().split("\n").slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const open = fields.filter(([, local, , state]) => portOf(local) === port && state === OPEN);
  return new Set(open.map(([, , remote]) => portOf(remote)));
}

async function openAll(port: number, kind: SlowKind): Promise<SlowClient[]> {
  const clients: SlowClient[] = [];
  while (clients.length < kind.count) {
    const count = Math.min(OPENING_MAX, kind.count - clients.length);
    const more = Array.from({ length: count }, () => new SlowClient(port, kind));
    await Promise.all(more.map(({ opened }) => opened));
    clients.push(...more);
  }
  return clients;
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
function goneOf({ name }: SlowKind, clients: readonly SlowClient[], port: number): string {
  const open = openAt(port);
  const gone = clients.filter(({ localPort }) => !open.has(localPort));
  const last = gone.reduce((most, { goneAfterMs }) => Math.max(most, goneAfterMs ?? 0), 0);
  const when = last === 0 ? "" : `, the last after ${(last / 1_000).toFixed(1)} s`;
  return `${gone.length} of ${clients.length} ${name} gone${when}`;
}

async function measure({ name, port }: Contender): Promise<string> {
  const quiet = startLoad(port);
  await sleep(CALM_SECONDS * 1_000);
  const calm = await figuresOf(quiet);
  const load = startLoad(port);
  const slow = await Promise.all(KINDS.map((kind) => openAll(port, kind)));
  await sleep(SECONDS * 1_000);
  const beside = await figuresOf(load);
  const gone = KINDS.map((kind, index) => goneOf(kind, slow[index] ?? [], port)).join("; ");
  for (const client of slow.flat()) client.stop();
  return `${name}: calm ${calm}; beside slow clients ${beside}; ${gone}`;
}

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
