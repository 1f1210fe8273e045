import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { FakeClock } from "../../base/fake-clock.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import { PROXY_HEADER_TIMEOUT_MS } from "../deadlines.ts";
import { DEFAULT_EDGE } from "../exchange/edge-fields.ts";
import { A_TEST, CA } from "../testing/certificates.ts";
import { RawClient, eventually, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = cluster("a");
const HEADER = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const TLS: TlsServer = {
  ...{ hosts: ["a.test"], ...A_TEST, clientCa: "" },
  ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
};

async function snapshotWith(edge: Partial<EdgeSettings>, tls?: TlsServer): Promise<Snapshot> {
  const { port } = await startRawUpstream((socket) => {
    socket.on("data", (chunk: Buffer) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${chunk.length}\r\n\r\n`);
      socket.write(chunk);
    });
  });
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  const gateways = Object.entries(snapshot.gateways).map(([name, gateway]) => {
    const listeners = gateway.listeners.map((listener) =>
      tls === undefined ? listener : { ...listener, tls: [tls] },
    );
    return [name, { ...gateway, listeners, edge: { ...DEFAULT_EDGE, ...edge } }] as const;
  });
  return { ...snapshot, gateways: Object.fromEntries(gateways) };
}

interface Refusing extends Fixture {
  readonly refusals: string[];
}

async function start(
  edge: Partial<EdgeSettings>,
  tls?: TlsServer,
  clock?: FakeClock,
): Promise<Refusing> {
  const fixture = await startFixture(await snapshotWith(edge, tls), clock);
  const refusals: string[] = [];
  fixture.context.observer.onRefusedConnection = (reason) => {
    refusals.push(reason);
  };
  return { ...fixture, refusals };
}

async function dialled(port: number): Promise<Socket> {
  const socket = connectTcp(port, "127.0.0.1");
  atEnd(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("the client is who the header says: in X-Forwarded-For and the access log", async () => {
  const { port, records } = await start({ proxyProtocol: "required" });
  const client = await RawClient.open(port);
  for (const byte of HEADER) client.send(byte);
  client.send(GET);
  assert.match(await client.until(/x-request-id/), /x-forwarded-for: 192\.0\.2\.1\r\n/);
  // The connection goes on as any other does.
  client.received = "";
  client.send(GET);
  assert.match(await client.until(/x-request-id/), /x-forwarded-for: 192\.0\.2\.1\r\n/);
  await eventually(() => records.length === 2);
  assert.match(records[0]?.forwardedFor ?? "", /192\.0\.2\.1/);
});

test("the header's address is the peer that trusted proxies are counted from", async () => {
  const { port } = await start({ proxyProtocol: "required", trustedProxies: 1 });
  const client = await RawClient.open(port);
  client.send(`${HEADER}GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n`);
  const got = await client.until(/x-request-id/);
  assert.match(got, /x-forwarded-for: 203\.0\.113\.9,192\.0\.2\.1\r\n/);
  assert.match(got, /x-envoy-external-address: 203\.0\.113\.9\r\n/);
});

test("the header comes before TLS", async () => {
  const { port, records } = await start({ proxyProtocol: "required" }, TLS);
  const raw = await dialled(port);
  raw.write(HEADER);
  const socket = connectTls({ socket: raw, servername: "a.test", ca: CA.certificate });
  await once(socket, "secureConnect");
  socket.write(GET);
  const [bytes] = (await once(socket, "data")) as [Buffer];
  assert.match(bytes.toString("latin1"), /^HTTP\/1\.1 200 OK/);
  await eventually(() => records.length === 1);
  assert.match(records[0]?.forwardedFor ?? "", /192\.0\.2\.1/);
});

test("the header and the first TLS record may come in one packet", async () => {
  const { port, records } = await start({ proxyProtocol: "required" }, TLS);
  const raw = await dialled(port);
  raw.cork();
  raw.write(HEADER);
  const socket = connectTls({ socket: raw, servername: "a.test", ca: CA.certificate });
  setImmediate(() => {
    raw.uncork();
  });
  await once(socket, "secureConnect");
  socket.write(GET);
  await once(socket, "data");
  await eventually(() => records.length === 1);
  assert.match(records[0]?.forwardedFor ?? "", /192\.0\.2\.1/);
});

test("the header comes before HTTP/2", async () => {
  const { port, records } = await start({ proxyProtocol: "required" });
  const raw = await dialled(port);
  raw.write(HEADER);
  const session = connectHttp2("http://a.test", { createConnection: () => raw });
  atEnd(() => {
    session.destroy();
  });
  const stream = session.request({ ":path": "/" });
  const [head] = (await once(stream, "response")) as [{ readonly ":status": number }];
  assert.equal(head[":status"], 200);
  stream.resume();
  await eventually(() => records.length === 1);
  assert.match(records[0]?.forwardedFor ?? "", /192\.0\.2\.1/);
});

test("a client without a header is refused, or served where it may be without", async () => {
  const required = await start({ proxyProtocol: "required" });
  const refused = await RawClient.open(required.port);
  refused.send(GET);
  assert.equal(await refused.closed(), "");
  assert.deepEqual(required.refusals, ["proxy_header"]);
  const allowed = await start({ proxyProtocol: "allowed" });
  const served = await RawClient.open(allowed.port);
  for (const byte of GET) served.send(byte);
  assert.match(await served.until(/x-request-id/), /x-forwarded-for: 127\.0\.0\.1\r\n/);
  const told = await RawClient.open(allowed.port);
  told.send(`${HEADER}${GET}`);
  assert.match(await told.until(/x-request-id/), /x-forwarded-for: 192\.0\.2\.1\r\n/);
  const bad = await RawClient.open(allowed.port);
  bad.send("PROXY TCP4 nonsense\r\n");
  assert.equal(await bad.closed(), "");
  assert.deepEqual(allowed.refusals, ["proxy_header"]);
});

test("without the setting a header is no HTTP", async () => {
  const { port, refused } = await start({});
  const client = await RawClient.open(port);
  client.send(`${HEADER}${GET}`);
  assert.match(await client.closed(), /^HTTP\/1\.1 400 /);
  assert.equal(refused.length, 1);
});

test("a header that does not come in time ends the connection", async () => {
  const clock = new FakeClock();
  const { port, refusals } = await start({ proxyProtocol: "required" }, undefined, clock);
  const silent = await RawClient.open(port);
  const slow = await RawClient.open(port);
  slow.send("PROXY ");
  let turns = 0;
  await eventually(() => {
    if (refusals.length < 2) clock.advance(PROXY_HEADER_TIMEOUT_MS);
    if (refusals.length < 2) turns += 1;
    return silent.isClosed && slow.isClosed;
  });
  // As many as the system takes to hand the connections over.
  assert.ok(turns < 5_000, `${turns} times the limit`);
  assert.deepEqual(refusals, ["proxy_header_timeout", "proxy_header_timeout"]);
});

test("a port check of a balancer is no fault, a header that breaks off is", async () => {
  const { port, refusals } = await start({ proxyProtocol: "required" });
  const check = await RawClient.open(port);
  check.socket.end();
  await check.closed();
  assert.deepEqual(refusals, []);
  const cut = await RawClient.open(port);
  cut.send("PROXY TC");
  cut.socket.end();
  await cut.closed();
  assert.deepEqual(refusals, ["proxy_header"]);
});
