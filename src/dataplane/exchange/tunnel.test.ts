import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { after, describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { freePort } from "../../base/testing/free-port.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { systemClock } from "../../base/clock.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { TUNNEL_IDLE_TIMEOUT_MS } from "../deadlines.ts";
import { A_TEST, CA } from "../testing/certificates.ts";
import { eventually, observedContext, RawClient, startFixture, turn } from "../testing/fixture.ts";
import { atEnd, endAll, preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { SidecarRole } from "../worker/sidecar-role.ts";

after(endAll);

const A = cluster("a");
const ASK =
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/** More than all buffers between two sockets of this machine hold. */
const MUCH_BYTES = 64 * 1_048_576;

function snapshotTo(port: number): Snapshot {
  return gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
}

/** A WebSocket server that echoes; `seen` are the heads of its handshakes. */
async function startEcho(greeting = ""): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    seen.push(request.rawHeaders.join("\n").toLowerCase());
    if (greeting !== "") socket.send(greeting);
    socket.on("message", (data, isBinary) => {
      socket.send(data, { binary: isBinary });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

function openSocket(port: number, headers: Record<string, string> = {}): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, { headers });
  atEnd(() => {
    socket.terminate();
  });
  return socket;
}

async function nextMessage(socket: WebSocket): Promise<Buffer> {
  const [data] = (await once(socket, "message")) as [Buffer];
  return data;
}

describe("a WebSocket through the gateway", () => {
  test("carries text, large messages and the close code", async () => {
    const echo = await startEcho();
    const gateway = await startFixture(snapshotTo(echo.port));
    const socket = openSocket(gateway.port);
    await once(socket, "open");
    socket.send("hello");
    assert.equal(String(await nextMessage(socket)), "hello");
    const large = Buffer.alloc(4 * 1_048_576, 0x61);
    socket.send(large);
    assert.ok((await nextMessage(socket)).equals(large));
    socket.close(4001, "bye");
    const [code] = (await once(socket, "close")) as [number];
    assert.equal(code, 4001);
    await eventually(() => gateway.records.length === 1);
    assert.equal(gateway.records[0]?.status, 101);
    assert.ok(gateway.records[0].bytesReceived > large.length);
    assert.ok(gateway.records[0].bytesSent > large.length);
    assert.deepEqual(gateway.assertions, []);
  });

  test("goes over TLS", async () => {
    const echo = await startEcho();
    const snapshot = snapshotTo(echo.port);
    const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;
    const tls = [{ hosts: ["a.test"], ...A_TEST, clientCa: "", ...versions }];
    const gateways = Object.entries(snapshot.gateways).map(([name, gateway]) => {
      const listeners = gateway.listeners.map((listener) => ({ ...listener, tls }));
      return [name, { ...gateway, listeners }] as const;
    });
    const gateway = await startFixture({ ...snapshot, gateways: Object.fromEntries(gateways) });
    const socket = new WebSocket(`wss://127.0.0.1:${gateway.port}/chat`, {
      ...{ servername: "a.test", ca: CA.certificate, headers: { host: "a.test" } },
    });
    atEnd(() => {
      socket.terminate();
    });
    await once(socket, "open");
    socket.send("hello");
    assert.equal(String(await nextMessage(socket)), "hello");
    assert.match(echo.seen[0] ?? "", /x-forwarded-proto\nhttps/);
    socket.close(4001, "bye");
    const [code] = (await once(socket, "close")) as [number];
    assert.equal(code, 4001);
    assert.deepEqual(gateway.assertions, []);
  });

  test("what the server says with its 101 arrives", async () => {
    const echo = await startEcho("welcome");
    const gateway = await startFixture(snapshotTo(echo.port));
    assert.equal(String(await nextMessage(openSocket(gateway.port))), "welcome");
  });

  test("a configuration that drops the old routes does not wait for it", async () => {
    const echo = await startEcho();
    const gateway = await startFixture(snapshotTo(echo.port));
    const socket = openSocket(gateway.port);
    await once(socket, "open");
    assert.equal(await gateway.role.configure(snapshotTo(1)), null);
    await gateway.role.oldRuntimesDrained();
    socket.send("still here");
    assert.equal(String(await nextMessage(socket)), "still here");
  });
});

const GROUP = laneGroupOf({
  name: "g",
  gateways: [],
  services: ["default/a"],
  fallback: "strict",
  context: { mode: "traceId", routeHeader: "x-tag", traceHeader: "x-user" },
  lanes: [laneOf("gray")],
});

test("a WebSocket passes a pod's sidecar both ways and stays in its lane", async () => {
  const [base, gray] = [await startEcho("base"), await startEcho("gray")];
  const { context, records } = observedContext(systemClock);
  const role = new SidecarRole(context, preparer());
  atEnd(() => role.stop());
  const [inbound, outbound] = [await freePort(), await freePort()];
  const failure = await role.configure({
    ...EMPTY_SNAPSHOT,
    version: "1",
    clusters: { [A.name]: A },
    endpoints: {
      [A.name]: { endpoints: [endpoint(base.port), endpoint(inbound, { lane: "gray" })] },
    },
    laneGroups: { g: GROUP },
    workloads: {
      "default/pod": {
        name: "pod",
        namespace: "default",
        labels: {},
        address: "127.0.0.1",
        inbound: [{ port: inbound, appAddress: "127.0.0.1", appPort: gray.port }],
        outbound: { address: "127.0.0.1", port: outbound },
      },
    },
  });
  assert.equal(failure, null);
  const socket = openSocket(outbound, { host: "a:8000", "x-tag": "gray" });
  assert.equal(String(await nextMessage(socket)), "gray");
  socket.close();
  await once(socket, "close");
  await eventually(() => records.length === 2);
  assert.deepEqual(new Set(records.map(({ role: hop }) => hop)), new Set(["inbound", "outbound"]));
  assert.equal(
    records.every(({ lane }) => lane === "gray"),
    true,
  );
});

/** An upstream that answers the first bytes with `answer` and gives its socket away. */
async function upstreamOf(answer: string): Promise<{
  port: number;
  socket: Promise<Socket>;
  head: () => string;
}> {
  let head = "";
  let give: (socket: Socket) => void = () => undefined;
  const socket = new Promise<Socket>((resolve) => {
    give = resolve;
  });
  const { port } = await startRawUpstream((accepted) => {
    accepted.once("data", (chunk: Buffer) => {
      head = chunk.toString("latin1");
      accepted.write(answer, "latin1");
      give(accepted);
    });
  });
  return { port, socket, head: () => head };
}

const NO_SWITCH = [
  {
    name: "a refused upgrade is a response like any other, and what follows is a request",
    ask: ASK,
    answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    want: /^HTTP\/1\.1 403 [^]*no$/,
    upgrade: true,
  },
  {
    name: "h2c is not passed on: the request is served as a plain one",
    ask: ASK.replace("WebSocket", "h2c").replace("Upgrade\r\n", "Upgrade, HTTP2-Settings\r\n"),
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    want: /^HTTP\/1\.1 200 /,
    upgrade: false,
  },
  {
    name: "an Upgrade that Connection does not name is not one",
    ask: ASK.replace("Connection: Upgrade\r\n", ""),
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    want: /^HTTP\/1\.1 200 /,
    upgrade: false,
  },
  {
    name: "a request with a body does not switch",
    ask: ASK.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab"),
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    want: /^HTTP\/1\.1 200 /,
    upgrade: false,
  },
  {
    name: "a switch to another protocol than was asked for is a 502",
    ask: ASK,
    answer: SWITCH.replace("websocket", "h2c"),
    want: /^HTTP\/1\.1 502 [^]*switched protocols unasked/,
    upgrade: true,
  },
];

describe("no tunnel without both sides' word", () => {
  for (const { name, ask, answer, want, upgrade } of NO_SWITCH) {
    test(name, async () => {
      const upstream = await upstreamOf(answer);
      const gateway = await startFixture(snapshotTo(upstream.port));
      const client = await RawClient.open(gateway.port);
      client.send(ask);
      assert.match(await client.until(want), want);
      assert.equal(/\r\nupgrade: websocket\r\n/.test(upstream.head()), upgrade, upstream.head());
      assert.equal(/\r\nconnection: upgrade\r\n/.test(upstream.head()), upgrade);
      assert.doesNotMatch(upstream.head(), /h2c/i);
      assert.deepEqual(gateway.assertions, []);
    });
  }
});

describe("a tunnel", () => {
  test("hands on what the client sent before the answer, unread", async () => {
    const upstream = await upstreamOf(SWITCH);
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send(`${ASK}\x81\x00GET / HTTP/1.1\r\n\r\n`);
    const socket = await upstream.socket;
    const [chunk] = (await once(socket, "data")) as [Buffer];
    assert.equal(chunk.toString("latin1"), "\x81\x00GET / HTTP/1.1\r\n\r\n");
  });

  test("passes a half-close on and still carries the other direction", async () => {
    const upstream = await upstreamOf(SWITCH);
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send(ASK);
    const socket = await upstream.socket;
    await client.until(/\r\n\r\n/);
    socket.on("end", () => socket.end("the last word"));
    client.socket.end("first half");
    assert.match(await client.closed(), /\r\n\r\nthe last word$/);
    await eventually(() => gateway.records.length === 1);
    assert.equal(gateway.records[0]?.bytesReceived, "first half".length);
    assert.equal(gateway.records[0].bytesSent, "the last word".length);
  });

  test("closes the one side when the other is reset", async () => {
    const upstream = await upstreamOf(SWITCH);
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send(ASK);
    const socket = await upstream.socket;
    await client.until(/\r\n\r\n/);
    client.socket.resetAndDestroy();
    await once(socket, "close");
  });

  test("does not read faster than the other side takes it", async () => {
    const upstream = await upstreamOf(SWITCH);
    const gateway = await startFixture(snapshotTo(upstream.port));
    const client = await RawClient.open(gateway.port);
    client.send(ASK);
    const socket = await upstream.socket;
    await client.until(/\r\n\r\n/);
    client.socket.pause();
    const chunk = Buffer.alloc(65_536);
    let taken = 0;
    let isDrained = true;
    socket.on("drain", () => {
      isDrained = true;
    });
    // Until nothing more is taken over many turns: the buffers between the two are full.
    while (isDrained && taken < MUCH_BYTES) {
      isDrained = socket.write(chunk);
      taken += chunk.length;
      for (let index = 0; index < 500 && !isDrained; index++) await turn();
    }
    assert.ok(taken < MUCH_BYTES, `${taken} bytes were taken`);
    socket.destroy();
  });

  test("is cut when nothing passes for the idle time", async () => {
    const clock = new FakeClock();
    const upstream = await upstreamOf(SWITCH);
    const gateway = await startFixture(snapshotTo(upstream.port), clock);
    const client = await RawClient.open(gateway.port);
    client.send(ASK);
    await upstream.socket;
    await client.until(/\r\n\r\n/);
    clock.advance(TUNNEL_IDLE_TIMEOUT_MS / 2);
    client.send("x");
    await once(await upstream.socket, "data");
    clock.advance(TUNNEL_IDLE_TIMEOUT_MS / 2 + 250);
    await turn();
    assert.equal(client.isClosed, false);
    clock.advance(TUNNEL_IDLE_TIMEOUT_MS / 2);
    await client.closed();
  });
});

test("interim responses reach a client of HTTP/1.1 and not one of HTTP/1.0", async () => {
  const answer =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-b\r\nX-B: 1\r\n\r\n" +
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write(answer));
  });
  const gateway = await startFixture(snapshotTo(upstream.port));
  const newer = await sendRaw(
    gateway.port,
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
  assert.match(
    newer,
    /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a.css>\r\n\r\nHTTP\/1\.1 200 [^]*ok$/,
  );
  const older = await sendRaw(gateway.port, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  assert.match(older, /^HTTP\/1\.1 200 [^]*ok$/);
});
