//! The same plug-in by several SDKs and compilers (test/components/plugins) in real Envoy and in
//! `graylane envoy`, with one bootstrap: what upstream and client get is the same, byte by byte,
//! with bodies, trailers, calls out and metrics.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { Envoy, findEnvoy, httpListener, socketAddress, wasmFilter } from "../support/envoy.ts";
import type { EnvoyOptions } from "../support/envoy.ts";
import { COMMAND } from "../support/graylane.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const LANGUAGES = ["go", "rust", "assemblyscript", "c"] as const;
const TOKEN = "token-of-the-service";
const UNTIL_MS_MAX = 60_000;
const TRAILERS = { http_protocol_options: { enable_trailers: true } };

interface Ask {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly string[];
  readonly trailers?: Readonly<Record<string, string>>;
}

const ASKS: readonly Ask[] = [
  {
    name: "headers",
    method: "GET",
    path: "/a?b=c",
    headers: { "x-user": "jack", "x-secret": "s" },
  },
  { name: "a local reply", method: "GET", path: "/reply" },
  { name: "a short body", method: "POST", path: "/b", body: ["abc"] },
  { name: "a body in pieces", method: "PUT", path: "/c", body: ["one ", "two ", "three"] },
  { name: "a body of 200 KiB", method: "POST", path: "/d", body: ["x".repeat(200 * 1024)] },
  {
    name: "a body with trailers",
    method: "POST",
    path: "/e",
    body: ["with ", "trailers"],
    trailers: { "x-sum": "42" },
  },
];

interface Seen {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: Readonly<Record<string, string | undefined>>;
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Tells in its answer what reached it; at /token it gives one. */
async function startUpstream(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((incoming, response) => {
    if (incoming.url === "/token") {
      response.end(TOKEN);
      return;
    }
    void bodyOf(incoming).then((body) => {
      const { method, url, trailers } = incoming;
      // A replaced field keeps its place here, and goes to the end in Envoy: in order of names.
      const names = Object.keys(incoming.headers).filter((name) =>
        /^x-(sdk|user|secret)/.test(name),
      );
      const headers = Object.fromEntries(
        names.sort().map((name) => [name, incoming.headers[name]]),
      );
      response.setHeader("trailer", "x-end");
      response.write(JSON.stringify({ method, url, headers, body, trailers }));
      response.addTrailers({ "x-end": "of the upstream" });
      response.end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { server, port: (server.address() as AddressInfo).port };
}

async function send(port: number, { method, path, headers, body, trailers }: Ask): Promise<Seen> {
  const outgoing = request({ port, host: "127.0.0.1", method, path, headers: headers ?? {} });
  outgoing.setHeader("te", "trailers");
  for (const chunk of body ?? []) outgoing.write(chunk);
  if (trailers !== undefined) outgoing.addTrailers(trailers);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve).once("error", reject);
  });
  outgoing.end();
  const incoming = await answered;
  const text = await bodyOf(incoming);
  const { statusCode = 0, headers: received, trailers: last } = incoming;
  return { status: statusCode, headers: received, body: text, trailers: last };
}

/** Without what no two runs share; how many ticks there were is any number. */
function comparable(seen: Seen): Seen {
  const ignored = ["date", "server", "x-envoy-upstream-service-time"];
  const headers = Object.entries(seen.headers)
    .filter(([name]) => !ignored.includes(name))
    .map(([name, value]) => [name, name === "x-ticks" ? "any" : value] as const);
  return { ...seen, headers: Object.fromEntries(headers) };
}

function cluster(name: string, port: number): object {
  const endpoint = { endpoint: { address: socketAddress(port) } };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    name,
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    typed_extension_protocol_options: {
      [options]: {
        "@type": `type.googleapis.com/${options}`,
        explicit_http_config: TRAILERS,
      },
    },
  };
}

/** A listener for each language, with the plug-in's module as its compiler made it. */
function bootstrapOf(
  ports: ReadonlyMap<string, number>,
  modules: ReadonlyMap<string, string>,
  upstreamPort: number,
): object {
  const listeners = [...ports].map(([language, port]) => {
    const configuration = JSON.stringify({ language, cluster: "tokens" });
    // They count under the same names: each has data of its own.
    const filter = wasmFilter(language, modules.get(language) ?? "", configuration, language);
    const route = { match: { prefix: "/" }, route: { cluster: "service" } };
    const listener = httpListener(port, [filter], [route], TRAILERS);
    return { ...listener, name: language };
  });
  const clusters = [cluster("service", upstreamPort), cluster("tokens", upstreamPort)];
  return { listeners, clusters };
}

interface Engine {
  readonly name: string;
  readonly program: Pick<EnvoyOptions, "binary" | "words">;
  /** Of its bootstrap. */
  readonly settings: object;
}

interface Story {
  readonly answers: readonly Seen[];
  /** Of the plug-in's counter, gauge and histogram. */
  readonly metrics: readonly string[];
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + UNTIL_MS_MAX;
  while (!(await isSo())) {
    assert.ok(systemClock.monotonicMs() < endMs, what);
    await delay(systemClock, 20);
  }
}

async function storyOf(port: number, language: string, adminPort: number): Promise<Story> {
  const idle: Ask = { name: "", method: "GET", path: "/" };
  let waited = 0;
  await until(`${language}: no token`, async () => {
    waited++;
    return (await send(port, idle)).headers["x-token"] === TOKEN;
  });
  const answers: Seen[] = [];
  for (const ask of ASKS) answers.push(comparable(await send(port, ask)));
  await until(`${language}: a request is not logged`, async () => {
    const lines = await metricsOf(adminPort, "/stats", language);
    return lines.includes(`wasmcustom.sdk_${language}_active: 0`);
  });
  const stats = await metricsOf(adminPort, "/stats", language);
  const exposed = await metricsOf(adminPort, "/stats/prometheus", language);
  return {
    answers: answers.map((seen) => withoutCount(seen, waited)),
    // The text form of a histogram is percentiles in Envoy, and count and sum here.
    metrics: [...stats.filter((line) => !line.includes("_sizes")), ...exposed].map((line) =>
      line.replace(COUNTED, (_, start: string, count) => `${start}${Number(count) - waited}`),
    ),
  };
}

/** What counts requests: also those that waited for the token, and had no body. */
const COUNTED = /(_requests:? |_sizes_(?:bucket|count)(?:\{.*\})? )(\d+)$/;

async function metricsOf(adminPort: number, path: string, language: string): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}${path}?filter=sdk_${language}_`);
  const lines = (await answer.text()).split("\n").map((line) => line.replace("{} ", " "));
  // A sum is Envoy's guess from the buckets of its own.
  const isCompared = (line: string): boolean =>
    line.includes(`sdk_${language}_`) && !/^# HELP|_sum /.test(line);
  return lines.filter(isCompared).sort();
}

function withoutCount(seen: Seen, waited: number): Seen {
  const body = seen.body.replace(
    /"x-sdk-count":"(\d+)"/,
    (_, count) => `"x-sdk-count":"${Number(count) - waited}"`,
  );
  return { ...seen, body };
}

const binary = await findEnvoy();
const built = new Map(LANGUAGES.map((language) => [language as string, sdkPlugin(language)]));
const missing = [...built.values()].flatMap((one) => (one.kind === "missing" ? one.reason : []));
if (binary.kind === "missing") missing.push(binary.reason);

suite("one plug-in of four compilers", { skip: missing[0] ?? false, timeout: 300_000 }, () => {
  const stories = new Map<string, Story>();
  let upstream: Server;

  before(async () => {
    const { server, port } = await startUpstream();
    upstream = server;
    assert.ok(binary.kind === "found");
    const engines: readonly Engine[] = [
      {
        name: "Envoy",
        program: { binary: binary.path },
        // Else its histograms are empty for five seconds.
        settings: { stats_flush_on_admin: true },
      },
      {
        name: "ours",
        program: { binary: process.execPath, words: [COMMAND, "envoy"] },
        settings: {},
      },
    ];
    const modules = new Map(
      [...built].map(([language, one]) => [language, one.kind === "built" ? one.path : ""]),
    );
    for (const { name, program, settings } of engines) {
      const ports = new Map<string, number>();
      for (const language of LANGUAGES) ports.set(language, await freePort());
      const staticResources = bootstrapOf(ports, modules, port);
      const bootstrap = (adminPort: number): object => ({
        admin: { address: socketAddress(adminPort) },
        static_resources: staticResources,
        ...settings,
      });
      const envoy = await Envoy.start({ ...program, bootstrap, concurrency: 1 });
      try {
        for (const [language, listener] of ports) {
          stories.set(`${name} ${language}`, await storyOf(listener, language, envoy.adminPort));
        }
      } finally {
        await envoy.stop();
      }
    }
  });
  after(() => {
    upstream.closeAllConnections();
    upstream.close();
  });

  for (const language of LANGUAGES) {
    for (const [index, { name }] of ASKS.entries()) {
      test(`${language}: ${name} is the same to upstream and client as in Envoy`, () => {
        const ours = stories.get(`ours ${language}`)?.answers[index];
        assert.ok(ours !== undefined);
        assert.deepEqual(ours, stories.get(`Envoy ${language}`)?.answers[index]);
        assert.equal(ours.headers["x-sdk"], language);
        assert.equal(ours.headers["x-token"], TOKEN);
      });
    }

    test(`${language}: counter, gauge and histogram are as in Envoy`, () => {
      const ours = stories.get(`ours ${language}`)?.metrics;
      assert.deepEqual(ours, stories.get(`Envoy ${language}`)?.metrics);
      assert.equal(ours?.includes(`wasmcustom.sdk_${language}_requests: ${ASKS.length}`), true);
    });
  }
});
