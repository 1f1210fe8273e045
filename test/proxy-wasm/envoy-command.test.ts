//! One bootstrap in real Envoy and in `graylane envoy -c`: the same answers, byte for byte where
//! the bytes are the proxy's own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { resolve } from "node:path";
import { after, before, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST, CA } from "../../src/dataplane/testing/certificates.ts";
import { stopAll } from "../support/ending.ts";
import { Envoy, findEnvoy, httpListener, socketAddress, wasmFilter } from "../support/envoy.ts";
import type { EnvoyOptions } from "../support/envoy.ts";
import { askAt } from "../support/envoy-fleet.ts";
import { ask, COMMAND } from "../support/graylane.ts";
import type { Answer, Question } from "../support/graylane.ts";
import { builtPlugin } from "../support/plugin.ts";

const USERS = ["jason", "bob", "stacy", "jessie", "vance", "jack", "", "4711"];
const POLICIES = [
  { range: 30, tagValue: "s1" },
  { range: 70, tagValue: "s2" },
];
const TAGGING = {
  rules: [{ header: "x-user-id", modulo: 100, tagHeader: "x-tag", policies: POLICIES }],
};
/** Of an answer: what a proxy decides, without what names or times it. */
const COMPARED = [
  ...["content-type", "content-length", "location", "server", "x-said", "x-tagged", "x-host"],
];
/** Of the second listener: hosts, and the name of the virtual host that takes each. */
const HOSTS = [
  ["a-canary", "canary"],
  ["A.B-CANARY", "canary"],
  ["-canary", "rest"],
  ["web.test", "web"],
  ["web.", "rest"],
  ["web.a.b-canary", "canary"],
  ["whole.test", "whole"],
  ["other", "rest"],
] as const;

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;
const engines: readonly (readonly [name: string, Pick<EnvoyOptions, "binary" | "words">])[] = [
  ["Envoy", { binary: binary.kind === "found" ? binary.path : "" }],
  ["graylane envoy", { binary: process.execPath, words: [COMMAND, "envoy"] }],
];

function listener(port: number, configuration: object): object {
  const filter = wasmFilter(
    "tagging",
    resolve(builtPlugin("hash-tagging")),
    JSON.stringify(configuration),
  );
  const tagged = (value: string): object => ({ name: "x-tag", string_match: { exact: value } });
  const header = { key: "x-tagged", value: "yes" };
  return httpListener(
    port,
    [filter],
    [
      ...["tls", "stranger", "h2"].map((name) => ({
        match: { prefix: `/${name}` },
        route: { cluster: name },
      })),
      { match: { path: "/moved" }, redirect: { path_redirect: "/new", response_code: "FOUND" } },
      {
        match: { prefix: "/", headers: [tagged("s1")] },
        route: { cluster: "echo", prefix_rewrite: "/s1/" },
        response_headers_to_add: [{ header }],
      },
      {
        match: { prefix: "/", headers: [tagged("s2")] },
        direct_response: { status: 418, body: { inline_string: "s2 has tea" } },
      },
      { match: { prefix: "/echo" }, route: { cluster: "echo" } },
    ],
    { hostFields: { response_headers_to_add: [{ header: { key: "x-host", value: "all" } }] } },
  );
}

/** At an address of its own, with every form of a domain; it answers with the host's name. */
function secondListener(port: number): object {
  const hosts = { canary: "*-canary", web: "web.*", whole: "whole.test", rest: "*" };
  const header = { key: "x-host", value: "table" };
  const manager = "envoy.extensions.filters.network.http_connection_manager.v3";
  const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  const typed_config = {
    "@type": `type.googleapis.com/${manager}.HttpConnectionManager`,
    ...{ stat_prefix: "second", server_name: "second" },
    // One in place of a list: Envoy reads that so, and files have it.
    http_filters: { name: "router", typed_config: { "@type": router } },
    route_config: {
      response_headers_to_add: { header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
      virtual_hosts: Object.entries(hosts).map(([name, domains]) => ({
        ...{ name, domains },
        routes: {
          match: { prefix: "/" },
          direct_response: { status: 200, body: { inline_string: name } },
          response_headers_to_add: { header: { key: "x-host", value: "route" } },
        },
      })),
    },
  };
  const address = { socket_address: { address: "127.0.0.2", port_value: port } };
  return { name: "second", address, filter_chains: { filters: { name: "http", typed_config } } };
}

function cluster(name: string, port: number, settings: object = {}): object {
  const endpoint = { address: socketAddress(port) };
  const endpoints = [{ lb_endpoints: [{ endpoint }] }];
  const load_assignment = { cluster_name: name, endpoints };
  return { name, type: "STATIC", connect_timeout: "5s", load_assignment, ...settings };
}

function tlsTo(sni: string): object {
  const type = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  // Envoy looks at the name only when it is asked to, Graylane always.
  const match_typed_subject_alt_names = [{ san_type: "DNS", matcher: { exact: sni } }];
  const trusted_ca = { inline_string: CA.certificate };
  const validation_context = { trusted_ca, match_typed_subject_alt_names };
  const typed_config = { "@type": `x/${type}`, sni, common_tls_context: { validation_context } };
  return { transport_socket: { name: "tls", typed_config } };
}

const HTTP2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "x/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

/** Of a 404 or 503 only that: ours says why. */
function seen({ status, headers, body }: Answer, port: number): object {
  if (status === 404 || status === 503) return { status };
  return {
    status,
    headers: COMPARED.map((name) => String(headers[name]).replace(`:${port}`, "")),
    body,
  };
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  const { method, url } = request;
  response.setHeader("x-said", `${method} ${url} ${String(request.headers["x-tag"])}`);
  request.pipe(response);
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

suite("a bootstrap in Envoy and in graylane envoy", { skip, timeout: 240_000 }, () => {
  const upstream = createServer(echo);
  const secure = createSecureServer({ cert: A_TEST.certificate, key: A_TEST.privateKey }, echo);
  const http2 = createHttp2Server((request, response) => {
    response.setHeader("x-said", `HTTP/${request.httpVersion} ${request.url}`);
    response.end();
  });
  const running: { readonly name: string; readonly port: number; readonly envoy: Envoy }[] = [];
  const seconds: number[] = [];

  before(async () => {
    const [upstreamPort, securePort, http2Port] = await Promise.all([
      portOf(upstream),
      portOf(secure),
      portOf(http2),
    ]);
    for (const [name, program] of engines) {
      const [port, secondPort] = [await freePort(), await freePort()];
      seconds.push(secondPort);
      const staticResources = {
        listeners: [listener(port, TAGGING), secondListener(secondPort)],
        clusters: [
          cluster("echo", upstreamPort),
          cluster("tls", securePort, tlsTo("a.test")),
          cluster("stranger", securePort, tlsTo("b.test")),
          cluster("h2", http2Port, HTTP2),
        ],
      };
      const envoy = await Envoy.start({ ...program, staticResources, concurrency: 1 });
      running.push({ name, port, envoy });
    }
  });
  after(async () => {
    await stopAll(running.map(({ envoy }) => envoy));
    for (const server of [upstream, secure]) {
      server.closeAllConnections();
      server.close();
    }
    http2.close();
  });

  async function both(question: Question): Promise<readonly object[]> {
    return Promise.all(
      running.map(async ({ port }) => seen(await ask(`http://127.0.0.1:${port}`, question), port)),
    );
  }

  test("each user has the same tag, route and answer", async () => {
    const statuses = new Set<number>();
    for (const user of USERS) {
      for (const path of ["/a?b=c", "/echo/x", "/moved"]) {
        const headers = [["x-user-id", user]] as const;
        const [envoys, ours] = await both({ path, method: "POST", headers, body: user });
        assert.deepEqual(ours, envoys, `${user} at ${path}`);
        statuses.add((ours as { status: number }).status);
      }
    }
    // Else the users would not have met every route.
    assert.deepEqual([...statuses].sort(), [200, 302, 404, 418]);
  });

  for (const [host, name] of HOSTS) {
    test(`at another address ${host} is a host of ${name}`, async () => {
      const [envoys, ours] = await Promise.all(
        seconds.map(async (port) => {
          const question = { address: "127.0.0.2", port, host, path: "/", headers: [] };
          return seen(await askAt(question), port);
        }),
      );
      assert.deepEqual(ours, envoys);
      assert.equal((ours as { body: string }).body, name);
    });
  }

  const UPSTREAMS = [
    {
      name: "in TLS, whose certificate is for its name",
      path: "/tls",
      status: 200,
      said: "POST /tls",
    },
    { name: "in TLS, whose certificate is for another name", path: "/stranger", status: 503 },
    { name: "of HTTP/2", path: "/h2", status: 200, said: "HTTP/2.0 /h2" },
  ];

  for (const { name, path, status, said } of UPSTREAMS) {
    test(`an upstream ${name}, answers ${status}`, async () => {
      const [envoys, ours] = await both({ path, method: "POST", body: "b" });
      assert.deepEqual(ours, envoys);
      assert.equal((ours as { status: number }).status, status);
      if (said !== undefined) assert.ok(JSON.stringify(ours).includes(said), JSON.stringify(ours));
    });
  }

  test("both say on their admin port what they serve", async () => {
    const listening = (port: number, index: number): string =>
      `test::127.0.0.1:${port}\nsecond::127.0.0.2:${seconds[index]}\n`;
    for (const [index, { name, port, envoy }] of running.entries()) {
      const page = async (path: string): Promise<string> =>
        (await ask(`http://127.0.0.1:${envoy.adminPort}`, { path })).body;
      assert.equal(await page("/ready"), "LIVE\n", name);
      assert.equal(await page("/listeners"), listening(port, index), name);
      assert.match(await page("/clusters"), /^echo::127\.0\.0\.1:\d+::weight::1$/m, name);
      assert.match(await page("/server_info"), /"state": ?"LIVE"/, name);
      const stats = await page("/stats?filter=^cluster.echo.upstream_rq_2xx$");
      assert.match(stats, /^cluster\.echo\.upstream_rq_2xx: [1-9]/, name);
    }
  });
});

test("both refuse what the plug-in refuses, with its words", { skip }, async () => {
  for (const [name, program] of engines) {
    const listeners = [listener(await freePort(), { rules: [{}] })];
    const clusters = ["echo", "tls", "stranger", "h2"].map((each) => cluster(each, 1));
    await assert.rejects(
      Envoy.start({ ...program, staticResources: { listeners, clusters } }),
      /refused to start[^]*rules\[0\]\.policies is missing/,
      name,
    );
  }
});
