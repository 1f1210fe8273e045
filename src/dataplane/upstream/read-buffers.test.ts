import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { Readable } from "node:stream";
import { after, test } from "node:test";
import type { Mirror, RetryPolicy, RoutePolicy } from "../../snapshot/routing.ts";
import { freePort } from "../../base/testing/free-port.ts";
import { atEnd, endAll, startGateway, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import { ReadBuffers } from "../read-buffers.ts";

after(endAll);

const NOW = Promise.resolve();

/** More than the system keeps for a connection, and none ends where a read does. */
const SIZES = [12_000_123, 100_003, 12_040_009, 7_001, 12_024_567, 50_021, 12_050_001, 15_013];

/** No four bytes of it are at another place of it, or in the body of another number. */
const BODIES = SIZES.map((size, number) => {
  const words = Uint32Array.from({ length: (size >> 2) + 1 }, (_none, at) => at * 16 + number);
  return Buffer.from(words.buffer, 0, size);
});

function answer(socket: Socket, isChunked: boolean): void {
  socket.on("data", (request: Buffer) => {
    const body = BODIES[Number(/^GET \/(\d)/.exec(request.toString("latin1"))?.[1])];
    assert.ok(body !== undefined);
    const [field, before, end] = isChunked
      ? ["transfer-encoding: chunked", `${body.length.toString(16)}\r\n`, "\r\n0\r\n\r\n"]
      : [`content-length: ${body.length}`, "", ""];
    socket.write(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n${before}`);
    socket.write(body);
    socket.write(end);
  });
}

async function startGatewayTo(isChunked: boolean): Promise<{ port: number; faults: unknown[] }> {
  const upstream = await startRawUpstream((socket) => {
    answer(socket, isChunked);
  });
  const a = cluster("a");
  const snapshot = gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const port = await freePort();
  const { assertions } = await startGateway(port, snapshot);
  return { port, faults: assertions };
}

async function overHttp1(port: number, number: number, mayRead: Promise<unknown>): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  socket.pause();
  // A client of HTTP/1.0 is told no chunks.
  socket.write(`GET /${number} HTTP/1.0\r\nHost: a\r\n\r\n`);
  const all = await allOf(socket, mayRead);
  return all.subarray(all.indexOf("\r\n\r\n") + 4);
}

async function allOf(readable: Readable, mayRead: Promise<unknown>): Promise<Buffer> {
  await mayRead;
  const got: Buffer[] = [];
  readable.on("data", (chunk: Buffer) => got.push(chunk));
  readable.resume();
  await once(readable, "end");
  return Buffer.concat(got);
}

function checkBody(got: Buffer, number: number): void {
  assert.equal(got.length, SIZES[number]);
  assert.ok(BODIES[number]?.equals(got) === true, `body ${number} is not what was sent`);
}

for (const isChunked of [false, true]) {
  const how = isChunked ? "in chunks" : "with a length";
  test(`bodies ${how} stay whole while clients that read late hold their bytes`, async () => {
    const { port, faults } = await startGatewayTo(isChunked);
    // The small ones are read at once, and only then the large ones.
    const early = [1, 3, 5, 7].map((number) => overHttp1(port, number, NOW));
    const late = [0, 2, 4, 6].map((number) => overHttp1(port, number, Promise.all(early)));
    (await Promise.all(early)).forEach((body, index) => {
      checkBody(body, 2 * index + 1);
    });
    (await Promise.all(late)).forEach((body, index) => {
      checkBody(body, 2 * index);
    });
    assert.deepEqual(faults, []);
  });
}

test("bodies that a client of HTTP/2 asks for at once stay whole", async () => {
  const { port, faults } = await startGatewayTo(false);
  const client = connectHttp2(`http://127.0.0.1:${port}`);
  const numbers = Array.from({ length: 32 }, (_none, index) => 1 + 2 * (index % 4));
  const got = numbers.map((number) => allOf(client.request({ ":path": `/${number}` }), NOW));
  (await Promise.all(got)).forEach((body, index) => {
    checkBody(body, numbers[index] ?? 0);
  });
  client.close();
  assert.deepEqual(faults, []);
});

const PATTERN = BODIES[0] ?? Buffer.alloc(0);

/** A body of so many bytes; each has others at a place. */
function bodyOf(byteCount: number): Buffer {
  const start = 4 * (byteCount % 5_000);
  return PATTERN.subarray(start, start + byteCount);
}

interface Reader {
  readonly port: number;
  /** Bodies that were not as they had been sent. */
  readonly wrong: number[];
}

/**
 * An endpoint that begins to read bodies of more than a megabyte late. `breaks`: it
 * hangs up on the first one when it has read the second.
 */
async function startReader(mayRead: Promise<unknown>, breaks: boolean): Promise<Reader> {
  const wrong: number[] = [];
  let broken: Socket | null = null;
  const server = createServer((asked, response) => {
    const byteCount = Number(asked.url?.slice(1));
    const body = bodyOf(byteCount);
    let at = 0;
    let isRight = true;
    void (byteCount > 1_000_000 ? mayRead : NOW).then(() => {
      asked.on("data", (chunk: Buffer) => {
        isRight &&= chunk.equals(body.subarray(at, (at += chunk.length)));
      });
    });
    asked.on("end", () => {
      if (!isRight || at !== byteCount) wrong.push(byteCount);
      if (breaks && broken === null) {
        broken = asked.socket;
        return;
      }
      response.end("read");
      broken?.destroy();
    });
    // A copy that is too long for a mirror ends early.
    asked.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, wrong };
}

interface Uploads {
  readonly what: string;
  readonly isChunked: boolean;
  /** The client writes so much at once, and lets it be read. */
  readonly pieceBytes: number;
  readonly policy: RoutePolicy;
  /** The first ends when an endpoint breaks off. */
  readonly breaks?: boolean;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Uploader {
  /** Handed to the system. */
  sentBytes = 0;
  readonly #port: number;
  readonly #how: Uploads;

  constructor(port: number, how: Uploads) {
    this.#port = port;
    this.#how = how;
  }

  /** The answer to a body of so many bytes. */
  async send(byteCount: number): Promise<string> {
    const { isChunked, pieceBytes } = this.#how;
    const socket = connect(this.#port, "127.0.0.1");
    const answer = allOf(socket, NOW);
    const length = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${byteCount}`;
    const fields = `Host: a\r\nConnection: close\r\n${length}\r\n\r\n`;
    socket.write(`POST /${byteCount} HTTP/1.1\r\n${fields}`);
    if (isChunked) socket.write(`${byteCount.toString(16)}\r\n`);
    for (let at = 0; at < byteCount; at += pieceBytes) {
      const piece = bodyOf(byteCount).subarray(at, at + pieceBytes);
      if (!socket.write(piece)) await once(socket, "drain");
      this.sentBytes += piece.length;
      await turn();
    }
    if (isChunked) socket.write("\r\n0\r\n\r\n");
    const text = (await answer).toString();
    return text.slice(text.indexOf("\r\n\r\n") + 4);
  }

  /** Until nothing more is taken. */
  async stuck(): Promise<void> {
    for (let before = -1; before !== this.sentBytes;) {
      before = this.sentBytes;
      for (let turns = 0; turns < 200; turns++) await turn();
    }
  }
}

const AGAIN: RetryPolicy = {
  ...{ retries: 1, perTryTimeoutMs: 0, statuses: [], backOffBaseMs: 1, backOffMaxMs: 1 },
  on: ["reset"],
};
const A = cluster("a");
const MIRROR: Mirror = {
  target: { kind: "cluster", cluster: A.name, subset: null },
  sharePpm: 1_000_000,
  requestHeaders: NO_HEADER_OPERATIONS,
};
const LARGE = 1_000_000;
const uploads: readonly Uploads[] = [
  { what: "with a length", isChunked: false, pieceBytes: LARGE, policy: {} },
  { what: "in chunks", isChunked: true, pieceBytes: LARGE, policy: {} },
  { what: "in small pieces", isChunked: false, pieceBytes: 6_000, policy: {} },
  {
    ...{ what: "that are sent again", isChunked: false, pieceBytes: LARGE },
    ...{ policy: { retry: AGAIN }, breaks: true },
  },
  {
    ...{ what: "that are mirrored", isChunked: true, pieceBytes: LARGE },
    policy: { mirrors: [MIRROR] },
  },
];
/** What the systems of both sides keep of one is between them, and ends in one of them. */
const LATE_SIZES = Array.from({ length: 32 }, (_none, index) => 2_000_001 + 237_000 * index);
const EARLY_SIZES = [100_003, 7_001, 50_021, 200_002, 15_013];

for (const how of uploads) {
  test(`requests' bodies ${how.what} stay whole with late endpoints`, async () => {
    let begin = (): void => undefined;
    const mayRead = new Promise<void>((resolve) => (begin = resolve));
    const reader = await startReader(mayRead, how.breaks === true);
    const snapshot = gatewaySnapshot(80, [forwardRoute(A.name, { policy: how.policy })], {
      clusters: { [A.name]: A },
      endpoints: { [A.name]: { endpoints: [endpoint(reader.port)] } },
    });
    const port = await freePort();
    const { assertions } = await startGateway(port, snapshot);
    const uploader = new Uploader(port, how);
    const early = async (): Promise<void> => {
      const answers = await Promise.all(EARLY_SIZES.map((size) => uploader.send(size)));
      for (const answer of answers) assert.equal(answer, "read");
    };
    await early();
    const late = LATE_SIZES.map((size) => uploader.send(size));
    await uploader.stuck();
    await early();
    begin();
    for (const each of await Promise.all(late)) assert.equal(each, "read");
    assert.deepEqual(reader.wrong, []);
    assert.deepEqual(assertions, []);
  });
}

const GOES_ON = { isBody: true, isPaused: false };
const PAUSED = { isBody: true, isPaused: true };
const ENDED = { isBody: false, isPaused: false };

test("a connection has a buffer of its own while a large body comes, and only then", () => {
  const [one, other] = [new ReadBuffers(), new ReadBuffers()];
  assert.equal(one.current, other.current);
  one.next(one.current.length, GOES_ON);
  const own = one.current;
  assert.notEqual(own, other.current);
  one.next(1, GOES_ON);
  assert.equal(one.current, own, "it was free again");
  one.hold();
  one.next(1, PAUSED);
  assert.equal(one.current, own, "no read comes before it is free again");
  one.begin();
  one.hold();
  one.next(1, GOES_ON);
  const next = one.current;
  assert.notEqual(next, own, "somebody held bytes of it");
  one.hold();
  one.next(1, ENDED);
  assert.equal(one.current, other.current);
  other.next(other.current.length, GOES_ON);
  assert.notEqual(other.current, next, "bytes are held at the end of a body, too");
  other.hold();
  other.next(1, PAUSED);
  const held = other.current;
  other.end();
  one.next(one.current.length, GOES_ON);
  assert.notEqual(one.current, held, "and when a connection ends that was paused");
  one.end();
});

test("large buffers have a limit, and what is above it gets smaller ones", () => {
  const many = Array.from({ length: 100 }, () => new ReadBuffers());
  for (const each of many) each.next(each.current.length, GOES_ON);
  const sizes = many.map(({ current }) => current.length);
  assert.equal(sizes.filter((size) => size > 65_536).length, 64);
  assert.equal(sizes.filter((size) => size === 65_536).length, 36);
  assert.equal(new Set(many.map(({ current }) => current)).size, 100, "each has its own");
  for (const each of many) each.end();
  const [again = new ReadBuffers()] = many;
  again.next(again.current.length, GOES_ON);
  assert.ok(again.current.length > 65_536);
  again.end();
});
