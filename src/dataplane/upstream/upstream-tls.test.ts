import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { createServer as createPlain } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { TlsOptions } from "node:tls";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Cluster, Snapshot } from "../../snapshot/snapshot.ts";
import type { ClusterPolicy } from "../../snapshot/routing.ts";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import {
  A_TEST,
  A_TEST_EXPIRED,
  A_TEST_RENEWED,
  B_TEST,
  CA,
  CLIENT,
  WORKLOAD,
} from "../testing/certificates.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { listening, startTlsUpstream, tls } from "../testing/tls-upstream.ts";
import { TLS_FILES_CHECK_INTERVAL_MS } from "./renewed-dial.ts";

after(endAll);

const A = cluster("a");
const GET = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

function snapshotTo(port: number, policy: ClusterPolicy, changes: Partial<Cluster> = {}): Snapshot {
  const to = { ...A, policy, ...changes };
  return gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: to },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
  });
}

async function ask({ port }: Fixture, text = GET): Promise<string> {
  const client = await RawClient.open(port);
  client.send(text);
  await client.until(/\r\n\r\n[^]*(#\d+\.|\n)$/);
  client.socket.destroy();
  return client.received;
}

describe("an endpoint that is spoken to in TLS", () => {
  test("is told the server name, chooses HTTP/1.1, and its connection is reused", async () => {
    const upstream = await startTlsUpstream(A_TEST);
    const fixture = await startFixture(snapshotTo(upstream.port, { tls: tls() }));
    assert.match(await ask(fixture), /^HTTP\/1.1 200 [^]*#1\.$/);
    assert.match(await ask(fixture), /^HTTP\/1.1 200 [^]*#2\.$/);
    assert.equal(upstream.connections.length, 1);
    const [socket] = upstream.connections;
    assert.equal(socket?.alpnProtocol, "http/1.1");
    assert.equal((socket as unknown as { servername: unknown }).servername, "a.test");
    assert.deepEqual(fixture.assertions, []);
  });

  test("is shown a certificate when there is one", async () => {
    const options = { requestCert: true, rejectUnauthorized: true, ca: CA.certificate };
    const upstream = await startTlsUpstream(A_TEST, options);
    const fixture = await startFixture(snapshotTo(upstream.port, { tls: tls({ ...CLIENT }) }));
    assert.match(await ask(fixture), /^HTTP\/1.1 200 /);
    assert.deepEqual(upstream.owners, ["client"]);
  });

  test("is spoken to in HTTP/2 when the service speaks it", async () => {
    const pair = { cert: A_TEST.certificate, key: A_TEST.privateKey };
    const schemes: unknown[] = [];
    const server = createSecureServer(pair, (request, response) => {
      schemes.push(request.headers[":scheme"], request.httpVersion);
      response.end("#2.");
    });
    atEnd(() => server.close());
    const policy = { tls: tls() };
    const port = await listening(server);
    const fixture = await startFixture(snapshotTo(port, policy, { protocol: "h2" }));
    assert.match(await ask(fixture), /^HTTP\/1.1 200 [^]*#2\./);
    assert.deepEqual(schemes, ["https", "2.0"]);
    fixture.context.pools.closeIdle();
  });

  test("may be chosen for one subset only", async () => {
    const upstream = await startTlsUpstream(A_TEST);
    const snapshot = snapshotTo(upstream.port, {}, { subsetPolicies: { v2: { tls: tls() } } });
    const fixture = await startFixture(snapshot);
    const subset = { kind: "labels" as const, name: "v2", labels: {} };
    const { pools } = fixture.context;
    const to = snapshot.clusters[A.name];
    assert.notEqual(pools.poolsFor(to, subset, { client: null }), null);
    assert.equal(pools.poolsFor(to, null, { client: null }), null);
  });
});

interface Bad {
  readonly name: string;
  readonly server: typeof A_TEST;
  readonly options?: TlsOptions;
  readonly tls?: Partial<UpstreamTls>;
  readonly says: RegExp;
}

const BAD: readonly Bad[] = [
  {
    name: "a certificate for another name",
    server: B_TEST,
    says: /: its certificate is for DNS:b\.test, not for a\.test$/m,
  },
  {
    name: "a certificate that has expired",
    server: A_TEST_EXPIRED,
    says: /: its certificate has expired$/m,
  },
  {
    name: "a certificate of an unknown authority",
    server: A_TEST,
    tls: { authorities: "" },
    says: /: its certificate is of no authority that is trusted \(\w+\)$/m,
  },
  {
    name: "a certificate for another URI",
    server: WORKLOAD,
    tls: { acceptedNames: ["spiffe://test/ns/default/sa/other"] },
    says: /URI:spiffe:\/\/test\/ns\/default\/sa\/cart.*, not for spiffe:\/\/test\S+other$/m,
  },
  {
    name: "a wish for a certificate of ours",
    server: A_TEST,
    options: { requestCert: true, ca: CA.certificate, maxVersion: "TLSv1.2" },
    says: /: .*(handshake|certificate)/m,
  },
  {
    name: "another protocol",
    server: A_TEST,
    options: { ALPNProtocols: ["h2"] },
    says: /: it speaks another protocol \(ALPN\) \(\w+\)$/m,
  },
  {
    name: "settings that cannot be used",
    server: A_TEST,
    tls: { fault: "no Secret cart" },
    says: /service default\/a cannot be reached in TLS: no Secret cart$/m,
  },
  {
    name: "a file that is not there",
    server: A_TEST,
    tls: { files: { authorities: "/nowhere/ca.pem" } },
    says: /in TLS: caCertificates: cannot read \/nowhere\/ca\.pem \(ENOENT\)$/m,
  },
];

describe("an endpoint in TLS is answered 503 for", () => {
  for (const { name, server, options, says, ...rest } of BAD) {
    test(name, async () => {
      const upstream = await startTlsUpstream(server, options);
      const fixture = await startFixture(snapshotTo(upstream.port, { tls: tls(rest.tls) }));
      const answer = await ask(fixture);
      assert.match(answer, /^HTTP\/1.1 503 /);
      assert.match(answer, says);
      assert.match(answer, /service default\/a/);
      assert.deepEqual(fixture.assertions, []);
    });
  }

  test("an endpoint that speaks no TLS", async () => {
    const server = createPlain((socket: Socket) => {
      socket.on("error", () => undefined);
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const port = await listening(server);
    atEnd(() => server.close());
    const answer = await ask(await startFixture(snapshotTo(port, { tls: tls() })));
    assert.match(answer, /^HTTP\/1.1 503 [^]*upstream_tls_failed: .* it does not speak TLS/);
  });

  test("a service in HTTP/2 whose endpoint does not choose it", async () => {
    const upstream = await startTlsUpstream(A_TEST, { ALPNProtocols: [] });
    const snapshot = snapshotTo(upstream.port, { tls: tls() }, { protocol: "h2" });
    const answer = await ask(await startFixture(snapshot));
    assert.match(answer, /^HTTP\/1.1 503 [^]*upstream_tls_failed: .* \(ALPN\)/);
  });
});

describe("an endpoint in TLS is accepted", () => {
  const ACCEPTED: readonly (readonly [string, typeof A_TEST, Partial<UpstreamTls>])[] = [
    [
      "with a URI that is asked for",
      WORKLOAD,
      { acceptedNames: ["x", "spiffe://test/ns/default/sa/cart"] },
    ],
    ["with an address that is asked for", WORKLOAD, { acceptedNames: ["127.0.0.1"] }],
    [
      "with any certificate when none is verified",
      A_TEST_EXPIRED,
      { isVerified: false, authorities: "" },
    ],
  ];
  for (const [name, server, changes] of ACCEPTED) {
    test(name, async () => {
      const upstream = await startTlsUpstream(server);
      const fixture = await startFixture(snapshotTo(upstream.port, { tls: tls(changes) }));
      assert.match(await ask(fixture), /^HTTP\/1.1 200 /);
    });
  }

  test("by another try where the first one's certificate is wrong", async () => {
    const good = await startTlsUpstream(A_TEST);
    const bad = await startTlsUpstream(B_TEST);
    const snapshot = snapshotTo(good.port, { tls: tls(), loadBalancer: { kind: "round-robin" } });
    const endpoints = [endpoint(bad.port), endpoint(good.port)];
    const fixture = await startFixture({ ...snapshot, endpoints: { [A.name]: { endpoints } } });
    for (let count = 0; count < 4; count++) assert.match(await ask(fixture), /^HTTP\/1.1 200 /);
  });
});

describe("new certificates", () => {
  test("get new connections; the old ones end with what they carry", async () => {
    const options = { requestCert: true, rejectUnauthorized: false, ca: CA.certificate };
    const upstream = await startTlsUpstream(A_TEST, options);
    const first = snapshotTo(upstream.port, { tls: tls({ ...CLIENT }) });
    const fixture = await startFixture(first);
    await ask(fixture);
    const held = await RawClient.open(fixture.port);
    held.send(GET.replace("/ ", "/hold "));
    await eventually(() => upstream.held === 1);
    const renewed = snapshotTo(upstream.port, { tls: tls({ ...A_TEST_RENEWED }) });
    assert.equal(await fixture.role.configure({ ...renewed, version: "2" }), null);
    assert.match(await ask(fixture), /^HTTP\/1.1 200 [^]*#1\.$/);
    assert.deepEqual(upstream.owners, ["client", "a2"]);
    assert.equal(upstream.open, 2, "the request on the old connection is still served");
    upstream.connections[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n#old.");
    assert.match(await held.until(/#old\.$/), /^HTTP\/1.1 200 /);
    await eventually(() => upstream.open === 1);
    await eventually(() => fixture.context.pools.size === 1);
  });

  test("in files are used when they have changed, and not before they are right", async () => {
    const folder = mkdtempSync(join(tmpdir(), "graylane-tls-"));
    atEnd(() => {
      rmSync(folder, { recursive: true });
    });
    const path = (name: string): string => join(folder, name);
    const write = (pair: typeof CLIENT): void => {
      writeFileSync(path("tls.crt"), pair.certificate);
      writeFileSync(path("tls.key"), pair.privateKey);
    };
    write(CLIENT);
    writeFileSync(path("ca.crt"), CA.certificate);
    const files = {
      authorities: path("ca.crt"),
      certificate: path("tls.crt"),
      keyOfCertificate: path("tls.key"),
    };
    const options = { requestCert: true, rejectUnauthorized: false, ca: CA.certificate };
    const upstream = await startTlsUpstream(A_TEST, options);
    const clock = new FakeClock();
    const snapshot = snapshotTo(upstream.port, { tls: tls({ authorities: "", files }) });
    const fixture = await startFixture(snapshot, clock);
    assert.match(await ask(fixture), /^HTTP\/1.1 200 /);
    writeFileSync(path("tls.crt"), A_TEST_RENEWED.certificate);
    clock.advance(TLS_FILES_CHECK_INTERVAL_MS);
    assert.match(await ask(fixture), /#2\.$/, "certificate and key do not fit: the old ones stay");
    write(A_TEST_RENEWED);
    clock.advance(TLS_FILES_CHECK_INTERVAL_MS);
    assert.match(await ask(fixture), /#1\.$/);
    assert.deepEqual(upstream.owners, ["client", "a2"]);
    await eventually(() => upstream.open === 1);
  });
});
