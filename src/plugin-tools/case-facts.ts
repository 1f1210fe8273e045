//! What a case says of the connections and the route of its exchange, for the properties that
//! plug-ins read of them.

import { isIP } from "node:net";
import { UNNAMED_NODE } from "../snapshot/proxy-node.ts";
import type { ProxyNode } from "../snapshot/proxy-node.ts";
import type { ExchangeFacts } from "../dataplane/filter/exchange-facts.ts";
import type { ConnectionView } from "../dataplane/listener/connection-facts.ts";
import type { CertificateFacts, TlsView } from "../dataplane/tls-facts.ts";
import type { UpstreamView } from "../dataplane/upstream/upstream-facts.ts";
import type { Cursor } from "../resources/cursor.ts";
import { optional, textOf } from "./case-calls.ts";

export interface CaseConnection extends ConnectionView {
  readonly remoteAddress: string;
}

export interface CaseUpstream extends UpstreamView {
  /** `address:port` */
  readonly address: string;
}

/** Null members are those of the one route that every case has. */
export interface CaseRoute {
  readonly name: string | null;
  readonly virtualHost: string | null;
  readonly cluster: string | null;
}

export interface CaseFacts {
  readonly connection: CaseConnection | null;
  readonly upstream: CaseUpstream | null;
  readonly route: CaseRoute | null;
}

export const NO_FACTS: CaseFacts = { connection: null, upstream: null, route: null };
export const FACT_FIELDS: readonly string[] = ["connection", "upstream", "route"];
const CERTIFICATE_FIELDS = ["subject", "dnsName", "uri", "sha256"];
const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const;
const ID = { least: 1, most: Number.MAX_SAFE_INTEGER };
const PORT_MAX = 65_535;
const CLIENT = "127.0.0.1:50000";
const LISTENER = "127.0.0.1:80";

/** Of a case; what is not written is null. */
export function readFacts(cursor: Cursor): CaseFacts {
  return {
    connection: optional(cursor.at("connection"), readConnection),
    upstream: optional(cursor.at("upstream"), readUpstream),
    route: optional(cursor.at("route"), readRoute),
  };
}

function readConnection(cursor: Cursor): CaseConnection {
  cursor.isMap(["id", "source", "destination", "tls"]);
  const source = readAddress(cursor.at("source"), CLIENT);
  const destination = readAddress(cursor.at("destination"), LISTENER);
  const tls = cursor.at("tls");
  return {
    id: cursor.at("id").count(ID, 1),
    remoteAddress: source.address,
    remotePort: source.port,
    localAddress: destination.address,
    localPort: destination.port,
    tls: optional(tls, (value) => readTls(value, ["serverName"])),
    serverName: tls.isAbsent ? "" : tls.at("serverName").text(),
  };
}

function readUpstream(cursor: Cursor): CaseUpstream {
  cursor.isMap(["address", "localAddress", "tls"]);
  const local = cursor.at("localAddress");
  return {
    address: textOfAddress(readAddress(cursor.at("address"), null)),
    localAddress: local.isAbsent ? "" : textOfAddress(readAddress(local, null)),
    tls: optional(cursor.at("tls"), (value) => readTls(value, [])),
  };
}

function readRoute(cursor: Cursor): CaseRoute {
  cursor.isMap(["name", "virtualHost", "cluster"]);
  return {
    name: optional(cursor.at("name"), textOf),
    virtualHost: optional(cursor.at("virtualHost"), textOf),
    cluster: optional(cursor.at("cluster"), textOf),
  };
}

/** A certificate of the peer that is written has been verified. */
function readTls(cursor: Cursor, more: readonly string[]): TlsView {
  cursor.isMap(["version", "local", "peer", ...more]);
  const peer = optional(cursor.at("peer"), readCertificate);
  return {
    version: cursor.at("version").choice(TLS_VERSIONS, "TLSv1.3"),
    local: optional(cursor.at("local"), readCertificate),
    peer,
    isPeerVerified: peer !== null,
  };
}

function readCertificate(cursor: Cursor): CertificateFacts {
  cursor.isMap(CERTIFICATE_FIELDS);
  return {
    subject: cursor.at("subject").text(),
    dnsName: optional(cursor.at("dnsName"), textOf),
    uri: optional(cursor.at("uri"), textOf),
    sha256: cursor.at("sha256").text(),
  };
}

interface Address {
  readonly address: string;
  readonly port: number;
}

/** `10.0.0.1:80` or `[::1]:80`; a null `fallback` makes it required. */
function readAddress(cursor: Cursor, fallback: string | null): Address {
  const text = cursor.isAbsent && fallback !== null ? fallback : cursor.text(null);
  const [, inBrackets, plain, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = inBrackets ?? plain ?? "";
  const port = Number(digits);
  const isAddress = isIP(address) === (inBrackets === undefined ? 4 : 6) && port <= PORT_MAX;
  if (!isAddress && typeof cursor.value === "string") {
    cursor.wrong("an address with its port, as 10.0.0.1:80 or [::1]:80");
  }
  return { address, port };
}

function textOfAddress({ address, port }: Address): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An exchange's facts as they grow; its virtual time stands still. */
export class GrowingFacts implements ExchangeFacts {
  readonly node: ProxyNode = UNNAMED_NODE;
  readonly startedAtMs: number;
  readonly flag = "";
  readonly failedBy = null;
  readonly failure = "";
  readonly isClientReset = false;
  readonly endpointNotes = null;
  readonly poolReadyMs = null;
  readonly responseTrailers = null;
  status = 0;
  replyDetails: string | null = null;
  requestBytes = 0;
  responseBytes = 0;
  durationMs: number | null = null;
  backendMs: number | null = null;
  attempts = 0;
  upstream: UpstreamView | null = null;

  constructor(startedAtMs: number) {
    this.startedAtMs = startedAtMs;
  }
}
