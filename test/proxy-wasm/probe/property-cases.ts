//! What the probe asks of properties, and how the exchanges end in which it asks.

import type { ProbeCase } from "../../support/conformance.ts";
import { TYPED_METADATA } from "../../support/metadata-hosts.ts";
import { BODY, CHUNKS } from "./case-parts.ts";

export interface PropertyCase extends Omit<ProbeCase, "script"> {
  readonly script?: readonly string[];
  readonly worlds: readonly string[];
  /** The client waits no longer for the response. */
  readonly replyMsMax?: number;
  /** Then it closes its connection, and not only its stream. */
  readonly isCut?: true;
  /** It asks in this one alone, when connections may have been closed; absent: in every one. */
  readonly phase?: string;
  /** It asks for `METADATA_PROPERTY_PARTS`, too. */
  readonly readsMetadata?: true;
}

const TLS_PARTS = [
  ...["tls_version", "subject_local_certificate", "subject_peer_certificate"],
  ...["dns_san_local_certificate", "dns_san_peer_certificate", "uri_san_local_certificate"],
  ...["uri_san_peer_certificate", "sha256_peer_certificate_digest"],
];

const METADATA_OWNERS = [
  ...["listener_metadata", "cluster_metadata", "route_metadata"],
  ...["upstream_host_metadata", "upstream_host_locality_metadata"],
];
const METADATA_PARTS = [
  ...["filter_metadata", "filter_metadata.space", "filter_metadata.space.text"],
  ...["typed_filter_metadata", "typed_filter_metadata.whole"],
];

/** The parts of metadata, which only some of the cases ask for. */
export const METADATA_PROPERTY_PARTS: readonly (readonly string[])[] = [
  of(
    "xds",
    METADATA_OWNERS.flatMap((owner) => METADATA_PARTS.map((part) => `${owner}.${part}`)),
  ),
  ["xds.virtual_host_metadata", "xds.virtual_host_metadata.typed_filter_metadata"],
  of("xds.virtual_host_metadata", [
    ...["filter_metadata", "nonsense"],
    ...of("filter_metadata", ["absent", "empty", "plain", "plain.text", "odd", "odd.nothing"]),
    ...of("filter_metadata.space", [
      "number",
      "yes",
      "list",
      "list.0",
      "list.9",
      "map",
      "map.deeper",
    ]),
  ]),
  of("xds.virtual_host_metadata", [
    ...of("typed_filter_metadata", [...Object.keys(TYPED_METADATA), "typed"]),
    ...of("typed_filter_metadata", ["absent", "text.more", "struct.a", "typed.type_url"]),
    ...of("typed_filter_metadata.typed", ["value", "value.a", "nonsense", "type_url.more"]),
  ]),
  of("upstream.locality", ["region", "zone", "sub_zone", "nonsense", "region.more"]),
];

/** What one request asks for. Parts of a path are separated by dots. */
export const PROPERTY_PARTS: readonly (readonly string[])[] = [
  of("request", [
    ...["path", "url_path", "host", "scheme", "method", "query", "referer", "useragent", "id"],
    ...[
      "protocol",
      "constructor",
      "headers.x-a",
      "time",
      "size",
      "total_size",
      "duration",
      "headers_bytes",
    ],
  ]),
  of("response", [
    ...["code", "code_details", "flags", "size", "total_size", "headers_bytes"],
    ...[
      "constructor",
      "backend_latency",
      "grpc_status",
      "headers.x-up",
      "trailers",
      "trailers.x-end",
    ],
  ]),
  of("connection", [
    ...["id", "mtls", "requested_server_name", "termination_details"],
    ...["transport_failure_reason", ...TLS_PARTS],
  ]),
  of("upstream", [
    ...["address", "port", "local_address", "request_attempt_count", "transport_failure_reason"],
    ...["locality", "cx_pool_ready_duration", "mtls", ...TLS_PARTS],
  ]),
  of("xds", [
    ...["cluster_name", "route_name", "virtual_host_name", "filter_chain_name"],
    ...["listener_direction", "listener_metadata", "cluster_metadata", "route_metadata"],
    ...["upstream_host_metadata", "upstream_host_locality_metadata"],
    ...["cluster_metadata.filter_metadata", "cluster_metadata.none"],
  ]),
  of("xds.node", [
    ...["id", "cluster", "nonsense", "id.more", "metadata.text", "metadata.number", "metadata.yes"],
    ...["metadata.no", "metadata.nothing", "metadata.none", "metadata.list", "metadata.list.0"],
    ...["metadata.map", "metadata.map.deeper", "metadata.map.deeper.still"],
    ...["metadata.absent", "metadata.text.more", "metadata", "locality", "locality.region"],
    ...["locality.zone", "locality.sub_zone", "locality.nonsense", "user_agent_version"],
    ...["dynamic_parameters", "client_features", "listening_addresses"],
  ]),
  [
    ...["source.address", "source.port", "destination.address", "destination.port"],
    ...["metadata", "metadata.filter_metadata", "metadata.typed_filter_metadata"],
    ...["metadata.filter_metadata.none", "filter_state", "upstream_filter_state", "connection_id"],
    ...["plugin_name", "plugin_root_id", "plugin_vm_id", "virtual_host_name", "filter_chain_name"],
  ],
];

/** What a root context asks for. */
export const ROOT_PROPERTIES: readonly string[] = [
  ...["xds.node.id", "xds.node.cluster", "xds.node.metadata.text", "xds.node.locality.zone"],
  ...["xds.node.nothing", "xds.listener_direction", "xds.listener_metadata", "xds.route_name"],
  ...["xds.cluster_name", "xds", "source", "destination", "request", "response", "connection"],
  ...["upstream", "filter_state", "metadata", "request.path", "connection.id", "connection_id"],
  ...["plugin_name", "plugin_root_id", "plugin_vm_id", "response.flags", "nothing"],
];

function of(object: string, parts: readonly string[]): string[] {
  return parts.map((part) => `${object}.${part}`);
}

/** The probe prints 8 bytes as hexadecimal, little-endian. */
const SMALL = /^0x[0-9a-f]{8}0{8}$/;
/** Up to 18 minutes, in nanoseconds. */
const DURATION = /^0x(?!0{16})[0-9a-f]{10}0{6}$/;
/** The same, or none: an idle connection is taken at once. */
const WAIT = /^0x[0-9a-f]{10}0{6}$/;
const TIME = /^0x[0-9a-f]{14}1[0-9a-f]$/;

/** Of values that cannot be the same in two proxies. */
export const FORMS: Readonly<Record<string, RegExp>> = {
  "request.time": TIME,
  "request.duration": DURATION,
  "response.backend_latency": DURATION,
  "upstream.cx_pool_ready_duration": WAIT,
  "request.total_size": SMALL,
  "request.headers_bytes": SMALL,
  "response.total_size": SMALL,
  "response.headers_bytes": SMALL,
  "connection.id": SMALL,
  connection_id: SMALL,
  "source.address": /^"127\.0\.0\.1:\d{4,5}"$/,
  "source.port": SMALL,
  "destination.address": /^"127\.0\.0\.1:OWN"$/,
  "destination.port": SMALL,
  "upstream.local_address": /^"127\.0\.0\.1:\d{4,5}"$/,
};

const CLEAR = ["clear"];
const HTTP2 = ["http2"];
const BOTH = ["clear", "http2"];
const TLS = ["tls", "mtls"];
const EVERY = ["clear", "tls", "mtls", "expired", "http2"];
const HEADERS = [
  ["x-a", "1"],
  ["x-a", "2"],
  ["referer", "there"],
] as const;

/** For the request to have reached the endpoint, on a busy machine too. */
const GONE_MS = 250;

export const PROPERTY_CASES: readonly PropertyCase[] = [
  { name: "answered", path: "/echo?q=1", headers: HEADERS, worlds: EVERY },
  { name: "of-metadata", path: "/echo", worlds: CLEAR, readsMetadata: true },
  { name: "with-a-length", ...BODY, path: "/echo", body: "hello", worlds: EVERY },
  { name: "in-chunks", ...BODY, path: "/echo", chunks: CHUNKS, worlds: BOTH },
  { name: "not-found-upstream", path: "/echo/404", worlds: BOTH },
  { name: "grpc-in-head", path: "/echo/grpc", worlds: BOTH },
  { name: "grpc-in-trailers", path: "/echo/trailers", worlds: BOTH },
  { name: "direct", path: "/direct", worlds: BOTH, readsMetadata: true },
  { name: "redirect", path: "/redirect", worlds: BOTH },
  { name: "no-route", path: "/none", worlds: BOTH },
  { name: "timeout", path: "/silent", worlds: BOTH },
  { name: "not-connected", path: "/dead", worlds: BOTH },
  { name: "closed", path: "/echo/gone", worlds: BOTH },
  { name: "late-closed", path: "/echo/gone", worlds: TLS, phase: "log" },
  {
    name: "late-client-gone",
    path: "/echo/never",
    replyMsMax: GONE_MS,
    worlds: TLS,
    phase: "log",
  },
  { name: "nonsense", path: "/echo/nonsense", worlds: CLEAR },
  { name: "reset", path: "/echo/reset", worlds: HTTP2 },
  { name: "refused", path: "/refused", worlds: HTTP2 },
  { name: "cut", path: "/echo/half", worlds: BOTH },
  { name: "client-gone", path: "/echo/never", replyMsMax: GONE_MS, worlds: BOTH },
  { name: "client-lost", path: "/echo/never", replyMsMax: GONE_MS, isCut: true, worlds: HTTP2 },
  answer("plugin-answers", "rh send_local_response 403 s:my%20details s:denied p: -1"),
  answer("plugin-answers-nameless", "rh send_local_response 403 s: s:denied p: -1"),
  answer("plugin-replaces", "sh send_local_response 403 s:late s:denied p: -1"),
  answer("plugin-cuts", "sb send_local_response 403 s:late s:denied p: -1"),
  answer("plugin-removes-method", "rh remove_header_map_value 0 s::method"),
  answer("plugin-removes-path", "rh remove_header_map_value 0 s::path"),
];

function answer(name: string, line: string): PropertyCase {
  return { name, path: "/echo", script: [line], worlds: BOTH };
}

/** Heads and bodies of one host that do not add up. */
export function sizeFaults(results: ReadonlyMap<string, string>): string[] {
  return [...results.keys()].flatMap((key) => {
    const [, phase, message] = /^(\S+ \w+) .* s:(\w+)\.headers_bytes$/.exec(key) ?? [];
    if (phase === undefined) return [];
    const read = (part: string): string => results.get(key.replace("headers_bytes", part)) ?? "";
    const isRequest = message === "request";
    const shown = results.get(`${phase} get_header_map_size ${isRequest ? 0 : 2}`) ?? "";
    const headBytes = numberOf(read("headers_bytes"));
    const isHead = !shown.startsWith("0 ") || shown === `0 ${headBytes}`;
    const faults = isHead ? [] : [`${key} is ${headBytes}, and the map has ${shown}`];
    const bodyBytes = numberOf(read("total_size")) - headBytes;
    const size = numberOf(read("size"));
    // A length that was announced may be more than what has come; trailers count, too.
    const isBody = isRequest ? bodyBytes <= size : bodyBytes === size || !hasNone(read("trailers"));
    return isBody && bodyBytes >= 0 ? faults : [...faults, `${key} leaves ${bodyBytes} of ${size}`];
  });
}

/** No trailers, as a map. */
function hasNone(trailers: string): boolean {
  return trailers === "0 0x00000000";
}

function numberOf(result: string): number {
  const bytes = /^0 0x([0-9a-f]{16})$/.exec(result)?.[1];
  return bytes === undefined ? -1 : Number(Buffer.from(bytes, "hex").readBigInt64LE());
}
