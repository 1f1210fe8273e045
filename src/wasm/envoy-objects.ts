//! The objects of Envoy that plug-ins may store (`set_envoy_filter_state`): what each of its
//! factories takes, and how the object reads afterwards, as observed in Envoy 1.40.

import { isIP, SocketAddress } from "node:net";
import { latin1 } from "./field-text.ts";
import { encodePairs } from "./header-pairs.ts";
import { encodeInteger, encodeLatin1 } from "./property-encoding.ts";

/**
 * What can be read of an object afterwards, by the end of its path (`""`: itself); none: it is
 * taken, and cannot be read. Null: the bytes are not this object.
 */
type Reader = (value: Uint8Array) => readonly (readonly [part: string, value: Uint8Array])[] | null;

/** A copy, for guest memory changes. */
const asText: Reader = (value) => [["", new Uint8Array(value)]];

const asNothing: Reader = () => [];

const asSomeText: Reader = (value) => (value.length === 0 ? null : asText(value));

/** The words of `absl::SimpleAtob`, in any case. */
const YES = /^(?:true|t|yes|y|1)$/i;
const NO = /^(?:false|f|no|n|0)$/i;

const asBoolean: Reader = (value) => {
  const isTrue = YES.test(latin1(value));
  if (!isTrue && !NO.test(latin1(value))) return null;
  return [["", encodeLatin1(String(isTrue))]];
};

/** Whatever is not the word is false. */
const asSwitch: Reader = (value) => [["", encodeLatin1(String(latin1(value) === "true"))]];

function asNumber(most: bigint): Reader {
  return (value) => {
    const digits = /^\s*\+?(\d{1,64})\s*$/.exec(latin1(value))?.[1];
    if (digits === undefined || BigInt(digits) > most) return null;
    return [["", encodeLatin1(String(BigInt(digits)))]];
  };
}

const asAddress: Reader = (value) => {
  const canonical = canonicalAddress(latin1(value));
  if (canonical === null) return null;
  return [["", encodeLatin1(canonical.includes(":") ? `[${canonical}]:0` : `${canonical}:0`)]];
};

const PORT_MAX = 65_535;

/** An object with parts is a map that names none of them. */
const MAP_OF_PARTS: Uint8Array = encodePairs([]);

const asSocketAddress: Reader = (value) => {
  const read = socketAddress(latin1(value));
  if (read === null) return null;
  return [
    ["", MAP_OF_PARTS],
    ["\0ip", encodeLatin1(read.address)],
    ["\0port", encodeInteger(read.port)],
  ];
};

const ASCII_SPACES = /^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g;

/** `host:port,proxy's address:port`: which the socket of that name would ask for which. */
const asProxyInfo: Reader = (value) => {
  const text = latin1(value);
  const comma = text.indexOf(",");
  if (comma === -1) return null;
  const target = text.slice(0, comma).replaceAll(ASCII_SPACES, "");
  const proxy = text.slice(comma + 1).replaceAll(ASCII_SPACES, "");
  return target === "" || socketAddress(proxy) === null ? null : asNothing(value);
};

/** The values of `envoy.type.ai.v3.LLMProtocol`. */
const LLM_PROTOCOLS: ReadonlySet<string> = new Set([
  ...["LLM_PROTOCOL_UNSPECIFIED", "OPENAI_CHAT_COMPLETIONS", "OPENAI_RESPONSES"],
  ...["ANTHROPIC_MESSAGES", "GEMINI_GENERATE_CONTENT"],
]);

const asProtocol: Reader = (value) => {
  if (!LLM_PROTOCOLS.has(latin1(value))) return null;
  return [
    ["", MAP_OF_PARTS],
    ["\0llm_protocol", new Uint8Array(value)],
  ];
};

function socketAddress(text: string): { readonly address: string; readonly port: number } | null {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):[ \t\n\v\f\r]*\+?(\d{1,64})$/.exec(text);
  const [, inBrackets, plain = "", digits] = parts ?? [];
  const isKind = inBrackets === undefined ? isIP(plain) === 4 : isIP(inBrackets) === 6;
  const address = canonicalAddress(inBrackets ?? plain);
  const port = Number(digits);
  return isKind && address !== null && port <= PORT_MAX ? { address, port } : null;
}

function canonicalAddress(text: string): string | null {
  const family = isIP(text);
  if (family === 0 || text.includes("%")) return null;
  return new SocketAddress({ address: text, family: family === 4 ? "ipv4" : "ipv6" }).address;
}

const UINT32_MAX = 0xffff_ffffn;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

/** The cluster that a TCP proxy shall use for a connection. */
export const TCP_CLUSTER_OBJECT = "envoy.tcp_proxy.cluster";
/** After how many milliseconds without a byte it shall close it. */
export const TCP_IDLE_OBJECT = "envoy.tcp_proxy.per_connection_idle_timeout_ms";

/** The server name (SNI) of TLS to the endpoint. */
export const SERVER_NAME_OBJECT = "envoy.network.upstream_server_name";
/** Names, separated by commas, of which the endpoint's certificate must have one. */
export const ACCEPTED_NAMES_OBJECT = "envoy.network.upstream_subject_alt_names";

export const ENVOY_OBJECTS: ReadonlyMap<string, Reader> = new Map([
  ["envoy.string", asText],
  ["envoy.bool", asBoolean],
  ["envoy.hashable_string", asText],
  [SERVER_NAME_OBJECT, asText],
  [ACCEPTED_NAMES_OBJECT, asText],
  ["envoy.network.application_protocols", asNothing],
  ["envoy.network.network_namespace", asText],
  ["envoy.network.ip", asAddress],
  ["envoy.network.transport_socket.http_11_proxy.info", asProxyInfo],
  ["envoy.network.transport_socket.original_dst_address", asSocketAddress],
  ["envoy.filters.listener.original_dst.local_ip", asSocketAddress],
  ["envoy.filters.listener.original_dst.remote_ip", asSocketAddress],
  ["envoy.router.debug_config", asNothing],
  [TCP_CLUSTER_OBJECT, asText],
  ["envoy.tcp_proxy.disable_tunneling", asSwitch],
  [TCP_IDLE_OBJECT, asNumber(UINT64_MAX)],
  ["envoy.upstream.dynamic_host", asText],
  ["envoy.upstream.dynamic_port", asNumber(UINT32_MAX)],
  ["envoy.ratelimit.hits_addend", asNumber(UINT32_MAX)],
  ["envoy.ai.model.request", asSomeText],
  ["envoy.ai.llm_protocol.request", asProtocol],
]);

/** What a part is, by its name. */
export type ObjectParts = ReadonlyMap<string, "text" | "number">;

const ADDRESS_PARTS: ObjectParts = new Map([
  ["ip", "text"],
  ["port", "number"],
]);

/** The parts that expressions see, of each object that has some. */
export const PARTS_OF_OBJECTS: ReadonlyMap<string, ObjectParts> = new Map([
  ["envoy.network.transport_socket.original_dst_address", ADDRESS_PARTS],
  ["envoy.filters.listener.original_dst.local_ip", ADDRESS_PARTS],
  ["envoy.filters.listener.original_dst.remote_ip", ADDRESS_PARTS],
  ["envoy.ai.llm_protocol.request", new Map([["llm_protocol", "text"]])],
]);
