//! Endpoints on Unix sockets: in clear, in HTTP/2 and in TLS.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createSecureServer } from "node:https";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Cluster } from "../../snapshot/snapshot.ts";
import { A_TEST } from "../testing/certificates.ts";
import { RawClient, startFixture } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { tls } from "../testing/tls-upstream.ts";

after(endAll);

const A = cluster("a");

async function listenOnPath(server: Server): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "graylane-unix-"));
  const path = join(folder, "app.sock");
  server.listen(path);
  await once(server, "listening");
  atEnd(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return path;
}

async function ask(path: string, changes: Partial<Cluster> = {}): Promise<string> {
  const there = { ...endpoint(0), address: `unix://${path}` };
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: { ...A, ...changes } },
    endpoints: { [A.name]: { endpoints: [there] } },
  });
  const { port, context, assertions } = await startFixture(snapshot);
  const client = await RawClient.open(port);
  client.send("GET /x HTTP/1.1\r\nhost: shop\r\n\r\n");
  const got = await client.until(/(said|\n)$/);
  context.pools.closeIdle();
  assert.deepEqual(assertions, []);
  return got;
}

describe("an endpoint on a Unix socket", () => {
  test("is asked in HTTP/1.1", async () => {
    const server = createServer((request, response) => {
      response.end(`${request.headers.host} said`);
    });
    assert.match(await ask(await listenOnPath(server)), /^HTTP\/1.1 200 [^]*shop said$/);
  });

  test("is asked in HTTP/2", async () => {
    const server = createHttp2Server((request, response) => {
      response.end(`${request.httpVersion} said`);
    });
    const got = await ask(await listenOnPath(server), { protocol: "h2" });
    assert.match(got, /^HTTP\/1.1 200 [^]*2\.0 said/);
  });

  test("is asked in TLS", async () => {
    const pair = { cert: A_TEST.certificate, key: A_TEST.privateKey };
    const server = createSecureServer(pair, (_request, response) => {
      response.end("secretly said");
    });
    const got = await ask(await listenOnPath(server), { policy: { tls: tls() } });
    assert.match(got, /^HTTP\/1.1 200 [^]*secretly said$/);
  });

  test("that is not there is a 503 that names it", async () => {
    const got = await ask("/nowhere/app.sock", { policy: {} });
    assert.match(got, /^HTTP\/1.1 503 [^]*unix:\/\/\/nowhere\/app\.sock/);
  });
});
