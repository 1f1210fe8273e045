import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { after, describe, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import type { Route, Snapshot } from "../../snapshot/snapshot.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  EXCHANGE_IDLE_TIMEOUT_MS,
  REQUEST_BODY_BYTES_MIN,
  REQUEST_BODY_WINDOW_MS,
  REQUEST_HEAD_TIMEOUT_MS,
} from "../deadlines.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import { endAll, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = cluster("a");
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

function snapshotTo(port: number, routes: readonly Route[] = [forwardRoute(A.name)]): Snapshot {
  return gatewaySnapshot(80, routes, {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
}

/** An upstream that answers every read with the same bytes; `closes` it does afterwards. */
function answering(answer: string, closes = false): Parameters<typeof startRawUpstream>[0] {
  return (socket: Socket) => {
    socket.on("data", () => {
      socket.write(answer, "latin1");
      if (closes) socket.end();
    });
  };
}

const RESPONSES = [
  {
    name: "a body that ends with the connection is chunked for an HTTP/1.1 client",
    answer: "HTTP/1.1 200 OK\r\n\r\nhello",
    closes: true,
    want: /transfer-encoding: chunked\r\n[^]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/,
  },
  {
    name: "and ends with the connection for an HTTP/1.0 client",
    answer: "HTTP/1.1 200 OK\r\n\r\nhello",
    closes: true,
    send: "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    want: /^HTTP\/1\.1 200 OK\r\n(?![^]*transfer-encoding)[^]*connection: close\r\n\r\nhello$/,
  },
  {
    name: "a chunked body reaches an HTTP/1.0 client without its coding",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    send: "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    want: /^(?![^]*transfer-encoding)[^]*connection: close\r\n\r\nhi$/,
  },
  {
    name: "trailers of a response are passed on",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
    want: /\r\n0\r\nx-sum: 1\r\n\r\n$/,
  },
  {
    name: "a 304 keeps its length and has no body",
    answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    want: /^HTTP\/1\.1 304 [^]*content-length: 5\r\n[^]*\r\n\r\n$/,
  },
  {
    name: "an upstream of HTTP/1.0 is understood",
    answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    closes: true,
    want: /^HTTP\/1\.1 200 OK\r\n[^]*ok$/,
  },
  {
    name: "a switch of protocols that nobody asked for is a 502",
    answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    want: /^HTTP\/1\.1 502 [^]*upstream_protocol/,
  },
  {
    name: "an upstream that closes without a word is a 502",
    answer: "",
    closes: true,
    want: /^HTTP\/1\.1 502 [^]*upstream_reset[^]*before it answered/,
  },
  {
    name: "an upstream that closes in its head is a 502",
    answer: "HTTP/1.1 200 OK\r\nContent-Le",
    closes: true,
    want: /^HTTP\/1\.1 502 [^]*upstream_reset[^]*in the middle/,
  },
  {
    name: "a body that is cut short cuts the client's connection, too",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    closes: true,
    want: /^HTTP\/1\.1 200 OK\r\n[^]*abc$/,
    flag: "upstream_reset",
  },
  {
    name: "a chunked body that is cut short has no last chunk",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    closes: true,
    want: /^(?![^]*\r\n0\r\n)[^]*2\r\nhi\r\n$/,
    flag: "upstream_reset",
  },
];

describe("what an upstream may answer", () => {
  for (const { name, answer, closes = false, send = LAST_GET, want, flag } of RESPONSES) {
    test(name, async () => {
      const upstream = await startRawUpstream(answering(answer, closes));
      const gateway = await startFixture(snapshotTo(upstream.port));
      assert.match(await sendRaw(gateway.port, send), want);
      upstream.close();
      assert.equal(gateway.records.length, 1);
      if (flag !== undefined) assert.equal(gateway.records[0]?.flags, flag);
      assert.deepEqual(gateway.assertions, []);
    });
  }

  test("bytes after a response answer no other request, even on the same client's", async () => {
    const evil = `${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`;
    const upstream = await startRawUpstream((socket, index) => {
      socket.on("data", () => socket.write(index === 0 ? evil : OK));
    });
    const gateway = await startFixture(snapshotTo(upstream.port));
    const got = await sendRaw(gateway.port, GET + LAST_GET);
    upstream.close();
    assert.equal(got.match(/200 OK/g)?.length, 2);
    assert.doesNotMatch(got, /stolen/);
    assert.equal(upstream.connectionCount, 2);
  });

  test("an idle connection on which bytes come is not used again", async () => {
    const sockets: Socket[] = [];
    const upstream = await startRawUpstream((socket) => {
      sockets.push(socket);
      socket.on("data", () => socket.write(OK));
    });
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send(GET);
    await client.until(/ok$/);
    sockets[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
    await eventually(() => sockets[0]?.destroyed === true);
    client.send(LAST_GET);
    assert.doesNotMatch(await client.closed(), /stolen/);
    assert.equal(upstream.connectionCount, 2);
    upstream.close();
  });

  test("a GET that got a part of an answer is not sent again", async () => {
    let requestCount = 0;
    const upstream = await startRawUpstream((socket) => {
      socket.on("data", () => {
        requestCount += 1;
        if (requestCount === 1) socket.write(OK);
        else socket.end("HTTP/1.1 2");
      });
    });
    const gateway = await startFixture(snapshotTo(upstream.port));
    assert.match(await sendRaw(gateway.port, GET + LAST_GET), /ok[^]*502 Bad Gateway/);
    upstream.close();
    assert.equal(requestCount, 2);
  });
});

describe("what a client may send", () => {
  test("a second request is read after one whose body waited for a connection", async () => {
    const upstream = await startRawUpstream(answering(OK));
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    await client.until(/ok$/);
    client.send(LAST_GET);
    assert.equal((await client.closed()).match(/200 OK/g)?.length, 2);
    upstream.close();
  });

  test("and after one whose upstream was dead", async () => {
    const gateway = await startFixture(snapshotTo(await freePort()));
    const client = await RawClient.open(gateway.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    await client.until(/tries\)\n$/);
    client.send(LAST_GET);
    assert.equal((await client.closed()).match(/503 Service/g)?.length, 2);
  });

  test("pipelined requests are all answered to a client that reads late", async () => {
    const body = "x".repeat(100_000);
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const upstream = await startRawUpstream(answering(answer));
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.socket.pause();
    const count = 200;
    client.send(GET.repeat(count - 1) + LAST_GET);
    await eventually(() => gateway.records.length >= 10);
    client.socket.resume();
    assert.equal((await client.closed()).match(/200 OK/g)?.length, count);
    upstream.close();
  });

  test("a body that is no HTTP is a 400, and its upstream request is cut", async () => {
    const sockets: Socket[] = [];
    const upstream = await startRawUpstream((socket) => {
      sockets.push(socket);
      socket.resume();
    });
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    await eventually(() => sockets.length === 1);
    client.send("zz\r\n");
    assert.match(await client.until(/bad_chunk_size/), /^HTTP\/1\.1 400 [^]*bad_chunk_size/);
    await eventually(() => sockets[0]?.destroyed === true);
    assert.equal(gateway.records[0]?.flags, "bad_chunk_size");
    upstream.close();
  });

  test("what is no request at all is counted by its code", async () => {
    const gateway = await startFixture(snapshotTo(1));
    await sendRaw(gateway.port, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert.deepEqual(gateway.refused, ["repeated_host"]);
  });

  test("trailers of a request are passed on", async () => {
    let seen = "";
    const upstream = await startRawUpstream((socket) => {
      socket.on("data", (chunk: Buffer) => {
        seen += chunk.toString("latin1");
        if (seen.endsWith("\r\n\r\n") && seen.includes("\r\n0\r\n")) socket.write(OK);
      });
    });
    const gateway = await startFixture(snapshotTo(upstream.port));
    const head =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
    await sendRaw(gateway.port, `${head}\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n`);
    assert.match(seen, /\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n$/);
    upstream.close();
  });

  test("an answer that comes before the body's end reaches the client", async () => {
    const upstream = await startRawUpstream(
      answering("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
    );
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    assert.match(await client.until(/\r\n\r\n$/), /^HTTP\/1\.1 413 /);
    client.socket.end();
    await client.closed();
    upstream.close();
  });
});

describe("framing stays the codec's", () => {
  const direct = (status: number, body: string): Route =>
    forwardRoute(A.name, { action: { kind: "direct", status, body } });
  const framing = { remove: ["content-length"], set: [["transfer-encoding", "chunked"]], add: [] };
  const cases = [
    {
      name: "a direct answer of 204 has neither length nor body",
      route: direct(204, "oops"),
      want: /^HTTP\/1\.1 204 (?![^]*content-length)[^]*\r\n\r\n$/,
    },
    {
      name: "a direct answer to HEAD has its length and no body",
      route: direct(200, "body"),
      send: LAST_GET.replace("GET", "HEAD"),
      want: /^HTTP\/1\.1 200 [^]*content-length: 4\r\n[^]*\r\n\r\n$/,
    },
    {
      name: "a route's response fields cannot change it",
      route: forwardRoute(A.name, { responseHeaders: framing as never }),
      want: /^(?![^]*transfer-encoding)[^]*content-length: 2\r\n[^]*ok$/,
    },
    {
      name: "nor can its request fields",
      route: forwardRoute(A.name, { requestHeaders: framing as never }),
      send: LAST_GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi"),
      want: /ok$/,
      seen: /^(?![^]*transfer-encoding)[^]*content-length: 2\r\n[^]*hi$/,
    },
    {
      name: "a route may set the authority by either name",
      route: forwardRoute(A.name, {
        requestHeaders: { ...NO_HEADER_OPERATIONS, set: [[":authority", "b"]] },
      }),
      want: /ok$/,
      seen: /^GET \/ HTTP\/1\.1\r\nhost: b\r\n/,
    },
    {
      name: "a route's values beyond ASCII are UTF-8, and no line of their own",
      route: forwardRoute(A.name, {
        requestHeaders: { ...NO_HEADER_OPERATIONS, set: [["x-name", "李\u010a"]] },
        responseHeaders: { ...NO_HEADER_OPERATIONS, add: [["x-name", "é"]] },
      }),
      want: /\r\nx-name: \xc3\xa9\r\n[^]*ok$/,
      seen: /\r\nx-name: \xe6\x9d\x8e\xc4\x8a\r\n/,
    },
  ];
  for (const { name, route, send = LAST_GET, want, seen } of cases) {
    test(name, async () => {
      let request = "";
      const upstream = await startRawUpstream((socket) => {
        socket.on("data", (chunk: Buffer) => {
          request += chunk.toString("latin1");
          if (seen === undefined || seen.test(request)) socket.write(OK);
        });
      });
      const gateway = await startFixture(snapshotTo(upstream.port, [route]));
      assert.match(await sendRaw(gateway.port, send), want);
      upstream.close();
    });
  }
});

describe("deadlines", () => {
  const silent = (socket: Socket): void => {
    socket.resume();
  };

  test("a route's time-out is a 504 that names the service", async () => {
    const clock = new FakeClock();
    const upstream = await startRawUpstream(silent);
    const route = forwardRoute(A.name, { timeoutMs: 100 });
    const gateway = await startFixture(snapshotTo(upstream.port, [route]), clock);
    clock.advance(240);
    const client = await RawClient.open(gateway.port);
    client.send(LAST_GET);
    await eventually(() => upstream.connectionCount === 1);
    clock.advance(20);
    assert.equal(client.received, "", "the sweep comes before the time-out is over");
    clock.advance(250);
    assert.match(await client.closed(), /^HTTP\/1\.1 504 [^]*upstream_timeout: [^]*default\/a/);
    upstream.close();
  });

  test("an exchange on which nothing moves ends as a 504", async () => {
    const clock = new FakeClock();
    const upstream = await startRawUpstream(silent);
    const gateway = await startFixture(snapshotTo(upstream.port), clock);
    const client = await RawClient.open(gateway.port);
    client.send(LAST_GET);
    await eventually(() => upstream.connectionCount === 1);
    clock.advance(EXCHANGE_IDLE_TIMEOUT_MS + 250);
    assert.match(await client.closed(), /^HTTP\/1\.1 504 /);
    upstream.close();
  });

  test("a head that drips in is a 408", async () => {
    const clock = new FakeClock();
    const gateway = await startFixture(snapshotTo(1), clock);
    const client = await RawClient.open(gateway.port);
    client.send("GET / HT");
    await eventually(() => gateway.context.sweeper.size === 1);
    for (let index = 0; index < 20; index++) await new Promise((next) => setImmediate(next));
    clock.advance(REQUEST_HEAD_TIMEOUT_MS + 250);
    assert.match(await client.closed(), /^HTTP\/1\.1 408 /);
    assert.deepEqual(gateway.refused, ["request_timeout"]);
  });

  test("a body that comes is awaited, and one that drips in is a 408", async () => {
    const clock = new FakeClock();
    let bodyBytes = 0;
    const upstream = await startRawUpstream((socket) => {
      socket.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.toString("latin1").split("#").length - 1;
      });
    });
    const gateway = await startFixture(snapshotTo(upstream.port), clock);
    const client = await RawClient.open(gateway.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n");
    client.send("#".repeat(REQUEST_BODY_BYTES_MIN));
    await eventually(() => bodyBytes === REQUEST_BODY_BYTES_MIN);
    clock.advance(REQUEST_BODY_WINDOW_MS + 250);
    client.send("#");
    await eventually(() => bodyBytes > REQUEST_BODY_BYTES_MIN);
    assert.equal(client.received, "");
    clock.advance(REQUEST_BODY_WINDOW_MS + 250);
    assert.match(await client.closed(), /^HTTP\/1\.1 408 [^]*request_body_timeout: /);
    upstream.close();
  });

  test("an idle client is closed without a word", async () => {
    const clock = new FakeClock();
    const gateway = await startFixture(snapshotTo(1), clock);
    const client = await RawClient.open(gateway.port);
    await eventually(() => gateway.context.sweeper.size === 1);
    clock.advance(DOWNSTREAM_IDLE_TIMEOUT_MS + 250);
    assert.equal(await client.closed(), "");
  });

  test("a body waits through failed connects and arrives whole", async () => {
    const clock = new FakeClock();
    const port = await freePort();
    const gateway = await startFixture(snapshotTo(port), clock);
    const client = await RawClient.open(gateway.port);
    client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    );
    await eventually(() => clock.pendingCount === 2);
    let seen = "";
    const server = await listenOn(port, (socket) => {
      socket.on("data", (chunk: Buffer) => {
        seen += chunk.toString("latin1");
        if (seen.endsWith("hello")) socket.end(OK);
      });
    });
    clock.advance(10);
    assert.match(await client.closed(), /^HTTP\/1\.1 200 OK/);
    assert.equal(gateway.records[0]?.attempts, 2);
    server.close();
  });
});

test("aborted exchanges leave nothing behind", async () => {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab"));
  });
  const gateway = await startFixture(snapshotTo(upstream.port));
  const stages = [
    GET,
    `${GET}${GET}`,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
  ];
  const clients = await Promise.all(
    Array.from({ length: 60 }, async (_unused, index) => {
      const client = await RawClient.open(gateway.port);
      client.send(stages[index % stages.length] ?? GET);
      if (index % 2 === 0) await client.until(/ab$/);
      return client;
    }),
  );
  const drained = gateway.role.configure(snapshotTo(upstream.port)).then(async () => {
    await gateway.role.oldRuntimesDrained();
  });
  for (const client of clients) client.socket.resetAndDestroy();
  await eventually(() => gateway.context.sweeper.size === 0);
  await drained;
  assert.equal(gateway.context.pools.size, 0);
  assert.deepEqual(gateway.assertions, []);
  const flags = new Set(gateway.records.map(({ flags: flag }) => flag));
  assert.deepEqual([...flags], ["downstream_gone"]);
  upstream.close();
});

async function listenOn(port: number, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer(serve);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}
