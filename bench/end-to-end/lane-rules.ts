//! What 1,000 lanes with ten rules each cost a request, beside one such lane; and what a hundred
//! regular expressions cost that only re2js can evaluate.
//!
//! One gateway has all of them, each at a host of its own, and is asked in short blocks in turn: two
//! processes of the same code differ by more than is looked for, and so do two minutes of a shared
//! machine. The client has the load core, as wrk has.

import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Condition, Snapshot } from "../../src/snapshot/snapshot.ts";
import { LANES, fieldsOf, laneConditions, test } from "../support/lane-rules.ts";
import type { Likeness } from "../support/lane-rules.ts";
import { LOAD_CORE, coreTicks, pinToLoadCore, startContender } from "./contender.ts";
import type { BenchContext, Contender } from "./contender.ts";
import { figuresOf } from "./figures.ts";
import type { Run, ScenarioFigures } from "./figures.ts";
import { planned } from "./scenario.ts";
import type { Ports, Scenario } from "./scenario.ts";
import { route, ruledGroup, ruledLane, snapshotOf } from "./snapshots.ts";

const WARM_UP_ROUNDS = 20;
const BLOCK_REQUESTS = 1_000;
const CONNECTIONS = 32;
/** One request in so many enters a lane. */
const ENTERING_EVERY = 20;
/** The lane that requests enter, where there are many and where it is the only one. */
const ENTERED = 500;
/** Conditions that no index finds, and that only re2js can evaluate. */
const REGEXES = 100;
/** More users than values are remembered of a header. */
const USERS = 5_000;
const LIKENESSES: readonly Likeness[] = ["unlike", "alike"];

interface Host {
  readonly name: string;
  readonly text: string;
  readonly lanes: readonly Condition[];
}

function hosts(): readonly Host[] {
  const regex = laneConditions(LANES, "regex");
  return [
    { name: "one", text: "one lane", lanes: regex.slice(ENTERED, ENTERED + 1) },
    { name: "thousand", text: "1,000 lanes", lanes: regex },
    { name: "versions", text: "1,000 lanes, versions", lanes: laneConditions(LANES, "version") },
    { name: "regexes", text: "one lane, 100 regexes", lanes: [enteredOrRegexes()] },
  ];
}

/** A group of alternatives: it has no fixed start, and is not of the subset that needs no re2js. */
function enteredOrRegexes(): Condition {
  const regexes = Array.from({ length: REGEXES }, (_none, at) =>
    test("regex", "x-key-1", `(some|any)(body|one)-[0-9]+-${at + 2}`),
  );
  return { kind: "any", of: [test("==", "x-key-0", `user-${ENTERED}-0`), ...regexes] };
}

function snapshot(ports: Ports): Snapshot {
  const laneGroups = hosts().map(({ name, lanes }) =>
    ruledGroup({
      name,
      lanes: lanes.map((condition, index) => ruledLane(`${name}-${index}`, condition)),
      entryRoutes: [{ virtualService: `istio-system/${name}`, route: null }],
    }),
  );
  const virtualHosts = [...hosts().map(({ name }) => name), "localhost"].map((name) => ({
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

/** Both as many blocks for each host; values of requests unlike those of rules, and alike. */
export async function laneRules(
  context: BenchContext,
  rounds: number,
): Promise<readonly ScenarioFigures[]> {
  // Nothing else runs in this process meanwhile.
  pinToLoadCore();
  const plan = { name: "Graylane", snapshot };
  const scenario: Scenario = {
    ...{ name: "lane rules", contenders: [plan], wrkScript: "" },
    request: () => planned({ fields: "" }, "v1"),
  };
  const contender = await startContender(plan, scenario, context);
  try {
    const figures: ScenarioFigures[] = [];
    for (const likeness of LIKENESSES) {
      const name = `${scenario.name}, values ${likeness}`;
      const runs = await compare(contender, likeness, rounds);
      figures.push({ ...figuresOf(name, runs), latency: null });
    }
    return figures;
  } finally {
    await contender.stop();
  }
}

async function compare(
  contender: Contender,
  likeness: Likeness,
  rounds: number,
): Promise<ReadonlyMap<string, readonly Run[]>> {
  const client = await Client.open(contender.port);
  const contenders = hosts().map(({ name, text }) => ({
    ...{ text, requests: requestsTo(name, likeness) },
    runs: [] as Run[],
  }));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    // There and back: who is second in a round is first in the next.
    for (const one of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      const run = await measure(client, contender, one.requests);
      if (round >= 0) one.runs.push(run);
    }
  }
  client.close();
  return new Map(contenders.map(({ text, runs }) => [text, runs]));
}

async function measure(
  client: Client,
  contender: Contender,
  requests: readonly Request[],
): Promise<Run> {
  const [cpuBefore, loadBefore] = [contender.cpuSeconds(), coreTicks(LOAD_CORE)];
  const startMs = performance.now();
  await client.block(requests);
  const seconds = (performance.now() - startMs) / 1_000;
  const [cpuAfter, loadAfter] = [contender.cpuSeconds(), coreTicks(LOAD_CORE)];
  return {
    requestsPerSecond: BLOCK_REQUESTS / seconds,
    requestsPerCpuSecond: BLOCK_REQUESTS / (cpuAfter - cpuBefore),
    loadBusy: (loadAfter.busy - loadBefore.busy) / Math.max(1, loadAfter.total - loadBefore.total),
  };
}
