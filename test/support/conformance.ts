//! Drives one plug-in with the same requests in real Envoy and in our gateway, and gathers what it
//! logs in each.

import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { trafficContext } from "../../src/dataplane/testing/harness.ts";
import { Preparer } from "../../src/dataplane/runtime/prepare.ts";
import { GatewayRole } from "../../src/dataplane/worker/gateway-role.ts";
import { PluginCalls } from "../../src/dataplane/worker/plugin-calls.ts";
import { PluginClusters } from "../../src/dataplane/worker/plugin-clusters.ts";
import { PluginRedis } from "../../src/dataplane/worker/plugin-redis.ts";
import { pluginServices } from "../../src/dataplane/worker/plugin-services.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import type { GuestProbe } from "../../src/wasm/guest-probe.ts";
import { Envoy, httpListener, socketAddress } from "./envoy.ts";

/** As both hosts call the cluster behind the gateway, and where plug-ins call out to. */
export const CLUSTER = "outbound|8000||echo.default.svc.cluster.local";
/**
 * Of servers of gRPC: the first answers, behind the second nobody listens. Envoy sends the name as
 * the authority, and servers refuse one with `|`.
 */
export const GRPC_CLUSTER = "grpc-server";
export const GRPC_DEAD_CLUSTER = "grpc-dead";
export const REPLY_MS_MAX = 3_000;
/** Between chunks, so that each is likely to be read alone. */
export const CHUNK_PAUSE_MS = 30;

export interface ProbeCase {
  /** Without blanks: it is the first word of the lines it gives. */
  readonly name: string;
  /** `phase function arguments`, see the probe's source. */
  readonly script: readonly string[];
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
  /** Sent as chunks, each when the one before has had time to arrive. */
  readonly chunks?: readonly string[];
  /** Sent with a length instead. */
  readonly body?: string;
  readonly trailers?: readonly (readonly [string, string])[];
  /** A callback may come within a call or after it. */
  readonly anyOrder?: true;
  /** This line may come anywhere among the others; all others keep their order. */
  readonly anyPlace?: string;
  /** Sent on the same connection, one after the other, each when the one before is answered. */
  readonly later?: readonly Pick<ProbeCase, "script">[];
}

export interface Host {
  readonly port: number;
  /** Every line that the plug-in has logged so far. */
  lines(): string[];
  /** Of Envoy: all that it has said. */
  readonly log?: () => string;
  stop(): Promise<void>;
}

/** What a test may change of Envoy's configuration, all as Envoy's JSON. */
export interface EnvoyResources {
  readonly routes: readonly object[];
  readonly clusters: readonly object[];
  /** Further fields of the listener, and of its filter chain. */
  readonly fields: object;
  readonly chainFields: object;
  /** Of its one virtual host. */
  readonly hostFields: object;
}

export interface ProbePlugin {
  readonly path: string;
  readonly configuration: string;
}

/** Echoes what it got; `/trailers` ends with trailers, `/chunks` has three chunks. */
export async function startEcho(): Promise<{ readonly port: number; stop(): void }> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("latin1");
      const trailers = Object.entries(request.trailers).map(([name, value]) => `${name}=${value}`);
      const length = request.headers["content-length"] ?? "none";
      response.setHeader("x-echo", "1");
      response.setHeader("x-got-length", length);
      if (request.url === "/status/204") {
        response.writeHead(204).end();
      } else if (request.url === "/chunks") {
        response.write("one-");
        setImmediate(() => {
          response.write("two-");
          setImmediate(() => response.end("three"));
        });
      } else if (request.url === "/trailers") {
        response.setHeader("trailer", "x-end");
        response.write("body");
        response.addTrailers({ "x-end": "yes" });
        response.end();
      } else {
        const text = `${request.method ?? ""} ${request.url ?? ""} [${body}] ${trailers.join(",")}`;
        response.setHeader("content-length", Buffer.byteLength(text));
        response.end(text);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Where the upstreams of both hosts listen. */
export interface UpstreamPorts {
  readonly echo: number;
  readonly grpc: number;
  /** Nobody listens there. */
  readonly dead: number;
}

export async function startOurHost(
  plugin: ProbePlugin,
  ports: UpstreamPorts,
  change: (snapshot: Snapshot) => Snapshot = (snapshot) => snapshot,
  probe?: GuestProbe,
): Promise<Host> {
  const port = await freePort();
  const lines: string[] = [];
  const context = { ...trafficContext(), node: OWN_NODE };
  const clusters = new PluginClusters(context.prng);
  const calls = new PluginCalls(context, clusters);
  const redis = new PluginRedis({ ...context, logger: silentLogger }, clusters);
  const plugins = {
    ...pluginServices(systemClock, silentLogger, { out: { calls, redis }, node: OWN_NODE }),
    log: ({ message }: { readonly message: string }) => lines.push(message),
    ...(probe === undefined ? {} : { probe }),
    // What is compared is what is answered, not how fast: the machine may be busy.
    budgets: { startMs: 30_000, callbackMs: 10_000 },
  };
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": port },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  const sha256 = createHash("sha256").update(readFileSync(plugin.path)).digest("hex");
  const echo = cluster("echo");
  const grpc = { ...cluster("grpc"), name: GRPC_CLUSTER };
  const dead = { ...cluster("dead"), name: GRPC_DEAD_CLUSTER };
  const snapshot = gatewaySnapshot(80, [forwardRoute(echo.name)], {
    clusters: { [echo.name]: echo, [grpc.name]: grpc, [dead.name]: dead },
    endpoints: {
      [echo.name]: { endpoints: [endpoint(ports.echo)] },
      [grpc.name]: { endpoints: [endpoint(ports.grpc)] },
      [dead.name]: { endpoints: [endpoint(ports.dead)] },
    },
    plugins: {
      probe: {
        name: "probe",
        source: { kind: "WasmPlugin", namespace: "default", name: "probe" },
        module: { sha256, path: plugin.path },
        configuration: plugin.configuration,
        rootId: "root",
        vmId: "vm",
        failMode: "closed",
        env: {},
      },
    },
  });
  const preparer = new Preparer({ logger: silentLogger, plugins, clusters });
  const role = new GatewayRole(options, context, preparer);
  const failure = await role.configure(change(snapshot));
  if (failure !== null) throw new Error(failure);
  return { port, lines: () => lines, stop: () => role.stop() };
}

export async function startEnvoyHost(
  plugin: ProbePlugin,
  ports: UpstreamPorts,
  binary: string,
  change: (resources: EnvoyResources) => EnvoyResources = (resources) => resources,
): Promise<Host> {
  const port = await freePort();
  const { routes, clusters, fields, chainFields, hostFields } = change({
    routes: [route()],
    clusters: [
      upstream(CLUSTER, ports.echo, { http_protocol_options: { enable_trailers: true } }),
      upstream(GRPC_CLUSTER, ports.grpc, { http2_protocol_options: {} }),
      upstream(GRPC_DEAD_CLUSTER, ports.dead, { http2_protocol_options: {} }),
    ],
    fields: {},
    chainFields: {},
    hostFields: {},
  });
  const settings = { http_protocol_options: { enable_trailers: true }, hostFields };
  const listener = httpListener(port, [probeFilter(plugin)], routes, settings);
  const chains = listener.filter_chains.map((chain) => ({ ...chain, ...chainFields }));
  const envoy = await Envoy.start({
    binary,
    staticResources: {
      listeners: [{ ...listener, filter_chains: chains, ...fields }],
      clusters,
    },
    node: NODE,
    componentLogLevel: "wasm:info,main:info",
  });
  return {
    port,
    lines: () => linesOf(envoy.log),
    log: () => envoy.log,
    stop: () => envoy.stop(),
  };
}

/** Who both hosts are, in Envoy's JSON. */
export const NODE: Readonly<Record<"id" | "cluster", string>> & {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality: object;
} = {
  id: "node-1",
  cluster: "cluster-1",
  locality: { region: "r-1", zone: "z-1", sub_zone: "s-1" },
  metadata: {
    ...{ text: "a b", number: 1.5, yes: true, no: false, nothing: null, none: {} },
    ...{ list: ["x", "y"], map: { deeper: { still: "w" } }, "": "nameless" },
  },
};

/** The same, as our own host has it. */
const OWN_NODE = {
  ...{ id: NODE.id, cluster: NODE.cluster, metadata: NODE.metadata },
  locality: { region: "r-1", zone: "z-1", subZone: "s-1" },
};

/** Envoy's JSON of a cluster with one endpoint on loopback. */
export function upstream(name: string, port: number, protocol: object): object {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }];
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints },
    typed_extension_protocol_options: {
      [options]: {
        "@type": `type.googleapis.com/${options}`,
        explicit_http_config: protocol,
      },
    },
  };
}

function route(): object {
  return { match: { prefix: "/" }, name: "echo-route", route: { cluster: CLUSTER } };
}

function probeFilter({ path, configuration }: ProbePlugin): object {
  const value = {
    "@type": "type.googleapis.com/google.protobuf.StringValue",
    value: configuration,
  };
  const code = { local: { filename: path } };
  const vmConfig = { vm_id: "vm", runtime: "envoy.wasm.runtime.v8", code };
  const config = { name: "probe", root_id: "root", vm_config: vmConfig, configuration: value };
  const typed = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
  return { name: "probe", typed_config: { "@type": typed, config } };
}

/** The plug-in's own lines of Envoy's log. */
function linesOf(log: string): string[] {
  const lines: string[] = [];
  for (const line of log.split("\n")) {
    const message = /\bwasm log(?: [^:]*)?: (.*)$/.exec(line)?.[1];
    if (message !== undefined) lines.push(message);
  }
  return lines;
}

/** Sends one case and returns the reply, cut down to what two gateways can have in common. */
export async function send(
  port: number,
  probe: ProbeCase,
  replyMsMax: number = REPLY_MS_MAX,
  tls: ConnectionOptions | null = null,
): Promise<string> {
  const where = { port, host: "127.0.0.1" };
  const socket = tls === null ? connect(where) : connectTls({ ...where, ...tls });
  socket.setNoDelay(true);
  const received = { text: "", isClosed: false };
  socket.setEncoding("latin1");
  socket.on("data", (part: string) => (received.text += part));
  socket.on("error", () => (received.isClosed = true));
  socket.on("close", () => (received.isClosed = true));
  await once(socket, tls === null ? "connect" : "secureConnect");
  const replies: string[] = [];
  for (const each of [probe, ...(probe.later ?? [])]) {
    received.text = "";
    await write(socket, { ...probe, ...each });
    const endMs = systemClock.monotonicMs() + replyMsMax;
    const method = probe.method ?? "GET";
    while (!received.isClosed && !isWhole(received.text, method)) {
      if (systemClock.monotonicMs() > endMs) break;
      await pause(5);
    }
    replies.push(normalise(received.text));
  }
  socket.destroy();
  return replies.join("\n");
}

async function write(socket: Socket, probe: ProbeCase): Promise<void> {
  const { method = "GET", path = "/", headers = [], chunks, body, trailers = [] } = probe;
  const lines = [`${method} ${path} HTTP/1.1`, "host: probe.test", `x-case: ${probe.name}`];
  lines.push(`x-probe: ${probe.script.join(";")}`, "x-request-id: fixed", "user-agent: probe");
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (chunks !== undefined) lines.push("transfer-encoding: chunked");
  if (body !== undefined) lines.push(`content-length: ${body.length}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body ?? ""}`, "latin1");
  if (chunks === undefined) return;
  for (const chunk of chunks) {
    await pause(CHUNK_PAUSE_MS);
    socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`, "latin1");
  }
  await pause(CHUNK_PAUSE_MS);
  const fields = trailers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`0\r\n${fields}\r\n`, "latin1");
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.after(ms, resolve);
  });
}

function isWhole(text: string, method: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  if (method === "HEAD" || /^HTTP\/1.1 (204|304)/.test(text)) return true;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end + 2))?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  return /\r\n0\r\n(?:.*\r\n)*\r\n$/.test(text.slice(end));
}

/** What each gateway adds on its own, or what is different in every run. */
const OWN_FIELDS =
  /^(date|server|x-envoy-.*|x-graylane-lane|connection|keep-alive|transfer-encoding|x-request-id):/i;

function normalise(text: string): string {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return text === "" ? "closed" : `partial ${JSON.stringify(text)}`;
  const [start = "", ...fields] = text.slice(0, end).split("\r\n");
  const kept = fields
    .filter((field) => !OWN_FIELDS.test(field))
    .map((field) => field.toLowerCase());
  const isChunked = fields.some((field) => /^transfer-encoding:.*chunked/i.test(field));
  const body = text.slice(end + 4);
  // The words behind the status are nobody's affair.
  const status = start.split(" ").slice(0, 2).join(" ");
  return [status, ...kept.sort(), isChunked ? unchunked(body) : body].join("\n");
}

/** The chunks as one, and behind them the trailers: where they were cut says nothing. */
function unchunked(body: string): string {
  let at = 0;
  let whole = "";
  for (;;) {
    const lineEnd = body.indexOf("\r\n", at);
    if (lineEnd === -1) return `${whole} and no end`;
    const length = parseInt(body.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (length === 0) return whole + body.slice(at).trimEnd();
    whole += body.slice(at, at + length);
    at += length + 2;
  }
}
