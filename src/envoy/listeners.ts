//! `static_resources.listeners`: a filter chain with an HTTP connection manager each.

import type { Gateway, Plugin, RouteTable } from "../snapshot/snapshot.ts";
import type { Cursor } from "../resources/cursor.ts";
import { isAnything, readSocketAddress, unsupported, unwrap } from "./common.ts";
import type { Address } from "./common.ts";
import { readRouteTable } from "./routes.ts";
import type { RouteContext } from "./routes.ts";
import { readWasmPlugin } from "./wasm-filter.ts";
import type { CodeResolver } from "./wasm-filter.ts";

export interface ListenerContext extends RouteContext {
  readonly resolveCode: CodeResolver;
  readonly index: number;
}

export interface ReadListener {
  readonly gateway: Gateway;
  readonly table: RouteTable;
  readonly plugins: readonly Plugin[];
  readonly address: Address;
  readonly accessLog: string;
}

const LISTENER_FIELDS = [
  "name",
  "address",
  "filter_chains",
  "stat_prefix",
  "traffic_direction",
  "per_connection_buffer_limit_bytes",
];
const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HCM_FIELDS = [
  "stat_prefix",
  "codec_type",
  "route_config",
  "http_filters",
  "access_log",
  "generate_request_id",
  "http_protocol_options",
];
const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";
const ROUTER = "envoy.extensions.filters.http.router.v3.Router";
const LOGGER = /^envoy\.extensions\.access_loggers\.(file|stream)\.v3\./;

export function readListener(item: Cursor, context: ListenerContext): ReadListener {
  const isMap = item.isMap(LISTENER_FIELDS);
  const name = item.at("name").text(`listener_${context.index}`);
  const address = isMap ? readSocketAddress(item.at("address")) : { host: "", port: 1 };
  const manager = managerOf(item);
  const plugins: Plugin[] = [];
  if (manager !== null) readFilters(manager.at("http_filters"), { name, plugins, context });
  const table =
    manager === null
      ? { name, virtualHosts: [] }
      : readRouteTable(manager.at("route_config"), name, context);
  const gateway: Gateway = {
    name,
    labels: {},
    listeners: [{ port: address.port, protocol: "HTTP", hosts: ["*"], routeTable: name }],
    plugins: plugins.map((plugin) => plugin.name),
  };
  const accessLog = manager === null ? "" : readAccessLog(manager.at("access_log"));
  return { gateway, table, plugins, address, accessLog };
}

/** The one network filter that there is here. Null, and noted, when it is another. */
function managerOf(listener: Cursor): Cursor | null {
  const chains = listener.at("filter_chains");
  const [chain, other] = chains.items();
  if (chain === undefined || !chain.isMap(["name", "filters"])) {
    if (chain === undefined) chains.wrong("a list with one filter chain");
    return null;
  }
  if (other !== undefined) unsupported(other, "a second filter chain");
  const filters = chain.at("filters");
  const [filter, next] = filters.items();
  if (filter === undefined) {
    filters.wrong("a list with the HTTP connection manager");
    return null;
  }
  if (next !== undefined) unsupported(next, "a second network filter");
  return filter.isMap(["name", "typed_config"]) ? checkedManager(filter) : null;
}

function checkedManager(filter: Cursor): Cursor | null {
  const typed = unwrap(filter.at("typed_config"));
  if (typed.type !== HCM) {
    const what = `the network filter ${typed.type === "" ? "without a type" : typed.type}`;
    unsupported(filter, what, "Use the HTTP connection manager.");
    return null;
  }
  if (!typed.config.isMap([...typed.fields, ...HCM_FIELDS])) return null;
  typed.config.at("codec_type").choice(["AUTO", "HTTP1"], "AUTO");
  isAnything(typed.config.at("http_protocol_options"), ["accept_http_10"]);
  return typed.config;
}

function readFilters(
  cursor: Cursor,
  into: { readonly name: string; readonly plugins: Plugin[]; readonly context: ListenerContext },
): void {
  const items = cursor.items();
  let hasRouter = false;
  for (const item of items) {
    if (!item.isMap(["name", "typed_config"])) continue;
    if (hasRouter) item.wrong("nothing: the router is the last filter");
    const { type, config, fields } = unwrap(item.at("typed_config"));
    if (type === ROUTER || (type === "" && isRouterName(item))) hasRouter = true;
    else if (type !== WASM) unsupported(item, `the HTTP filter ${type || item.at("name").text()}`);
    else if (config.isMap([...fields, "config"])) {
      // Two filters may have one name: their places tell them apart.
      const name = `${into.name}/${into.plugins.length}`;
      const plugin = readWasmPlugin(config.at("config"), name, into.context.resolveCode);
      into.plugins.push(plugin);
    }
  }
  if (!hasRouter) cursor.wrong("a list that ends with envoy.filters.http.router");
}

function isRouterName(item: Cursor): boolean {
  const name = item.at("name").text();
  return name === "envoy.filters.http.router" || name === "envoy.router";
}

/** Where exchanges are logged; the lines have our own form. */
function readAccessLog(cursor: Cursor): string {
  let path = "";
  for (const item of cursor.items()) {
    if (!item.isMap(["name", "typed_config"])) continue;
    const { type, config, fields } = unwrap(item.at("typed_config"));
    const parts = LOGGER.exec(type);
    if (parts === null) unsupported(item, `the access logger ${type}`);
    else if (!config.isMap([...fields, "path"])) continue;
    else if (type.endsWith(".StderrAccessLog")) unsupported(item, "an access log on stderr");
    else path = parts[1] === "file" ? config.at("path").text(null) : "-";
  }
  return path === "/dev/stdout" ? "-" : path;
}
