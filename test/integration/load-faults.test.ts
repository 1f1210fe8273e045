//! Endpoints that die, endpoints that only fail, and clients that go away, one gateway in this
//! process: rows D8, D9 and D10 of docs/reliability.md. Everything is counted, nothing is timed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
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

const REQUESTS = Number(process.env["GRAYLANE_REQUESTS"] ?? 3_000);
const ABORTS = Number(process.env["GRAYLANE_ABORTS"] ?? 3_000);
const CLIENTS = 16;
const KILL_EVERY = 150;
/** Requests without any retry that may be lost to one death: those under way at that endpoint. */
const LOST_PER_KILL_MAX = CLIENTS;
const BURST = 100;
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

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(listener: Listener): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  // Coming back after a death: a client's socket may have the port for a moment.
  server.on("error", () => setImmediate(() => server.listen(port, "127.0.0.1")));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Sends `count` requests, `CLIENTS` at once, none twice. Returns how many got no 200. */
async function load(
  port: number,
  count: number,
  { method, onSent }: { readonly method: "GET" | "POST"; readonly onSent: (n: number) => void },
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  atEnd(() => {
    agent.destroy();
  });
  let [sent, failed] = [0, 0];
  const client = async (): Promise<void> => {
    while (sent < count) {
      const id = (sent += 1);
      onSent(id);
      if ((await statusOf(port, { agent, method, id })) !== 200) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return failed;
}

/** 0: no answer. */
function statusOf(
  port: number,
  { agent, method, id }: { readonly agent: Agent; readonly method: string; readonly id: number },
): Promise<number> {
  return new Promise((resolve) => {
    const headers = { "x-id": String(id) };
    const asked = request({ port, host: "127.0.0.1", method, agent, headers }, (response) => {
      response.on("error", () => {
        resolve(0);
      });
      response.resume().on("end", () => {
        resolve(response.statusCode ?? 0);
      });
    });
    asked.on("error", () => {
      resolve(0);
    });
    asked.end(method === "POST" ? "a body" : undefined);
  });
}

/** Three endpoints, of which one after the other dies under the load, and comes back. */
async function dyingEndpoints(
  method: "GET" | "POST",
  retry: RetryPolicy | null,
): Promise<{ readonly failed: number; readonly kills: number; readonly twice: number }> {
  const seen = new Map<string, number>();
  const listener: Listener = (asked, response) => {
    asked.resume().on("end", () => {
      const id = String(asked.headers["x-id"]);
      seen.set(id, (seen.get(id) ?? 0) + 1);
      setImmediate(() => response.end("ok"));
    });
  };
  const servers = await Promise.all([serve(listener), serve(listener), serve(listener)]);
  const ports = servers.map(portOf);
  const { port, assertions } = await startFixture(snapshotTo(ports, retry));
  let kills = 0;
  const failed = await load(port, REQUESTS, {
    method,
    onSent(count) {
      if (count % KILL_EVERY !== 0) return;
      const victim = kills % servers.length;
      const server = servers[victim];
      kills += 1;
      server?.close(() => server.listen(ports[victim], "127.0.0.1"));
      server?.closeAllConnections();
    },
  });
  assert.deepEqual(assertions, []);
  return { failed, kills, twice: [...seen.values()].filter((times) => times > 1).length };
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
  const failed = await load(port, REQUESTS, { method: "GET", onSent: () => undefined });
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

/** Connects and goes away, at whatever moment that is. */
async function abort(port: number, index: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const half = "GET / HTTP/1.1\r\nhost: a\r\n";
  if (index % 3 === 0) socket.destroy();
  else {
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    if (index % 3 === 1) socket.write(index % 2 === 0 ? half : `${half}\r\n`);
    socket.resetAndDestroy();
  }
  if (!socket.closed) await once(socket, "close");
}

async function abortAll({ port }: Fixture): Promise<void> {
  for (let index = 0; index < ABORTS; index += BURST) {
    await Promise.all(Array.from({ length: BURST }, (_, one) => abort(port, index + one)));
  }
}

async function probe({ port }: Fixture): Promise<void> {
  const client = await RawClient.open(port);
  client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  assert.match(await client.closed(), /^HTTP\/1\.1 200 [^]*ok$/);
}

test("D8: clients that connect and go away leave no descriptor behind", async (context) => {
  const server = await serve((_asked, response) => response.end("ok"));
  const fixture = await startFixture(snapshotTo([portOf(server)], null), systemClock);
  await abortAll(fixture);
  await probe(fixture);
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const [before, heapBefore] = [descriptors(), heapUsed()];
  await abortAll(fixture);
  await probe(fixture);
  await eventually(() => descriptors() <= before + 5);
  const grown = (heapUsed() - heapBefore) / MIB;
  context.diagnostic(
    `${ABORTS} aborts: ${descriptors() - before} more descriptors, heap ${grown.toFixed(1)} MiB`,
  );
  assert.ok(grown <= GROWN_MIB_MAX, `${grown} MiB more heap`);
  assert.deepEqual(fixture.assertions, []);
});
