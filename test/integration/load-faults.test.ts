//! Endpoints that die, endpoints that only fail, and clients that go away, one gateway in this
//! process: rows D8, D9 and D10 of docs/reliability.md. Everything is counted, nothing is timed.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { VirtualClock } from "../../src/base/virtual-clock.ts";
import { systemClock } from "../../src/base/clock.ts";
import type { Fixture } from "../../src/dataplane/testing/fixture.ts";
import { eventually, RawClient, startFixture } from "../../src/dataplane/testing/fixture.ts";
import { PROCESS_SENSES } from "../../src/dataplane/worker/process-senses.ts";
import { atEnd, endAll } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import type { RetryPolicy } from "../../src/snapshot/routing.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { abortAll, load, MortalEndpoints, portOf, serve } from "../support/fault-load.ts";

const REQUESTS = Number(process.env["GRAYLANE_REQUESTS"] ?? 3_000);
const ABORTS = Number(process.env["GRAYLANE_ABORTS"] ?? 3_000);
const CLIENTS = 16;
const KILL_EVERY = 150;
/** Requests without any retry that may be lost to one death: those under way at that endpoint. */
const LOST_PER_KILL_MAX = CLIENTS;
const MIB = 1_048_576;
/** Of the test runner too. */
const GROWN_MIB_MAX = 8;
const A = cluster("a");
const RETRY: RetryPolicy = {
  ...{ retries: 3, perTryTimeoutMs: 0, statuses: [], backOffBaseMs: 1, backOffMaxMs: 2 },
  on: ["gateway-error", "connect-failure", "reset"],
};

after(endAll);

function snapshotTo(ports: readonly number[], retry: RetryPolicy | null): Snapshot {
  const route = forwardRoute(A.name, retry === null ? {} : { policy: { retry } });
  return gatewaySnapshot(80, [route], {
    clusters: { [A.name]: { ...A, policy: {} } },
    endpoints: { [A.name]: { endpoints: ports.map((port) => endpoint(port)) } },
  });
}

/** Endpoints of which one after the other dies under the load, and comes back. */
async function dyingEndpoints(
  method: "GET" | "POST",
  retry: RetryPolicy | null,
): Promise<{ readonly failed: number; readonly kills: number; readonly twice: number }> {
  const endpoints = await MortalEndpoints.start();
  const { port, assertions } = await startFixture(snapshotTo(endpoints.ports, retry));
  const failed = await load(port, {
    ...{ count: REQUESTS, clients: CLIENTS, method },
    onSent(count) {
      if (count % KILL_EVERY === 0) endpoints.kill();
    },
  });
  assert.deepEqual(assertions, []);
  return { failed, kills: endpoints.kills, twice: endpoints.twice };
}

test("D9: of GETs with retries none is lost when endpoints die", async (context) => {
  const { failed, kills } = await dyingEndpoints("GET", RETRY);
  context.diagnostic(`${REQUESTS} GETs, ${kills} deaths, ${failed} lost`);
  assert.equal(failed, 0);
});

test("D9: a POST whose bytes were sent is never sent twice", async (context) => {
  const { failed, kills, twice } = await dyingEndpoints("POST", null);
  context.diagnostic(`${REQUESTS} POSTs, ${kills} deaths, ${failed} lost, ${twice} sent twice`);
  assert.equal(twice, 0);
  assert.ok(failed <= kills * LOST_PER_KILL_MAX, `${failed} lost to ${kills} deaths`);
});

test("D10: retries add a fifth and no more to endpoints that only fail", async (context) => {
  let attempts = 0;
  const server = await serve((_asked, response) => {
    attempts += 1;
    response.writeHead(503).end();
  });
  // Time stands still: what is allowed for each second is allowed once.
  const clock = new VirtualClock();
  const timer = setInterval(() => {
    clock.advance(0.001);
  }, 1);
  atEnd(() => {
    clearInterval(timer);
  });
  const retry = { ...RETRY, on: ["5xx"], backOffBaseMs: 0, backOffMaxMs: 0 } as const;
  const { port } = await startFixture(snapshotTo([portOf(server)], retry), clock);
  const failed = await load(port, { count: REQUESTS, clients: CLIENTS, method: "GET" });
  assert.equal(failed, REQUESTS);
  const most = REQUESTS * 1.2 + 50;
  context.diagnostic(`${REQUESTS} requests, ${attempts} attempts, at most ${most}`);
  assert.ok(attempts <= most + 1, `${attempts} attempts`);
  assert.ok(attempts > REQUESTS, "some are tried again");
});

/** After a collection: what is held, not what is garbage. */
function heapUsed(): number {
  PROCESS_SENSES.collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function probe({ port }: Fixture): Promise<void> {
  const client = await RawClient.open(port);
  client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  assert.match(await client.closed(), /^HTTP\/1\.1 200 [^]*ok$/);
}

test("D8: clients that connect and go away leave no descriptor behind", async (context) => {
  const server = await serve((_asked, response) => response.end("ok"));
  const fixture = await startFixture(snapshotTo([portOf(server)], null), systemClock);
  await abortAll(fixture.port, ABORTS);
  await probe(fixture);
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const [before, heapBefore] = [descriptors(), heapUsed()];
  await abortAll(fixture.port, ABORTS);
  await probe(fixture);
  await eventually(() => descriptors() <= before + 5);
  const grown = (heapUsed() - heapBefore) / MIB;
  context.diagnostic(
    `${ABORTS} aborts: ${descriptors() - before} more descriptors, heap ${grown.toFixed(1)} MiB`,
  );
  assert.ok(grown <= GROWN_MIB_MAX, `${grown} MiB more heap`);
  assert.deepEqual(fixture.assertions, []);
});
