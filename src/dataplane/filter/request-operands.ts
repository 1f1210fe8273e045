//! What the rules of lanes read of a request: looked for only when a rule asks, and not before.
//!
//! Values are wire texts, one character for each byte, as the codec gives them.

import type { LaneGroup, OperandKind } from "../../snapshot/snapshot.ts";
import type { CollectedOperands } from "./collected-operands.ts";
import type { EditableRequest } from "./request-header-map.ts";

export interface OperandRequest {
  readonly request: EditableRequest;
  /** Of the connection. */
  readonly remoteAddress: string;
  /** What is read beyond the head; null: nothing. */
  readonly collected: CollectedOperands | null;
}

/** The value of one operand, or undefined when the request does not have it. */
export function readOperand(
  { request, remoteAddress, collected }: OperandRequest,
  group: Pick<LaneGroup, "name" | "operands">,
  kind: OperandKind,
  name: string,
): string | undefined {
  switch (kind) {
    case "header":
      return request.headers.get(name);
    case "cookie":
      return cookieValue(request, name);
    case "query":
      return queryValue(request.target, name);
    case "method":
      return request.method;
    case "path":
      return pathOf(request.target);
    case "host":
      return hostOf(request.authority);
    case "clientIp":
      return clientAddress(request, remoteAddress, group.operands?.trustedHops ?? 0);
    default:
      return collected?.read(group.name, kind, name);
  }
}

/**
 * The address of the client: with `trustedHops` n the n-th of `x-forwarded-for` from the right,
 * since what stands left of it anybody may have written. With fewer, that of the connection. The
 * last one is the connection's own, which the gateway has added.
 */
export function clientAddress(
  request: EditableRequest,
  remoteAddress: string,
  trustedHops: number,
): string {
  if (trustedHops === 0 || !request.headers.has("x-forwarded-for")) return plain(remoteAddress);
  const hops = request.headers.getAll("x-forwarded-for").join(",").split(",");
  const hop = trimBlanks(hops[hops.length - 1 - trustedHops] ?? "");
  return plain(hop === "" ? remoteAddress : hop);
}

/** Without the prefix of an IPv4 address mapped into IPv6. */
function plain(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** RFC 6265, 4.2.1: `name=value` between semicolons; of several of a name the first. */
export function cookieValue({ headers }: EditableRequest, name: string): string | undefined {
  if (!headers.has("cookie")) return undefined;
  for (const field of headers.getAll("cookie")) {
    for (const pair of field.split(";")) {
      const equals = pair.indexOf("=");
      if (equals !== -1 && trimBlanks(pair.slice(0, equals)) === name) {
        return trimBlanks(pair.slice(equals + 1));
      }
    }
  }
  return undefined;
}

/** No others than blanks: `trim` would take the last byte of `à`, which is a space elsewhere. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A parameter of a query in the form of HTML forms; one without `=` is there and empty. */
export function queryValue(target: string, name: string): string | undefined {
  const start = target.indexOf("?");
  if (start === -1) return undefined;
  for (const pair of target.slice(start + 1).split("&")) {
    const equals = pair.indexOf("=");
    const key = equals === -1 ? pair : pair.slice(0, equals);
    if (key === "" || unescape(key) !== name) continue;
    return equals === -1 ? "" : unescape(pair.slice(equals + 1));
  }
  return undefined;
}

/** Percent-decoding to wire text. What is no escape stays as it is (WHATWG URL, 5.1). */
function unescape(text: string): string {
  if (!/[%+]/.test(text)) return text;
  return text
    .replaceAll("+", " ")
    .replaceAll(/%([0-9A-Fa-f]{2})/g, (_whole, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

function pathOf(target: string): string {
  const end = target.indexOf("?");
  return end === -1 ? target : target.slice(0, end);
}

function hostOf(authority: string): string {
  const host = authority.replace(/:\d*$/, "").toLowerCase();
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
