//! `kill -9` of a worker under load: only what was in flight on it may fail, nothing hangs, nothing
//! is refused, and another takes its place.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { OpenLoopResult } from "../../bench/support/open-loop.ts";
import { deployment, GATEWAY, service, virtualService } from "../support/load-manifests.ts";
import { figuresOf, pidsOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";

const KILLS = Number(process.env["GRAYLANE_KILLS"] ?? 3);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 200);
const FRESH_CONNECTION_EVERY = 4;
/** Enough that no request waits for a connection, even while a worker is away. */
const CONNECTIONS_MAX = 2_000;
/** So long a gateway tries to connect (`upstream-attempt.ts`): an absence that is longer shows. */
const BACK_MS_MAX = 610;
/** Rounds of kills, until in one of them the machine was not too busy with something else. */
const ROUNDS_MAX = 5;
/** Of more kills than these the absences are printed and not judged: one of many may be long. */
const JUDGED_KILLS_MAX = 10;
/** Time for the spare worker to start, and for the client to see that all is well again. */
const PAUSE_MS = 3_000;

let running: Running;

before(async () => {
  running = await startWith(
    [
      GATEWAY,
      service("web"),
      deployment({ app: "web", version: "base" }),
      virtualService("web", 0),
    ],
    ["--workers", "2"],
  );
});

after(async () => {
  await running.stop();
});

interface Kill {
  /** From the signal until the status shows a ready worker in its place. */
  readonly backMs: number;
  /** Requests under way at the client from the signal until the process has gone. */
  readonly inFlight: number;
}

interface Load {
  sent(): number;
  /** Requests that are due and have no answer. */
  inFlight(): number;
  stop(): Promise<OpenLoopResult>;
}

function startLoad(): Load {
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port: running.graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    connectionsMax: CONNECTIONS_MAX,
    timeoutMs: 30_000,
    request: (index) => ({
      bytes:
        `GET / HTTP/1.1\r\nhost: web\r\nx-user-id: u${index}\r\n` +
        (index % FRESH_CONNECTION_EVERY === 0 ? "connection: close\r\n" : "") +
        "\r\n",
      check({ status, body }) {
        const text = body.toString();
        if (status !== 200) return `status ${status}: ${text.slice(0, 200)}`;
        return text.startsWith("-> web(version: base,") ? null : `not an answer: ${text}`;
      },
    }),
  });
  client.start();
  return {
    sent: () => client.progress.sent,
    inFlight: () => client.progress.sent - client.progress.right - client.progress.failed,
    stop: () => client.stop(),
  };
}

async function killUnderLoad(role: "gateway" | "sidecar"): Promise<[OpenLoopResult, Kill[]]> {
  const load = startLoad();
  const kills: Kill[] = [];
  await sleep(PAUSE_MS);
  for (let count = 0; count < KILLS; count++) {
    const before = await running.until("every worker is ready", ({ workers }) =>
      workers.every(({ state }) => state === "ready"),
    );
    const pids = pidsOf(before, role);
    const victim = pids[count % pids.length] ?? 0;
    const [inFlightBefore, sentBefore] = [load.inFlight(), load.sent()];
    const startMs = performance.now();
    process.kill(victim, "SIGKILL");
    await hasGone(victim);
    // The system takes a while to tear a process down; until then its sockets take requests.
    const inFlight = inFlightBefore + load.sent() - sentBefore;
    await running.until(`${role} ${victim} is replaced`, (status) => {
      const now = pidsOf(status, role);
      const isReady = status.workers.every(({ state }) => state === "ready");
      return isReady && now.length === pids.length && !now.includes(victim);
    });
    kills.push({ backMs: performance.now() - startMs, inFlight });
    await sleep(PAUSE_MS);
  }
  return [await load.stop(), kills];
}

async function hasGone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(1);
  }
}

function report(t: TestContext, result: OpenLoopResult, kills: readonly Kill[]): void {
  t.diagnostic(figuresOf(result));
  const times = kills.map(({ backMs }) => backMs).sort((a, b) => a - b);
  const at = (part: number): string => (times[Math.ceil(times.length * part) - 1] ?? 0).toFixed(0);
  t.diagnostic(`${kills.length} kills; back after p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)} ms`);
  t.diagnostic(`in flight at the kill: ${kills.map(({ inFlight }) => inFlight).join(", ")}`);
  for (const failure of result.failures) t.diagnostic(failure);
}

/**
 * Kills until a round in which every worker was back in time. `judge` is asked of each round: what
 * holds however long a worker is away.
 */
async function calmRound(
  t: TestContext,
  role: "gateway" | "sidecar",
  judge: (result: OpenLoopResult, kills: readonly Kill[]) => void,
): Promise<[OpenLoopResult, Kill[]]> {
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const [result, kills] = await killUnderLoad(role);
    report(t, result, kills);
    judge(result, kills);
    const isJudged = KILLS <= JUDGED_KILLS_MAX;
    if (!isJudged || kills.every(({ backMs }) => backMs < BACK_MS_MAX)) return [result, kills];
  }
  throw new Error(`in no round were all workers back within ${BACK_MS_MAX} ms`);
}

function assertOnlyInFlight({ failed }: OpenLoopResult, kills: readonly Kill[]): void {
  const inFlight = kills.reduce((sum, kill) => sum + kill.inFlight, 0);
  assert.ok(failed <= inFlight + kills.length, `${failed} failed, but ${inFlight} were in flight`);
}

test(`a gateway worker killed ${KILLS} times fails only what was in flight on it`, async (t) => {
  await calmRound(t, "gateway", (result, kills) => {
    // A request that was not in flight is one on a new connection, or on one of the other worker:
    // it would show as a refusal, a time-out or an answer of an error.
    for (const failure of result.failures) {
      assert.match(failure, /ECONNRESET|EPIPE|connection closed by the server/);
    }
    assertOnlyInFlight(result, kills);
    assert.equal(result.received, result.right);
  });
});

test(`the sidecars' worker killed ${KILLS} times fails only what was in flight on it`, async (t) => {
  const [result, kills] = await calmRound(t, "sidecar", ({ received, sent }) => {
    assert.equal(received, sent);
  });
  for (const failure of result.failures) assert.match(failure, /status 502: upstream_reset/);
  assertOnlyInFlight(result, kills);
});

async function gatewayRequests(): Promise<number> {
  const admin = /admin: (http:\S+?)\/stats/.exec(running.graylane.output)?.[1] ?? "";
  const response = await fetch(`${admin}/stats?filter=^http.gateway.downstream_rq_total$`);
  return Number(/: (\d+)$/m.exec(await response.text())?.[1]);
}

test("no counter falls when a worker is killed after it was asked", async () => {
  const before = await gatewayRequests();
  assert.ok(before > 0, `${before} requests`);
  const status = await running.status();
  const [victim = 0] = pidsOf(status, "gateway");
  process.kill(victim, "SIGKILL");
  await hasGone(victim);
  await running.until("another is there", (now) => !pidsOf(now, "gateway").includes(victim));
  assert.ok((await gatewayRequests()) >= before);
});
