import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import type { Clock } from "../../base/clock.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { REQUEST_BODY_BYTES_MIN, REQUEST_BODY_WINDOW_MS } from "../deadlines.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import {
  END_STREAM,
  PREFACE,
  TYPE,
  frame,
  headersFrame,
  readFrames,
  statusOf,
} from "../testing/http2-frames.ts";
import type { Frame } from "../testing/http2-frames.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = cluster("a");

/** A gateway in front of an upstream of HTTP/1.1 whose sockets the test serves. */
async function startTo(serve: (socket: Socket) => void, clock?: Clock): Promise<Fixture> {
  const { port } = await startRawUpstream(serve);
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  return startFixture(snapshot, clock);
}

/** Answers every read with what it has read, after `head`. */
function echo(socket: Socket): void {
  let all = "";
  socket.on("data", (chunk: Buffer) => {
    all += chunk.toString("latin1");
    if (!/\r\n\r\n$/.test(all)) return;
    socket.write(`HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\n`);
    socket.write(`Set-Cookie: b=2\r\nContent-Length: ${all.length}\r\n\r\n${all}`, "latin1");
    all = "";
  });
}

function open(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  atEnd(() => {
    session.destroy();
  });
  return session;
}

interface Answer {
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly trailers: Record<string, unknown>;
  readonly code: number | undefined;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: Record<string, unknown> = {};
  let trailers: Record<string, unknown> = {};
  let body = "";
  stream.on("error", () => undefined);
  stream.on("response", (got) => {
    headers = { ...got };
  });
  stream.on("trailers", (got) => {
    trailers = { ...(got as object) };
  });
  stream.setEncoding("latin1");
  stream.on("data", (text: string) => {
    body += text;
  });
  await new Promise((resolve) => stream.once("close", resolve));
  return { headers, body, trailers, code: stream.rstCode };
}

function request(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body: string | null = null,
): ClientHttp2Stream {
  const all = { ":path": "/", ":authority": "a.test", ...headers };
  const stream = session.request(all, { endStream: body === null });
  if (body !== null) stream.end(body);
  return stream;
}

describe("HTTP/2 to an upstream of HTTP/1.1", () => {
  test("a GET goes on with its authority as Host, without the connection's fields", async () => {
    const fixture = await startTo(echo);
    const session = open(fixture.port);
    const answer = await answerOf(request(session, { ":path": "/x?y=1", cookie: ["a=1", "b=2"] }));
    assert.equal(answer.headers[":status"], 200);
    assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
    assert.equal(answer.headers["x-hop"], undefined);
    assert.match(answer.body, /^GET \/x\?y=1 HTTP\/1\.1\r\nhost: a\.test\r\n/);
    assert.match(answer.body, /\r\ncookie: a=1; b=2\r\n/);
    assert.equal(fixture.records[0]?.protocol, "HTTP/2");
  });

  test("many requests share one connection, and each gets its own answer", async () => {
    const fixture = await startTo(echo);
    const session = open(fixture.port);
    const paths = Array.from({ length: 50 }, (_none, index) => `/${index}`);
    const answers = await Promise.all(
      paths.map((path) => answerOf(request(session, { ":path": path }))),
    );
    for (const [index, { body }] of answers.entries()) {
      assert.match(body, new RegExp(`^GET /${index} HTTP/1.1`));
    }
  });

  test("a body without a length goes on in chunks, with its trailers", async () => {
    let got = "";
    const fixture = await startTo((socket) => {
      socket.on("data", (chunk: Buffer) => {
        got += chunk.toString("latin1");
        if (/\r\n0\r\n[^]*\r\n\r\n$/.test(got)) {
          socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
          socket.write("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
        }
      });
    });
    const stream = open(fixture.port).request(
      { ":path": "/", ":method": "POST", ":authority": "a.test", te: "trailers" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => {
      stream.sendTrailers({ "x-check": "1" });
    });
    stream.end("hello");
    const answer = await answerOf(stream);
    assert.equal(answer.body, "abc");
    assert.equal(answer.trailers["x-sum"], "7");
    assert.match(got, /\r\nte: trailers\r\n/);
    assert.match(got, /\r\n5\r\nhello\r\n0\r\nx-check: 1\r\n\r\n$/);
  });

  test("a body that comes is awaited, and one that drips in is a 408", async () => {
    const clock = new FakeClock();
    let bodyBytes = 0;
    const fixture = await startTo((socket) => {
      socket.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.toString("latin1").split("#").length - 1;
      });
    }, clock);
    const fields = { ":path": "/", ":method": "POST", ":authority": "a.test" };
    const stream = open(fixture.port).request(fields);
    stream.write("#".repeat(REQUEST_BODY_BYTES_MIN));
    await eventually(() => bodyBytes === REQUEST_BODY_BYTES_MIN);
    clock.advance(REQUEST_BODY_WINDOW_MS + 250);
    stream.write("#");
    await eventually(() => bodyBytes > REQUEST_BODY_BYTES_MIN);
    // That we read no more of it is said when time goes on: the head is enough here.
    stream.on("error", () => undefined);
    const answer = once(stream, "response") as Promise<[Record<string, unknown>]>;
    clock.advance(REQUEST_BODY_WINDOW_MS + 250);
    const [headers] = await answer;
    assert.equal(headers[":status"], 408);
  });

  test("HEAD and 304 end with their head", async () => {
    const fixture = await startTo((socket) => {
      socket.on("data", (chunk: Buffer) => {
        const isHead = chunk.toString("latin1").startsWith("HEAD");
        const head = isHead ? "200 OK\r\nContent-Length: 5" : "304 Not Modified";
        socket.write(`HTTP/1.1 ${head}\r\n\r\n`);
      });
    });
    const session = open(fixture.port);
    const head = await answerOf(request(session, { ":method": "HEAD" }));
    assert.equal(head.headers["content-length"], "5");
    assert.equal(head.body, "");
    const unchanged = await answerOf(request(session));
    assert.equal(unchanged.headers[":status"], 304);
    // One for each: an end that comes while it is written would count twice.
    assert.equal(fixture.records.length, 2);
  });

  for (const framing of ["Transfer-Encoding: chunked", "Content-Length: 10"]) {
    test(`an answer with ${framing} that breaks off is reset, not ended`, async () => {
      const fixture = await startTo((socket) => {
        socket.on("data", () => {
          socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n3\r\nabc\r\n`);
          setImmediate(() => socket.destroy());
        });
      });
      const answer = await answerOf(request(open(fixture.port)));
      assert.equal(answer.headers[":status"], 200);
      assert.equal(answer.code, constants.NGHTTP2_INTERNAL_ERROR);
    });
  }

  test("an early answer lets the rest of the request go", async () => {
    const fixture = await startTo((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno");
      });
    });
    const session = open(fixture.port);
    const stream = session.request({ ":path": "/", ":method": "POST", ":authority": "a.test" });
    stream.write("first");
    const answer = await answerOf(stream);
    assert.equal(answer.headers[":status"], 413);
    assert.equal(answer.body, "no");
    assert.equal(answer.code, constants.NGHTTP2_NO_ERROR);
    assert.equal((await answerOf(request(session))).code, constants.NGHTTP2_NO_ERROR);
  });

  test("a client that cancels ends the exchange at the upstream too", async () => {
    let isClosed = false;
    const fixture = await startTo((socket) => {
      socket.on("close", () => {
        isClosed = true;
      });
      socket.on("data", () => {
        stream.close(constants.NGHTTP2_CANCEL);
      });
    });
    const stream = request(open(fixture.port));
    stream.on("error", () => undefined);
    await eventually(() => isClosed && fixture.records.length === 1);
    assert.equal(fixture.records[0]?.flags, "downstream_gone");
  });

  test("a large body goes through both ways, held back by a slow reader", async () => {
    const size = 3_000_000;
    const fixture = await startTo((socket) => {
      let bytes = 0;
      socket.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (!chunk.subarray(-5).equals(Buffer.from("0\r\n\r\n"))) return;
        assert.ok(bytes > size);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
        socket.write(Buffer.alloc(size, "x"));
      });
    });
    const stream = request(open(fixture.port), { ":method": "POST" }, "y".repeat(size));
    await once(stream, "response");
    stream.pause();
    await eventually(() => fixture.context.pools.size === 1);
    const answer = answerOf(stream);
    stream.resume();
    assert.equal((await answer).body.length, size);
  });
});

describe("the first bytes of a connection", () => {
  const cut = [1, 3, 10, 23].map((at) => ({ at }));
  for (const { at } of cut) {
    test(`a preface cut after ${at} bytes is one`, async () => {
      const fixture = await startTo(echo);
      const client = await RawClient.open(fixture.port);
      const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
      client.socket.setNoDelay(true);
      client.send(preface.slice(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(preface.slice(at));
      // Our SETTINGS frame comes first.
      await eventually(() => client.received.length >= 9);
      assert.equal(client.received.charCodeAt(3), 4);
    });
  }

  test("a method that begins like the preface is one of HTTP/1.1", async () => {
    const fixture = await startTo(echo);
    const client = await RawClient.open(fixture.port);
    client.send("PR");
    await new Promise((resolve) => setImmediate(resolve));
    client.send("INT / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert.match(await client.until(/PRINT \/ /), /^HTTP\/1\.1 200 OK/);
  });

  test("a broken preface is refused as HTTP/1.1", async () => {
    const fixture = await startTo(echo);
    const client = await RawClient.open(fixture.port);
    client.send("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n");
    assert.match(await client.closed(), /^HTTP\/1\.1 (?:400|505) /);
  });
});

test("a blank at the end of a value is refused", async () => {
  const fixture = await startTo(echo);
  const client = await RawClient.open(fixture.port);
  const fields = [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "a.test"],
    ["x-blank", "1 "],
  ] as const;
  const opening = [PREFACE, frame("settings", Buffer.alloc(0)), headersFrame(fields)];
  client.send(Buffer.concat(opening).toString("latin1"));
  const frames = (): readonly Frame[] =>
    readFrames(Buffer.from(client.received, "latin1")).frames.filter(({ stream }) => stream === 1);
  await eventually(() => frames().some(({ flags }) => (flags & END_STREAM) !== 0));
  const head = frames().find(({ type }) => type === TYPE.headers);
  assert.equal(statusOf(head?.payload ?? Buffer.alloc(0)), 400);
});

describe("draining", () => {
  test("a running request ends well, and the connection after it", async () => {
    const asked: Socket[] = [];
    const fixture = await startTo((socket) => {
      socket.on("data", () => asked.push(socket));
    });
    const session = open(fixture.port);
    let goaways = 0;
    session.on("goaway", () => {
      goaways += 1;
    });
    const answer = answerOf(request(session));
    await eventually(() => asked.length > 0);
    const stopped = fixture.role.stop();
    await eventually(() => goaways > 0);
    asked[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert.equal((await answer).body, "ok");
    await stopped;
  });
});
