//! h2load and curl, of Debian, against our gateway: HTTP/2 in clear with prior knowledge, and over
//! TLS by ALPN.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import { atEnd, endAll } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import type { TlsServer } from "../../src/snapshot/tls.ts";
import { ensureCommand } from "../support/sdk-plugins.ts";

after(endAll);

const run = promisify(execFile);
const RUN_MS_MAX = 120_000;
const REQUESTS = process.env["GRAYLANE_H2LOAD_REQUESTS"] ?? "10000";
const TLS: TlsServer = {
  ...{ hosts: ["*"], ...A_TEST, clientCa: "", minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
};
const SCHEMES = ["http", "https"] as const;

/** Each answers with the request's path. */
async function startUpstream(): Promise<number> {
  const server = createServer((request, response) => response.end(request.url));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function startGateway(upstreamPort: number, scheme: string): Promise<number> {
  const a = cluster("a");
  const snapshot = gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(upstreamPort)] } },
  });
  const gateways = Object.entries(snapshot.gateways).map(([name, gateway]) => {
    const listeners = gateway.listeners.map((one) => ({
      ...one,
      ...(scheme === "https" ? { tls: [TLS] } : {}),
    }));
    return [name, { ...gateway, listeners }] as const;
  });
  return (await startFixture({ ...snapshot, gateways: Object.fromEntries(gateways) })).port;
}

describe("clients of HTTP/2", () => {
  const ports = new Map<string, number>();

  before(async () => {
    const upstreamPort = await startUpstream();
    for (const scheme of SCHEMES) ports.set(scheme, await startGateway(upstreamPort, scheme));
  });

  for (const scheme of SCHEMES) {
    test(`h2load's ${REQUESTS} requests over ${scheme} are all answered`, async (context) => {
      assert.equal(ensureCommand("h2load", ["nghttp2-client"]), null);
      const load = ["-n", REQUESTS, "-c", "20", "-m", "20"];
      const url = `${scheme}://127.0.0.1:${ports.get(scheme)}/load`;
      const { stdout } = await run("h2load", [...load, url], { timeout: RUN_MS_MAX });
      context.diagnostic(/finished in [^\n]*/.exec(stdout)?.[0] ?? "");
      assert.match(stdout, /Application protocol: h2c?\n/);
      assert.match(stdout, new RegExp(`status codes: ${REQUESTS} 2xx`), stdout);
      assert.match(stdout, / 0 failed, 0 errored, 0 timeout/, stdout);
    });

    test(`curl speaks HTTP/2 over ${scheme}`, async () => {
      assert.equal(ensureCommand("curl", ["curl"]), null);
      const how = scheme === "http" ? ["--http2-prior-knowledge"] : ["--http2", "--insecure"];
      const url = `${scheme}://127.0.0.1:${ports.get(scheme)}/curl`;
      const words = ["-sS", ...how, "-w", " %{http_version} %{http_code}", url];
      const { stdout } = await run("curl", words, { timeout: RUN_MS_MAX });
      assert.equal(stdout, "/curl 2 200");
    });
  }
});
