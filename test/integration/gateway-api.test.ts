//! The Gateway API on a real gateway: cases of its conformance suite.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
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

/** Pods of a service by the label `lane`, `""` being none. */
type Pods = Readonly<Record<string, number>>;

function endpointSet(name: string, pods: Pods): [string, Snapshot["endpoints"][string]] {
  const endpoints = Object.entries(pods).map(([lane, number]) => ({
    address: "127.0.0.1",
    port: ports.get(number) ?? 0,
    pod: `${NAMESPACE}/v${number}`,
    labels: lane === "" ? {} : { lane },
  }));
  return [`outbound|8080||${name}.${NAMESPACE}.svc.cluster.local`, { endpoints }];
}

async function snapshotOf(objects: string, pods?: Pods): Promise<Snapshot> {
  const text = Readable.from([objects + SERVICES]);
  const { resources, faults } = await loadFiles(["-"], { stdin: text });
  assert.deepEqual(faults, []);
  const { snapshot } = compile({
    resources: resources.map(({ resource }) => resource),
    modules: new Map(),
  });
  const endpoints = BACKENDS.map((number) =>
    endpointSet(`infra-backend-v${number}`, pods ?? { "": number }),
  );
  return { ...snapshot, endpoints: Object.fromEntries(endpoints) };
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

const LANES = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { namespace: ${NAMESPACE}, name: edge }
spec: { gatewayClassName: graylane, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { namespace: ${NAMESPACE}, name: shop }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - name: carts
      matches: [{ path: { value: /cart } }]
      backendRefs: [{ name: infra-backend-v1, port: 8080, weight: 1 }]
    - backendRefs: [{ name: infra-backend-v1, port: 8080 }]
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { namespace: ${NAMESPACE}, name: shop }
spec:
  entry:
    gateways: [{ name: edge }]
    routes: [{ httpRoute: shop, route: carts }]
  services: [{ name: infra-backend-v1 }]
  context: { mode: header, routeHeader: x-lane }
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { namespace: ${NAMESPACE}, name: gray }
spec:
  group: shop
  selector: { matchLabels: { lane: gray } }
  rule: { all: [{ header: x-user, operator: "==", value: tester }] }
`;

test("a lane is entered at the rule of an HTTPRoute that its group names, and at no other", async () => {
  const port = await freePort();
  await startGateway(port, await snapshotOf(LANES, { "": 1, gray: 2 }));
  const headers = { "x-user": "tester" };
  check(
    await ask(port, { path: "/cart", headers }),
    { backend: 2, asked: { "x-lane": "gray" } },
    "",
  );
  check(await ask(port, { path: "/cart" }), { backend: 1, asked: { "x-lane": null } }, "nobody");
  check(await ask(port, { path: "/other", headers }), { backend: 1 }, "another rule");
  const forged = { "x-lane": "gray" };
  check(
    await ask(port, { path: "/cart", headers: forged }),
    { backend: 1 },
    "the client's own tag",
  );
});

const CALLS = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { namespace: ${NAMESPACE}, name: same-namespace }
spec: { gatewayClassName: graylane, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { namespace: ${NAMESPACE}, name: exact-matching }
spec:
  parentRefs: [{ name: same-namespace }]
  rules:
    - matches: [{ method: { service: echo.Echo, method: Echo } }]
      backendRefs: [{ name: infra-backend-v1, port: 8080 }]
    - matches: [{ method: { service: echo.Echo, method: Gone } }]
      backendRefs: [{ name: nonexistent, port: 8080 }]
`;

test("GRPCExactMethodMatching: over HTTP/2 to a service that is not said to speak it", async () => {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    const trailers = { "grpc-status": "0", "x-asked": String(headers[":path"]) };
    stream.respond({ "content-type": "application/grpc", ...trailers }, { endStream: true });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => server.close());
  ports.set(4, (server.address() as AddressInfo).port);
  const port = await freePort();
  await startGateway(port, await snapshotOf(CALLS, { "": 4 }));
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  atEnd(() => {
    session.destroy();
  });
  const call = async (path: string): Promise<Record<string, unknown>> => {
    const fields = { ":method": "POST", ":path": path, "content-type": "application/grpc" };
    const stream = session.request({ ...fields, te: "trailers" }, { endStream: true });
    const [answer] = (await once(stream, "response")) as [Record<string, unknown>];
    stream.resume();
    return answer;
  };
  assert.equal((await call("/echo.Echo/Echo"))["x-asked"], "/echo.Echo/Echo");
  assert.equal((await call("/echo.Echo/Gone"))["grpc-status"], "14", "UNAVAILABLE");
  assert.equal((await call("/echo.Echo/Other"))["grpc-status"], "12", "UNIMPLEMENTED");
});
