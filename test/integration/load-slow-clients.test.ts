//! Peers that are slow, silent or greedy: each is bounded in time and in memory, and nobody else
//! notices. GRAYLANE_BODY_MIB and GRAYLANE_SLOW_CLIENTS make them larger and more.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { freePort } from "../../src/base/testing/free-port.ts";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import {
  DeadlineSweeper,
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  REQUEST_HEAD_TIMEOUT_MS,
} from "../../src/dataplane/deadlines.ts";
import { preparer, sendRaw, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { SILENT_OBSERVER } from "../../src/dataplane/observer.ts";
import { UpstreamPools } from "../../src/dataplane/upstream/upstream-pools.ts";
import { GatewayRole } from "../../src/dataplane/worker/gateway-role.ts";

const MIB = 1_048_576;
const BODY_BYTES = Number(process.env["GRAYLANE_BODY_MIB"] ?? 200) * MIB;
/** Of this whole process: gateway, client and upstream. Without bounds it would be the body. */
const GROWTH_BYTES_MAX = 64 * MIB;
const SWEEP_MS = 250;
const SLOW_CLIENTS = Number(process.env["GRAYLANE_SLOW_CLIENTS"] ?? 200);
const FLOOD_REQUESTS = 20_000;
const ABORTING_CLIENTS = 5_000;
const A = cluster("a");

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

interface Gateway {
  readonly port: number;
  readonly clock: FakeClock;
  /** Open client connections. */
  readonly connectionCount: () => number;
}

/** A gateway in this process whose time is the test's. */
async function startGateway(serve: (socket: Socket) => void): Promise<Gateway> {
  const upstream = await startRawUpstream(serve);
  cleanups.push(() => {
    upstream.close();
  });
  const port = await freePort();
  const clock = new FakeClock();
  const sweeper = new DeadlineSweeper(clock);
  let connectionCount = 0;
  const role = new GatewayRole(
    {
      role: "gateway",
      id: "test",
      gatewayHost: "127.0.0.1",
      portMap: { "80": port },
      accessLogPath: "",
      logLevel: "silent",
      logPath: "",
    },
    {
      clock,
      prng: new SeededPrng(1),
      sweeper,
      pools: new UpstreamPools(sweeper),
      observer: {
        ...SILENT_OBSERVER,
        onConnection: (delta) => (connectionCount += delta),
        onAssertion: (error) => {
          throw error;
        },
      },
    },
    preparer(),
  );
  const failure = await role.configure(
    gatewaySnapshot(80, [forwardRoute(A.name)], {
      clusters: { [A.name]: A },
      endpoints: { [A.name]: { endpoints: [endpoint(upstream.port)] } },
    }),
  );
  assert.equal(failure, null);
  cleanups.push(() => void role.stop());
  return { port, clock, connectionCount: () => connectionCount };
}

/** Answers each request (without a body) that ends in a read with `answer`. */
function answering(answer: string): (socket: Socket) => void {
  return (socket) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const requests = text.split("\r\n\r\n");
      text = requests.pop() ?? "";
      socket.write(answer.repeat(requests.length));
    });
  };
}

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async function openClient(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  cleanups.push(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Bounded: a condition that never comes fails the test instead of hanging it. */
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`not in time: ${what}`);
    await sleep(5);
  }
}

test(`${SLOW_CLIENTS} clients that drip their heads are answered 408 when the time is over`, async () => {
  const { port, clock, connectionCount } = await startGateway(answering(OK));
  const clients = await Promise.all(Array.from({ length: SLOW_CLIENTS }, () => openClient(port)));
  const received: string[] = clients.map(() => "");
  clients.forEach((client, index) => {
    client.on("data", (chunk: Buffer) => {
      received[index] = (received[index] ?? "") + chunk.toString();
    });
    client.write("GET / HTTP/1.1\r\nhost: a\r\n");
  });
  await until("all are accepted", () => connectionCount() === SLOW_CLIENTS);
  await sleep(50);
  // Each byte more is no reason to wait longer.
  for (let passed = 0; passed < REQUEST_HEAD_TIMEOUT_MS - 1_000; passed += 1_000) {
    clock.advance(1_000);
    for (const client of clients) client.write("x");
    await sleep(5);
  }
  assert.equal(connectionCount(), SLOW_CLIENTS);
  assert.match(
    await sendRaw(port, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    /^HTTP\/1\.1 200 /,
    "another client is served meanwhile",
  );
  const ended = clients.map((client) => once(client, "end"));
  clock.advance(1_000 + 2 * SWEEP_MS);
  await Promise.all(ended);
  for (const text of received) assert.match(text, /^HTTP\/1\.1 408 .*request_timeout/s);
  for (const client of clients) client.destroy();
  await until("all are gone", () => connectionCount() === 0);
});

test("a client that connects and says nothing is let go when its idle time is over", async () => {
  const { port, clock, connectionCount } = await startGateway(answering(OK));
  const client = await openClient(port);
  await until("it is accepted", () => connectionCount() === 1);
  const closed = once(client, "close");
  client.resume();
  clock.advance(DOWNSTREAM_IDLE_TIMEOUT_MS + 2 * SWEEP_MS);
  await closed;
  assert.equal(connectionCount(), 0);
});

/**
 * JavaScript objects and the bytes of Buffers. Not resident memory: V8 keeps freed pages of its own
 * pooled for a while (76 MiB seen on Node 24), which no request holds.
 */
function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/**
 * Highest use of memory, sampled while `work` runs, above what it was before. Where it is too high
 * what is only garbage is collected first: nobody holds it.
 */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  const start = usedBytes();
  let highest = start;
  const timer = setInterval(() => {
    if (usedBytes() - start >= GROWTH_BYTES_MAX) collectGarbage();
    highest = Math.max(highest, usedBytes());
  }, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return highest - start;
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

test(`${FLOOD_REQUESTS} pipelined requests are answered in order, one at a time`, async (t) => {
  let inFlight = 0;
  let inFlightMax = 0;
  const { port } = await startGateway((socket) => {
    socket.on("data", (chunk: Buffer) => {
      inFlight += 1;
      inFlightMax = Math.max(inFlightMax, inFlight);
      const number = /^GET \/(\d+) /.exec(chunk.toString("latin1"))?.[1] ?? "?";
      setImmediate(() => {
        inFlight -= 1;
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${number.length}\r\n\r\n${number}`);
      });
    });
  });
  const client = await openClient(port);
  let text = "";
  let next = 0;
  client.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    for (;;) {
      const end = text.indexOf("\r\n\r\n");
      const length = String(next).length;
      if (end < 0 || text.length < end + 4 + length) return;
      assert.equal(text.slice(end + 4, end + 4 + length), String(next));
      next += 1;
      text = text.slice(end + 4 + length);
    }
  });
  const growth = await growthDuring(async () => {
    for (let index = 0; index < FLOOD_REQUESTS; index++) {
      if (!client.write(`GET /${index} HTTP/1.1\r\nhost: a\r\n\r\n`)) await once(client, "drain");
    }
    await until("all are answered", () => next === FLOOD_REQUESTS);
  });
  t.diagnostic(`grown by at most ${mib(growth)}`);
  assert.equal(inFlightMax, 1);
  assert.ok(growth < GROWTH_BYTES_MAX, `grown by ${mib(growth)}`);
});

/** Writes so many bytes as fast as the socket takes them; counts those that it took. */
function pour(socket: Socket, bytes: number): { readonly poured: () => number } {
  const chunk = Buffer.alloc(64 * 1024, "x");
  let poured = 0;
  const more = (): void => {
    while (poured < bytes && !socket.destroyed) {
      poured += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on("drain", more);
  more();
  return { poured: () => poured };
}

/** Resolves when the number has not risen for a while. */
async function untilStill(count: () => number): Promise<void> {
  let last = -1;
  for (let still = 0; still < 20; still = count() === last ? still + 1 : 0) {
    last = count();
    await sleep(10);
  }
}

test("a client that does not read holds its upstream back, and memory stays", async (t) => {
  let poured = (): number => 0;
  const { port } = await startGateway((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`);
      poured = pour(socket, BODY_BYTES).poured;
    });
  });
  const client = await openClient(port);
  client.pause();
  let received = 0;
  const growth = await growthDuring(async () => {
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await until("the answer has begun", () => poured() > 0);
    await untilStill(poured);
    assert.ok(poured() < BODY_BYTES / 4, `the upstream could send ${mib(poured())}`);
    t.diagnostic(`the upstream could send ${mib(poured())} of ${mib(BODY_BYTES)}`);
    client.on("data", (chunk: Buffer) => (received += chunk.length));
    client.resume();
    await until("it is all there", () => received > BODY_BYTES);
  });
  t.diagnostic(`grown by at most ${mib(growth)}`);
  assert.ok(growth < GROWTH_BYTES_MAX, `grown by ${mib(growth)}`);
});

for (const framing of ["content-length", "chunked"] as const) {
  test(`an upload (${framing}) to an upstream that does not read is held back`, async (t) => {
    let received = 0;
    let upstream: Socket | null = null;
    const { port } = await startGateway((socket) => {
      upstream = socket;
      socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
        if (received === chunk.length) socket.pause();
        if (received > BODY_BYTES) socket.write(OK);
      });
    });
    const client = await openClient(port);
    const answer = once(client, "data");
    const growth = await growthDuring(async () => {
      const length =
        framing === "chunked"
          ? `transfer-encoding: chunked\r\n\r\n${BODY_BYTES.toString(16)}\r\n`
          : `content-length: ${BODY_BYTES}\r\n\r\n`;
      client.write(`POST / HTTP/1.1\r\nhost: a\r\n${length}`);
      const { poured } = pour(client, BODY_BYTES);
      await until("the upstream has the head", () => received > 0);
      await untilStill(poured);
      assert.ok(poured() < BODY_BYTES / 4, `the client could send ${mib(poured())}`);
      t.diagnostic(`the client could send ${mib(poured())} of ${mib(BODY_BYTES)}`);
      upstream?.resume();
      await until("everything was sent", () => poured() >= BODY_BYTES);
      if (framing === "chunked") client.write("\r\n0\r\n\r\n");
      const [bytes] = (await answer) as [Buffer];
      assert.match(bytes.toString(), /^HTTP\/1\.1 200 /);
    });
    t.diagnostic(`grown by at most ${mib(growth)}`);
    assert.ok(growth < GROWTH_BYTES_MAX, `grown by ${mib(growth)}`);
  });
}

test(`${ABORTING_CLIENTS} clients that go away at every point of an exchange leave nothing`, async (t) => {
  const { port, connectionCount } = await startGateway(answering(OK));
  const request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
  let gone = 0;
  const growth = await growthDuring(async () => {
    for (let index = 0; index < ABORTING_CLIENTS; index++) {
      const client = connect(port, "127.0.0.1");
      client.on("error", () => undefined);
      client.on("close", () => (gone += 1));
      await once(client, "connect");
      // From no byte at all to the whole request.
      client.write(request.slice(0, index % (request.length + 1)));
      if (index % 3 === 0) client.resetAndDestroy();
      else if (index % 3 === 1) client.destroy();
      else setImmediate(() => client.destroy());
    }
    await until("all have gone", () => gone === ABORTING_CLIENTS && connectionCount() === 0);
  });
  t.diagnostic(`grown by at most ${mib(growth)}`);
  assert.ok(growth < GROWTH_BYTES_MAX, `grown by ${mib(growth)}`);
  assert.match(
    await sendRaw(port, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    /^HTTP\/1\.1 200 /,
  );
});
