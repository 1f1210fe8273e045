//! `static_resources.listeners`: a filter chain each, with HTTP or a TCP proxy at its end.

import type { Gateway, Listener, ListenerNotes, Plugin, RouteTable } from "../snapshot/snapshot.ts";
import { NO_METADATA } from "../snapshot/metadata.ts";
import type { Cursor } from "../resources/cursor.ts";
import { NO_ACCESS_LOG, readAccessLog } from "./access-log.ts";
import type { AccessLogSettings } from "./access-log.ts";
import { readSocketAddress, unsupported, unwrap } from "./common.ts";
import type { Address } from "./common.ts";
import { readListenerFilters } from "./listener-tls.ts";
import { readMetadata } from "./metadata.ts";
import { readFilterChain } from "./network-filters.ts";
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
  readonly accessLog: AccessLogSettings;
}

const LISTENER_FIELDS = [
  "name",
  "address",
  "filter_chains",
  "listener_filters",
  "stat_prefix",
  "traffic_direction",
  "per_connection_buffer_limit_bytes",
  "metadata",
];
const DIRECTIONS = ["UNSPECIFIED", "INBOUND", "OUTBOUND"] as const;
const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";
const ROUTER = "envoy.extensions.filters.http.router.v3.Router";

export function readListener(item: Cursor, context: ListenerContext): ReadListener {
  const isMap = item.isMap(LISTENER_FIELDS);
  const name = item.at("name").text(`listener_${context.index}`);
  const address = isMap ? readSocketAddress(item.at("address")) : { host: "", port: 1 };
  const { resolveCode, clusters } = context;
  const chain = readFilterChain(item, { name, resolveCode, clusters });
  const { manager, network } = chain;
  const plugins: Plugin[] = [];
  if (manager !== null) readFilters(manager.at("http_filters"), { name, plugins, context });
  const table =
    manager === null
      ? { name, virtualHosts: [] }
      : readRouteTable(manager.at("route_config"), name, context);
  readListenerFilters(item.at("listener_filters"));
  const { tls } = chain;
  const listener: Listener = {
    ...{ port: address.port, host: address.host, protocol: "HTTP" },
    ...{ hosts: ["*"], routeTable: name },
    ...(tls !== undefined && { tls }),
    ...(network !== undefined && { network }),
    ...(chain.codec !== undefined && { codec: chain.codec }),
    ...(manager !== null && readServerName(manager)),
    notes: readNotes(item),
  };
  const gateway: Gateway = {
    name,
    labels: {},
    listeners: [listener],
    plugins: plugins.map((plugin) => plugin.name),
  };
  const accessLog = manager === null ? NO_ACCESS_LOG : readAccessLog(manager.at("access_log"));
  return { gateway, table, plugins: [...chain.plugins, ...plugins], address, accessLog };
}

/** Envoy's own `server` of every answer, which stands in place of the endpoint's. */
function readServerName(manager: Cursor): Pick<Listener, "serverName"> {
  const serverName = manager.at("server_name").text("") || "envoy";
  const change = manager.at("server_header_transformation");
  return change.choice(["OVERWRITE", "PASS_THROUGH"], "OVERWRITE") === "OVERWRITE"
    ? { serverName }
    : {};
}

function readNotes(item: Cursor): ListenerNotes {
  const [chain] = item.at("filter_chains").items();
  return {
    direction: item.at("traffic_direction").choice(DIRECTIONS, "UNSPECIFIED"),
    filterChainName: chain?.at("name").text() ?? "",
    metadata: readMetadata(item.at("metadata")) ?? NO_METADATA,
  };
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
