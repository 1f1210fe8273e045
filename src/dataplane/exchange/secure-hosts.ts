//! Which hosts a request may name on its connection: those of the certificate that was shown, and
//! https where a gateway sends plain requests there.

import { Headers } from "../../http/headers.ts";
import type { HttpFault } from "../../http/fault.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import { takesHost } from "../listener/tls-contexts.ts";

const MISDIRECTED: HttpFault = {
  status: 421,
  code: "misdirected_request",
  message: "the host is not one of those that the connection's server name stands for",
};
const PORT = /:\d*$/;

/**
 * A request for another host than the TLS handshake was made for would get round that host's demand
 * for a client certificate (RFC 9110 section 15.5.20). `server` is null where there is no choice.
 */
export function misdirection(head: RequestHead, server: TlsServer | null): HttpFault | null {
  if (server === null || takesHost(server.hosts, hostOf(head))) return null;
  return MISDIRECTED;
}

/** The answer's fields when a plain request is to be sent to https; null when it is served. */
export function secureLocation(head: RequestHead, hosts: readonly string[]): Headers | null {
  // A trusted proxy in front has spoken TLS already.
  if (head.headers.get("x-forwarded-proto") === "https") return null;
  const host = hostOf(head);
  if (!takesHost(hosts, host)) return null;
  const headers = new Headers();
  headers.add("location", `https://${host}${head.target === "*" ? "/" : head.target}`);
  return headers;
}

function hostOf({ authority }: RequestHead): string {
  return authority.replace(PORT, "").toLowerCase();
}
