//! `node dist/bench/envoy-faults.js [REQUESTS] [ABORTS] [BODY_MIB] [ROWS]`: peers that do not read,
//! clients that go away, endpoints that die and endpoints that only fail, in front of and behind real
//! Envoy, configured as an edge (bench/end-to-end/envoy/faults.yaml), and one gateway worker: rows D7
//! to D10 of docs/reliability.md. ROWS is a regular expression.
//!
//! Everything is counted, nothing is timed. The proxy is a process of its own, so descriptors and
//! resident memory are its alone; each line has a new one, since memory that was once used is used
//! again. Graylane has its default budget of retries, Envoy one of 20 %, which it has not by default.

import { once } from "node:events";
import { get, request } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { endAll } from "../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../src/dataplane/testing/snapshot-maker.ts";
import type { Snapshot } from "../src/snapshot/snapshot.ts";
import { abortAll, load, MortalEndpoints, portOf, serve } from "../test/support/fault-load.ts";
import { MEMORY_AGENT, memoryOf } from "../test/support/load-setup.ts";
import { pinToLoadCore, startContender } from "./end-to-end/contender.ts";
import type { Contender } from "./end-to-end/contender.ts";
import type { ContenderPlan, Ports, Scenario } from "./end-to-end/scenario.ts";
import { ENVOY } from "./end-to-end/scenarios.ts";

const REQUESTS = Number(process.argv[2] ?? 20_000);
const ABORTS = Number(process.argv[3] ?? 20_000);
const MIB = 1_048_576;
const BODY_MIB = Number(process.argv[4] ?? 1_024);
const ROWS = new RegExp(process.argv[5] ?? "");
const CLIENTS = 16;
const CLIENTS_OF_FAILING = 100;
const KILL_EVERY = 150;
const ABORT_ROUNDS = 5;
const STREAMS = 32;
const CHUNK = Buffer.alloc(65_536, "x");
/** A slow reader pauses after so much. */
const READ_AT_ONCE_BYTES = 4 * MIB;
const READ_PAUSE_MS = 10;
const STILL_MS = 500;
const SAMPLE_MS = 50;
const RETRIED = "/retried";
/** Limited as Envoy does it by itself. */
const BREAKER = "/breaker";
const UNBOUNDED = "/unbounded";
const A = cluster("a");

function snapshotTo({ v1, v2, v3 = v2 }: Ports): Snapshot {
  const again = {
    ...{ retries: 3, perTryTimeoutMs: 0, statuses: [], backOffBaseMs: 1, backOffMaxMs: 2 },
    on: ["gateway-error", "connect-failure", "reset"],
  } as const;
  const matches = [{ uri: { kind: "prefix", value: RETRIED } }] as const;
  const retried = forwardRoute(A.name, { matches, policy: { retry: again } });
  return gatewaySnapshot(80, [retried, forwardRoute(A.name)], {
    clusters: { [A.name]: { ...A, policy: {} } },
    endpoints: { [A.name]: { endpoints: [v1, v2, v3].map((port) => endpoint(port)) } },
  });
}

const CONTENDERS: readonly [ContenderPlan, ContenderPlan] = [
  { name: ENVOY, envoyFile: "faults.yaml" },
  { name: "Graylane", snapshot: snapshotTo },
];

const READY: Scenario = {
  ...{ name: "faults", wrkScript: "", contenders: CONTENDERS },
  // Some endpoints only fail: any answer will do.
  request: () => ({ bytes: "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", check: () => null }),
};

/** Endpoints, and what is done to a proxy before them. */
interface Part {
  readonly ports: Ports;
  readonly measure: (proxy: Contender) => Promise<string>;
}

interface Row {
  readonly name: string;
  /** What it is about only Envoy has. */
  readonly isOfEnvoy?: true;
  readonly begin: () => Promise<Part>;
}

function portsOf([v1 = 0, v2 = v1, v3 = v2]: readonly number[]): Ports {
  return { v1, v2, v3 };
}

async function alike(listener: RequestListener): Promise<Ports> {
  const servers = await Promise.all([serve(listener), serve(listener), serve(listener)]);
  return portsOf(servers.map(portOf));
}

const mib = (kib: number): string => `${(kib / 1_024).toFixed(1)} MiB`;

/** Writes until `bytes` were taken. */
class Pour {
  taken = 0;
  readonly done: Promise<void>;

  constructor(stream: Writable, bytes: number) {
    this.done = this.#run(stream, bytes);
    this.done.catch(() => undefined);
  }

  async #run(stream: Writable, bytes: number): Promise<void> {
    while (this.taken < bytes) {
      this.taken += CHUNK.length;
      if (!stream.write(CHUNK)) await once(stream, "drain");
    }
    stream.end();
  }
}

async function readSlowly(stream: Readable): Promise<number> {
  let [bytes, pausedAt] = [0, 0];
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length;
    if (bytes - pausedAt < READ_AT_ONCE_BYTES) continue;
    pausedAt = bytes;
    await sleep(READ_PAUSE_MS);
  }
  return bytes;
}

/** Resolves when none has taken more for a while. */
async function untilStill(pours: readonly Pour[]): Promise<void> {
  const sum = (): number => pours.reduce((total, { taken }) => total + taken, 0);
  for (let last = -1; last !== sum();) {
    last = sum();
    await sleep(STILL_MS);
  }
}

/** A stream whose receiver has not begun to read. */
interface Stalled {
  readonly pour: Pour;
  /** Reads it all, slowly; returns how much it was. */
  readonly read: () => Promise<number>;
}

type Open = (port: number) => Promise<Stalled>;

interface Bodies {
  readonly ports: Ports;
  readonly open: Open;
}

/** Answers to clients that do not read. */
async function downloads(bytes: number): Promise<Bodies> {
  const pours: Pour[] = [];
  const ports = await alike((asked, response) => {
    if (asked.url === "/") response.end("ok");
    else pours.push(new Pour(response.writeHead(200, { "content-length": bytes }), bytes));
  });
  const open: Open = async (port) => {
    const asked = get({ port, host: "127.0.0.1", path: "/body", agent: false });
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    const pour = pours.pop();
    if (pour === undefined) throw new Error("an answer without a request");
    return { pour, read: () => readSlowly(answer) };
  };
  return { ports, open };
}

/** Requests to endpoints that do not read. */
async function uploads(bytes: number): Promise<Bodies> {
  const arrived: [IncomingMessage, ServerResponse][] = [];
  const ports = await alike((asked, response) => {
    if (asked.url === "/") response.end("ok");
    else arrived.push([asked, response]);
  });
  const open: Open = async (port) => {
    const options = { port, host: "127.0.0.1", path: "/body", agent: false, method: "POST" };
    const asked = request({ ...options, headers: { "content-length": bytes } });
    const answered = once(asked, "response") as Promise<[IncomingMessage]>;
    const pour = new Pour(asked, bytes);
    while (arrived.length === 0) await sleep(1);
    const [coming, response] = arrived.pop() ?? [];
    if (coming === undefined) throw new Error("no request");
    const read = async (): Promise<number> => {
      const came = await readSlowly(coming);
      response?.end("ok");
      const [answer] = await answered;
      answer.resume();
      return came;
    };
    return { pour, read };
  };
  return { ports, open };
}

/** The highest resident memory while `work` runs. */
async function highestKib<T>(proxy: Contender, work: Promise<T>): Promise<readonly [number, T]> {
  let highest = proxy.residentKib();
  const timer = setInterval(() => {
    highest = Math.max(highest, proxy.residentKib());
  }, SAMPLE_MS);
  const result = await work.finally(() => {
    clearInterval(timer);
  });
  return [highest, result];
}

/** `BODY_MIB` in all. */
function slowRow(what: string, start: (bytes: number) => Promise<Bodies>, count: number): Row {
  const bytes = Math.floor((BODY_MIB * MIB) / count);
  const measure = async ({ open }: Bodies, proxy: Contender): Promise<string> => {
    // Not the start, in which code is loaded.
    await load(proxy.port, { count: 1_000, clients: CLIENTS, method: "GET" });
    const before = proxy.residentKib();
    const streams: Stalled[] = [];
    while (streams.length < count) streams.push(await open(proxy.port));
    await untilStill(streams.map(({ pour }) => pour));
    const taken = streams.reduce((sum, { pour }) => sum + pour.taken, 0);
    const held = proxy.residentKib() - before;
    const reads = Promise.all(streams.map(({ read }) => read()));
    const [highest, came] = await highestKib(proxy, reads);
    if (came.some((one) => one !== bytes)) throw new Error(`${came.join()} bytes came`);
    const grown = highest - before;
    return (
      `${mib(taken / count / 1_024)} could be sent before the reader began, memory grown by ` +
      `${mib(held)}, ${(held / count).toFixed(0)} KiB each; while ${BODY_MIB} MiB went through by ` +
      `${mib(grown)} at most, ${(grown / count).toFixed(0)} KiB each`
    );
  };
  return {
    name: `D7, ${what}, ${count} of them`,
    async begin() {
      const bodies = await start(bytes);
      return { ports: bodies.ports, measure: (proxy) => measure(bodies, proxy) };
    },
  };
}

/** Of the gateway worker, after a forced collection; "" for Envoy, which has none. */
async function leftOf({ name, pid }: Contender): Promise<string> {
  if (name === ENVOY) return "";
  const worker = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  const left = await memoryOf(directory, Number.parseInt(worker, 10));
  const [resident, heap] = [left.residentBytes / 1_024, left.heapUsedBytes / 1_024];
  return `; the worker has ${mib(resident)} after a collection, ${mib(heap)} of it heap in use`;
}

async function goneClients(proxy: Contender): Promise<string> {
  const round = async (): Promise<readonly [number, number]> => {
    await abortAll(proxy.port, ABORTS);
    if ((await load(proxy.port, { count: 1, clients: 1, method: "GET" })) !== 0) {
      throw new Error(`${proxy.name} does not answer after ${ABORTS} aborts`);
    }
    await sleep(STILL_MS);
    return [proxy.descriptors(), proxy.residentKib()];
  };
  const fresh = [proxy.descriptors(), proxy.residentKib()] as const;
  await round();
  // It grows the nursery, so what is compared with comes after it.
  const left = await leftOf(proxy);
  const [descriptors, kib] = await round();
  const later: string[] = [];
  for (let index = 0; index < ABORT_ROUNDS; index++) {
    const [descriptorsNow, kibNow] = await round();
    later.push(`${descriptorsNow - descriptors} and ${mib(kibNow - kib)}`);
  }
  return (
    `${ABORTS} aborts, twice: ${descriptors - fresh[0]} more descriptors, ${mib(kib - fresh[1])} ` +
    `more memory${left}; ${ABORT_ROUNDS} rounds more, since then: ${later.join(", ")}` +
    (await leftOf(proxy))
  );
}

function dyingRow(what: string, method: "GET" | "POST", path: string): Row {
  return {
    name: `D9, ${what}`,
    async begin() {
      const endpoints = await MortalEndpoints.start();
      return {
        ports: portsOf(endpoints.ports),
        async measure(proxy) {
          const onSent = (sent: number): void => {
            if (sent % KILL_EVERY === 0) endpoints.kill();
          };
          const options = { count: REQUESTS, clients: CLIENTS, method, path, onSent };
          const failed = await load(proxy.port, options);
          const { kills, twice } = endpoints;
          return `${REQUESTS} ${method}s, ${kills} deaths: ${failed} lost, ${twice} sent twice`;
        },
      };
    },
  };
}

function failingRow(what: string, path: string, clients: number): Row {
  return {
    name: `D10, ${what}, ${clients} clients`,
    async begin() {
      let attempts = 0;
      const ports = await alike((_asked, response) => {
        attempts += 1;
        response.writeHead(503).end();
      });
      return {
        ports,
        async measure(proxy) {
          attempts = 0;
          const startMs = performance.now();
          await load(proxy.port, { count: REQUESTS, clients, method: "GET", path });
          const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
          const each = (attempts / REQUESTS).toFixed(3);
          return `${REQUESTS} requests in ${seconds} s, ${attempts} attempts: ${each} each`;
        },
      };
    },
  };
}

const ALL_ROWS: readonly Row[] = [
  slowRow("a client that does not read", downloads, 1),
  slowRow("a client that does not read", downloads, STREAMS),
  slowRow("an upstream that does not read", uploads, 1),
  slowRow("an upstream that does not read", uploads, STREAMS),
  {
    name: "D8",
    begin: async () => ({
      ports: await alike((_asked, response) => response.end("ok")),
      measure: goneClients,
    }),
  },
  dyingRow("with retries", "GET", RETRIED),
  { ...dyingRow("with any number of retries at once", "GET", UNBOUNDED), isOfEnvoy: true },
  dyingRow("with retries of failed connects alone", "POST", "/"),
  dyingRow("with all the retries that GETs have", "POST", RETRIED),
  failingRow("a budget", RETRIED, CLIENTS),
  failingRow("a budget", RETRIED, CLIENTS_OF_FAILING),
  { ...failingRow("three retries at once", BREAKER, CLIENTS_OF_FAILING), isOfEnvoy: true },
];

pinToLoadCore();
const directory = mkdtempSync(join(tmpdir(), "graylane-faults-"));
process.env["NODE_OPTIONS"] = `--import=${pathToFileURL(MEMORY_AGENT).href}`;
process.env["GRAYLANE_MEMORY_REPORTS"] = directory;
for (const { name, begin, isOfEnvoy } of ALL_ROWS.filter((row) => ROWS.test(row.name))) {
  for (const plan of isOfEnvoy === true ? [CONTENDERS[0]] : CONTENDERS) {
    const { ports, measure } = await begin();
    const proxy = await startContender(plan, READY, { root: resolve("."), directory, ports });
    const figures = await measure(proxy);
    process.stdout.write(`${name}, ${plan.name}: ${figures}\n`);
    await endAll();
    await proxy.stop();
  }
}
const [loadOfMachine = 0] = loadavg();
process.stdout.write(`load of the machine: ${loadOfMachine.toFixed(0)}\n`);
rmSync(directory, { recursive: true, force: true });
process.exit();
