//! The header of the PROXY protocol that connections to endpoints begin with (HAProxy,
//! proxy-protocol.txt 2.1 and 2.2): it tells of the client's connection, as Envoy's does.

import ipaddr from "ipaddr.js";
import type { ProxyVersion } from "../../snapshot/routing.ts";
import type { ConnectionEnds } from "../listener/proxy-header.ts";

const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const LOCAL = 0x20;
const PROXY = 0x21;
const UNSPEC = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;

type Address = ipaddr.IPv4 | ipaddr.IPv6;

interface Ends {
  readonly source: Address;
  readonly destination: Address;
  readonly ports: readonly [source: number, destination: number];
}

/** Null, or no addresses: a connection of our own, such as a health check. */
export function writtenProxyHeader(version: ProxyVersion, ends: ConnectionEnds | null): Buffer {
  const known = ends === null ? null : endsOf(ends);
  return version === "v1" ? writtenV1(known) : writtenV2(known);
}

function writtenV1(ends: Ends | null): Buffer {
  if (ends === null) return Buffer.from("PROXY UNKNOWN\r\n", "latin1");
  const { source, destination, ports } = ends;
  const family = source.kind() === "ipv4" ? "TCP4" : "TCP6";
  const line = ["PROXY", family, source.toString(), destination.toString(), ...ports].join(" ");
  return Buffer.from(`${line}\r\n`, "latin1");
}

function writtenV2(ends: Ends | null): Buffer {
  if (ends === null) return Buffer.from([...V2_SIGNATURE, LOCAL, UNSPEC, 0, 0]);
  const { source, destination, ports } = ends;
  const addresses = [...source.toByteArray(), ...destination.toByteArray()];
  const family = source.kind() === "ipv4" ? TCP4 : TCP6;
  const rest = [...addresses, ...ports.flatMap((port) => [port >> 8, port & 0xff])];
  return Buffer.from([...V2_SIGNATURE, PROXY, family, 0, rest.length, ...rest]);
}

/** Both of one family: what else is IPv4 is then told as IPv6 that stands for it. */
function endsOf({
  remoteAddress,
  remotePort,
  localAddress,
  localPort,
}: ConnectionEnds): Ends | null {
  if (!ipaddr.isValid(remoteAddress) || !ipaddr.isValid(localAddress)) return null;
  // As IPv4 where it stands for that, and without a zone, which means something on one machine.
  const source = ipaddr.process(withoutZone(remoteAddress));
  const destination = ipaddr.process(withoutZone(localAddress));
  const ports = [remotePort, localPort] as const;
  if (source.kind() === destination.kind()) return { source, destination, ports };
  return { source: asIpv6(source), destination: asIpv6(destination), ports };
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, "");
}

function asIpv6(address: Address): Address {
  return "toIPv4MappedAddress" in address ? address.toIPv4MappedAddress() : address;
}
