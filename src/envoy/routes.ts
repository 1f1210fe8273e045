//! `route_config`: virtual hosts with routes that answer, redirect or go to clusters.

import type {
  HeaderMatch,
  HeaderOperations,
  Route,
  RouteAction,
  RouteMatch,
  RouteTable,
  StringMatch,
  VirtualHost,
  WeightedDestination,
} from "../snapshot/snapshot.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { RoutePolicy } from "../snapshot/routing.ts";
import type { Cursor } from "../resources/cursor.ts";
import { readDataSource, readDuration } from "./common.ts";
import { readMetadata } from "./metadata.ts";

export interface RouteContext {
  /** Names of all clusters. */
  readonly clusters: ReadonlySet<string>;
}

/** Envoy's own: a route without a timeout has this one. */
const TIMEOUT_MS_DEFAULT = 15_000;
const STATUS = { least: 200, most: 599 };
const WEIGHT = { least: 0, most: 1_000_000 };

const EDIT_FIELDS = [
  "request_headers_to_add",
  "request_headers_to_remove",
  "response_headers_to_add",
  "response_headers_to_remove",
];
const ROUTE_FIELDS = [
  ...["name", "match", "route", "redirect", "direct_response", "metadata"],
  ...EDIT_FIELDS,
];

export function readRouteTable(cursor: Cursor, name: string, context: RouteContext): RouteTable {
  if (!cursor.isMap(["name", "virtual_hosts", "validate_clusters", ...EDIT_FIELDS])) {
    return { name, virtualHosts: [] };
  }
  const hosts = cursor.at("virtual_hosts").items();
  const edits = readEdits(cursor);
  return {
    name,
    virtualHosts: hosts.map((host, index) => {
      const read = readHost(host, `${name}/${index}`, context);
      return { ...read, routes: read.routes.map((route) => withEdits(route, edits)) };
    }),
  };
}

function readHost(cursor: Cursor, id: string, context: RouteContext): VirtualHost {
  if (!cursor.isMap(["name", "domains", "routes", "metadata", ...EDIT_FIELDS])) {
    return { domains: [], routes: [] };
  }
  const domains = cursor.at("domains").items().map(readDomain);
  if (domains.length === 0) cursor.at("domains").wrong("a list of at least one domain");
  const routes = cursor.at("routes").items();
  const name = cursor.at("name").text();
  const metadata = readMetadata(cursor.at("metadata"));
  const edits = readEdits(cursor);
  return {
    ...(name === "" ? {} : { name }),
    domains,
    routes: routes.map((route, index) =>
      withEdits(readRoute(route, `${id}/${index}`, context), edits),
    ),
    ...(metadata && { metadata }),
  };
}

/** Hosts are compared without their port here. */
function readDomain(cursor: Cursor): string {
  const text = cursor.text(null).toLowerCase();
  const domain = text.replace(/:(\d+|\*)$/, "");
  if (!/^(\*[^*]*|[^*]+\*?)$/.test(domain)) {
    cursor.wrong("a host, or a part of one with * before or behind it: *.example.com, example.*");
  }
  return domain;
}

function readRoute(cursor: Cursor, id: string, context: RouteContext): Route {
  const isMap = cursor.isMap(ROUTE_FIELDS);
  const label = cursor.at("name").text();
  const match = cursor.at("match");
  const forward = cursor.at("route");
  const policy = readPolicy(forward);
  const metadata = readMetadata(cursor.at("metadata"));
  return {
    ...{ id, label, source: { kind: "Route", namespace: "", name: label === "" ? id : label } },
    matches: isMap ? [readMatch(match)] : [],
    action: isMap ? readAction(cursor, context) : NOTHING,
    ...readEdits(cursor),
    timeoutMs: readDuration(forward.at("timeout"), TIMEOUT_MS_DEFAULT),
    ...(policy !== null && { policy }),
    ...(metadata && { metadata }),
  };
}

const NOTHING: RouteAction = { kind: "direct", status: 500, body: "" };

function readMatch(cursor: Cursor): RouteMatch {
  if (!cursor.isMap(["prefix", "path", "safe_regex", "headers", "case_sensitive"])) return {};
  const headers = cursor.at("headers").items().map(readHeaderMatch);
  const insensitive = !cursor.at("case_sensitive").flag(true);
  const uri = readPath(cursor);
  return {
    ...(uri !== null && { uri: insensitive ? { ...uri, ignoreCase: true } : uri }),
    ...(headers.length > 0 && { headers }),
  };
}

function readPath(cursor: Cursor): StringMatch | null {
  const given = ["prefix", "path", "safe_regex"].filter((name) => !cursor.at(name).isAbsent);
  if (given.length !== 1) {
    cursor.wrong("a map with one of prefix, path and safe_regex");
    return null;
  }
  const prefix = cursor.at("prefix");
  if (!prefix.isAbsent) return { kind: "prefix", value: prefix.text() };
  const path = cursor.at("path");
  if (!path.isAbsent) return { kind: "exact", value: path.text() };
  return readRegex(cursor.at("safe_regex"));
}

function readRegex(cursor: Cursor): StringMatch {
  cursor.isMap(["regex", "google_re2"]);
  return { kind: "regex", value: cursor.at("regex").text(null) };
}

function readHeaderMatch(cursor: Cursor): HeaderMatch {
  cursor.isMap(["name", "exact_match", "prefix_match", "present_match", "string_match"]);
  const name = cursor.at("name").text(null).toLowerCase();
  const string = cursor.at("string_match");
  const from = string.isAbsent ? cursor : string;
  const suffix = string.isAbsent ? "_match" : "";
  if (!string.isAbsent) string.isMap(["exact", "prefix", "safe_regex"]);
  for (const kind of ["exact", "prefix"] as const) {
    const value = from.at(`${kind}${suffix}`);
    if (!value.isAbsent) return { name, match: { kind, value: value.text() } };
  }
  const regex = string.at("safe_regex");
  if (!regex.isAbsent) return { name, match: readRegex(regex) };
  return { name, match: { kind: "present" } };
}

function readAction(cursor: Cursor, context: RouteContext): RouteAction {
  const direct = cursor.at("direct_response");
  const redirect = cursor.at("redirect");
  const forward = cursor.at("route");
  const given = [direct, redirect, forward].filter((one) => !one.isAbsent);
  if (given.length !== 1) {
    cursor.wrong("a map with one of route, redirect and direct_response");
    return NOTHING;
  }
  if (!direct.isAbsent) return readDirect(direct);
  return redirect.isAbsent ? readForward(forward, context) : readRedirect(redirect);
}

function readDirect(cursor: Cursor): RouteAction {
  if (!cursor.isMap(["status", "body"])) return NOTHING;
  const status = cursor.at("status").count(STATUS, null);
  return { kind: "direct", status, body: readDataSource(cursor.at("body")) };
}

const REDIRECT_STATUS = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
} as const;
const REDIRECT_FIELDS = [
  "host_redirect",
  "path_redirect",
  "prefix_rewrite",
  "https_redirect",
  "scheme_redirect",
  "port_redirect",
  "response_code",
];

function readRedirect(cursor: Cursor): RouteAction {
  if (!cursor.isMap(REDIRECT_FIELDS)) return NOTHING;
  const codes = Object.keys(REDIRECT_STATUS) as (keyof typeof REDIRECT_STATUS)[];
  const code = cursor.at("response_code").choice(codes, "MOVED_PERMANENTLY");
  const scheme = cursor.at("https_redirect").flag(false)
    ? "https"
    : cursor.at("scheme_redirect").text();
  const authority = cursor.at("host_redirect").text();
  const path = cursor.at("path_redirect").text();
  const prefix = cursor.at("prefix_rewrite").text();
  const port = cursor.at("port_redirect");
  return {
    kind: "redirect",
    status: REDIRECT_STATUS[code],
    ...(scheme !== "" && { scheme }),
    ...(authority !== "" && { authority }),
    ...(path !== "" && { path }),
    ...(prefix !== "" && { prefix }),
    ...(!port.isAbsent && { port: port.count({ least: 1, most: 65_535 }, null) }),
  };
}

const FORWARD_FIELDS = [
  "cluster",
  "weighted_clusters",
  "timeout",
  "prefix_rewrite",
  "host_rewrite_literal",
];

function readForward(cursor: Cursor, context: RouteContext): RouteAction {
  if (!cursor.isMap(FORWARD_FIELDS)) return NOTHING;
  const weighted = cursor.at("weighted_clusters");
  if (weighted.isAbsent) {
    return { kind: "forward", destinations: [readDestination(cursor.at("cluster"), 1, context)] };
  }
  weighted.isMap(["clusters", "total_weight"]);
  const destinations = weighted
    .at("clusters")
    .items()
    .map((item) => {
      item.isMap(["name", "weight"]);
      const weight = item.at("weight").count(WEIGHT, null);
      return readDestination(item.at("name"), weight, context);
    });
  if (destinations.length === 0) weighted.wrong("a map with at least one cluster");
  return { kind: "forward", destinations };
}

function readDestination(
  cursor: Cursor,
  weight: number,
  { clusters }: RouteContext,
): WeightedDestination {
  const cluster = cursor.text(null);
  if (cluster !== "" && !clusters.has(cluster)) {
    cursor.wrong(`the name of a cluster: ${[...clusters].join(", ") || "there is none"}`);
  }
  return {
    weight,
    target: { kind: "cluster", cluster, subset: null },
    fallback: null,
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
  };
}

function readPolicy(forward: Cursor): RoutePolicy | null {
  const uri = forward.at("prefix_rewrite").text();
  const authority = forward.at("host_rewrite_literal").text();
  if (uri === "" && authority === "") return null;
  return { rewrite: { ...(uri !== "" && { uri }), ...(authority !== "" && { authority }) } };
}

function readEdits(cursor: Cursor): Edits {
  return {
    requestHeaders: readOperations(cursor, "request"),
    responseHeaders: readOperations(cursor, "response"),
  };
}

function readOperations(cursor: Cursor, side: "request" | "response"): HeaderOperations {
  const set: [string, string][] = [];
  const add: [string, string][] = [];
  for (const item of cursor.at(`${side}_headers_to_add`).items()) {
    item.isMap(["header", "append_action", "append"]);
    const header = item.at("header");
    header.isMap(["key", "value"]);
    const pair: [string, string] = [
      header.at("key").text(null).toLowerCase(),
      header.at("value").text(),
    ];
    const action = item.at("append_action").choice(APPEND_ACTIONS, "APPEND_IF_EXISTS_OR_ADD");
    const isSet = action === "OVERWRITE_IF_EXISTS_OR_ADD" || !item.at("append").flag(true);
    (isSet ? set : add).push(pair);
  }
  const remove = cursor
    .at(`${side}_headers_to_remove`)
    .items()
    .map((name) => name.text(null));
  if (set.length + add.length + remove.length === 0) return NO_HEADER_OPERATIONS;
  return { remove: remove.map((name) => name.toLowerCase()), set, add };
}

interface Edits {
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
}

/** Those of a virtual host, and then of the table, come after the route's own. */
function withEdits(route: Route, { requestHeaders, responseHeaders }: Edits): Route {
  return {
    ...route,
    requestHeaders: inTurn(route.requestHeaders, requestHeaders),
    responseHeaders: inTurn(route.responseHeaders, responseHeaders),
  };
}

/** What the later one removes or sets, the earlier one need not have made. */
function inTurn(earlier: HeaderOperations, later: HeaderOperations): HeaderOperations {
  if (later === NO_HEADER_OPERATIONS) return earlier;
  if (earlier === NO_HEADER_OPERATIONS) return later;
  const undone = new Set([...later.remove, ...later.set.map(([name]) => name)]);
  const lasts = ([name]: readonly [string, string]): boolean => !undone.has(name);
  return {
    remove: [...earlier.remove, ...later.remove],
    set: [...earlier.set.filter(lasts), ...later.set],
    add: [...earlier.add.filter(lasts), ...later.add],
  };
}

const APPEND_ACTIONS = ["APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD"] as const;
