//! `node dist/bench/lane-count.js [ROUNDS]`: what 1,000 lanes with ten rules each cost a request,
//! beside one such lane. One gateway has both, at two hosts, and is asked in short blocks in turn:
//! two processes of the same code differ by more than is looked for, and so do two minutes of a
//! shared machine. Measured is the gateway's CPU time of each block.

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../src/base/testing/free-port.ts";
import type { Snapshot } from "../src/snapshot/snapshot.ts";
import { startContender } from "./end-to-end/contender.ts";
import type { Contender } from "./end-to-end/contender.ts";
import { figureOf, medianBounds } from "./end-to-end/figures.ts";
import { planned } from "./end-to-end/scenario.ts";
import type { Ports, Scenario } from "./end-to-end/scenario.ts";
import { route, ruledGroup, ruledLane, snapshotOf } from "./end-to-end/snapshots.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { LANES, fieldsOf, laneConditions } from "./support/lane-rules.ts";
import type { Likeness, OtherRules } from "./support/lane-rules.ts";

const ROUNDS = Number(process.argv[2] ?? 200);
const WARM_UP_ROUNDS = 20;
const BLOCK_REQUESTS = 1_000;
const CONNECTIONS = 32;
/** One request in so many enters a lane. */
const ENTERING_EVERY = 20;
const ENTERED = 500;
/** More users than values are remembered of a header. */
const USERS = 5_000;
const LIKENESSES: readonly Likeness[] = ["unlike", "alike"];

interface Host {
  readonly name: string;
  readonly lanes: number;
  readonly others: OtherRules;
}

const ONE = { name: "one", lanes: 1, others: "regex" } as const;
const HOSTS: readonly Host[] = [
  ONE,
  { name: "thousand", lanes: LANES, others: "regex" },
  { name: "versions", lanes: LANES, others: "version" },
];

function snapshot(ports: Ports): Snapshot {
  const laneGroups = HOSTS.map(({ name, lanes, others }) => {
    const conditions = laneConditions(LANES, others);
    const taken = lanes === 1 ? conditions.slice(ENTERED, ENTERED + 1) : conditions;
    return ruledGroup({
      name,
      lanes: taken.map((condition, index) => ruledLane(`${name}-${index}`, condition)),
      entryRoutes: [{ virtualService: `istio-system/${name}`, route: null }],
    });
  });
  const virtualHosts = [...HOSTS.map(({ name }) => name), "localhost"].map((name) => ({
    domains: [name],
    routes: [route({ of: name })],
  }));
  return snapshotOf({ ports, virtualHosts, laneGroups });
}

interface Request {
  readonly bytes: string;
  /** The answer ends so: the version that serves it. */
  readonly want: string;
}

function requestsTo(host: string, likeness: Likeness): readonly Request[] {
  return Array.from({ length: USERS }, (_none, user) => {
    const isEntering = user % ENTERING_EVERY === 0;
    const fields = fieldsOf(user, isEntering ? ENTERED : null, likeness);
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    return {
      bytes: `GET / HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`,
      want: isEntering ? "v2" : "v1",
    };
  });
}

/** One request after the other on each connection; a block ends when all are answered. */
class Client {
  readonly #sockets: readonly Socket[];
  readonly #at = new Map<readonly Request[], number>();

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  static async open(port: number): Promise<Client> {
    const opened = Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      await new Promise((done, failed) => socket.once("connect", done).once("error", failed));
      return socket;
    });
    return new Client(await Promise.all(opened));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async block(requests: readonly Request[]): Promise<void> {
    let left = BLOCK_REQUESTS;
    const next = (): Request | null => {
      if (left === 0) return null;
      left -= 1;
      const at = ((this.#at.get(requests) ?? -1) + 1) % requests.length;
      this.#at.set(requests, at);
      return requests[at] ?? null;
    };
    await Promise.all(this.#sockets.map((socket) => askAll(socket, next)));
  }
}

function askAll(socket: Socket, next: () => Request | null): Promise<void> {
  return new Promise((done, failed) => {
    let asked = next();
    let answer = "";
    const end = (error: Error | null): void => {
      socket.removeAllListeners();
      if (error === null) done();
      else failed(error);
    };
    const read = (chunk: Buffer): void => {
      answer += chunk.toString("latin1");
      if (asked === null || !isWhole(answer)) return;
      if (!answer.startsWith("HTTP/1.1 200") || !answer.endsWith(asked.want)) {
        end(new Error(`not ${asked.want}: ${answer}`));
        return;
      }
      answer = "";
      asked = next();
      if (asked === null) end(null);
      else socket.write(asked.bytes);
    };
    socket.on("data", read).once("error", end);
    socket.once("close", () => {
      end(new Error("the gateway has closed the connection"));
    });
    if (asked === null) end(null);
    else socket.write(asked.bytes);
  });
}

function isWhole(answer: string): boolean {
  const end = answer.indexOf("\r\n\r\n");
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(answer)?.[1] ?? NaN);
  return end !== -1 && answer.length === end + 4 + length;
}

interface Block {
  readonly cpuUs: number;
  readonly wallUs: number;
}

async function measure(
  client: Client,
  contender: Contender,
  requests: readonly Request[],
): Promise<Block> {
  const [cpuBefore, startMs] = [contender.cpuSeconds(), performance.now()];
  await client.block(requests);
  const wallUs = ((performance.now() - startMs) * 1_000) / BLOCK_REQUESTS;
  return { cpuUs: ((contender.cpuSeconds() - cpuBefore) * 1e6) / BLOCK_REQUESTS, wallUs };
}

async function compare(contender: Contender, likeness: Likeness): Promise<void> {
  const client = await Client.open(contender.port);
  const runs = HOSTS.map(({ name }) => ({
    ...{ name, requests: requestsTo(name, likeness) },
    blocks: [] as Block[],
  }));
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    // There and back: who is second in a round is first in the next.
    for (const run of round % 2 === 0 ? runs : [...runs].reverse()) {
      const block = await measure(client, contender, run.requests);
      if (round >= 0) run.blocks.push(block);
    }
  }
  client.close();
  for (const { name, blocks } of runs) {
    const cpuUs = figureOf(blocks.map((block) => block.cpuUs)).median;
    const text = `values ${likeness}, ${name}: ${cpuUs.toFixed(1)} µs of CPU a request`;
    process.stdout.write(`${text}${name === ONE.name ? "" : ratios(runs[0]?.blocks, blocks)}\n`);
  }
}

function ratios(ofOne: readonly Block[] = [], blocks: readonly Block[]): string {
  return (["cpuUs", "wallUs"] as const)
    .map((key) => {
      const values = blocks.map((block, at) => (ofOne[at]?.[key] ?? NaN) / block[key]);
      const [low, high] = medianBounds(values).map((value) => value.toFixed(3));
      const what = key === "cpuUs" ? "requests per CPU-second" : "requests per second";
      return `; ${what} ${figureOf(values).median.toFixed(3)} (${low}-${high}) of one lane's`;
    })
    .join("");
}

const directory = mkdtempSync(join(tmpdir(), "graylane-lanes-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
const plan = { name: "Graylane", snapshot };
const scenario: Scenario = {
  ...{ name: "lane count", contenders: [plan], wrkScript: "" },
  request: () => planned({ fields: "" }, "v1"),
};
const contender = await startContender(plan, scenario, context);
try {
  for (const likeness of LIKENESSES) await compare(contender, likeness);
} finally {
  await contender.stop();
  await upstream.stop();
  rmSync(directory, { recursive: true, force: true });
}
