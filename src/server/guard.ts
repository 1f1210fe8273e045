//! From where the API may be spoken to: this machine only, and no web page on its behalf.

import type { IncomingMessage } from "node:http";
import { refuse } from "./status.ts";

/** `localhost`, 127.0.0.0/8 and `::1`; brackets around an IPv6 address are allowed. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/**
 * Throws `StatusError` for a request that names another host (a web page may resolve its own name
 * to 127.0.0.1: DNS rebinding), or that a web page of another origin makes.
 */
export function checkOrigin(request: IncomingMessage): void {
  const authority = request.headers.host ?? "";
  if (!isLoopback(authority.replace(/:\d+$/, ""))) {
    throw refuse(403, "Forbidden", "the Host header must name this machine, e.g. localhost");
  }
  const { origin } = request.headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${authority.toLowerCase()}`) {
    throw refuse(403, "Forbidden", "requests of web pages from another origin are refused");
  }
}
