//! Who may speak to the API: this machine only, with the token, and no web page on its behalf.

import type { IncomingMessage } from "node:http";
import { isSameToken } from "./credentials.ts";
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

/** Throws `StatusError` 401. */
export function checkToken(request: IncomingMessage, token: string): void {
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (given !== undefined && isSameToken(given, token)) return;
  const message =
    given === undefined
      ? "a bearer token is required; it stands in admin.token in the state directory"
      : "the bearer token is wrong; it stands in admin.token in the state directory";
  throw refuse(401, "Unauthorized", message);
}
