//! What a bootstrap says of a plug-in beside its code: what it may call, and whether it gets the body
//! of a request that it has stopped at the headers; which filters have one root context together; and
//! code that is fetched.
//! The same answers in Envoy and `graylane envoy`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createHttp2Server, createSecureServer } from "node:http2";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST, CA } from "../../src/dataplane/testing/certificates.ts";
import { Envoy, findEnvoy, httpListener, socketAddress, wasmFilter } from "../support/envoy.ts";
import { ask, COMMAND } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

/**
 * Stops at the headers; at the end of the body it answers: `x-set` and `x-random` are the statuses of
 * set_shared_data and random_get as letters (`a` is 0). `x-seen` is added to every response.
 */
const GUEST = guest({
  imports: `(import "env" "proxy_set_shared_data"
      (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
      (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))`,
  body: `(data (i32.const 16)
      "\\02\\00\\00\\00\\05\\00\\00\\00\\01\\00\\00\\00\\08\\00\\00\\00\\01\\00\\00\\00x-set\\00a\\00x-random\\00a\\00")
    (data (i32.const 96) "x-seen1")
    (func $letter (param $at i32) (param $status i32)
      (i32.store8 (local.get $at) (i32.add (i32.const 97) (i32.rem_u (local.get $status) (i32.const 26)))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32)
      (result i32)
      (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
      (call $letter (i32.const 42)
        (call $set (i32.const 96) (i32.const 1) (i32.const 96) (i32.const 1) (i32.const 0)))
      (call $letter (i32.const 53) (call $random (i32.const 200) (i32.const 4)))
      (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 16) (i32.const 39) (i32.const -1)))
      (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add
        (i32.const 2) (i32.const 96) (i32.const 6) (i32.const 102) (i32.const 1)))
      (i32.const 0))`,
});

const ALL = ["proxy_on_request_headers", "proxy_on_request_body", "proxy_send_local_response"];
const CASES: readonly {
  readonly name: string;
  /** Null: everything. */
  readonly allowed: readonly string[] | null;
  /** Letters of the statuses, and whether responses were seen. */
  readonly expected: readonly [set: string, random: string, seen: string | undefined];
}[] = [
  { name: "everything", allowed: null, expected: ["a", "a", "1"] },
  // 10 and 76 % 26.
  { name: "the answer alone", allowed: ALL, expected: ["k", "y", undefined] },
  {
    name: "what it needs",
    allowed: [
      ...ALL,
      ...["proxy_set_shared_data", "random_get", "proxy_on_response_headers"],
      "proxy_add_header_map_value",
    ],
    expected: ["a", "a", "1"],
  },
];

/**
 * Adds `x-seen` to responses: three letters for the numbers of root contexts, of starts and of
 * configurations in its VM (`b` is 1), and one for the root context that it belongs to.
 */
const COUNTS = guest({
  imports: `(import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "x-seenaaaa")
    (func $count (param $at i32)
      (i32.store8 (local.get $at) (i32.add (i32.const 1) (i32.load8_u (local.get $at)))))
    (func (export "proxy_on_context_create") (param $id i32) (param $parent i32)
      (if (local.get $parent)
        (then (i32.store8 (i32.const 25) (i32.add (i32.const 97) (local.get $parent))))
        (else (call $count (i32.const 22)))))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
      (call $count (i32.const 23)) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (call $count (i32.const 24)) (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add
        (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 22) (i32.const 4)))
      (i32.const 0))`,
});

interface Pair {
  readonly name: string;
  /** What is said of the second plug-in in place of what the first has. */
  readonly config?: object;
  /** Of its listener. */
  readonly listener?: object;
  /** It is in the first one's listener too, behind it. */
  readonly isBehind?: true;
  readonly rootCount: 1 | 2;
}

const text = (value: string): object => ({
  "@type": "type.googleapis.com/google.protobuf.StringValue",
  value,
});
const PAIRS: readonly Pair[] = [
  { name: "equal in all", rootCount: 1 },
  { name: "equal in all, one behind the other", isBehind: true, rootCount: 1 },
  {
    name: "of another name, one behind the other",
    config: { name: "q" },
    isBehind: true,
    rootCount: 2,
  },
  { name: "of another name", config: { name: "q" }, rootCount: 2 },
  { name: "of another root_id", config: { root_id: "other" }, rootCount: 2 },
  { name: "of another configuration", config: { configuration: text("c") }, rootCount: 2 },
  { name: "of another failure policy", config: { failure_policy: "FAIL_OPEN" }, rootCount: 2 },
  {
    name: "that alone gets bodies behind a head that it holds",
    config: { allow_on_headers_stop_iteration: true },
    rootCount: 2,
  },
  {
    name: "in a listener of another direction",
    listener: { traffic_direction: "OUTBOUND" },
    rootCount: 1,
  },
  {
    name: "in a listener with other metadata",
    listener: { metadata: { filter_metadata: { a: { b: 1 } } } },
    rootCount: 1,
  },
];

interface RemoteCase {
  readonly name: string;
  /** Of the server, which answers `/good`, and `/late` the second time. */
  readonly path: string;
  readonly policy?: "FAIL_OPEN";
  readonly sha256?: string;
  readonly cluster?: string;
  /** 503; else what the route says, with or without the plug-in. */
  readonly expected: "runs" | "without" | "refused";
  /** Which servers were asked, in this order. */
  readonly asked: readonly ServerName[];
}

/** `second` is an endpoint of the cluster `two`, behind the first one. */
type ServerName = "first" | "second" | "http2" | "tls";

/** What `graylane envoy` says of the third case, in place of the file that is not there. */
const GIVEN_UP = new RegExp(
  "plug-in l2/0: the code of a plug-in cannot be had from http://code\\.test/gone/2: " +
    "\\S+ the server answered 404 \\(at the last of 2 attempts\\); requests .* get 503",
);
const FIRST = ["first"] as const;
const TWICE = ["first", "first"] as const;
const REMOTE_CASES: readonly RemoteCase[] = [
  { name: "code that is there", path: "/good", expected: "runs", asked: FIRST },
  { name: "code that is there the second time", path: "/late", expected: "runs", asked: TWICE },
  { name: "code that is not there", path: "/gone", expected: "refused", asked: TWICE },
  {
    ...{ name: "the same, failing open", path: "/gone", policy: "FAIL_OPEN" },
    ...{ expected: "without", asked: TWICE },
  },
  {
    ...{ name: "another digest", path: "/good", sha256: "a".repeat(64) },
    ...{ expected: "refused", asked: TWICE },
  },
  {
    ...{ name: "a cluster that is not there", path: "/good", cluster: "none" },
    ...{ expected: "refused", asked: [] },
  },
  {
    ...{ name: "one of two endpoints that has it", path: "/late", cluster: "two" },
    ...{ expected: "runs", asked: ["first", "second"] },
  },
  {
    ...{ name: "code by HTTP/2", path: "/good", cluster: "http2" },
    ...{ expected: "runs", asked: ["http2"] },
  },
  {
    ...{ name: "code by HTTP/2 over TLS", path: "/good", cluster: "tls" },
    ...{ expected: "runs", asked: ["tls"] },
  },
];

/** The same code with another digest: a section that means nothing is different. */
function codeOf(index: number): Uint8Array {
  return Buffer.concat([COUNTS, Buffer.from([0, 2, 1, 97 + index])]);
}

function staticCluster(name: string, ports: readonly number[], settings: object = {}): object {
  const lb_endpoints = ports.map((port) => ({ endpoint: { address: socketAddress(port) } }));
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints }] };
  return { name, connect_timeout: "5s", type: "STATIC", load_assignment, ...settings };
}

const HTTP2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};
const TLS_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const TLS = {
  transport_socket: {
    name: "tls",
    typed_config: {
      "@type": TLS_TYPE,
      sni: "a.test",
      common_tls_context: {
        validation_context: { trusted_ca: { inline_string: CA.certificate } },
      },
    },
  },
};

interface CodeServers {
  readonly ports: Readonly<Record<ServerName, number>>;
  /** By path, which servers were asked for it. */
  readonly asked: Map<string, ServerName[]>;
  readonly hosts: Set<string | undefined>;
  close(): void;
}

/** They have the code of each `/good`, and of each `/late` when it is asked for again. */
async function serveCode(): Promise<CodeServers> {
  const asked: CodeServers["asked"] = new Map();
  const hosts: CodeServers["hosts"] = new Set();
  const answering =
    (name: ServerName) =>
    (
      request: IncomingMessage | Http2ServerRequest,
      answer: ServerResponse | Http2ServerResponse,
    ): void => {
      const { url = "", headers } = request;
      const before = asked.get(url) ?? [];
      asked.set(url, [...before, name]);
      hosts.add(headers.host ?? String(headers[":authority"]));
      const isThere = url.startsWith("/good") || (url.startsWith("/late") && before.length > 0);
      answer.statusCode = isThere ? 200 : 404;
      answer.end(isThere ? codeOf(Number(url.at(-1))) : "no");
    };
  const credentials = { cert: A_TEST.certificate, key: A_TEST.privateKey };
  const servers: Readonly<Record<ServerName, Server>> = {
    first: createServer(answering("first")),
    second: createServer(answering("second")),
    http2: createHttp2Server(answering("http2")),
    tls: createSecureServer(credentials, answering("tls")),
  };
  const ports = { first: 0, second: 0, http2: 0, tls: 0 };
  for (const [name, server] of Object.entries(servers)) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports[name as ServerName] = (server.address() as AddressInfo).port;
  }
  const close = (): void => {
    for (const server of Object.values(servers)) server.close();
  };
  return { ports, asked, hosts, close };
}

interface RemoteFilterJson {
  readonly typed_config: { readonly config: { readonly vm_config: { code: object } } };
}

const binary = await findEnvoy();
const ENGINES = [
  {
    name: "graylane envoy",
    program: { binary: process.execPath, words: [COMMAND, "envoy"] },
    skip: false as string | false,
  },
  {
    name: "Envoy",
    program: { binary: binary.kind === "found" ? binary.path : "" },
    skip: binary.kind === "missing" ? binary.reason : false,
  },
];

interface FilterJson {
  readonly typed_config: { readonly config: object };
}

for (const { name: engine, program, skip } of ENGINES) {
  suite(`settings of a plug-in in ${engine}`, { skip, timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), "graylane-settings-"));
    let envoy: Envoy | null = null;
    after(async () => {
      await envoy?.stop();
      rmSync(folder, { recursive: true });
    });

    test("a plug-in that stops at the headers gets the body, and calls what it may", async () => {
      const path = join(folder, "guest.wasm");
      writeFileSync(path, GUEST);
      const ports: number[] = [];
      const listeners: object[] = [];
      for (const [index, { allowed }] of CASES.entries()) {
        const port = await freePort();
        ports.push(port);
        const filter = wasmFilter("p", path, "", `vm${index}`) as FilterJson;
        const named = (allowed ?? []).map((name) => [name, {}] as const);
        Object.assign(filter.typed_config.config, {
          allow_on_headers_stop_iteration: true,
          capability_restriction_config: { allowed_capabilities: Object.fromEntries(named) },
        });
        const routes = [{ match: { prefix: "/" }, direct_response: { status: 404 } }];
        listeners.push({ ...httpListener(port, [filter], routes), name: `l${index}` });
      }
      envoy = await Envoy.start({ ...program, staticResources: { listeners }, concurrency: 1 });
      for (const [index, { name, expected }] of CASES.entries()) {
        const origin = `http://127.0.0.1:${ports[index]}`;
        const { status, headers } = await ask(origin, { method: "POST", body: "body" });
        assert.equal(status, 200, name);
        const fields = ["x-set", "x-random", "x-seen"].map((field) => headers[field]);
        assert.deepEqual(fields, expected, name);
      }
      const isNamed = /restricted proxy-wasm capability: proxy_set_shared_data/;
      assert.match(envoy.log, isNamed);
      await envoy.stop();
    });

    test("two filters have one root context where Envoy gives them one", async () => {
      const path = join(folder, "counts.wasm");
      writeFileSync(path, COUNTS);
      const ports: number[] = [];
      const listeners: object[] = [];
      for (const [index, { config, listener, isBehind }] of PAIRS.entries()) {
        const first = wasmFilter("p", path, "", `vm${index}`) as FilterJson;
        const second = wasmFilter("p", path, "", `vm${index}`) as FilterJson;
        Object.assign(second.typed_config.config, config);
        const add = async (filters: readonly object[], place: object = {}): Promise<void> => {
          const port = await freePort();
          ports.push(port);
          const routes = [{ match: { prefix: "/" }, direct_response: { status: 404 } }];
          listeners.push({ ...httpListener(port, filters, routes), ...place, name: `l${port}` });
        };
        await add(isBehind === true ? [first, second] : [first]);
        await add([second], listener);
      }
      envoy = await Envoy.start({ ...program, staticResources: { listeners }, concurrency: 1 });
      for (const [index, { name, rootCount, isBehind }] of PAIRS.entries()) {
        const seen: string[] = [];
        for (const port of ports.slice(index * 2, index * 2 + 2)) {
          const { headers } = await ask(`http://127.0.0.1:${port}`, {});
          seen.push(...String(headers["x-seen"]).split(", "));
        }
        assert.equal(seen.length, isBehind === true ? 3 : 2, name);
        const counts = rootCount === 1 ? "bbb" : "ccc";
        for (const one of seen) assert.equal(one.slice(0, 3), counts, name);
        const roots = new Set(seen.map((one) => one[3]));
        if (isBehind !== true) assert.equal(roots.size, rootCount, `${name}: ${seen.join()}`);
      }
      await envoy.stop();
    });

    test("code is fetched, and the failure policy applies where it cannot be had", async () => {
      const servers = await serveCode();
      const ports: number[] = [];
      const listeners: object[] = [];
      for (const [index, { path, policy, sha256, cluster = "code" }] of REMOTE_CASES.entries()) {
        const filter = wasmFilter("p", "", "", `vm${index}`) as RemoteFilterJson;
        const { config } = filter.typed_config;
        Object.assign(config, policy === undefined ? {} : { failure_policy: policy });
        const uri = `http://code.test${path}/${index}`;
        config.vm_config.code = {
          remote: {
            http_uri: { uri, cluster, timeout: "5s" },
            sha256: sha256 ?? createHash("sha256").update(codeOf(index)).digest("hex"),
            retry_policy: { num_retries: 1, retry_back_off: { base_interval: "0.05s" } },
          },
        };
        const port = await freePort();
        ports.push(port);
        const routes = [{ match: { prefix: "/" }, direct_response: { status: 404 } }];
        listeners.push({ ...httpListener(port, [filter], routes), name: `l${index}` });
      }
      const { first, second, http2, tls } = servers.ports;
      const clusters = [
        staticCluster("code", [first]),
        staticCluster("two", [first, second], { lb_policy: "ROUND_ROBIN" }),
        staticCluster("http2", [http2], HTTP2),
        staticCluster("tls", [tls], { ...HTTP2, ...TLS }),
      ];
      const staticResources = { listeners, clusters };
      envoy = await Envoy.start({ ...program, staticResources, concurrency: 1 });
      for (const [index, { name, expected }] of REMOTE_CASES.entries()) {
        const { status, headers } = await ask(`http://127.0.0.1:${ports[index]}`, {});
        assert.equal(status, expected === "refused" ? 503 : 404, name);
        assert.equal(headers["x-seen"] !== undefined, expected === "runs", name);
      }
      for (const [index, { name, path, asked }] of REMOTE_CASES.entries()) {
        const seen = servers.asked.get(`${path}/${index}`) ?? [];
        // Which of the two takes the first turn is Envoy's to choose.
        assert.deepEqual([...seen].sort(), [...asked].sort(), name);
      }
      assert.deepEqual([...servers.hosts], ["code.test"]);
      if (engine !== "Envoy") assert.match(envoy.log, GIVEN_UP);
      assert.doesNotMatch(envoy.log, /ENOENT/);
      servers.close();
      await envoy.stop();
    });
  });
}
