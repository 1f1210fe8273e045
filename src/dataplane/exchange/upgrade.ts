//! Protocol switches (RFC 9110 section 7.8): which are passed on, and what must be true of the 101.

import type { Headers } from "../../http/headers.ts";
import { removeHopByHop } from "../../http/hop-by-hop.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { ResponseHead } from "../../http/response-parser.ts";

/**
 * The only protocol that is passed on. Never `h2c`: an upstream that took it would be spoken to
 * past our checks (known as h2c smuggling). A request that asks for another is served as a plain
 * one, as RFC 9110 allows a server to ignore Upgrade.
 */
const TUNNELLED = "websocket";

/**
 * Removes the hop-by-hop fields of a request, and puts back what this hop says itself: the upgrade
 * (answered here), and `TE`, which must be named by Connection (RFC 9110 section 10.1.4).
 */
export function takeUpgrade(head: RequestHead): string | null {
  const { headers } = head;
  if (removeHopByHop(headers)) headers.add("connection", "te");
  if (head.upgrade === null || !isTunnelled(head)) return null;
  addUpgrade(headers, TUNNELLED);
  return TUNNELLED;
}

/** RFC 6455 section 4.1: GET, HTTP/1.1 or higher; a body would stand between head and tunnel. */
function isTunnelled(head: RequestHead): boolean {
  return (
    head.upgrade?.toLowerCase() === TUNNELLED &&
    head.method === "GET" &&
    head.versionMinor === 1 &&
    head.body !== "chunked" &&
    head.contentLength === 0
  );
}

export function addUpgrade(headers: Headers, protocol: string): void {
  headers.add("connection", "upgrade");
  headers.add("upgrade", protocol);
}

/** Does this 101 switch to what was asked for? Read before its hop-by-hop fields are removed. */
export function isSwitchTo(protocol: string | null, response: ResponseHead): boolean {
  return (
    protocol !== null &&
    response.status === 101 &&
    response.headers.get("upgrade")?.toLowerCase() === protocol
  );
}
