//! Higress' additions in a gateway: what small plug-ins ask for reaches client and upstream.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import { atEnd, endAll } from "../../src/dataplane/testing/harness.ts";
import { cluster, endpoint, forwardRoute } from "../../src/dataplane/testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../../src/dataplane/testing/snapshot-maker.ts";
import type { Route } from "../../src/snapshot/snapshot.ts";
import { guest } from "../support/guest.ts";

after(endAll);

const TIMEOUT = { timeout: 60_000 };
const A = cluster("a");
const UPSTREAM_BYTES = 300_000;
/** In it the health of endpoints counts. */
const OUTLIERS = {
  ...{ consecutive5xx: 5, consecutiveGatewayErrors: 0, intervalMs: 10_000 },
  ...{ baseEjectionMs: 30_000, ejectedPercentMax: 10, healthyPercentMin: 0 },
};
const WATCHED = { ...A, policy: { outliers: OUTLIERS } };

const IMPORTS: readonly (readonly [name: string, parameters: number])[] = [
  ["proxy_inject_encoded_data_to_filter_chain", 3],
  ["proxy_call_foreign_function", 6],
  ["proxy_remove_header_map_value", 3],
  ["proxy_replace_header_map_value", 5],
  ["proxy_set_property", 4],
  ["proxy_get_property", 4],
  ["proxy_set_upstream_override_host", 2],
  ["proxy_get_upstream_hosts", 2],
  ["proxy_send_local_response", 8],
];
const REQUEST_HEADERS = 0;
const RESPONSE_HEADERS = 2;
/** Where the guest's texts begin, before what its allocator gives. */
const TEXTS_START = 1024;
const OUT = 512;

/** Writes a plug-in in the text format: its texts become places in its memory. */
class Author {
  #data = "";
  #top = TEXTS_START;

  call(name: string, ...parameters: (number | string | Uint8Array)[]): string {
    const words = parameters.map((value) =>
      typeof value === "number" ? `(i32.const ${value})` : this.#place(value),
    );
    return `(drop (call $${name} ${words.join(" ")}))`;
  }

  bytes(callbacks: Readonly<Record<string, string>>): Uint8Array {
    const imports = IMPORTS.map(([name, count]) => {
      const parameters = Array.from({ length: count }, () => "i32").join(" ");
      return `(import "env" "${name}" (func $${name} (param ${parameters}) (result i32)))`;
    });
    const functions = Object.entries(callbacks).map(
      ([name, code]) => `(func (export "${name}") (param i32 i32 i32) (result i32) ${code})`,
    );
    const body = functions.join("\n") + this.#data;
    return guest({ abi: "0_2_100", imports: imports.join("\n"), body });
  }

  #place(value: string | Uint8Array): string {
    const bytes = Buffer.from(value as string, "latin1");
    const start = this.#top;
    this.#top += bytes.length;
    const escaped = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`);
    this.#data += `(data (i32.const ${start}) "${escaped.join("")}")`;
    return `(i32.const ${start}) (i32.const ${bytes.length})`;
  }
}

interface Upstream {
  readonly port: number;
  readonly failsCheck?: boolean;
  hits: number;
}

/** Answers with the request's path and length, then with many bytes. */
async function startUpstream(): Promise<Upstream> {
  const upstream = { port: 0, hits: 0 };
  const server = createServer((incoming, response) => {
    upstream.hits += 1;
    let size = 0;
    incoming.on("data", (chunk: Buffer) => (size += chunk.length));
    incoming.on("end", () => {
      response.setHeader("x-seen", `${incoming.url ?? ""} ${size}`);
      response.end(Buffer.alloc(UPSTREAM_BYTES, "u"));
    });
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

async function startGateway(
  bytes: Uint8Array,
  upstreams: readonly Upstream[],
  routes: readonly Route[] = [forwardRoute(A.name)],
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "graylane-higress-"));
  atEnd(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const path = join(folder, "plugin.wasm");
  writeFileSync(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const plugin = {
    ...{ name: "p", rootId: "", vmId: "", configuration: "", env: {} },
    ...{ failMode: "closed" as const, module: { sha256, path } },
    source: { kind: "WasmPlugin", namespace: "default", name: "p" },
  };
  const endpoints = { [A.name]: { endpoints: upstreams.map(({ port }) => endpoint(port)) } };
  const hasFailing = upstreams.some(({ failsCheck }) => failsCheck === true);
  const snapshot = gatewaySnapshot(80, routes, {
    ...{ clusters: { [A.name]: hasFailing ? WATCHED : A }, endpoints, plugins: { p: plugin } },
  });
  const { port, context } = await startFixture(snapshot);
  // As a check of the endpoint does that finds it ill.
  for (const { failsCheck, port: ill } of upstreams) {
    if (failsCheck === true) context.pools.clusters.failing.set(`127.0.0.1:${ill}`, 1);
  }
  return port;
}

interface Answer {
  readonly status: number | undefined;
  readonly seen: string;
  readonly body: string;
}

function ask(port: number, path = "/", body = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === "" ? "GET" : "POST";
    const sent = request({ host: "127.0.0.1", port, path, method }, (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const seen = String(response.headers["x-seen"] ?? "");
        resolve({ status: response.statusCode, seen, body: Buffer.concat(chunks).toString() });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const INJECT = "proxy_inject_encoded_data_to_filter_chain";
const ON_HEADER = "inject_encoded_data_to_filter_chain_on_header";
const removeLength = (author: Author): string =>
  author.call("proxy_remove_header_map_value", RESPONSE_HEADERS, "content-length");

test("a plug-in puts its own bytes in the place of the response's body", TIMEOUT, async () => {
  const author = new Author();
  const bytes = author.bytes({
    proxy_on_response_headers: `${removeLength(author)} (i32.const 0)`,
    // At the end: the last piece. Before: a piece for each chunk, which is dropped itself (3).
    proxy_on_response_body: `
      (if (local.get 2) (then ${author.call(INJECT, "last", 1)})
        (else ${author.call(INJECT, ".", 0)}))
      (i32.const 3)`,
  });
  const port = await startGateway(bytes, [await startUpstream()]);
  for (let round = 0; round < 3; round++) assert.match((await ask(port)).body, /^\.+last$/);
});

test("a plug-in ends a response long before its upstream does", TIMEOUT, async () => {
  const author = new Author();
  const upstream = await startUpstream();
  const bytes = author.bytes({
    proxy_on_response_headers: `${removeLength(author)} (i32.const 0)`,
    proxy_on_response_body: `${author.call(INJECT, "enough", 1)} (i32.const 3)`,
  });
  const port = await startGateway(bytes, [upstream]);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await ask(port), { status: 200, seen: "/ 0", body: "enough" });
  }
  assert.equal(upstream.hits, 3);
});

for (const [isLast, result, pattern] of [
  [1, 0, /^other$/],
  [1, 1, /^other$/],
  [1, 4, /^other$/],
  [0, 0, /^otheru{300000}$/],
] as const) {
  const what = isLast === 1 ? "replaces" : "begins";
  test(`a plug-in ${what} a body while it answers ${result} to the head`, TIMEOUT, async () => {
    const author = new Author();
    const message = Buffer.from([0x0a, 5, ...Buffer.from("other"), 0x10, isLast]);
    const place = [message, OUT, OUT + 4] as const;
    const code = [
      removeLength(author),
      author.call("proxy_call_foreign_function", ON_HEADER, ...place),
      `(i32.const ${result})`,
    ];
    const bytes = author.bytes({ proxy_on_response_headers: code.join("\n") });
    const port = await startGateway(bytes, [await startUpstream()]);
    for (let round = 0; round < 3; round++) {
      const { status, body } = await ask(port);
      assert.equal(status, 200);
      assert.ok(pattern.test(body), body.slice(0, 100));
    }
  });
}

test("the host that a plug-in chooses gets every request, unless unknown", TIMEOUT, async () => {
  const upstreams = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
  const choose = async (address: string): Promise<void> => {
    const author = new Author();
    const code = author.call("proxy_set_upstream_override_host", address);
    const bytes = author.bytes({ proxy_on_request_headers: `${code} (i32.const 0)` });
    const port = await startGateway(bytes, upstreams);
    for (let round = 0; round < 20; round++) assert.equal((await ask(port)).status, 200);
  };
  await choose(`127.0.0.1:${upstreams[1].port}`);
  assert.deepEqual(
    upstreams.map(({ hits }) => hits),
    [0, 20, 0],
  );
  await choose("192.0.2.1:80");
  assert.equal(
    upstreams.reduce((sum, { hits }) => sum + hits, 0),
    40,
  );
});

test("a plug-in is told which endpoints of its cluster are healthy", TIMEOUT, async () => {
  const [well, ill] = await Promise.all([startUpstream(), startUpstream()]);
  const author = new Author();
  const found = author.call("proxy_get_upstream_hosts", OUT, OUT + 4);
  const answer = `(drop (call $proxy_send_local_response (i32.const 200)
    (i32.const 0) (i32.const 0) (i32.load (i32.const ${OUT})) (i32.load (i32.const ${OUT + 4}))
    (i32.const 0) (i32.const 0) (i32.const -1)))`;
  const bytes = author.bytes({ proxy_on_request_headers: `${found} ${answer} (i32.const 1)` });
  const port = await startGateway(bytes, [well, { ...ill, failsCheck: true }]);
  const { body } = await ask(port);
  const state = (host: Upstream): string | undefined =>
    new RegExp(`127\\.0\\.0\\.1:${host.port}\\0{"health_status":"(\\w+)"}`).exec(body)?.[1];
  assert.deepEqual([state(well), state(ill)], ["Healthy", "Unhealthy"]);
});

const LIMITS = [
  { limit: "4", bytes: 5, status: 413 },
  { limit: "4", bytes: 4, status: 200 },
  { limit: "3000000", bytes: 2_000_000, status: 200 },
  { limit: "no number", bytes: 2_000_000, status: 413 },
];
for (const { limit, bytes, status } of LIMITS) {
  const claim = `a limit of ${limit} lets a plug-in hold ${bytes} bytes of a request: ${status}`;
  test(claim, TIMEOUT, async () => {
    const author = new Author();
    const set = author.call("proxy_set_property", "set_decoder_buffer_limit", limit);
    const code = author.bytes({
      proxy_on_request_headers: `${set} (i32.const 0)`,
      proxy_on_request_body: "(i32.eqz (local.get 2))",
    });
    const port = await startGateway(code, [await startUpstream()]);
    const answer = await ask(port, "/", "x".repeat(bytes));
    assert.equal(answer.status, status);
    if (status === 200) assert.equal(answer.seen, `/ ${bytes}`);
  });
}

const ROUTES = ["/first", "/second"].map((value, index) =>
  forwardRoute(A.name, {
    id: `default/test/http[${index}]`,
    matches: [{ uri: { kind: "prefix", value } }],
    responseHeaders: { remove: [], set: [["x-route", value]], add: [] },
  }),
);
for (const [value, route] of [
  ["off", "/first"],
  ["on", "/second"],
] as const) {
  test(`with clear_route_cache ${value}, a changed path leads to ${route}`, TIMEOUT, async () => {
    const author = new Author();
    const code = [
      author.call("proxy_get_property", "route_name", OUT, OUT + 4),
      author.call("proxy_set_property", "clear_route_cache", value),
      author.call("proxy_replace_header_map_value", REQUEST_HEADERS, ":path", "/second"),
      "(i32.const 0)",
    ];
    const bytes = author.bytes({ proxy_on_request_headers: code.join("\n") });
    const port = await startGateway(bytes, [await startUpstream()], ROUTES);
    const response = await fetch(`http://127.0.0.1:${port}/first`);
    await response.arrayBuffer();
    assert.equal(response.headers.get("x-route"), route);
    assert.match(response.headers.get("x-seen") ?? "", /^\/second/);
  });
}
