//! The header of the PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt 2.1 and 2.2):
//! what a proxy in front says of the client before its first byte.

import { SocketAddress, isIPv4, isIPv6 } from "node:net";

/** Where a connection began and where it was meant to end. */
export interface ConnectionEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/**
 * `more`: `bytesMin` are needed to say more. `none`: it does not begin as a header does. `header`:
 * `ends` null is a connection of the proxy's own (LOCAL, UNKNOWN, UNSPEC), with its own addresses.
 */
export type ProxyHeaderResult =
  | { readonly kind: "more"; readonly bytesMin: number }
  | { readonly kind: "none" }
  | { readonly kind: "bad"; readonly why: string }
  | { readonly kind: "header"; readonly length: number; readonly ends: ConnectionEnds | null };

const V1_PREFIX = Buffer.from("PROXY ", "latin1");
/** The longest line of version 1, with its CRLF (specification, section 2.1). */
const V1_BYTES_MAX = 107;
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;
/** Addresses and TLVs of version 2: our own limit, far above what proxies send. */
const V2_REST_BYTES_MAX = 16_384;
const PORT_MAX = 65_535;

/** Version 2, byte 13: the version and the command. */
const LOCAL = 0x20;
const PROXY = 0x21;
/** Byte 14: the address family, and the transport. */
const UNSPEC = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;
const BYTES_OF_FAMILY: Readonly<Record<number, number>> = {
  [UNSPEC]: 0,
  [TCP4]: 12,
  [TCP6]: 36,
  [UNIX_STREAM]: 216,
};

/** Of the first bytes of a connection. */
export function parseProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (startsAlike(bytes, V2_SIGNATURE)) return parseV2(bytes);
  return startsAlike(bytes, V1_PREFIX) ? parseV1(bytes) : { kind: "none" };
}

function startsAlike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.subarray(0, length).equals(prefix.subarray(0, length));
}

function bad(why: string): ProxyHeaderResult {
  return { kind: "bad", why };
}

function parseV1(bytes: Buffer): ProxyHeaderResult {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf("\n");
  if (end === -1) {
    if (bytes.length >= V1_BYTES_MAX) return bad(`no end of line in ${V1_BYTES_MAX} bytes`);
    return { kind: "more", bytesMin: bytes.length + 1 };
  }
  const line = bytes.toString("latin1", 0, end);
  if (!line.endsWith("\r")) return bad("its line does not end with CRLF");
  const [, family = "", ...rest] = line.slice(0, -1).split(" ");
  const length = end + 1;
  if (family === "UNKNOWN") return { kind: "header", length, ends: null };
  if (family !== "TCP4" && family !== "TCP6") return bad("its family is not TCP4, TCP6 or UNKNOWN");
  const ends = endsOfV1(family, rest);
  return ends === null
    ? bad("its addresses or ports are malformed")
    : { kind: "header", length, ends };
}

function endsOfV1(family: "TCP4" | "TCP6", rest: readonly string[]): ConnectionEnds | null {
  const [source = "", destination = "", sourcePort = "", destinationPort = ""] = rest;
  const isAddress = family === "TCP4" ? isIPv4 : isPlainIpv6;
  if (rest.length !== 4 || !isAddress(source) || !isAddress(destination)) return null;
  const remotePort = portOf(sourcePort);
  const localPort = portOf(destinationPort);
  if (remotePort === null || localPort === null) return null;
  const tell = (address: string): string => (family === "TCP4" ? address : ipv6Text(address));
  const [remoteAddress, localAddress] = [tell(source), tell(destination)];
  return { remoteAddress, remotePort, localAddress, localPort };
}

/** A zone means something on one machine only. */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function portOf(text: string): number | null {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text)) return null;
  const port = Number(text);
  return port <= PORT_MAX ? port : null;
}

function parseV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < V2_FIXED_BYTES) return { kind: "more", bytesMin: V2_FIXED_BYTES };
  const command = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const restBytes = bytes.readUInt16BE(14);
  if (command !== LOCAL && command !== PROXY) return bad("its version or command is unknown");
  if (restBytes > V2_REST_BYTES_MAX) return bad(`it is longer than ${V2_REST_BYTES_MAX} bytes`);
  const fault = command === LOCAL ? null : faultOfAddresses(family, restBytes);
  if (fault !== null) return bad(fault);
  const length = V2_FIXED_BYTES + restBytes;
  if (bytes.length < length) return { kind: "more", bytesMin: length };
  const rest = bytes.subarray(V2_FIXED_BYTES, length);
  // LOCAL: "the receiver must discard the protocol block including the family".
  return { kind: "header", length, ends: command === LOCAL ? null : endsOfV2(family, rest) };
}

function faultOfAddresses(family: number, restBytes: number): string | null {
  const bytesMin = BYTES_OF_FAMILY[family];
  if (bytesMin === undefined) return "its family or transport is not served";
  return restBytes < bytesMin ? "it is too short for its addresses" : null;
}

/** TLVs behind the addresses are passed over. */
function endsOfV2(family: number, rest: Buffer): ConnectionEnds | null {
  if (family === TCP4) {
    return {
      remoteAddress: rest.subarray(0, 4).join("."),
      localAddress: rest.subarray(4, 8).join("."),
      remotePort: rest.readUInt16BE(8),
      localPort: rest.readUInt16BE(10),
    };
  }
  if (family !== TCP6) return null;
  return {
    remoteAddress: ipv6Of(rest.subarray(0, 16)),
    localAddress: ipv6Of(rest.subarray(16, 32)),
    remotePort: rest.readUInt16BE(32),
    localPort: rest.readUInt16BE(34),
  };
}

function ipv6Of(bytes: Buffer): string {
  return ipv6Text((bytes.toString("hex").match(/.{4}/g) ?? []).join(":"));
}

/** In the one form of RFC 5952. */
function ipv6Text(address: string): string {
  return new SocketAddress({ address, family: "ipv6" }).address;
}
