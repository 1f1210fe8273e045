//! Route matching: which route of a table takes a request. Pure, and made ready once per snapshot.
//!
//! The virtual host is found by exact name, else by the longest wildcard suffix, else `*` (Envoy's
//! order); in it the first matching route wins. An index by exact path keeps that order.

import type { Prng } from "../base/prng.ts";
import type {
  HeaderMatch,
  Route,
  RouteMatch,
  RouteTable,
  StringMatch,
  VirtualHost,
  WeightedDestination,
} from "../snapshot/snapshot.ts";
import { RE2JS } from "re2js";
import { PatternError, preparePattern } from "./pattern.ts";
import type { Pattern } from "./pattern.ts";
import { parseSubstitution } from "./path-rewrite.ts";
import type { PreparedSubstitution } from "./path-rewrite.ts";

/** What matching needs of a request. */
export interface RouteRequest {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly authority: string;
  /** Absent: `http`. */
  readonly scheme?: string;
  /** The value of a header (name lower-case); a list where it is there several times. */
  header(name: string): FieldValue;
}

export type FieldValue = string | readonly string[] | undefined;

export interface PreparedRouteTable {
  readonly table: RouteTable;
  readonly exactHosts: ReadonlyMap<string, PreparedVirtualHost>;
  /** Suffixes such as `.example.com`. */
  readonly wildcardHosts: PartIndex;
  /** `example.*` of files of Envoy. */
  readonly prefixHosts: PartIndex;
  readonly anyHost: PreparedVirtualHost | null;
  /** The prepared form of routes that have a policy or redirect: few, so others cost nothing. */
  readonly special: ReadonlyMap<Route, PreparedRoute>;
}

export interface PreparedVirtualHost {
  readonly virtualHost: VirtualHost;
  readonly routes: readonly PreparedRoute[];
  /** Candidates of an exact path, in route order; null when an index would be too large. */
  readonly byPath: ReadonlyMap<string, readonly PreparedRoute[]> | null;
  /** Candidates of every other path, in route order. */
  readonly elsewhere: readonly PreparedRoute[];
}

export interface PreparedRoute {
  readonly route: Route;
  readonly matches: readonly PreparedMatch[];
  /** Of the policy's rewrite; null when it has none. */
  readonly substitution: PreparedSubstitution | null;
  /** Of the policy's CORS: the origins that are allowed. */
  readonly origins: readonly Pattern[];
}

export interface PreparedMatch {
  readonly match: RouteMatch;
  readonly uri: Pattern | null;
  readonly method: Pattern | null;
  readonly authority: Pattern | null;
  readonly headers: readonly PreparedField[];
  readonly withoutHeaders: readonly PreparedField[];
  readonly queryParams: readonly PreparedField[];
  /** Neither of the last two has an entry. */
  readonly isSimple: boolean;
}

export interface PreparedField {
  readonly name: string;
  /** Null: any value, the field need only be there. */
  readonly pattern: Pattern | null;
  readonly match: HeaderMatch;
}

/** Parts of hosts by their length, the longest first: of any number few are looked up. */
type PartIndex = readonly (readonly [
  length: number,
  hosts: ReadonlyMap<string, PreparedVirtualHost>,
])[];

/** Beyond this many index entries a virtual host is searched in order. */
const PATH_INDEX_ENTRIES_MAX = 100_000;
const NO_FIELDS: readonly PreparedField[] = [];
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const NO_PATTERNS: readonly Pattern[] = [];

/** Throws `PatternError` on a regular expression that does not compile. */
export function prepareRouteTable(table: RouteTable): PreparedRouteTable {
  const exactHosts = new Map<string, PreparedVirtualHost>();
  const wildcards = new Map<string, PreparedVirtualHost>();
  const prefixes = new Map<string, PreparedVirtualHost>();
  let anyHost: PreparedVirtualHost | null = null;
  for (const virtualHost of table.virtualHosts) {
    const prepared = prepareVirtualHost(virtualHost);
    for (const domain of virtualHost.domains) {
      if (domain === "*") anyHost ??= prepared;
      else if (domain.startsWith("*")) setOnce(wildcards, domain.slice(1), prepared);
      else if (domain.endsWith("*")) setOnce(prefixes, domain.slice(0, -1), prepared);
      else setOnce(exactHosts, domain, prepared);
    }
  }
  const wildcardHosts = byLength(wildcards);
  const prefixHosts = byLength(prefixes);
  const special = new Map<Route, PreparedRoute>();
  const hosts = [exactHosts, wildcards, prefixes].flatMap((map) => [...map.values()]);
  if (anyHost !== null) hosts.push(anyHost);
  for (const prepared of hosts.flatMap(({ routes }) => routes)) {
    const { policy, action } = prepared.route;
    if (policy !== undefined || action.kind === "redirect") special.set(prepared.route, prepared);
  }
  return { table, exactHosts, wildcardHosts, prefixHosts, anyHost, special };
}

function byLength(hosts: ReadonlyMap<string, PreparedVirtualHost>): PartIndex {
  const found = new Map<number, Map<string, PreparedVirtualHost>>();
  for (const [part, host] of hosts) {
    const alike = found.get(part.length) ?? new Map<string, PreparedVirtualHost>();
    found.set(part.length, alike.set(part, host));
  }
  return [...found].sort(([a], [b]) => b - a);
}

/** The first route that matches, or null. Allocates nothing but the path's slice before a query. */
export function matchRoute(prepared: PreparedRouteTable, request: RouteRequest): Route | null {
  const host = findVirtualHost(prepared, request.authority);
  if (host === null) return null;
  const path = pathOf(request.path);
  const candidates = host.byPath?.get(path) ?? host.elsewhere;
  for (const { route, matches } of candidates) {
    if (matches.length === 0) return route;
    for (const match of matches) if (isMatch(match, request, path)) return route;
  }
  return null;
}

export function findVirtualHost(
  prepared: PreparedRouteTable,
  authority: string,
): PreparedVirtualHost | null {
  const { exactHosts, wildcardHosts, prefixHosts } = prepared;
  if (exactHosts.size === 0 && wildcardHosts.length === 0 && prefixHosts.length === 0) {
    return prepared.anyHost;
  }
  const host = hostOf(authority);
  const exact = prepared.exactHosts.get(host);
  if (exact !== undefined) return exact;
  for (const [length, hosts] of wildcardHosts) {
    const found = host.length > length ? hosts.get(host.slice(-length)) : undefined;
    if (found !== undefined) return found;
  }
  for (const [length, hosts] of prefixHosts) {
    const found = host.length > length ? hosts.get(host.slice(0, length)) : undefined;
    if (found !== undefined) return found;
  }
  return prepared.anyHost;
}

/**
 * One destination by weight: weights are relative, a single destination gets everything, weight 0
 * of several gets nothing. Null only when there is none. Draw once per exchange and keep it.
 */
export function pickDestination(
  destinations: readonly WeightedDestination[],
  prng: Prng,
): WeightedDestination | null {
  const first = destinations[0];
  if (first === undefined || destinations.length === 1) return first ?? null;
  let total = 0;
  for (const { weight } of destinations) total += weight;
  if (total === 0) return first;
  let draw = prng.below(total);
  for (const destination of destinations) {
    draw -= destination.weight;
    if (draw < 0) return destination;
  }
  return first;
}

/** An authority's host: lower-case, without port; an IPv6 literal keeps its brackets. */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(":");
  const isPort = colon !== -1 && isDigits(authority, colon + 1);
  return (isPort ? authority.slice(0, colon) : authority).toLowerCase();
}

/** A plug-in may put something behind the port: then that is none. */
function isDigits(text: string, from: number): boolean {
  for (let index = from; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < DIGIT_0 || code > DIGIT_9) return false;
  }
  return true;
}

export function pathOf(pathAndQuery: string): string {
  const query = pathAndQuery.indexOf("?");
  return query === -1 ? pathAndQuery : pathAndQuery.slice(0, query);
}

/**
 * The value of the first query parameter of that name, as it was sent (Envoy decodes neither);
 * undefined when there is none.
 */
export function queryParam(pathAndQuery: string, name: string): string | undefined {
  let start = pathAndQuery.indexOf("?");
  while (start !== -1) {
    start += 1;
    const next = pathAndQuery.indexOf("&", start);
    const end = next === -1 ? pathAndQuery.length : next;
    if (pathAndQuery.startsWith(name, start)) {
      const nameEnd = start + name.length;
      if (nameEnd === end) return "";
      if (pathAndQuery[nameEnd] === "=") return pathAndQuery.slice(nameEnd + 1, end);
    }
    start = next;
  }
  return undefined;
}

/** A header's value; as in Envoy, the start line has names too. */
export function headerOf(request: RouteRequest, name: string): FieldValue {
  if (!name.startsWith(":")) return request.header(name);
  if (name === ":path") return request.path;
  if (name === ":method") return request.method;
  if (name === ":authority") return request.authority;
  return name === ":scheme" ? (request.scheme ?? "http") : undefined;
}

/** Of a field that is there several times one value is enough, as in Envoy since 1.39. */
export function isFieldMatch({ pattern }: PreparedField, value: FieldValue): boolean {
  if (value === undefined) return false;
  if (pattern === null) return true;
  return typeof value === "string" ? pattern(value) : value.some(pattern);
}

/** Whether all conditions of one match hold. `path` is the request's, without query. */
export function isMatch(match: PreparedMatch, request: RouteRequest, path: string): boolean {
  if (match.uri !== null && !match.uri(path)) return false;
  if (match.method !== null && !match.method(request.method)) return false;
  if (match.authority !== null && !match.authority(request.authority)) return false;
  for (const field of match.headers) {
    if (!isFieldMatch(field, headerOf(request, field.name))) return false;
  }
  return match.isSimple || isRestMatch(match, request);
}

/** The conditions that few routes have. */
function isRestMatch(match: PreparedMatch, request: RouteRequest): boolean {
  for (const field of match.withoutHeaders) {
    if (isFieldMatch(field, headerOf(request, field.name))) return false;
  }
  for (const field of match.queryParams) {
    if (!isFieldMatch(field, queryParam(request.path, field.name))) return false;
  }
  return true;
}

function prepareVirtualHost(virtualHost: VirtualHost): PreparedVirtualHost {
  const routes = virtualHost.routes.map(prepareRoute);
  const elsewhere = routes.filter((route) => exactPathsOf(route) === null);
  const paths = new Set(routes.flatMap((route) => [...(exactPathsOf(route) ?? [])]));
  if (paths.size * elsewhere.length > PATH_INDEX_ENTRIES_MAX) {
    return { virtualHost, routes, byPath: null, elsewhere: routes };
  }
  const byPath = new Map<string, PreparedRoute[]>();
  for (const path of paths) byPath.set(path, []);
  for (const route of routes) {
    const own = exactPathsOf(route);
    if (own === null) for (const list of byPath.values()) list.push(route);
    else for (const path of own) byPath.get(path)?.push(route);
  }
  return { virtualHost, routes, byPath, elsewhere };
}

/** The exact paths that a route can match, without repeats; null when it may match others too. */
function exactPathsOf({ matches }: PreparedRoute): ReadonlySet<string> | null {
  if (matches.length === 0) return null;
  const paths = new Set<string>();
  for (const { match } of matches) {
    if (match.uri?.kind !== "exact" || match.uri.ignoreCase === true) return null;
    paths.add(match.uri.value);
  }
  return paths;
}

function prepareRoute(route: Route): PreparedRoute {
  const { policy } = route;
  return {
    route,
    matches: route.matches.map(prepareMatch),
    substitution: prepareSubstitution(policy?.rewrite?.uriRegex),
    origins: policy?.cors?.allowOrigins.map(preparePattern) ?? NO_PATTERNS,
  };
}

function prepareSubstitution(
  regex: { readonly match: string; readonly rewrite: string } | undefined,
): PreparedSubstitution | null {
  if (regex === undefined) return null;
  try {
    return { pattern: RE2JS.compile(regex.match), parts: parseSubstitution(regex.rewrite) };
  } catch (cause) {
    throw new PatternError(`"${regex.match}" is not a regular expression of RE2 syntax`, { cause });
  }
}

function prepareMatch(match: RouteMatch): PreparedMatch {
  const withoutHeaders = match.withoutHeaders?.map(prepareField) ?? NO_FIELDS;
  const queryParams = match.queryParams?.map(prepareField) ?? NO_FIELDS;
  return {
    match,
    uri: prepareOptional(match.uri),
    method: prepareOptional(match.method),
    authority: prepareOptional(match.authority),
    headers: match.headers?.map(prepareField) ?? NO_FIELDS,
    withoutHeaders,
    queryParams,
    isSimple: withoutHeaders.length === 0 && queryParams.length === 0,
  };
}

function prepareOptional(match: StringMatch | undefined): Pattern | null {
  return match === undefined ? null : preparePattern(match);
}

function prepareField(match: HeaderMatch): PreparedField {
  const pattern = match.match.kind === "present" ? null : preparePattern(match.match);
  return { name: match.name, pattern, match };
}

function setOnce<T>(map: Map<string, T>, key: string, value: T): void {
  if (!map.has(key)) map.set(key, value);
}
