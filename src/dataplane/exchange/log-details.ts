//! What formats of access logs ask for beside an exchange's record. Made for such formats alone.

import type { AccessLogDetails } from "../../telemetry/access-log.ts";
import { NO_DETAILS } from "../../telemetry/access-log.ts";
import { transportFailureOf } from "../filter/exchange-facts.ts";
import type { ConnectionFacts } from "../listener/connection-facts.ts";
import type { Exchange } from "./exchange.ts";
import { LiveFacts } from "./live-facts.ts";

/** Of a connection of which nothing more is known than that its `peer` is no client of HTTP. */
export function detailsOfConnection(facts: ConnectionFacts, peer: string): AccessLogDetails {
  const { tls } = facts;
  const from = addressText(peer, facts.remotePort);
  return {
    ...NO_DETAILS,
    peer: from,
    client: from,
    local: addressText(facts.localAddress, facts.localPort),
    connectionId: facts.id,
    serverName: facts.serverName,
    tlsVersion: tls?.version ?? "",
    certificate: tls?.isPeerVerified === true ? tls.peer : null,
    scheme: tls === null ? "http" : "https",
  };
}

export function detailsOf(exchange: Exchange): AccessLogDetails {
  const { connection, head } = exchange;
  const { remoteAddress } = connection;
  const common = detailsOfConnection(connection.facts, remoteAddress);
  const facts = new LiveFacts(exchange);
  const { attempt, handler, response } = exchange.outcome();
  const { remoteAddress: clientAddress = "" } = handler;
  const isToldOf = clientAddress !== "" && clientAddress !== remoteAddress;
  return {
    ...common,
    client: isToldOf ? addressText(clientAddress, 0) : common.client,
    scheme: head.headers.get("x-forwarded-proto") ?? common.scheme,
    upstreamLocal: facts.upstream?.localAddress ?? "",
    upstreamFailure: transportFailureOf(facts),
    attempts: attempt?.count ?? 0,
    responseField: (name) => response?.headers.get(name) ?? null,
    responseTrailer: (name) => facts.responseTrailers?.get(name) ?? null,
  };
}

function addressText(address: string, port: number): string {
  if (address === "") return "";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
