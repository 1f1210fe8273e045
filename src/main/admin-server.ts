//! The admin endpoints, with Envoy's paths: readiness, metrics, what runs, the level of the logs.

import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { EndpointList } from "../snapshot/endpoint-list.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import { envoyMetrics } from "../telemetry/envoy-metrics.ts";
import { LOG_LEVELS } from "../telemetry/logger.ts";
import type { LogLevel } from "../telemetry/logger.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";
import { encodePrometheus, PROMETHEUS_CONTENT_TYPE } from "../telemetry/prometheus.ts";
import { withStatTags } from "../telemetry/stat-tags.ts";
import type { StatTag } from "../telemetry/stat-tags.ts";
import {
  clustersJson,
  clustersText,
  listenersJson,
  listenersText,
  membersOf,
  statFilter,
  statsOf,
} from "./admin-pages.ts";
import type { OpenListener } from "./admin-pages.ts";

export interface AdminSource {
  readonly version: string;
  readonly isReady: () => boolean;
  /** Since the start. */
  readonly uptimeSeconds: () => number;
  readonly gatewayWorkers: () => number;
  readonly metrics: () => Promise<MetricsSnapshot>;
  readonly snapshot: () => Snapshot;
  /** Without keys: anybody on this machine may ask. */
  /** Envoy's `ConfigDump`. */
  readonly configDump: (withEndpoints: boolean) => unknown;
  readonly agentEndpoints: () => EndpointList;
  readonly listeners: () => readonly OpenListener[];
  /** `address:port` of the endpoints that a gateway worker has ejected. */
  readonly ejected: () => Promise<ReadonlySet<string>>;
  readonly logLevel: () => LogLevel;
  readonly setLogLevel: (level: LogLevel) => Promise<void>;
  /** The gateways' ports have been closed for good. */
  readonly isDrained: () => boolean;
  /** Resolves when they accept nothing any more. */
  readonly drainListeners: () => Promise<void>;
  /** Labels in plug-ins' names of metrics. Present: metrics are written as Envoy writes them. */
  readonly statTags?: readonly StatTag[];
}

interface Page {
  /** Of pages that are asked for again and again. */
  readonly etag?: string;
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Endpoint {
  readonly method: "GET" | "POST";
  readonly help: string;
  readonly page: (source: AdminSource, query: URLSearchParams) => Page | Promise<Page>;
}

const NOT_MODIFIED = 304;

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/agent_endpoints": {
    ...{ method: "GET", help: "the list for apps' agents that pick endpoints by themselves" },
    page: (source) => {
      const list = source.agentEndpoints();
      const body = JSON.stringify(list);
      return { status: 200, type: "application/json", body, etag: `"${list.version}"` };
    },
  },
  "/clusters": {
    ...{ method: "GET", help: "services and their endpoints (?format=json)" },
    async page(source, query) {
      const ejected = await source.ejected();
      if (query.get("format") === "json") return json(clustersJson(source.snapshot(), ejected));
      return text(200, clustersText(source.snapshot(), ejected));
    },
  },
  "/config_dump": {
    ...{
      method: "GET",
      help: "what runs, in Envoy's words (?include_eds), or as it is (?format=snapshot)",
    },
    page: (source, query) =>
      query.get("format") === "snapshot"
        ? json(source.snapshot(), withoutKeys)
        : json(source.configDump(query.has("include_eds"))),
  },
  "/drain_listeners": {
    ...{ method: "POST", help: "closes the gateways' ports until the end; what runs is finished" },
    page: drainListeners,
  },
  "/help": { method: "GET", help: "this list", page: () => text(200, helpText()) },
  "/listeners": {
    ...{ method: "GET", help: "open ports of the gateways (?format=json)" },
    page: (source, query) =>
      query.get("format") === "json"
        ? json(listenersJson(openListeners(source)))
        : text(200, listenersText(openListeners(source))),
  },
  "/logging": {
    ...{ method: "POST", help: `the level of the logs (?level=${LOG_LEVELS.join("|")})` },
    page: setLogging,
  },
  "/ready": {
    ...{ method: "GET", help: "200 LIVE when every worker runs the current snapshot, else 503" },
    page: (source) => text(isLive(source) ? 200 : 503, `${stateOf(source)}\n`),
  },
  "/server_info": {
    ...{ method: "GET", help: "version, state and time since the start" },
    page: serverInfo,
  },
  "/stats": {
    ...{
      method: "GET",
      help: "metrics as text (?format=json|prometheus, ?filter=REGEX, ?usedonly)",
    },
    page: stats,
  },
  "/stats/prometheus": {
    ...{ method: "GET", help: "metrics for Prometheus" },
    page: prometheus,
  },
};

/** Resolves to the server, or to the system's code (`EADDRINUSE`) when it cannot listen. */
export function startAdminServer(
  source: AdminSource,
  address: { readonly host: string; readonly port: number },
  inherited: object | null = null,
): Promise<Server | string> {
  const server = createServer((request, response) => {
    void answer(source, request, response);
  });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    const onListening = (): void => {
      resolve(server);
    };
    if (inherited !== null) server.listen(inherited, onListening);
    else server.listen(address.port, address.host, onListening);
  });
}

async function answer(
  source: AdminSource,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, type, body, etag } = await pageOf(source, request);
  if (etag !== undefined) response.setHeader("etag", etag);
  if (etag !== undefined && request.headers["if-none-match"] === etag) {
    response.writeHead(NOT_MODIFIED).end();
    return;
  }
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

async function pageOf(source: AdminSource, request: IncomingMessage): Promise<Page> {
  const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
  const endpoint = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined;
  if (path === "/") return text(200, helpText());
  if (endpoint === undefined) return text(404, `nothing is at ${path}; there is:\n${helpText()}`);
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method !== endpoint.method) return text(405, `${path} takes ${endpoint.method}\n`);
  // What changes something is not for a web page that happens to run on this machine.
  if (method === "POST" && request.headers.origin !== undefined) {
    return text(403, "a web page may not ask for this\n");
  }
  return endpoint.page(source, new URLSearchParams(query));
}

function helpText(): string {
  return Object.entries(ENDPOINTS)
    .map(([path, { method, help }]) => `${method.padEnd(4)} ${path.padEnd(18)} ${help}\n`)
    .join("");
}

/** `envoy.admin.v3.ServerInfo`. */
function serverInfo(source: AdminSource): Page {
  const uptime = `${Math.floor(source.uptimeSeconds())}s`;
  return json({
    version: `graylane/${source.version}/node-${process.versions.node}`,
    state: stateOf(source),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    command_line_options: { concurrency: source.gatewayWorkers() },
  });
}

async function setLogging(source: AdminSource, query: URLSearchParams): Promise<Page> {
  const wanted = query.get("level");
  if (wanted !== null) {
    const level = LOG_LEVELS.find((known) => known === wanted);
    if (level === undefined) {
      return text(
        400,
        `no level ${JSON.stringify(wanted)}; take one of ${LOG_LEVELS.join(", ")}\n`,
      );
    }
    await source.setLogLevel(level);
  }
  return text(200, `active loggers:\n  graylane: ${source.logLevel()}\n`);
}

async function stats(source: AdminSource, query: URLSearchParams): Promise<Page> {
  const format = query.get("format") ?? "text";
  if (format === "prometheus") return prometheus(source);
  if (format !== "text" && format !== "json") {
    return text(400, `no format ${JSON.stringify(format)}; take text, json or prometheus\n`);
  }
  const filter = statFilter(query.get("filter") ?? "");
  if (typeof filter === "string")
    return text(400, `the filter is no regular expression: ${filter}\n`);
  const found = statsOf(await allMetrics(source)).filter(
    ({ name, value }) => filter(name) && (value !== 0 || !query.has("usedonly")),
  );
  if (format === "json") return json({ stats: found });
  return text(200, found.map(({ name, value }) => `${name}: ${value}\n`).join(""));
}

async function prometheus(source: AdminSource): Promise<Page> {
  const metrics = await allMetrics(source);
  const { statTags } = source;
  const body = encodePrometheus(
    statTags === undefined ? metrics : withStatTags(metrics, statTags),
    statTags === undefined ? "" : "{}",
  );
  return { status: 200, type: PROMETHEUS_CONTENT_TYPE, body };
}

/** Ours, and again under Envoy's names. */
async function allMetrics(source: AdminSource): Promise<MetricsSnapshot> {
  const [own, ejected] = await Promise.all([source.metrics(), source.ejected()]);
  const facts = {
    isLive: isLive(source),
    uptime: Math.floor(source.uptimeSeconds()),
    concurrency: source.gatewayWorkers(),
    services: membersOf(source.snapshot(), ejected),
  };
  return { families: [...own.families, ...envoyMetrics(own, facts).families] };
}

async function drainListeners(source: AdminSource, query: URLSearchParams): Promise<Page> {
  if (query.has("inboundonly")) {
    const remedy = "leave it out to drain the gateways; sidecars are drained with their pods";
    return text(400, `inboundonly is not offered: ${remedy}\n`);
  }
  await source.drainListeners();
  return text(200, "OK\n");
}

function openListeners(source: AdminSource): readonly OpenListener[] {
  return source.isDrained() ? [] : source.listeners();
}

function isLive(source: AdminSource): boolean {
  return source.isReady() && !source.isDrained();
}

function stateOf(source: AdminSource): "LIVE" | "DRAINING" | "PRE_INITIALIZING" {
  if (source.isDrained()) return "DRAINING";
  return source.isReady() ? "LIVE" : "PRE_INITIALIZING";
}

/** `replacer`: as of `JSON.stringify`. */
function json(value: unknown, replacer?: (key: string, value: unknown) => unknown): Page {
  const body = `${JSON.stringify(value, replacer, 1)}\n`;
  return { status: 200, type: "application/json", body };
}

function text(status: number, body: string): Page {
  return { status, type: "text/plain; charset=utf-8", body };
}
