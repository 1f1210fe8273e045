//! Properties that plug-ins read of a response and of the client's connection (Envoy's attributes).

import type { Headers } from "../../http/headers.ts";
import {
  encodeBoolean,
  encodeInteger,
  encodeLatin1,
  encodeMap,
} from "../../wasm/property-encoding.ts";
import type { HeaderMap } from "../../wasm/stream-host.ts";
import type { ResponseDraft } from "../exchange/handler.ts";
import type { Peer } from "./caller.ts";
import { ResponseHeaderMap } from "./response-header-map.ts";

/** gRPC's status for an HTTP status, where a response has none of its own (grpc/doc/http-grpc). */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const GRPC_UNKNOWN = 2;

/** All values of a field, as Envoy joins them; null when it is absent. */
export function fieldProperty(headers: Headers, name: string): Uint8Array | null {
  const values = headers.getAll(name.toLowerCase());
  return values.length === 0 ? null : encodeLatin1(values.join(","));
}

/** All fields of a head, each with its values joined. */
export function fieldsProperty(head: HeaderMap): Uint8Array {
  const values = new Map<string, string>();
  head.forEach((name, value) => {
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  });
  return encodeMap([...values]);
}

/** `response` is null until there is one. */
export function responseProperty(
  response: ResponseDraft | null,
  path: readonly string[],
): Uint8Array | null {
  const part = path[1] ?? "";
  if (part === "flags") return encodeInteger(0);
  if (part === "trailers" && path.length === 2) return encodeMap([]);
  if (response === null) return null;
  switch (part) {
    case "code":
      return encodeInteger(response.status);
    case "code_details":
      return response.local ? null : encodeLatin1("via_upstream");
    case "grpc_status":
      return encodeInteger(grpcStatusOf(response));
    case "headers":
      return path[2] === undefined
        ? fieldsProperty(new ResponseHeaderMap(response))
        : fieldProperty(response.headers, path[2]);
    default:
      return null;
  }
}

function grpcStatusOf({ status, headers }: ResponseDraft): number {
  const own = headers.get("grpc-status");
  if (own !== undefined && /^\d{1,2}$/.test(own)) return Number(own);
  return grpcStatusFor(status);
}

/** gRPC's status for an HTTP status. */
export function grpcStatusFor(status: number): number {
  return GRPC_STATUS[status] ?? GRPC_UNKNOWN;
}

/** As much of a `PassOwner` as properties are read of. */
interface Ends {
  readonly remoteAddress: string;
  readonly peer: Peer;
  readonly upstreamAddress: string;
}

/** Of the two ends of the client's connection, and of the endpoint. */
export function peerProperty(
  { remoteAddress, peer, upstreamAddress }: Ends,
  [object = "", part = ""]: readonly string[],
): Uint8Array | null {
  switch (object) {
    case "connection":
      return connectionProperty(part, peer);
    case "connection_id":
      return connectionProperty("id", peer);
    case "source":
      return sourceProperty(part, remoteAddress, peer);
    case "destination":
      return destinationProperty(part, peer);
    case "upstream":
      return upstreamProperty(part, upstreamAddress);
    default:
      return null;
  }
}

/** Of `source` and `destination`. */
export function addressProperty(part: string, address: string, port: number): Uint8Array | null {
  if (part === "port") return encodeInteger(port);
  if (part !== "address") return null;
  return encodeLatin1(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
}

/** An address that a proxy in front told of has no port that is known: 0, as in Envoy. */
function sourceProperty(part: string, address: string, peer: Peer): Uint8Array | null {
  const port = address === peer.peerAddress ? (peer.facts?.remotePort ?? 0) : 0;
  return addressProperty(part, address, port);
}

function destinationProperty(part: string, { facts }: Peer): Uint8Array | null {
  return facts === undefined ? null : addressProperty(part, facts.localAddress, facts.localPort);
}

function connectionProperty(part: string, { facts, clientNames }: Peer): Uint8Array | null {
  switch (part) {
    case "id":
      return facts === undefined ? null : encodeInteger(facts.id);
    case "mtls":
      return encodeBoolean(facts?.isSecure === true && clientNames() !== null);
    case "requested_server_name":
      return encodeLatin1(facts?.serverName ?? "");
    case "tls_version":
      return facts?.isSecure === true ? encodeLatin1(facts.tlsVersion) : null;
    default:
      return null;
  }
}

/** `address` is `address:port`; `""`: no endpoint has been chosen yet. */
function upstreamProperty(part: string, address: string): Uint8Array | null {
  if (address === "") return null;
  if (part === "address") return encodeLatin1(address);
  if (part !== "port") return null;
  return encodeInteger(Number(address.slice(address.lastIndexOf(":") + 1)));
}
