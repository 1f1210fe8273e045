import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { VirtualClock } from "../../base/virtual-clock.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { endAll, startRawUpstream } from "../testing/harness.ts";
import {
  ACK,
  END_STREAM,
  FRAME_HEAD_BYTES,
  PREFACE,
  TYPE,
  frame,
  headersFrame,
  readFrames,
} from "../testing/http2-frames.ts";
import type { Frame } from "../testing/http2-frames.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = { ...cluster("a"), protocol: "h2" as const };
const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const SILENT_MS = 1_500;
const PING_TIMEOUT_MS = 2_500;

interface Upstream {
  readonly port: number;
  readonly closed: Set<number>;
  readonly seen: { readonly connection: number; readonly type: number; readonly flags: number }[];
}

/** An upstream that acts on each frame of the gateway by itself. */
async function startFrames(
  onFrame: (socket: Socket, got: Frame, connection: number) => void,
): Promise<Upstream> {
  const seen: Upstream["seen"] = [];
  const closed = new Set<number>();
  const { port } = await startRawUpstream((socket, connection) => {
    let rest = Buffer.alloc(0);
    let known = 0;
    socket.write(frame("settings", Buffer.alloc(0)));
    socket.on("close", () => closed.add(connection));
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      const { frames } = readFrames(rest.subarray(PREFACE.length));
      for (const got of frames.slice(known)) {
        seen.push({ connection, type: got.type, flags: got.flags });
        onFrame(socket, got, connection);
      }
      known = frames.length;
    });
  });
  return { port, closed, seen };
}

function countOf({ seen }: Upstream, type: number, flags: number): number {
  return seen.filter((each) => each.type === type && (each.flags & ACK) === flags).length;
}

async function startTo(port: number, clock: VirtualClock): Promise<Fixture> {
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  return startFixture(snapshot, clock);
}

/** A client asks, hears nothing for a while, and goes. */
async function giveUp(fixture: Fixture, upstream: Upstream, clock: VirtualClock): Promise<void> {
  const client = await RawClient.open(fixture.port);
  client.send(GET);
  await eventually(() => upstream.seen.some(({ type }) => type === TYPE.headers));
  clock.advance(SILENT_MS);
  client.socket.destroy();
  await eventually(() => fixture.records.length === 1);
}

function answer(socket: Socket, { stream }: Frame): void {
  socket.write(headersFrame([[":status", "204"]], { flags: END_STREAM, stream }));
}

test("a connection whose framing the server has broken carries no second request", async () => {
  const clock = new VirtualClock();
  const upstream = await startFrames((socket, got, connection) => {
    if (got.type !== TYPE.headers) return;
    if (connection === 0) socket.write(frame("data", Buffer.from("x")));
    else answer(socket, got);
  });
  const fixture = await startTo(upstream.port, clock);
  await giveUp(fixture, upstream, clock);
  clock.advance(PING_TIMEOUT_MS);
  await eventually(() => upstream.closed.has(0));
  const client = await RawClient.open(fixture.port);
  client.send(GET);
  assert.match(await client.until(/\r\n\r\n$/), /^HTTP\/1\.1 204 /);
});

test("a server that answers a PING keeps its connection", async () => {
  const clock = new VirtualClock();
  let headsCount = 0;
  const upstream = await startFrames((socket, got) => {
    if (got.type === TYPE.ping && (got.flags & ACK) === 0) {
      socket.write(frame("ping", got.payload, { flags: ACK }));
      // When the gateway has answered this one, it has read the one before.
      socket.write(frame("ping", Buffer.alloc(FRAME_HEAD_BYTES - 1)));
    }
    if (got.type !== TYPE.headers) return;
    headsCount += 1;
    if (headsCount > 1) answer(socket, got);
  });
  const fixture = await startTo(upstream.port, clock);
  await giveUp(fixture, upstream, clock);
  await eventually(() => countOf(upstream, TYPE.ping, ACK) === 1);
  clock.advance(PING_TIMEOUT_MS);
  const client = await RawClient.open(fixture.port);
  client.send(GET);
  assert.match(await client.until(/\r\n\r\n$/), /^HTTP\/1\.1 204 /);
  assert.deepEqual([...new Set(upstream.seen.map(({ connection }) => connection))], [0]);
  assert.equal(countOf(upstream, TYPE.ping, 0), 1);
});

const stops = [
  { name: "for longer than a connection may be idle is a new connection's", stopMs: 61_000, at: 1 },
  { name: "for less is the idle connection's", stopMs: 30_000, at: 0 },
];

for (const { name, stopMs, at } of stops) {
  test(`the first request after the worker was stopped ${name}`, async () => {
    const clock = new VirtualClock();
    const upstream = await startFrames((socket, got) => {
      if (got.type === TYPE.headers) answer(socket, got);
    });
    const fixture = await startTo(upstream.port, clock);
    const client = await RawClient.open(fixture.port);
    client.send(GET);
    await client.until(/\r\n\r\n$/);
    clock.stop(stopMs);
    client.received = "";
    client.send(GET);
    assert.match(await client.until(/\r\n\r\n$/), /^HTTP\/1\.1 204 /);
    assert.equal(upstream.seen.filter(({ type }) => type === TYPE.headers).at(-1)?.connection, at);
  });
}
