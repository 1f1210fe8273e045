import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { after, describe, test } from "node:test";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { generate } from "selfsigned";
import { systemClock } from "../../base/clock.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import { A_TEST, A_TEST_RENEWED, B_TEST, CA, CLIENT } from "../testing/certificates.ts";
import { RawClient, eventually, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { TlsContexts } from "./tls-contexts.ts";

after(endAll);

const A = cluster("a");

function tlsServer(host: string, pair: typeof A_TEST, changes: Partial<TlsServer> = {}): TlsServer {
  const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;
  return { hosts: [host], ...pair, clientCa: "", ...versions, ...changes };
}

const A_AND_B = [tlsServer("a.test", A_TEST), tlsServer("*.b.test", B_TEST)];
/** `*.b.test` takes no `b.test`, so tests that ask for it by that name add the host. */
const WITH_MUTUAL = [
  tlsServer("a.test", A_TEST),
  tlsServer("b.test", B_TEST, { clientCa: CA.certificate }),
];

interface Changes {
  readonly tls?: readonly TlsServer[];
  readonly httpsRedirectHosts?: readonly string[];
}

function snapshotTo(port: number, changes: Changes, version = "test"): Snapshot {
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
  const gateways = Object.entries(snapshot.gateways).map(([name, gateway]) => {
    const listeners = gateway.listeners.map((listener) => ({ ...listener, ...changes }));
    return [name, { ...gateway, listeners }] as const;
  });
  return { ...snapshot, gateways: Object.fromEntries(gateways), version };
}

/** Answers with the head of the request. */
async function startEcho(): Promise<number> {
  const { port } = await startRawUpstream((socket) => {
    socket.on("data", (chunk: Buffer) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${chunk.length}\r\n\r\n`);
      socket.write(chunk);
    });
  });
  return port;
}

async function startTls(changes: Changes): Promise<Fixture & { upstreamPort: number }> {
  const upstreamPort = await startEcho();
  return { ...(await startFixture(snapshotTo(upstreamPort, changes))), upstreamPort };
}

/** Null when the handshake fails. */
async function shake(port: number, options: ConnectionOptions): Promise<TLSSocket | null> {
  const all = { host: "127.0.0.1", port, ca: CA.certificate, ALPNProtocols: ["http/1.1"] };
  const socket = connect({ ...all, ...options });
  atEnd(() => socket.destroy());
  socket.on("error", () => undefined);
  return new Promise((resolve) => {
    socket.on("secureConnect", () => {
      resolve(socket);
    });
    socket.on("close", () => {
      resolve(null);
    });
  });
}

/** What is answered to a GET for `host`; `""` when the connection is closed without a word. */
async function ask(socket: TLSSocket | null, host: string): Promise<string> {
  if (socket === null) return "";
  let got = "";
  const onData = (chunk: Buffer): void => {
    got += chunk.toString("latin1");
  };
  socket.on("data", onData);
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await eventually(() => /\r\n\r\n[^]*\r\n\r\n$|\r\n\r\n\w+: /.test(got) || socket.destroyed);
  socket.removeListener("data", onData);
  return got;
}

function ownerOf(socket: TLSSocket | null): unknown {
  return socket?.getPeerCertificate().subject.O;
}

describe("a listener with TLS", () => {
  test("shows the certificate of the name that is asked for, and speaks HTTP/1.1", async () => {
    const { port } = await startTls({ tls: A_AND_B });
    const socket = await shake(port, { servername: "a.test" });
    assert.equal(ownerOf(socket), "a");
    assert.equal(socket?.alpnProtocol, "http/1.1");
    assert.match(await ask(socket, "a.test"), /^HTTP\/1\.1 200 [^]*x-forwarded-proto: https\r\n/);
    const other = await shake(port, {
      servername: "x.b.test",
      checkServerIdentity: () => undefined,
    });
    assert.equal(ownerOf(other), "b");
  });

  const refused: readonly { name: string; says: string; options: ConnectionOptions }[] = [
    {
      name: "a name that no server has",
      says: "no certificate for the server name",
      options: { servername: "c.test" },
    },
    {
      name: "no name, where none stands for all",
      says: "no [a-z ]+",
      options: { servername: "" },
    },
    {
      name: "TLS 1.1",
      says: "unsupported protocol",
      // A client of today sends no such hello at its usual level of security.
      options: {
        ...{ servername: "a.test", maxVersion: "TLSv1.1", minVersion: "TLSv1.1" },
        ciphers: "DEFAULT@SECLEVEL=0",
      },
    },
    {
      name: "a client that speaks none of our protocols",
      says: "no application protocol",
      options: { servername: "a.test", ALPNProtocols: ["spdy/3"] },
    },
  ];
  for (const { name, says, options } of refused) {
    test(`refuses the handshake of ${name}, and says why`, async () => {
      const { port, closed } = await startTls({ tls: A_AND_B });
      assert.equal(await shake(port, options), null);
      await eventually(() => closed.length > 0);
      assert.match(
        closed.join(),
        new RegExp(`^tls_handshake (127\\.0\\.0\\.1|a client): ${says}$`),
      );
    });
  }

  test("says that a client speaks no TLS, and nothing of a check of the port", async () => {
    const snapshot = snapshotTo(await startEcho(), { tls: A_AND_B });
    const { port, closed } = await startFixture(snapshot, systemClock, { handshakeMs: 50 });
    const check = await RawClient.open(port);
    check.socket.end();
    await check.closed();
    assert.equal(await sendRaw(port, "GET / HTTP/1.1\r\n\r\n"), "");
    await eventually(() => closed.length > 0);
    assert.deepEqual(closed, ["tls_handshake 127.0.0.1: http request"]);
  });

  test("closes the connection of a client that does not end its handshake in time", async () => {
    const snapshot = snapshotTo(await startEcho(), { tls: A_AND_B });
    const { port, closed } = await startFixture(snapshot, systemClock, { handshakeMs: 50 });
    const silent = await RawClient.open(port);
    const slow = await RawClient.open(port);
    // The first bytes of a TLS record.
    slow.socket.write(Buffer.from([0x16, 3, 1, 2, 0]));
    await eventually(() => silent.isClosed && slow.isClosed);
    assert.deepEqual(closed, ["tls_handshake 127.0.0.1: it was not done in time"]);
  });

  test("speaks HTTP/2 with a client that offers it", async () => {
    const { port, records } = await startTls({ tls: A_AND_B });
    const session = connectHttp2("https://127.0.0.1", {
      port,
      ca: CA.certificate,
      servername: "a.test",
    });
    atEnd(() => {
      session.destroy();
    });
    const stream = session.request({ ":path": "/", ":authority": "a.test" });
    let body = "";
    stream.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    await eventually(() => stream.closed);
    assert.match(body, /^GET \/ HTTP\/1\.1\r\n[^]*x-forwarded-proto: https\r\n/);
    assert.equal(records[0]?.protocol, "HTTP/2");
  });

  test("keeps to its least version", async () => {
    const { port } = await startTls({ tls: [tlsServer("*", A_TEST, { minVersion: "TLSv1.3" })] });
    assert.equal(await shake(port, { servername: "a.test", maxVersion: "TLSv1.2" }), null);
    const newer = await shake(port, { servername: "a.test" });
    assert.equal(newer?.getProtocol(), "TLSv1.3");
  });

  test("takes new certificates without losing a connection", async () => {
    const { port, role, upstreamPort } = await startTls({ tls: A_AND_B });
    const old = await shake(port, { servername: "a.test" });
    assert.match(await ask(old, "a.test"), /^HTTP\/1\.1 200 /);
    const renewed = [tlsServer("a.test", A_TEST_RENEWED)];
    assert.equal(await role.configure(snapshotTo(upstreamPort, { tls: renewed }, "2")), null);
    assert.match(await ask(old, "a.test"), /^HTTP\/1\.1 200 /);
    assert.equal(ownerOf(await shake(port, { servername: "a.test" })), "a2");
    assert.equal(ownerOf(old), "a");
  });

  test("asks for client certificates where the server says so, and nowhere else", async () => {
    const { port } = await startTls({ tls: WITH_MUTUAL });
    const own = { cert: CLIENT.certificate, key: CLIENT.privateKey };
    const known = await shake(port, { servername: "b.test", ...own });
    assert.match(await ask(known, "b.test"), /^HTTP\/1\.1 200 /);
    assert.equal(await ask(await shake(port, { servername: "b.test" }), "b.test"), "");
    const open = await shake(port, { servername: "a.test" });
    assert.match(await ask(open, "a.test"), /^HTTP\/1\.1 200 /);
  });

  test("believes no client certificate that its authority has not signed", async () => {
    const { port, closed } = await startTls({ tls: WITH_MUTUAL });
    const name = [{ name: "commonName", value: "client" }];
    const { cert, private: key } = await generate(name, { keyType: "ec", algorithm: "sha256" });
    const foreign = await shake(port, { servername: "b.test", cert, key });
    assert.equal(await ask(foreign, "b.test"), "");
    const says = "no certificate of an authority that is asked for";
    assert.deepEqual(closed, [`tls_handshake 127.0.0.1: ${says}`]);
  });

  test("lets nobody resume his way round a client certificate", async () => {
    const { port } = await startTls({ tls: WITH_MUTUAL });
    const open = await shake(port, { servername: "a.test" });
    let session: Buffer | undefined;
    open?.on("session", (given: Buffer) => {
      session = given;
    });
    assert.match(await ask(open, "a.test"), /^HTTP\/1\.1 200 /);
    const resumed = { servername: "b.test", ...(session === undefined ? {} : { session }) };
    assert.equal(await ask(await shake(port, resumed), "b.test"), "");
  });

  test("answers 421 to a request for another server's host", async () => {
    const { port } = await startTls({ tls: WITH_MUTUAL });
    const open = await shake(port, { servername: "a.test" });
    assert.match(await ask(open, "b.test"), /^HTTP\/1\.1 421 [^]*misdirected_request/);
  });

  test("becomes one when a plain listener's Gateway says so", async () => {
    const { port, role, upstreamPort } = await startTls({});
    const tls = [tlsServer("*", A_TEST)];
    assert.equal(await role.configure(snapshotTo(upstreamPort, { tls }, "2")), null);
    assert.match(
      await ask(await shake(port, { servername: "a.test" }), "a.test"),
      /^HTTP\/1\.1 200 /,
    );
  });
});

test("plain requests are sent to https where the Gateway says so", async () => {
  const { port } = await startTls({ httpsRedirectHosts: ["a.test"] });
  const get = (host: string): Promise<string> =>
    sendRaw(port, `GET /x?y HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  assert.match(await get("A.test:80"), /^HTTP\/1\.1 301 [^]*location: https:\/\/a\.test\/x\?y\r\n/);
  assert.match(await get("b.test"), /^HTTP\/1\.1 200 /);
});

test("of several servers the exact name wins, then the longest wildcard", () => {
  const hosts = ["*", "*.test", "*.b.test", "x.b.test"];
  const contexts = new TlsContexts(hosts.map((host) => tlsServer(host, A_TEST)));
  const chosen = (name: string): string | undefined => contexts.choose(name)?.server.hosts[0];
  assert.deepEqual(["X.b.test", "y.b.test", "b.test", "other", ""].map(chosen), [
    "x.b.test",
    "*.b.test",
    "*.test",
    "*",
    "*",
  ]);
});
