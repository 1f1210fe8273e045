//! The Gateway API on a real gateway: cases of its conformance suite.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { compile } from "../../src/compile/compile.ts";
import { atEnd, endAll, startGateway } from "../../src/dataplane/testing/harness.ts";
import { loadFiles } from "../../src/resources/load.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { API_CASES } from "../support/gateway-api-cases.ts";
import type { ApiExpectation, ApiRequest } from "../support/gateway-api-cases.ts";

const NAMESPACE = "gateway-conformance-infra";
const BACKENDS = [1, 2, 3] as const;
const ports = new Map<number, number>();

const SERVICES = BACKENDS.map(
  (number) => `
---
apiVersion: v1
kind: Service
metadata: { namespace: ${NAMESPACE}, name: infra-backend-v${number} }
spec: { selector: { app: infra-backend-v${number} }, ports: [{ port: 8080 }] }
`,
).join("");

before(async () => {
  for (const number of BACKENDS) ports.set(number, await startEcho(number));
});
after(endAll);

/** Tells who was asked, and for what. */
async function startEcho(number: number): Promise<number> {
  const server = createServer((incoming, response) => {
    const { url: path, headers } = incoming;
    response.setHeader("x-backend", String(number));
    response.setHeader("x-removed", "yes");
    response.end(JSON.stringify({ backend: number, path, headers }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function snapshotOf(objects: string): Promise<Snapshot> {
  const text = Readable.from([objects + SERVICES]);
  const { resources, faults } = await loadFiles(["-"], { stdin: text });
  assert.deepEqual(faults, []);
  const { snapshot } = compile({
    resources: resources.map(({ resource }) => resource),
    modules: new Map(),
  });
  const endpoints = BACKENDS.map((number) => [
    `outbound|8080||infra-backend-v${number}.${NAMESPACE}.svc.cluster.local`,
    {
      endpoints: [
        {
          address: "127.0.0.1",
          port: ports.get(number) ?? 0,
          pod: `${NAMESPACE}/v${number}`,
          labels: {},
        },
      ],
    },
  ]);
  return { ...snapshot, endpoints: Object.fromEntries(endpoints) as Snapshot["endpoints"] };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function ask(port: number, asked: ApiRequest): Promise<Answer> {
  const { host = "example.test", path, method = "GET", headers = {} } = asked;
  const outgoing = request({
    ...{ host: "127.0.0.1", port, path, method, agent: false },
    headers: { ...headers, host },
  });
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

function check(answer: Answer, wanted: ApiExpectation, what: string): void {
  const { status = 200, backend, path, asked = {}, answered = {} } = wanted;
  assert.equal(answer.status, status, `${what}: ${answer.body}`);
  for (const [name, value] of Object.entries(answered)) {
    assert.equal(answer.headers[name] ?? null, value, `${what}: ${name}`);
  }
  if (backend === undefined) return;
  const echo = JSON.parse(answer.body) as Answer & { backend: number; path: string };
  assert.equal(echo.backend, backend, what);
  if (path !== undefined) assert.equal(echo.path, path, what);
  for (const [name, value] of Object.entries(asked)) {
    assert.equal(echo.headers[name] ?? null, value, `${what}: ${name}`);
  }
}

for (const { name, objects, exchanges } of API_CASES) {
  test(name, async () => {
    const port = await freePort();
    await startGateway(port, await snapshotOf(objects));
    for (const [asked, wanted] of exchanges) {
      const question = typeof asked === "string" ? { path: asked } : asked;
      const expected =
        typeof wanted === "object"
          ? wanted
          : wanted === 404
            ? { status: 404 }
            : { backend: wanted };
      check(await ask(port, question), expected, JSON.stringify(asked));
    }
  });
}
