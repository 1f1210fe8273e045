//! Clients of HTTP/2 whose frames cost them little and would cost us much.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  EXCHANGE_IDLE_TIMEOUT_MS,
  LINGER_TIMEOUT_MS,
  REQUEST_BODY_WINDOW_MS,
} from "../deadlines.ts";
import { eventually, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import { FLOODS, WINDOW_SETTING, getFields, openPost, wholeGet } from "../testing/http2-floods.ts";
import type { Flood } from "../testing/http2-floods.ts";
import {
  ACK,
  END_STREAM,
  PREFACE,
  TYPE,
  frame,
  literal,
  readFrames,
  setting,
} from "../testing/http2-frames.ts";
import type { Frame } from "../testing/http2-frames.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { STREAMS_PER_CONNECTION_MAX } from "./http2-connection.ts";

after(endAll);

/** An error code (RFC 9113 section 7). */
const REFUSED_STREAM = 7;
/** Far more than sockets hold. */
const ANSWER_BYTES = 8 * 1024 * 1024;
const A = cluster("a");

/** More than the limits leave of any flood. */
const FLOOD_BYTES = 2.5 * 1024 * 1024;
const ROUND_BYTES = 8_192;
/** With a sweep's delay. */
const INSPECTION_MS = 1_500;

interface SilentUpstream {
  readonly port: number;
  /** Connections at once, at the most. */
  connectionsMax: number;
}

/** Never answers, so that what is opened stays open. */
async function startSilentUpstream(): Promise<SilentUpstream> {
  let connections = 0;
  const { port } = await startRawUpstream((socket) => {
    connections += 1;
    upstream.connectionsMax = Math.max(upstream.connectionsMax, connections);
    socket.resume();
    socket.on("close", () => {
      connections -= 1;
    });
  });
  const upstream: SilentUpstream = { port, connectionsMax: 0 };
  return upstream;
}

function startTo(port: number, clock?: FakeClock): Promise<Fixture> {
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  return startFixture(snapshot, clock);
}

async function start(): Promise<Fixture> {
  return startTo((await startSilentUpstream()).port);
}

interface Attack {
  readonly socket: Socket;
  /** All that has come. */
  came: Buffer;
}

function attack(port: number, opening: Buffer = Buffer.alloc(0)): Attack {
  const socket = connect(port, "127.0.0.1");
  const own: Attack = { socket, came: Buffer.alloc(0) };
  socket.on("data", (chunk: Buffer) => {
    own.came = Buffer.concat([own.came, chunk]);
  });
  socket.on("error", () => undefined);
  atEnd(() => {
    socket.destroy();
  });
  socket.write(Buffer.concat([PREFACE, frame("settings", Buffer.alloc(0)), opening]));
  return own;
}

function countOf({ came }: Attack, isOne: (frame: Frame) => boolean): number {
  return readFrames(came).frames.filter(isOne).length;
}

function isPong({ type, flags }: Frame): boolean {
  return type === TYPE.ping && flags === ACK;
}

const PING = frame("ping", Buffer.alloc(8));

/** Sends until the gateway closes the connection, or has read it all. */
async function send(own: Attack, { unit }: Flood): Promise<void> {
  const { socket } = own;
  let index = 0;
  for (let sent = 0; sent < FLOOD_BYTES && !socket.closed;) {
    const round: Buffer[] = [];
    for (let bytes = 0; bytes < ROUND_BYTES; bytes += round.at(-1)?.length ?? 0) {
      round.push(unit(index));
      index += 1;
    }
    const bytes = Buffer.concat([...round, PING]);
    const before = countOf(own, isPong);
    sent += bytes.length;
    socket.write(bytes);
    await eventually(() => socket.closed || countOf(own, isPong) > before);
  }
}

describe("a flood over HTTP/2 is cut off", () => {
  for (const flood of FLOODS) {
    test(flood.name, async () => {
      const clock = new FakeClock();
      const upstream = await startSilentUpstream();
      const fixture = await startTo(upstream.port, clock);
      const own = attack(fixture.port, flood.opening);
      await send(own, flood);
      clock.advance(INSPECTION_MS);
      await eventually(() => own.socket.closed);
      assert.equal(fixture.refused.at(-1), "http2_flood");
      const { connectionsMax } = upstream;
      assert.ok(connectionsMax <= STREAMS_PER_CONNECTION_MAX, `${connectionsMax} at the upstream`);
      assert.deepEqual(fixture.assertions, []);
    });
  }

  test("a refusal whose request goes on is whole before the stream is reset", async () => {
    const fixture = await start();
    const own = attack(fixture.port, openPost(1, literal("expect", "more")));
    await eventually(() => countOf(own, ({ type }) => type === TYPE.reset) > 0);
    const frames = readFrames(own.came).frames.filter(({ stream }) => stream === 1);
    assert.deepEqual(
      frames.slice(-2).map(({ type, flags }) => ({ type, flags })),
      [
        { type: TYPE.data, flags: END_STREAM },
        { type: TYPE.reset, flags: 0 },
      ],
    );
  });

  test("more streams at once than are offered are refused one by one", async () => {
    const fixture = await start();
    const more = 50;
    const requests = Array.from({ length: STREAMS_PER_CONNECTION_MAX + more }, (_none, index) =>
      wholeGet(2 * index + 1),
    );
    const own = attack(fixture.port, Buffer.concat(requests));
    const isRefusal = ({ type, payload }: Frame): boolean =>
      type === TYPE.reset && payload.readUInt32BE() === REFUSED_STREAM;
    await eventually(() => countOf(own, isRefusal) === more);
  });
});

describe("clients of HTTP/2 that hold on to what they have", () => {
  test("answers that are not taken wait at the upstream, and end by their deadline", async () => {
    const clock = new FakeClock();
    const sockets: Socket[] = [];
    const answer = Buffer.alloc(ANSWER_BYTES, "x");
    const { port } = await startRawUpstream((socket) => {
      sockets.push(socket);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${ANSWER_BYTES}\r\n\r\n`);
      socket.write(answer);
    });
    const fixture = await startTo(port, clock);
    const opening = Array.from({ length: STREAMS_PER_CONNECTION_MAX }, (_none, index) =>
      wholeGet(2 * index + 1),
    );
    const noWindow = frame("settings", setting(WINDOW_SETTING, 0));
    const own = attack(fixture.port, Buffer.concat([noWindow, ...opening]));
    const isHead = ({ type }: Frame): boolean => type === TYPE.headers;
    await eventually(() => countOf(own, isHead) === STREAMS_PER_CONNECTION_MAX);
    assert.equal(sockets.filter((socket) => socket.writableLength > 0).length, sockets.length);
    clock.advance(EXCHANGE_IDLE_TIMEOUT_MS + INSPECTION_MS);
    await eventually(() => fixture.records.length === STREAMS_PER_CONNECTION_MAX);
    await eventually(() => sockets.every((socket) => socket.closed));
    assert.deepEqual(fixture.assertions, []);
  });

  test("bodies that do not come are answered by 408", async () => {
    const clock = new FakeClock();
    const { port } = await startSilentUpstream();
    const fixture = await startTo(port, clock);
    const opening = Array.from({ length: STREAMS_PER_CONNECTION_MAX }, (_none, index) =>
      openPost(2 * index + 1),
    );
    const own = attack(fixture.port, Buffer.concat([...opening, PING]));
    await eventually(() => countOf(own, isPong) > 0);
    clock.advance(REQUEST_BODY_WINDOW_MS + INSPECTION_MS);
    await eventually(() => fixture.records.length === STREAMS_PER_CONNECTION_MAX);
    assert.ok(fixture.records.every(({ status }) => status === 408));
  });

  test("a connection whose head does not end is closed like an idle one", async () => {
    const clock = new FakeClock();
    const { port } = await startSilentUpstream();
    const fixture = await startTo(port, clock);
    const own = attack(fixture.port, frame("headers", getFields(), { stream: 1 }));
    await eventually(() => countOf(own, ({ type }) => type === TYPE.settings) > 1);
    clock.advance(DOWNSTREAM_IDLE_TIMEOUT_MS + LINGER_TIMEOUT_MS + INSPECTION_MS);
    await eventually(() => own.socket.closed);
    assert.deepEqual(fixture.assertions, []);
  });
});
