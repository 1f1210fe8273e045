//! Why no route took a request: the text of the gateway's 404 and of explain.

import type { StringMatch } from "../snapshot/snapshot.ts";
import { findVirtualHost, headerOf, isFieldMatch, pathOf, queryParam } from "./route.ts";
import type {
  FieldValue,
  PreparedField,
  PreparedMatch,
  PreparedRoute,
  PreparedRouteTable,
  RouteRequest,
} from "./route.ts";

/** A longer list is cut, with the number of what is left out. */
const ROUTES_NAMED_MAX = 32;
const UTF8 = new TextDecoder("utf-8", { fatal: true });
const VALUE_CHARS_MAX = 80;

/** One line for each route that did not match: its first condition that failed, with the value. */
export function explainNoMatch(prepared: PreparedRouteTable, request: RouteRequest): string[] {
  const host = findVirtualHost(prepared, request.authority);
  if (host === null) return [`no virtual host takes the host ${quote(request.authority)}`];
  if (host.routes.length === 0) return ["the virtual host has no routes"];
  const named = host.routes.slice(0, ROUTES_NAMED_MAX).map((route) => explain(route, request));
  const moreCount = host.routes.length - named.length;
  return moreCount === 0 ? named : [...named, `and ${moreCount} more routes`];
}

function explain(prepared: PreparedRoute, request: RouteRequest): string {
  const { id, label } = prepared.route;
  const failures = prepared.matches.map((match) => firstFailure(match, request) ?? "matches");
  const name = label === "" ? id : `${id} (${label})`;
  return `${name}: ${failures.length === 0 ? "matches" : failures.join("; or ")}`;
}

/** The first condition that the request does not meet, in words; null when it meets them all. */
export function firstFailure(prepared: PreparedMatch, request: RouteRequest): string | null {
  const { match } = prepared;
  const path = pathOf(request.path);
  if (match.uri && prepared.uri?.(path) === false) return differs("path", path, match.uri);
  if (match.method && prepared.method?.(request.method) === false) {
    return differs("method", request.method, match.method);
  }
  if (match.authority && prepared.authority?.(request.authority) === false) {
    return differs("authority", request.authority, match.authority);
  }
  return firstFieldFailure(prepared, request);
}

function firstFieldFailure(prepared: PreparedMatch, request: RouteRequest): string | null {
  for (const field of prepared.headers) {
    const value = headerOf(request, field.name);
    if (!isFieldMatch(field, value)) return fieldDiffers("header", field, textOf(value));
  }
  for (const field of prepared.withoutHeaders) {
    const value = headerOf(request, field.name);
    if (isFieldMatch(field, value)) {
      return `header ${field.name} is ${quote(textOf(value) ?? "")}, which withoutHeaders excludes`;
    }
  }
  for (const field of prepared.queryParams) {
    const value = queryParam(request.path, field.name);
    if (!isFieldMatch(field, value)) return fieldDiffers("query parameter", field, value);
  }
  return null;
}

function textOf(value: FieldValue): string | undefined {
  return value === undefined || typeof value === "string" ? value : value.join(", ");
}

function fieldDiffers(what: string, field: PreparedField, value: string | undefined): string {
  const { match } = field.match;
  if (match.kind === "present") return `${what} ${field.name} is absent, must be present`;
  if (value === undefined) return `${what} ${field.name} is absent, must be ${wanted(match)}`;
  return differs(`${what} ${field.name}`, value, match);
}

function differs(what: string, value: string, match: StringMatch): string {
  return `${what} is ${quote(value)}, must be ${wanted(match)}`;
}

function wanted(match: StringMatch): string {
  const words = { exact: "", prefix: "prefix ", regex: "regex " };
  return `${words[match.kind]}${quote(match.value)}`;
}

/** Field values are Latin-1, a character for each byte; what clients mean by them is UTF-8. */
function asText(value: string): string {
  // Beyond Latin-1 only what the configuration holds can be.
  if (!/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value;
  const bytes = Uint8Array.from(value, (character) => character.charCodeAt(0));
  try {
    return UTF8.decode(bytes);
  } catch {
    return value;
  }
}

/** Quoted, with control characters escaped, and cut: the value may come from the client. */
function quote(value: string): string {
  const text = asText(value);
  const cut = text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text;
  return JSON.stringify(cut);
}
