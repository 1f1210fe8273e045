//! Configuration changes under constant load: no request is lost, none sees a configuration that is
//! older than what was settled before it was sent, and nothing is kept of the old ones.
//!
//! Longer: GRAYLANE_CHANGES=1000 npm test -- load-config-changes; harder: GRAYLANE_RATE.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { OpenLoopResult, PlannedRequest } from "../../bench/support/open-loop.ts";
import {
  deployment,
  GATEWAY,
  lane,
  laneGroup,
  service,
  VERSION_HEADER,
  virtualService,
  wasmPlugin,
} from "../support/load-manifests.ts";
import { figuresOf, headerOf, pidsOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import type { MemoryReport } from "../support/memory-agent.ts";
import { put } from "../support/put.ts";

const CHANGES = Number(process.env["GRAYLANE_CHANGES"] ?? 300);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 200);
/** Code is compiled, pools are filled and buffers are grown before memory is first measured. */
const WARM_UP_CHANGES = 150;
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;
const MORE_REPORTS_MAX = 3;
/** Every so many requests a connection is given up after the answer. */
const FRESH_CONNECTION_EVERY = 10;
/** Every so many changes the plug-in of the chain is configured anew, too. */
const PLUGIN_CHANGE_EVERY = 5;

let running: Running;

before(async () => {
  running = await startWith([
    GATEWAY,
    service("web"),
    deployment({ app: "web", version: "base" }),
    deployment({ app: "web", version: "gray", lane: "gray" }),
    laneGroup(["web"]),
    lane("gray"),
    virtualService("web", 0),
    wasmPlugin(0),
  ]);
});

after(async () => {
  await running.stop();
});

/** What the client knows: versions are numbers that rise. */
interface Known {
  /** The newest that was sent to the API. */
  applied: number;
  /** The newest that the status reports as settled. */
  settled: number;
}

function requestOf(index: number, known: Known): PlannedRequest {
  const settledBefore = known.settled;
  const isGray = index % 2 === 1;
  const bytes =
    `GET / HTTP/1.1\r\nhost: web\r\nx-user-id: u${index}\r\n` +
    (isGray ? "canary: gray\r\n" : "") +
    (index % FRESH_CONNECTION_EVERY === 0 ? "connection: close\r\n" : "") +
    "\r\n";
  return {
    bytes,
    check({ status, head, body }) {
      const text = body.toString();
      if (status !== 200) return `status ${status}: ${text.slice(0, 200)}`;
      if (!text.startsWith(`-> web(version: ${isGray ? "gray" : "base"},`)) return `lane: ${text}`;
      const version = Number(headerOf(head, VERSION_HEADER));
      if (version < settledBefore) return `version ${version}, but ${settledBefore} was settled`;
      if (version > known.applied) return `version ${version}, but ${known.applied} is the newest`;
      return null;
    },
  };
}

interface ChangeTimes {
  readonly ackMs: number[];
  readonly settledMs: number[];
}

/** One after another: each is settled before the next is sent. */
async function change(known: Known, count: number): Promise<ChangeTimes> {
  const { client } = running.graylane;
  const times: ChangeTimes = { ackMs: [], settledMs: [] };
  for (let done = 0; done < count; done++) {
    const startMs = performance.now();
    known.applied += 1;
    if (done % PLUGIN_CHANGE_EVERY === 0) await put(client, wasmPlugin(known.applied));
    const revision = await put(client, virtualService("web", known.applied));
    times.ackMs.push(performance.now() - startMs);
    await running.until(
      `revision ${revision} is settled`,
      ({ snapshot }) => Number(snapshot?.resourceVersion) >= revision,
    );
    known.settled = known.applied;
    times.settledMs.push(performance.now() - startMs);
  }
  return times;
}

interface Member {
  readonly name: string;
  readonly pid: number;
}

async function members(): Promise<readonly Member[]> {
  const status = await running.status();
  const named = (role: "gateway" | "sidecar"): Member[] =>
    pidsOf(status, role).map((pid, index) => ({ name: `${role} ${index}`, pid }));
  return [{ name: "main", pid: status.pid }, ...named("gateway"), ...named("sidecar")];
}

function memoryOf(of: readonly Member[]): Promise<readonly MemoryReport[]> {
  return Promise.all(of.map(({ pid }) => running.memory(pid)));
}

/**
 * The least of several reports: what a process really keeps is in all of them, and pages that V8
 * pools for a while (up to 180 MiB seen on a busy machine, of a heap that had not grown) are not.
 */
async function leastMemoryOf(
  of: readonly Member[],
  start: readonly MemoryReport[],
): Promise<readonly MemoryReport[]> {
  let least = await memoryOf(of);
  for (let more = 0; more < MORE_REPORTS_MAX; more++) {
    const isKept = least.some(
      (report, index) => growth(start[index], report).residentBytes > GROWTH_BYTES_MAX,
    );
    if (!isKept) break;
    const next = await memoryOf(of);
    least = least.map((report, index) => {
      const other = next[index] ?? report;
      return other.residentBytes < report.residentBytes ? other : report;
    });
  }
  return least;
}

const NOTHING: MemoryReport = { residentBytes: 0, heapUsedBytes: 0, externalBytes: 0 };

function growth(start: MemoryReport = NOTHING, end: MemoryReport = NOTHING): MemoryReport {
  return {
    residentBytes: end.residentBytes - start.residentBytes,
    heapUsedBytes: end.heapUsedBytes - start.heapUsedBytes,
    externalBytes: end.externalBytes - start.externalBytes,
  };
}

function median(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(1);
}

async function underLoad<T>(known: Known, work: () => Promise<T>): Promise<[OpenLoopResult, T]> {
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port: running.graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    timeoutMs: 30_000,
    request: (index) => requestOf(index, known),
  });
  client.start();
  const outcome = await work();
  return [await client.stop(), outcome];
}

const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

test(`${CHANGES} changes under load lose no request and keep no memory`, async (t) => {
  const known: Known = { applied: 0, settled: 0 };
  const who = await members();
  const [warm] = await underLoad(known, () => change(known, WARM_UP_CHANGES));
  assert.deepEqual(warm.failures, []);
  const start = await memoryOf(who);

  const [result, times] = await underLoad(known, () => change(known, CHANGES));
  const end = await leastMemoryOf(who, start);

  t.diagnostic(figuresOf(result));
  t.diagnostic(
    `a change: acknowledged after ${median(times.ackMs)} ms, ` +
      `everywhere after ${median(times.settledMs)} ms (medians), ` +
      `at most ${Math.max(...times.settledMs).toFixed(0)} ms`,
  );
  const grown = who.map((_, index) => growth(start[index], end[index]));
  who.forEach(({ name }, index) => {
    const { residentBytes, heapUsedBytes, externalBytes } = grown[index] ?? NOTHING;
    t.diagnostic(
      `${name}: ${mib(start[index]?.residentBytes ?? 0)} resident at the start, ` +
        `grown by ${mib(residentBytes)} (heap ${mib(heapUsedBytes)}, ` +
        `external ${mib(externalBytes)})`,
    );
  });
  assert.deepEqual(result.failures, []);
  assert.equal(result.received, result.sent);
  assert.equal(result.right, result.sent);
  who.forEach(({ name, pid }, index) => {
    const { residentBytes } = grown[index] ?? NOTHING;
    const text = `${name} (pid ${pid}) has grown by ${mib(residentBytes)}`;
    assert.ok(residentBytes <= GROWTH_BYTES_MAX, text);
  });
  assert.deepEqual(await members(), who, "a worker was replaced");
});
