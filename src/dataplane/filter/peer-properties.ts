//! Properties that plug-ins read of the two connections of an exchange (Envoy's attributes
//! `connection`, `source`, `destination` and `upstream`).

import {
  encodeBoolean,
  encodeInteger,
  encodeTime,
  encodeLatin1,
  encodeUtf8,
  UNSERIALIZABLE,
} from "../../wasm/property-encoding.ts";
import { NO_CLIENT_NAMES } from "../listener/client-names.ts";
import type { CertificateFacts, TlsView } from "../tls-facts.ts";
import type { Peer } from "./caller.ts";
import { NO_LOCALITY } from "../../snapshot/metadata.ts";
import { transportFailureOf } from "./exchange-facts.ts";
import type { ExchangeFacts } from "./exchange-facts.ts";
import { localityProperty } from "./protobuf-values.ts";

/** As much of a `PassOwner` as these properties are read of. */
interface Ends {
  readonly remoteAddress: string;
  readonly peer: Peer;
  readonly upstreamAddress: string;
  readonly facts: ExchangeFacts | null;
}

/** Of the two ends of the client's connection, and of the endpoint. */
export function peerProperty(ends: Ends, path: readonly string[]): Uint8Array | null {
  const [object = "", part = ""] = path;
  switch (object) {
    case "connection":
      return connectionProperty(part, ends.peer);
    case "connection_id":
      return connectionProperty("id", ends.peer);
    case "source":
      return sourceProperty(part, ends.remoteAddress, ends.peer);
    case "destination":
      return destinationProperty(part, ends.peer);
    case "upstream":
      return part === "locality"
        ? upstreamLocality(path.slice(2), ends)
        : upstreamProperty(part, ends);
    case "upstream_filter_state":
      return path.length === 1 && hasUpstream(ends.facts) ? UNSERIALIZABLE : null;
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

function connectionProperty(part: string, peer: Peer): Uint8Array | null {
  const { facts } = peer;
  if (part === "id") return facts === undefined ? null : encodeInteger(facts.id);
  if (part === "requested_server_name") return encodeLatin1(facts?.serverName ?? "");
  const tls = facts?.tls ?? null;
  if (part === "mtls") return encodeBoolean(tls !== null && shownBy(peer, tls) !== null);
  return tls === null ? null : tlsProperty(part, tls, () => shownBy(peer, tls));
}

/** A client that was not asked for a certificate has shown none that counts. */
function shownBy({ clientNames }: Peer, tls: TlsView): CertificateFacts | null {
  return clientNames !== NO_CLIENT_NAMES && tls.isPeerVerified ? tls.peer : null;
}

/** A part of `CertificateFacts`, of which side; a subject is `""` where there is no certificate. */
const OF_CERTIFICATES: ReadonlyMap<string, readonly ["local" | "peer", keyof CertificateFacts]> =
  new Map([
    ["subject_local_certificate", ["local", "subject"]],
    ["subject_peer_certificate", ["peer", "subject"]],
    ["dns_san_local_certificate", ["local", "dnsName"]],
    ["dns_san_peer_certificate", ["peer", "dnsName"]],
    ["uri_san_local_certificate", ["local", "uri"]],
    ["uri_san_peer_certificate", ["peer", "uri"]],
    ["sha256_peer_certificate_digest", ["peer", "sha256"]],
  ]);

function tlsProperty(
  part: string,
  tls: TlsView,
  peer: () => CertificateFacts | null,
): Uint8Array | null {
  if (part === "tls_version") return textOf(tls.version === "" ? null : tls.version);
  const wanted = OF_CERTIFICATES.get(part);
  if (wanted === undefined) return null;
  const [side, field] = wanted;
  const certificate = side === "local" ? tls.local : peer();
  if (certificate === null) return field === "subject" ? encodeUtf8("") : null;
  return textOf(certificate[field]);
}

function textOf(text: string | null): Uint8Array | null {
  return text === null ? null : encodeUtf8(text);
}

/** A connection was ready. */
function hasUpstream(facts: ExchangeFacts | null): facts is ExchangeFacts {
  return facts !== null && facts.upstream !== null;
}

function upstreamLocality(path: readonly string[], ends: Ends): Uint8Array | null {
  if (ends.upstreamAddress === "") return null;
  return localityProperty(ends.facts?.endpointNotes?.locality ?? NO_LOCALITY, path);
}

/** `upstreamAddress` is `address:port`; `""`: no endpoint has been chosen yet. */
function upstreamProperty(
  part: string,
  { upstreamAddress: address, facts }: Ends,
): Uint8Array | null {
  if (part === "request_attempt_count") return encodeInteger(facts?.attempts ?? 0);
  if (address === "") return null;
  switch (part) {
    case "address":
      return encodeLatin1(address);
    case "port":
      return encodeInteger(Number(address.slice(address.lastIndexOf(":") + 1)));
    case "cx_pool_ready_duration":
      return timeOf(facts?.poolReadyMs ?? null);
    case "transport_failure_reason":
      return encodeLatin1(reasonOf(facts));
    default:
      return hasUpstream(facts) ? establishedProperty(part, facts) : null;
  }
}

function reasonOf(facts: ExchangeFacts | null): string {
  return facts === null ? "" : transportFailureOf(facts);
}

function timeOf(ms: number | null): Uint8Array | null {
  return ms === null ? null : encodeTime(ms);
}

function establishedProperty(part: string, { upstream }: ExchangeFacts): Uint8Array | null {
  if (upstream === null) return null;
  if (part === "local_address") {
    return upstream.localAddress === "" ? null : encodeUtf8(upstream.localAddress);
  }
  const { tls } = upstream;
  return tls === null ? null : tlsProperty(part, tls, () => tls.peer);
}
