//! Network (TCP) filters: real Envoy is the referee, as in conformance.test.ts. One probe sees each
//! connection in Envoy and in `graylane envoy -c`; its lines, and what the client gets, are compared.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { after, before, suite, test } from "node:test";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { endEach, stopAll } from "../support/ending.ts";
import { Envoy, findEnvoy, httpListener, socketAddress } from "../support/envoy.ts";
import type { EnvoyOptions } from "../support/envoy.ts";
import { COMMAND } from "../support/graylane.ts";
import { NODE } from "../support/conformance.ts";
import { envoyMetadata, withNotes } from "../support/metadata-hosts.ts";
import { manyStreams } from "../support/many-http2-streams.ts";
import { builtProbe } from "../support/probe.ts";
import { CASE, NETWORK_CASES } from "./probe/network-cases.ts";
import type { NetworkCase, Step } from "./probe/network-cases.ts";

const STEP_MS_MAX = 5_000;
/** For a filter to be shown what was sent; some are not shown it. */
const SHOWN_MS_MAX = 1_000;
const LINES_MS_MAX = 20_000;
/** Between steps, so that what is sent is likely to be read alone. */
const PAUSE_MS = 40;
/** How bytes are cut is a matter of timing: a case that differs is tried again. */
const TRIES_MAX = 4;
/** Fewer would mean that cases have been lost. */
const LINES_COMPARED_MIN = 800;
const HTTP_WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const NETWORK_WASM = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";
const TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

type ListenerName = NetworkCase["listener"];
const LISTENERS: readonly (ListenerName | "limited" | "http2" | "http1")[] = [
  ...(["proxy", "two", "http", "dead", "closed", "open"] as const),
  ...(["limited", "http2", "http1"] as const),
];
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** Of the listener `limited`; a client that sends more than buffers of the system take besides. */
const LIMIT_BYTES = 64 * 1024;
/** More than a stream's window, and few lines: we log no more than 1,000 of a plug-in a second. */
const LONG_BYTES = 384 * 1024;
const SENT_BYTES = 32 * 1024 * 1024;
/** The script behind those of the cases holds everything back. */
const HOLDING_NUMBER = NETWORK_CASES.length + 1;
/** The script behind that one looks at what HTTP/2 begins with. */
const HTTP2_NUMBER = NETWORK_CASES.length + 2;
const HTTP2_SCRIPT = [
  ...["nc get_property s:request%00protocol v", "dd1 get_buffer_bytes 2 0 24 v"],
  "dc get_property s:request%00protocol v",
];

interface Host {
  readonly name: string;
  readonly envoy: Envoy;
  readonly ports: Readonly<Record<string, number>>;
}

const binary = await findEnvoy();
const skip = binary.kind === "missing" ? binary.reason : false;
const engines: readonly (readonly [name: string, Pick<EnvoyOptions, "binary" | "words">])[] = [
  ["Envoy", { binary: binary.kind === "found" ? binary.path : "" }],
  ["here", { binary: process.execPath, words: [COMMAND, "envoy"] }],
];

/** Of the probe as a network filter, and as an HTTP filter. */
interface ProbePaths {
  readonly path: string;
  readonly httpPath: string;
}

function filter(path: string, tag: string, more: object = {}): object {
  const scripts = NETWORK_CASES.map(({ script }) => script.join(";"));
  const value = [tag, ...scripts, "dd return 1", HTTP2_SCRIPT.join(";")].join("|");
  const config = {
    ...{ name: "probe", root_id: "root", ...more },
    vm_config: {
      ...{ vm_id: `vm-${tag}`, runtime: "envoy.wasm.runtime.v8" },
      code: { local: { filename: path } },
    },
    configuration: { "@type": "x/google.protobuf.StringValue", value },
  };
  return { name: "probe", typed_config: { "@type": NETWORK_WASM, config } };
}

/** Behind HTTP: it does what requests say, and its lines begin as the network filter's. */
function httpFilter(path: string): object {
  const config = {
    ...{ name: "probe", root_id: "root" },
    vm_config: {
      ...{ vm_id: "vm-of-http", runtime: "envoy.wasm.runtime.v8" },
      code: { local: { filename: path } },
    },
    configuration: { "@type": "x/google.protobuf.StringValue", value: "tick nothing" },
  };
  return { name: "probe", typed_config: { "@type": HTTP_WASM, config } };
}

function proxy(cluster: string): object {
  return { name: "tcp", typed_config: { "@type": TCP_PROXY, stat_prefix: "tcp", cluster } };
}

function filtersOf(
  name: (typeof LISTENERS)[number],
  { path, httpPath }: ProbePaths,
  port: number,
): readonly object[] {
  switch (name) {
    case "two":
      return [filter(path, "one"), filter(path, "two"), proxy("echo")];
    case "dead":
      return [filter(path, "p"), proxy("dead")];
    case "closed":
      return [filter(path, "closed"), proxy("echo")];
    case "open":
      return [filter(path, "open", { failure_policy: "FAIL_OPEN" }), proxy("echo")];
    case "http1":
    case "http2":
    case "http": {
      const settings = name === "http" ? {} : { codec_type: name.toUpperCase() };
      const routes = [{ match: { prefix: "/" }, route: { cluster: "http" } }];
      const { filter_chains: chains } = httpListener(
        port,
        [httpFilter(httpPath)],
        routes,
        settings,
      ) as {
        readonly filter_chains: readonly { readonly filters: readonly object[] }[];
      };
      const { filters = [] } = chains[0] ?? {};
      return name === "http1" ? filters : [filter(path, "http"), ...filters];
    }
    default:
      return [filter(path, "p"), proxy("echo")];
  }
}

function cluster(name: string, port: number): object {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }];
  const assignment = { load_assignment: { cluster_name: name, endpoints } };
  return { ...withNotes({ name, type: "STATIC", ...assignment }), metadata: envoyMetadata(name) };
}

async function startHost(
  [name, program]: (typeof engines)[number],
  paths: ProbePaths,
  upstreams: Readonly<Record<string, number>>,
): Promise<Host> {
  const ports: Record<string, number> = {};
  const listeners: object[] = [];
  for (const listener of LISTENERS) {
    const port = (ports[listener] = await freePort());
    const filters = filtersOf(listener, paths, port);
    listeners.push({
      name: listener,
      address: socketAddress(port),
      ...(listener === "limited" && { per_connection_buffer_limit_bytes: LIMIT_BYTES }),
      ...{ traffic_direction: "INBOUND", metadata: envoyMetadata("listener") },
      filter_chains: [{ name: "chain", filters }],
    });
  }
  const clusters = Object.entries(upstreams).map(([each, port]) => cluster(each, port));
  const staticResources = { listeners, clusters };
  const options = { ...program, node: NODE, staticResources, componentLogLevel: "wasm:info" };
  return { name, ports, envoy: await Envoy.start(options) };
}

function startUpstream(): Server {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      if (chunk.toString() === "cut") socket.resetAndDestroy();
      else socket.write(chunk);
      if (chunk.toString() === "bye") void delay(systemClock, PAUSE_MS).then(() => socket.end());
    });
    socket.on("end", () => void delay(systemClock, PAUSE_MS).then(() => socket.end()));
  });
  return server;
}

interface Client {
  readonly port: number;
  /** The last number of its address, by which the probe knows its script. */
  readonly number: number;
  /** How often a filter has been shown bytes of this case. */
  readonly shownCount: () => number;
}

/** Drives one connection; returns what the client saw. */
async function drive(client: Client, steps: readonly Step[]): Promise<string> {
  const { port, number } = client;
  const socket = connect({
    ...{ port, host: "127.0.0.1", localAddress: `127.0.1.${number}`, noDelay: true },
    allowHalfOpen: true,
  });
  const seen = { text: "", end: "open" };
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => (seen.text += text));
  socket.on("end", () => (seen.end = "ended"));
  socket.on("error", () => (seen.end = "reset"));
  await once(socket, "connect").catch(() => undefined);
  for (const step of steps) {
    const shownBefore = client.shownCount();
    await take(socket, withCase(step, number), seen);
    // Else a busy machine reads it together with the next.
    if ("send" in step && step.send !== "") {
      await until(() => client.shownCount() > shownBefore, SHOWN_MS_MAX);
    }
  }
  await delay(systemClock, PAUSE_MS);
  socket.destroy();
  return `${seen.end} ${comparable(seen.text)}`;
}

/** Requests say by the number of the case which lines are theirs. */
function withCase(step: Step, number: number): Step {
  return "send" in step ? { send: step.send.replaceAll(CASE, String(number)) } : step;
}

async function take(
  socket: Socket,
  step: Step,
  seen: { readonly text: string; readonly end: string },
): Promise<void> {
  await delay(systemClock, PAUSE_MS);
  if ("send" in step) socket.write(step.send);
  else if ("end" in step) socket.end();
  else if ("reset" in step) socket.resetAndDestroy();
  else {
    const isThere = (): boolean =>
      "await" in step ? seen.text.length >= step.await : seen.end !== "open";
    await until(isThere, STEP_MS_MAX);
  }
}

/** Until it is so, or so long. */
async function until(isSo: () => boolean, msMax: number): Promise<void> {
  const endMs = systemClock.monotonicMs() + msMax;
  while (!isSo() && systemClock.monotonicMs() < endMs) await delay(systemClock, 5);
}

/** Of HTTP only the status: fields differ, and with them sizes. */
function comparable(text: string): string {
  if (!text.startsWith("HTTP/")) return JSON.stringify(text);
  return (text.match(/HTTP\/1\.1 \d+/g) ?? []).join();
}

suite("network filters in Envoy and here", { skip, timeout: 600_000 }, () => {
  const hosts: Host[] = [];
  const upstream = startUpstream();
  const http = createHttpServer((request, response) => {
    if (request.method === "POST") request.pipe(response);
    else response.end("x".repeat(100));
  });
  let comparedCount = 0;

  before(async () => {
    const paths = { path: await builtProbe("network"), httpPath: await builtProbe() };
    for (const server of [upstream, http]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    const portOf = (server: Server): number => (server.address() as AddressInfo).port;
    const upstreams = { echo: portOf(upstream), http: portOf(http), dead: await freePort() };
    for (const engine of engines) hosts.push(await startHost(engine, paths, upstreams));
  });
  after(() =>
    endEach(
      () => stopAll(hosts.map(({ envoy }) => envoy)),
      () => {
        http.closeAllConnections();
        http.close();
        upstream.close();
      },
    ),
  );

  /** The lines of the connections so far of one case. */
  function linesOf({ envoy }: Host, number: number): string[] {
    const said = new RegExp(`\\bwasm log(?: [^:]*)?: ${number} (.*)$`, "gm");
    return [...envoy.log.matchAll(said)].map(([, line = ""]) => line);
  }

  async function observe(host: Host, number: number, probe: NetworkCase): Promise<string[]> {
    const count = linesOf(host, number).length;
    const lines = (): string[] => linesOf(host, number).slice(count);
    const shownCount = (): number => lines().filter((line) => SHOWN.test(line)).length;
    const port = host.ports[probe.listener] ?? 0;
    const reply = await drive({ port, number, shownCount }, probe.steps);
    // A VM that has trapped says no more.
    const isSilent = isTrapped(probe);
    const wanted = probe.listener === "two" ? 2 : 1;
    const ended = (): number => lines().filter((line) => line.endsWith(" delete")).length;
    await until(() => ended() >= wanted, isSilent ? PAUSE_MS : LINES_MS_MAX);
    const own = withoutIds(lines()).map((line) => withoutOwn(line, host, probe));
    // Where requests have a script, their filter sees the same bytes, before it or after it.
    const isScripted = own.some((line) => line.startsWith("rh "));
    const isTold = (at: number): boolean => !isScripted && own.indexOf(PIECE) === at;
    return [`client: ${reply}`, ...own.filter((line, at) => line !== PIECE || isTold(at))];
  }

  test("what a filter holds back is bounded, and then the client is not read on", async () => {
    for (const host of hosts) {
      const socket = connect({
        ...{ port: host.ports["limited"] ?? 0, host: "127.0.0.1" },
        localAddress: `127.0.1.${HOLDING_NUMBER}`,
      });
      socket.on("error", () => undefined);
      socket.write(Buffer.alloc(SENT_BYTES));
      const sizes = (): number[] =>
        linesOf(host, HOLDING_NUMBER).flatMap((line) =>
          Number(/ dd size=(\d+)/.exec(line)?.[1] ?? 0),
        );
      await until(() => Math.max(0, ...sizes()) >= LIMIT_BYTES, LINES_MS_MAX);
      await delay(systemClock, PAUSE_MS);
      const most = Math.max(0, ...sizes());
      assert.ok(most >= LIMIT_BYTES && most <= LIMIT_BYTES * 2, `${host.name}: ${most}`);
      assert.ok(socket.writableLength > 0, `${host.name} has read everything`);
      socket.destroy();
    }
  });

  for (const listener of ["http", "http2"]) {
    test(`HTTP/2 behind a filter: ${listener}`, async () => {
      const bodies = [Buffer.alloc(0), Buffer.from("some"), Buffer.alloc(LONG_BYTES, "x")];
      const seen: object[] = [];
      for (const host of hosts) {
        const count = linesOf(host, HTTP2_NUMBER).length;
        const where = {
          port: host.ports[listener] ?? 0,
          localAddress: `127.0.1.${HTTP2_NUMBER}`,
        };
        const answers = await manyStreams(where, bodies);
        const lines = (): string[] => linesOf(host, HTTP2_NUMBER).slice(count);
        await until(() => lines().some((line) => line.endsWith(" delete")), LINES_MS_MAX);
        const told = withoutIds(lines()).filter(
          (line) => !/ [du]d size=/.test(line) && line !== PIECE,
        );
        seen.push({ answers, told });
        assert.doesNotMatch(host.envoy.log, /lines more than/, "lines are missing");
      }
      const [wanted, got] = seen;
      assert.deepEqual(got, wanted);
      assert.deepEqual(Reflect.get(got ?? {}, "answers"), Array(3).fill("200 the same"));
    });
  }

  test("where only HTTP/1.1 is spoken a client of HTTP/2 is told so", async () => {
    const ask = async ({ ports }: Host, text: string): Promise<string> => {
      const client = { port: ports["http1"] ?? 0, number: HTTP2_NUMBER, shownCount: () => 1 };
      const reply = await drive(client, [{ send: text }, { await: 20 }]);
      return reply.replace(/^\w+ /, "");
    };
    for (const host of hosts) {
      assert.equal(await ask(host, PREFACE), "HTTP/1.1 400", host.name);
      assert.equal(await ask(host, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"), "HTTP/1.1 200", host.name);
    }
  });

  test("where only HTTP/2 is spoken a client of HTTP/1.1 is sent away", async () => {
    for (const host of hosts) {
      const client = { port: host.ports["http2"] ?? 0, number: HTTP2_NUMBER, shownCount: () => 1 };
      const reply = await drive(client, [
        { send: "GET / HTTP/1.1\r\nhost: a\r\n\r\n" },
        { awaitEnd: true },
      ]);
      assert.match(reply, /^(ended|reset) "/, `${host.name}: ${reply}`);
      assert.doesNotMatch(reply, /HTTP\/1/);
    }
  });

  for (const [index, probe] of NETWORK_CASES.entries()) {
    test(probe.covers, async () => {
      const number = index + 1;
      for (let attempt = 1; ; attempt++) {
        const seen: string[][] = [];
        for (const host of hosts) seen.push(await observe(host, number, probe));
        const [wanted = [], got = []] = seen;
        const { clientHere } = probe;
        if (clientHere !== undefined) {
          assert.notEqual(wanted[0], `client: ${clientHere}`, "the difference is one");
          wanted[0] = `client: ${clientHere}`;
        }
        const mayRetry = attempt < TRIES_MAX && !isTrapped(probe);
        if (mayRetry && JSON.stringify(wanted) !== JSON.stringify(got)) continue;
        assert.deepEqual(got, wanted);
        comparedCount += wanted.length;
        return;
      }
    });
  }

  test("enough was compared", (context) => {
    context.diagnostic(`${comparedCount} lines compared`);
    assert.ok(comparedCount >= LINES_COMPARED_MIN, `only ${comparedCount} lines were compared`);
  });
});

/** Its VM is gone then: a second try would not be the same. */
function isTrapped({ listener }: NetworkCase): boolean {
  return listener === "closed" || listener === "open";
}

/** A filter was shown bytes of the client. */
const SHOWN = / dd size=/;

/** The number of the connection is each gateway's own, and one for all that see the connection. */
function withoutIds(lines: readonly string[]): readonly string[] {
  const ids = lines.map((line) => / s:connection(?:%00|_)id v = 0 (0x\w{16})$/.exec(line)?.[1]);
  const [first] = ids.filter((id) => id !== undefined);
  return first === undefined ? lines : lines.map((line) => line.replace(first, "ID"));
}

/** How a response is cut into writes is each gateway's own. */
const PIECE = "http ud";

/** Ports differ, and how long a head of HTTP is. */
function withoutOwn(line: string, { ports }: Host, { listener }: NetworkCase): string {
  const port = ports[listener] ?? 0;
  const hex = Buffer.alloc(8);
  hex.writeBigUInt64LE(BigInt(port));
  const text = line.replace(`:${port}`, ":PORT").replace(`0x${hex.toString("hex")}`, "PORT");
  return listener === "http" ? text.replace(/^http ud size=.*/, PIECE) : text;
}
