//! The network filters of a listener: Wasm filters, then HTTP or a TCP proxy.

import type { HttpCodec, NetworkFilters, Plugin } from "../snapshot/snapshot.ts";
import type { Cursor } from "../resources/cursor.ts";
import type { TlsServer } from "../snapshot/tls.ts";
import { isAnything, readDuration, unsupported, unwrap, warnOf } from "./common.ts";
import { readListenerTls } from "./listener-tls.ts";
import { HTTP2_FIELDS, readHttp1Options } from "./upstream-options.ts";
import { readWasmPlugin } from "./wasm-filter.ts";
import type { CodeResolver } from "./wasm-filter.ts";

const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HCM_FIELDS = [
  "stat_prefix",
  "codec_type",
  "route_config",
  "http_filters",
  "access_log",
  "generate_request_id",
  "http_protocol_options",
  "http2_protocol_options",
  "server_name",
  "server_header_transformation",
];
const CODECS = ["AUTO", "HTTP1", "HTTP2"] as const;
const CODEC_OF = { AUTO: undefined, HTTP1: "http1", HTTP2: "http2" } as const;
const HCM_WITHOUT_EFFECT = [
  ...["tracing", "stream_idle_timeout", "request_timeout", "request_headers_timeout"],
  ...["drain_timeout", "delayed_close_timeout", "common_http_protocol_options"],
];
/** Its other fields would change what is let through. */
const COMMON_FIELDS = ["idle_timeout", "max_connection_duration", "max_headers_count"];
const WASM = "envoy.extensions.filters.network.wasm.v3.Wasm";
const TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const TCP_PROXY_FIELDS = ["stat_prefix", "cluster", "idle_timeout", "max_connect_attempts"];
const TCP_IDLE_TIMEOUT_MS_DEFAULT = 3_600_000;
const BUFFER_BYTES_DEFAULT = 1024 * 1024;
const BUFFER_BYTES_MAX = 64 * 1024 * 1024;

export interface NetworkContext {
  /** Of the listener. */
  readonly name: string;
  readonly clusters: ReadonlySet<string>;
  readonly resolveCode: CodeResolver;
}

export interface ReadChain {
  /** The HTTP connection manager; null: there is none, or what is there is wrong. */
  readonly manager: Cursor | null;
  readonly plugins: readonly Plugin[];
  /** Undefined: nothing comes before HTTP. */
  readonly network: NetworkFilters | undefined;
  /** Undefined: both are spoken. */
  readonly codec: HttpCodec | undefined;
  /** Undefined: in clear. */
  readonly tls?: readonly TlsServer[] | undefined;
}

const NOTHING: ReadChain = {
  ...{ manager: null, plugins: [], network: undefined, codec: undefined },
};

export function readFilterChain(listener: Cursor, context: NetworkContext): ReadChain {
  const chains = listener.at("filter_chains");
  const [chain, other] = chains.items();
  if (chain === undefined || !chain.isMap(["name", "filters", "transport_socket"])) {
    if (chain === undefined) chains.wrong("a list with one filter chain");
    return NOTHING;
  }
  if (other !== undefined) unsupported(other, "a second filter chain");
  const filters = chain.at("filters").items();
  const last = filters.pop();
  if (last === undefined) {
    chain.at("filters").wrong("a list with the HTTP connection manager or a TCP proxy at its end");
    return NOTHING;
  }
  const plugins = filters.flatMap((filter, index) => readWasm(filter, index, context) ?? []);
  const limit = listener.at("per_connection_buffer_limit_bytes");
  const network: NetworkFilters = {
    plugins: plugins.map(({ name }) => name),
    bufferBytesMax: limit.count({ least: 1, most: BUFFER_BYTES_MAX }, BUFFER_BYTES_DEFAULT),
  };
  const read = readTerminal(last, { plugins, network, context });
  const tls = readListenerTls(chain);
  if (tls !== undefined && read.network !== undefined) {
    unsupported(chain.at("transport_socket"), "TLS before network filters and TCP proxies");
  }
  return { ...read, tls };
}

function readWasm(filter: Cursor, index: number, context: NetworkContext): Plugin | null {
  if (!filter.isMap(["name", "typed_config"])) return null;
  const { type, config, fields } = unwrap(filter.at("typed_config"));
  if (type !== WASM) {
    const isTerminal = type === HCM || type === TCP_PROXY;
    if (isTerminal) filter.wrong("no filter that another one follows: it is the last of its chain");
    else unsupported(filter, nameOf(type), "Of those before the last there is only Wasm.");
    return null;
  }
  if (!config.isMap([...fields, "config"])) return null;
  const name = `${context.name}/network/${index}`;
  return readWasmPlugin(config.at("config"), name, context.resolveCode);
}

function readTerminal(
  filter: Cursor,
  parts: {
    readonly plugins: readonly Plugin[];
    readonly network: NetworkFilters;
    readonly context: NetworkContext;
  },
): ReadChain {
  if (!filter.isMap(["name", "typed_config"])) return NOTHING;
  const { plugins, network, context } = parts;
  const { type, config, fields } = unwrap(filter.at("typed_config"));
  if (type === TCP_PROXY) {
    const tcpProxy = readTcpProxy(config, fields, context);
    return tcpProxy === null ? NOTHING : { ...NOTHING, plugins, network: { ...network, tcpProxy } };
  }
  if (type !== HCM) {
    const what = type === WASM ? "a Wasm filter at the end of its chain" : nameOf(type);
    unsupported(filter, what, "The last one is the HTTP connection manager or a TCP proxy.");
    return NOTHING;
  }
  const manager = checkedManager(config, fields);
  const codec = CODEC_OF[config.at("codec_type").choice(CODECS, "AUTO")];
  return {
    ...{ manager, plugins, codec },
    network: plugins.length === 0 ? undefined : network,
  };
}

function nameOf(type: string): string {
  return `the network filter ${type === "" ? "without a type" : type}`;
}

function readTcpProxy(
  config: Cursor,
  fields: readonly string[],
  { clusters }: NetworkContext,
): NonNullable<NetworkFilters["tcpProxy"]> | null {
  if (!config.isMap([...fields, ...TCP_PROXY_FIELDS, "access_log"])) return null;
  warnOf(config, ["access_log"]);
  const cluster = config.at("cluster");
  const name = cluster.text(null);
  if (!clusters.has(name)) {
    cluster.wrong(`the name of a cluster: ${[...clusters].join(", ")}`);
  }
  config.at("max_connect_attempts").count({ least: 1, most: 1 }, 1);
  const idleTimeoutMs = readDuration(config.at("idle_timeout"), TCP_IDLE_TIMEOUT_MS_DEFAULT);
  return { cluster: name, idleTimeoutMs };
}

function checkedManager(config: Cursor, fields: readonly string[]): Cursor | null {
  if (!config.isMap([...fields, ...HCM_FIELDS, ...HCM_WITHOUT_EFFECT])) return null;
  warnOf(config, HCM_WITHOUT_EFFECT);
  isAnything(config.at("common_http_protocol_options"), COMMON_FIELDS);
  readHttp1Options(config.at("http_protocol_options"));
  isAnything(config.at("http2_protocol_options"), HTTP2_FIELDS);
  return config;
}
