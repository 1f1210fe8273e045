//! A plug-in on Higress' own Go SDK against a real Redis: counts, pieces of a body that wait for
//! Redis, a chosen upstream host, and rules by route and service as the SDK matches them. Its file of
//! cases holds too, without a Redis.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { A_TEST, A_TEST_EXPIRED, CA, CLIENT } from "../../src/dataplane/testing/certificates.ts";
import { tls } from "../../src/dataplane/testing/tls-upstream.ts";
import type { Resource } from "../../src/resources/object.ts";
import type { Cluster } from "../../src/snapshot/snapshot.ts";
import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import { atEnd, endAll } from "../../src/dataplane/testing/harness.ts";
import { cluster, endpoint, forwardRoute } from "../../src/dataplane/testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../../src/dataplane/testing/snapshot-maker.ts";
import { parseCaseFile } from "../../src/plugin-tools/case-file.ts";
import { runSuite } from "../../src/plugin-tools/case-suite.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { endEach } from "../support/ending.ts";
import { Graylane } from "../support/graylane.ts";
import { GATEWAY, virtualService } from "../support/load-manifests.ts";
import { Redis, redisMissing } from "../support/redis.ts";
import type { RedisTls } from "../support/redis.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const TIMEOUT = { timeout: 120_000 };
const PASSWORD = "not a secret".replaceAll(" ", "-");
const PIECES = ["one", "two", "three"];
const A = cluster("a");
/** As McpBridge and ServiceEntry name what is outside. */
const REDIS = { ...cluster("redis", 6379), host: "redis.static", aliases: [] };
/** The same server: settings hold for a cluster, the last ones that a plug-in gives. */
const LOCKED = { ...cluster("locked", 6379), host: "locked.dns", aliases: [] };

/** The same server in TLS; it asks for a certificate. */
const SECURE: Cluster = {
  ...{ ...cluster("secure", 6379), host: "secure.dns", aliases: [] },
  policy: { tls: tls({ ...CLIENT }) },
};
/** The same, but its certificate is of an authority that is not trusted here. */
const UNTRUSTED: Cluster = {
  ...{ ...cluster("untrusted", 6379), host: "untrusted.dns", aliases: [] },
  policy: { tls: tls({ ...CLIENT, authorities: A_TEST_EXPIRED.certificate }) },
};

const built = sdkPlugin("higress-calls");
const skip = (built.kind === "missing" ? built.reason : null) ?? redisMissing() ?? false;

const redisAt = (service: string, password: string): object => ({
  ...{ service_name: service, service_port: 6379, timeout: 5_000 },
  ...{ password, database: 2 },
});
const redisInUse = redisAt(REDIS.host, PASSWORD);
const CONFIGURATION = {
  name: "global",
  _rules_: [
    { _match_route_: ["counted"], name: "counted", limit: 3, redis: redisInUse },
    { _match_route_: ["streamed"], name: "streamed", streams: true, redis: redisInUse },
    { _match_route_: ["pinned"], name: "pinned", pins: true },
    {
      _match_route_: ["locked-out"],
      name: "wrong",
      limit: 3,
      redis: redisAt(LOCKED.host, "wrong"),
    },
    {
      _match_route_: ["secured"],
      name: "secured",
      limit: 3,
      redis: redisAt(SECURE.host, PASSWORD),
    },
    {
      _match_route_: ["untrusted"],
      name: "untrusted",
      limit: 3,
      redis: redisAt(UNTRUSTED.host, PASSWORD),
    },
    { _match_domain_: ["*.example.com"], name: "domain" },
    { _match_service_: ["b.default.svc.cluster.local:8000"], name: "service" },
  ],
};

interface Upstream {
  readonly port: number;
  hits: number;
}

/** Says what it was sent, or answers in pieces. */
async function startUpstream(): Promise<Upstream> {
  const upstream = { port: 0, hits: 0 };
  const server = createServer((request, response) => {
    upstream.hits += 1;
    if (request.url === "/streamed") {
      // Each piece by itself: the next one when the one before is out.
      const write = (index: number): void => {
        if (index === PIECES.length) response.end();
        else response.write(PIECES[index], () => setImmediate(write, index + 1));
      };
      write(0);
      return;
    }
    const { "x-rule": rule = "", "x-count": count = "" } = request.headers;
    response.end(`${String(rule)} ${String(count)}`.trim());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  upstream.port = (server.address() as AddressInfo).port;
  return upstream;
}

/** The certificate of a.test, its key and their authority as files. */
function tlsFiles(folder: string): RedisTls {
  const file = (name: string, text: string): string => {
    const path = join(folder, `${name}.pem`);
    writeFileSync(path, text);
    return path;
  };
  return {
    certificate: file("certificate", A_TEST.certificate),
    privateKey: file("key", A_TEST.privateKey),
    ca: file("ca", CA.certificate),
  };
}

suite("a plug-in of Higress' SDK with a real Redis", { skip, ...TIMEOUT }, () => {
  const folder = mkdtempSync(join(tmpdir(), "graylane-redis-"));
  let redis: Redis;
  let upstreams: readonly Upstream[];
  let port = 0;

  before(async () => {
    redis = await Redis.start(PASSWORD, tlsFiles(folder));
    upstreams = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
    port = await startGateway();
  });

  after(() =>
    endEach(
      endAll,
      () => redis.stop(),
      () => {
        rmSync(folder, { recursive: true });
      },
    ),
  );

  async function startGateway(): Promise<number> {
    assert.ok(built.kind === "built");
    const sha256 = createHash("sha256").update(readFileSync(built.path)).digest("hex");
    const plugin = {
      ...{ name: "p", rootId: "", vmId: "", env: {}, failMode: "closed" as const },
      configuration: JSON.stringify(CONFIGURATION),
      module: { sha256, path: built.path },
      source: { kind: "WasmPlugin", namespace: "default", name: "p" },
    };
    const b = cluster("b");
    const labels = ["counted", "streamed", "pinned", "locked-out", "secured", "untrusted"];
    const routes = labels.map((label) =>
      forwardRoute(A.name, { label, matches: [{ uri: { kind: "prefix", value: `/${label}` } }] }),
    );
    routes.push(forwardRoute(b.name, { matches: [{ uri: { kind: "prefix", value: "/b" } }] }));
    routes.push(forwardRoute(A.name));
    const endpoints = { endpoints: upstreams.map((upstream) => endpoint(upstream.port)) };
    const snapshot = gatewaySnapshot(80, routes, {
      clusters: Object.fromEntries(
        [A, b, REDIS, LOCKED, SECURE, UNTRUSTED].map((each) => [each.name, each]),
      ),
      endpoints: {
        [A.name]: endpoints,
        [b.name]: endpoints,
        [REDIS.name]: { endpoints: [endpoint(redis.port)] },
        [LOCKED.name]: { endpoints: [endpoint(redis.port)] },
        [SECURE.name]: { endpoints: [endpoint(redis.tlsPort)] },
        [UNTRUSTED.name]: { endpoints: [endpoint(redis.tlsPort)] },
      },
      plugins: { p: plugin },
    });
    return (await startFixture(snapshot)).port;
  }

  async function ask(path: string): Promise<{ readonly status: number; readonly body: string }> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  }

  test("its cases hold", async () => {
    assert.ok(built.kind === "built");
    const folder = "test/components/plugins/higress-calls";
    const file = `${folder}/higress-calls.cases.yaml`;
    const { suite: cases, faults } = parseCaseFile(readFileSync(file, "utf8"), { file, folder });
    assert.ok(cases !== null, JSON.stringify(faults));
    const module = await loadModule(readFileSync(built.path), { name: "higress-calls" });
    assert.ok(!(module instanceof LoadFault), "the module loads");
    for (const { one, differences } of await runSuite(module, cases, () => 0)) {
      assert.deepEqual(differences, [], one.name);
    }
  });

  test("requests are counted in a database of Redis, and refused beyond the limit", async () => {
    for (const count of [1, 2, 3]) {
      assert.deepEqual(await ask("/counted"), { status: 200, body: `counted ${count}` });
    }
    assert.deepEqual(await ask("/counted"), { status: 429, body: "too many" });
    assert.equal(await redis.ask("INFO keyspace").then((text) => /db\d+/.exec(text)?.[0]), "db2");
  });

  test("pieces of a response wait for Redis, and go out in their order", async () => {
    for (let round = 0; round < 3; round++) {
      const { status, body } = await ask("/streamed");
      assert.equal(status, 200);
      // How the pieces come is the network's affair.
      assert.match(body, /^(<[a-z]*>)+$/);
      assert.equal(body.replaceAll(/[<>]/g, ""), PIECES.join(""));
    }
  });

  test("the chosen one of the route's hosts gets every request", async () => {
    for (const upstream of upstreams) upstream.hits = 0;
    for (let count = 0; count < 12; count++) await ask("/pinned");
    const byText = [...upstreams].sort((a, b) => (`${a.port}` < `${b.port}` ? -1 : 1));
    assert.deepEqual(
      byText.map(({ hits }) => hits),
      [0, 0, 12],
    );
  });

  test("with a wrong password nothing is counted, in no database", async () => {
    const { status, body } = await ask("/locked-out");
    assert.equal(status, 500);
    assert.equal(body, "cannot connect to redis cluster");
    assert.match(await redis.ask("GET count:/locked-out"), /^\$-1/);
  });

  test("in TLS it is the same Redis, and it sees a certificate", async () => {
    assert.deepEqual(await ask("/secured"), { status: 200, body: "secured 1" });
  });

  test("a Redis whose certificate is not trusted gets no command", async () => {
    const { status, body } = await ask("/untrusted");
    assert.deepEqual({ status, body }, { status: 500, body: "cannot connect to redis cluster" });
    assert.match(await redis.ask("GET count:/untrusted"), /^\$-1/);
  });

  test("rules are matched by service, and what no rule takes is the global one's", async () => {
    assert.equal((await ask("/b")).body, "service");
    assert.equal((await ask("/")).body, "global");
  });

  test("Redis that dies costs the calls of the moment, and is used when it is back", async () => {
    await redis.stop();
    const down = await ask("/counted");
    assert.equal(down.status, 500);
    assert.match(down.body, /cannot connect to redis cluster/);
    await redis.restart();
    // The pause after a failed connection is over soon.
    let back = await ask("/counted");
    while (back.status === 500) back = await ask("/counted");
    assert.deepEqual(back, { status: 200, body: "counted 1" });
  });
});

suite("Redis in TLS, by applied objects", { skip, ...TIMEOUT }, () => {
  const folder = mkdtempSync(join(tmpdir(), "graylane-redis-applied-"));
  let redis: Redis;
  let graylane: Graylane;

  before(async () => {
    redis = await Redis.start(PASSWORD, { ...tlsFiles(folder), asksForNone: true });
    const upstream = await startUpstream();
    const objects = join(folder, "objects.yaml");
    // JSON is YAML.
    const resources = [
      GATEWAY,
      outside("web.test", 80, upstream.port),
      outside("redis.test", 6379, redis.tlsPort),
      virtualService("web.test", 0),
      wasmPlugin(),
    ];
    writeFileSync(objects, resources.map((one) => JSON.stringify(one)).join("\n---\n"));
    graylane = await Graylane.start({ files: [objects] });
  });

  after(() =>
    endEach(
      endAll,
      () => graylane.stop(),
      () => redis.stop(),
      () => {
        rmSync(folder, { recursive: true });
      },
    ),
  );

  async function counted(): Promise<{ status: number; body: string }> {
    const { status, body } = await graylane.ask({ path: "/applied" });
    return { status, body };
  }

  async function applyTls(authority: string): Promise<void> {
    const ca = join(folder, "authority.pem");
    writeFileSync(ca, authority);
    const tls = { mode: "SIMPLE", sni: "a.test", subjectAltNames: ["a.test"], caCertificates: ca };
    await graylane.apply(JSON.stringify(destinationRule(tls)));
    await graylane.published();
  }

  test("without a DestinationRule a Redis that speaks TLS is not understood", async () => {
    assert.equal((await counted()).status, 500);
  });

  test("with one that trusts another authority it gets no command", async () => {
    await applyTls(A_TEST_EXPIRED.certificate);
    assert.deepEqual(await counted(), { status: 500, body: "cannot connect to redis cluster" });
    assert.equal(/db\d+/.exec(await redis.ask("INFO keyspace")), null);
  });

  test("with one of mode SIMPLE that trusts its authority requests are counted", async () => {
    await applyTls(CA.certificate);
    // The pause after a failed connection is over soon.
    let first = await counted();
    while (first.status === 500) first = await counted();
    assert.deepEqual(first, { status: 200, body: "applied 1" });
    assert.deepEqual(await counted(), { status: 200, body: "applied 2" });
    assert.match(await redis.ask("INFO keyspace"), /db2:keys=1/);
  });
});

/** A host that no registry knows, at a port of this machine. */
function outside(host: string, port: number, openPort: number): Resource {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: host.replace(".", "-"), namespace: "default" },
    spec: {
      hosts: [host],
      location: "MESH_EXTERNAL",
      resolution: "STATIC",
      ports: [{ number: port, name: "main", protocol: port === 80 ? "HTTP" : "TCP" }],
      endpoints: [{ address: "127.0.0.1", ports: { main: openPort } }],
    },
  };
}

function destinationRule(tls: object): Resource {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "redis", namespace: "default" },
    spec: { host: "redis.test", trafficPolicy: { tls } },
  };
}

function wasmPlugin(): Resource {
  assert.ok(built.kind === "built");
  return {
    apiVersion: "extensions.istio.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name: "counts", namespace: "istio-system" },
    spec: {
      url: `file://${built.path}`,
      pluginConfig: { name: "applied", limit: 3, redis: redisAt("redis.test", PASSWORD) },
    },
  };
}
