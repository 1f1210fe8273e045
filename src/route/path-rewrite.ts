//! The path that a route puts in the place of the request's: rewrite and redirect. Pure.
//!
//! As in Envoy: a matched prefix is replaced and the rest stays; after an exact or regex match the
//! whole path is replaced; a route without a path condition matched the prefix `/`. The query
//! stays.

import type { RE2JS } from "re2js";
import type { RedirectAction } from "../snapshot/routing.ts";
import { isMatch, pathOf } from "./route.ts";
import type { PreparedRoute, RouteRequest } from "./route.ts";

const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: "80", https: "443" };

/** A pattern with what replaces it, wherever it is found in the path. */
export interface PreparedSubstitution {
  readonly pattern: RE2JS;
  /** Literal pieces and numbers of groups, in turn. */
  readonly parts: readonly (string | number)[];
}

/** The request's path and query with the path that the route's `rewrite` makes of it. */
export function rewrittenTarget(prepared: PreparedRoute, request: RouteRequest): string {
  const rewrite = prepared.route.policy?.rewrite;
  const path = pathOf(request.path);
  const query = request.path.slice(path.length);
  if (prepared.substitution !== null) {
    return rooted(substitute(path, prepared.substitution)) + query;
  }
  if (rewrite?.path !== undefined) return rooted(rewrite.path) + query;
  if (rewrite?.uri === undefined) return request.path;
  return replaceMatched(prepared, request, rewrite.uri) + query;
}

/** What a client is told to ask for instead. */
export function redirectLocation(
  action: RedirectAction,
  prepared: PreparedRoute | null,
  request: RouteRequest,
  localPort: number,
): string {
  const requestScheme = request.scheme ?? "http";
  const scheme = action.scheme ?? requestScheme;
  const port = redirectPort(action, scheme, localPort);
  const host = action.authority ?? hostFor(request.authority, action, requestScheme, scheme);
  const path = redirectPath(action, prepared, request);
  return `${scheme}://${host}${port}${path}`;
}

function redirectPort(action: RedirectAction, scheme: string, localPort: number): string {
  const { port } = action;
  if (port === undefined || port === "scheme") return "";
  const number = String(port === "request" ? localPort : port);
  return port === "request" && number === DEFAULT_PORTS[scheme] ? "" : `:${number}`;
}

/** The request's own host; its port goes when another is named or the scheme's default changes. */
function hostFor(authority: string, action: RedirectAction, from: string, to: string): string {
  const port = /:(\d+)$/.exec(authority)?.[1];
  if (port === undefined) return authority;
  const isStale = action.port !== undefined || (from !== to && port === DEFAULT_PORTS[from]);
  return isStale ? authority.slice(0, -port.length - 1) : authority;
}

function redirectPath(
  action: RedirectAction,
  prepared: PreparedRoute | null,
  request: RouteRequest,
): string {
  const path = pathOf(request.path);
  const query = request.path.slice(path.length);
  if (action.path !== undefined) {
    return action.path.includes("?") ? action.path : rooted(action.path) + query;
  }
  if (action.prefix !== undefined && prepared !== null) {
    return replaceMatched(prepared, request, action.prefix) + query;
  }
  return request.path;
}

function replaceMatched(prepared: PreparedRoute, request: RouteRequest, by: string): string {
  const path = pathOf(request.path);
  const matched = prepared.matches.find((match) => isMatch(match, request, path));
  const uri = matched?.match.uri;
  if (uri === undefined) return rooted(by + path.slice(1));
  return rooted(uri.kind === "prefix" ? by + path.slice(uri.value.length) : by);
}

/** A request's target begins with a slash, whatever was configured. */
function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

/** `\1` to `\9` are groups, `\0` is all that matched, `\\` a backslash (RE2's writing). */
export function parseSubstitution(text: string): (string | number)[] {
  const parts: (string | number)[] = [];
  let literal = "";
  for (let index = 0; index < text.length; index++) {
    const next = text[index + 1];
    if (text[index] !== "\\" || next === undefined) {
      literal += text[index] ?? "";
      continue;
    }
    index += 1;
    if (next >= "0" && next <= "9") {
      parts.push(literal, Number(next));
      literal = "";
    } else literal += next;
  }
  parts.push(literal);
  return parts;
}

function substitute(path: string, { pattern, parts }: PreparedSubstitution): string {
  const matcher = pattern.matcher(path);
  let out = "";
  let end = 0;
  while (matcher.find()) {
    out += path.slice(end, matcher.start());
    for (const part of parts) {
      if (typeof part === "string") out += part;
      else if (part <= matcher.groupCount()) out += matcher.group(part) ?? "";
    }
    end = matcher.end();
  }
  return out + path.slice(end);
}
