//! The objects of Envoy that plug-ins may store (`set_envoy_filter_state`): what each of its
//! factories takes, and how the object reads afterwards, as observed in Envoy 1.40.

import { isIP, SocketAddress } from "node:net";
import { latin1 } from "../field-text.ts";
import { encodePairs } from "../header-pairs.ts";
import { encodeInteger, encodeLatin1 } from "../property-encoding.ts";

/**
 * What can be read of an object afterwards, by the end of its path (`""`: itself); none: it is
 * taken, and cannot be read. Null: the bytes are not this object.
 */
type Reader = (value: Uint8Array) => readonly (readonly [part: string, value: Uint8Array])[] | null;

/** A copy, for guest memory changes. */
const asText: Reader = (value) => [["", value.slice()]];

const asNothing: Reader = () => [];

const asBoolean: Reader = (value) => [["", encodeLatin1(String(latin1(value) === "true"))]];

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

/** An address with its port is a map that names none of its two parts. */
const asSocketAddress: Reader = (value) => {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,9})$/.exec(latin1(value));
  const [, inBrackets, plain = "", digits] = parts ?? [];
  const isKind = inBrackets === undefined ? isIP(plain) === 4 : isIP(inBrackets) === 6;
  const canonical = canonicalAddress(inBrackets ?? plain);
  const port = Number(digits);
  if (!isKind || canonical === null || port > PORT_MAX) return null;
  return [
    ["", encodePairs([])],
    ["\0ip", encodeLatin1(canonical)],
    ["\0port", encodeInteger(port)],
  ];
};

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
  ["envoy.hashable_string", asText],
  [SERVER_NAME_OBJECT, asText],
  [ACCEPTED_NAMES_OBJECT, asText],
  ["envoy.network.application_protocols", asNothing],
  ["envoy.network.network_namespace", asText],
  ["envoy.network.ip", asAddress],
  ["envoy.network.transport_socket.original_dst_address", asSocketAddress],
  ["envoy.filters.listener.original_dst.local_ip", asSocketAddress],
  ["envoy.filters.listener.original_dst.remote_ip", asSocketAddress],
  ["envoy.router.debug_config", asNothing],
  [TCP_CLUSTER_OBJECT, asText],
  ["envoy.tcp_proxy.disable_tunneling", asBoolean],
  [TCP_IDLE_OBJECT, asNumber(UINT64_MAX)],
  ["envoy.upstream.dynamic_host", asText],
  ["envoy.upstream.dynamic_port", asNumber(UINT32_MAX)],
  ["envoy.ratelimit.hits_addend", asNumber(UINT32_MAX)],
]);
