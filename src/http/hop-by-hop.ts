//! Removes what concerns one connection only (RFC 9110 section 7.6.1) before a message goes on.

import type { Headers } from "./headers.ts";
import { trimBlanks } from "./syntax.ts";

/**
 * Fields that a Connection field cannot remove: a client that names them would strip what routing,
 * framing or the upstream's security stands on.
 */
const ESSENTIAL: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "authorization",
  "cookie",
  "cache-control",
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "x-request-id",
]);

/**
 * Removes, in place, the fields that Connection names, and `connection`, `keep-alive`,
 * `proxy-connection`, `transfer-encoding`, `upgrade`, `proxy-authorization` (it was meant for us)
 * and `te` (`te: trailers` stays: gRPC needs it). Whoever sends the message on writes its own
 * framing. Call it before fields of ours are added, so that a peer cannot name those.
 *
 * True when `te: trailers` stayed: whoever sends it on must name it in Connection (RFC 9110
 * section 10.1.4).
 */
export function removeHopByHop(headers: Headers): boolean {
  const { names, values } = headers;
  let named: ReadonlySet<string> | null = null;
  let found = false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    if (!isHopByHop(name)) continue;
    found = true;
    if (name === "connection") named = withTokens(named, values[index] as string);
  }
  return found && compact(headers, named);
}

/** A first look at the length: most names need no comparison at all. */
function isHopByHop(name: string): boolean {
  switch (name.length) {
    case 2:
      return name === "te";
    case 7:
      return name === "upgrade";
    case 10:
      return name === "connection" || name === "keep-alive";
    case 16:
      return name === "proxy-connection";
    case 17:
      return name === "transfer-encoding";
    case 19:
      return name === "proxy-authorization";
    default:
      return false;
  }
}

function withTokens(named: ReadonlySet<string> | null, value: string): ReadonlySet<string> | null {
  // What nearly every message says names no field.
  if (value === "keep-alive" || value === "close") return named;
  const tokens = value.split(",").map((token) => trimBlanks(token).toLowerCase());
  const removable = tokens.filter((token) => !ESSENTIAL.has(token));
  return named === null ? new Set(removable) : new Set([...named, ...removable]);
}

function compact(headers: Headers, named: ReadonlySet<string> | null): boolean {
  const { names, values } = headers;
  let kept = 0;
  let keptTe = false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    const value = values[index] as string;
    const isTrailers = name === "te" && acceptsTrailers(value);
    if (!isTrailers && (isHopByHop(name) || named?.has(name) === true)) continue;
    keptTe ||= isTrailers;
    names[kept] = name;
    values[kept] = isTrailers ? "trailers" : value;
    kept++;
  }
  // To set a length is a call into the engine; to pop is not.
  for (let left = names.length - kept; left > 0; left--) {
    names.pop();
    values.pop();
  }
  return keptTe;
}

function acceptsTrailers(te: string): boolean {
  return te.split(",").some((coding) => trimBlanks(coding).toLowerCase() === "trailers");
}
