//! What a route does, in Envoy's words.

import type { Json, JsonObject } from "../base/json.ts";
import type { HashKey, RedirectAction, RetryPolicy, RoutePolicy } from "../snapshot/routing.ts";
import type {
  Cluster,
  HeaderOperations,
  Route,
  RouteAction,
  Snapshot,
  Target,
  WeightedDestination,
} from "../snapshot/snapshot.ts";
import { BAGGAGE_HEADER } from "../lane/baggage.ts";
import { leavingMark, toldHeader } from "./lane-context.ts";
import type { BaggageGroup } from "./lane-context.ts";
import { refusedTls } from "./cluster-tls.ts";
import { durationOf } from "./envoy-config.ts";
import type { EnvoyView } from "./envoy-config.ts";
import type { Refusals } from "./refusals.ts";
import type { LaneDraw } from "./lane-variants.ts";
import { routeFilters } from "./route-filters.ts";
import { confusesEmpty } from "./route-match.ts";
import { metadataMatch } from "./subset-keys.ts";
import type { DecidedLane, SubsetKeys, Way } from "./subset-keys.ts";

const STATUS_UNAVAILABLE = 503;
const STATUS_FAULT = 500;
/** The sum of the weights of a route's clusters. */
const WEIGHTS_MAX = 4_294_967_295;
const PPM_DENOMINATOR = "MILLION";
const LANES_OUTSIDE = "keep the context of lanes from a host outside the mesh";
const REDIRECT_CODES: Readonly<Record<number, string>> = {
  301: "MOVED_PERMANENTLY",
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
};
/** What the embedded engine does unasked: a connection that could not be made is tried again. */
const BASE_RETRY: JsonObject = {
  retry_on: "connect-failure,refused-stream,reset-before-request",
  num_retries: 4,
  retry_back_off: { base_interval: "0.025s", max_interval: "0.4s" },
};

export interface ActionContext {
  readonly snapshot: Snapshot;
  readonly keys: SubsetKeys;
  readonly refusals: Refusals;
  readonly view: EnvoyView;
  /** The lane groups whose lanes the plug-in lane-context has in baggage. */
  readonly baggage: readonly BaggageGroup[];
  /** Lower-case: taken from every request, unless a lane's tag is written there. */
  readonly removedHeaders: readonly string[];
  /** Those are all that carry lanes, and none is written: a host outside may be called. */
  readonly removesContext?: boolean;
  /** Noted for each cluster that a route leads to. */
  readonly used: Set<string>;
}

/** The fields of Envoy's route that say what it does; a 503 when Envoy cannot do it. */
export function compileAction(
  route: Route,
  context: ActionContext,
  draws: readonly LaneDraw[],
): JsonObject {
  const refused = refusedPart(route, context);
  if (refused !== null) return unavailable(context.refusals.add(route.source, refused));
  return { ...routeFilters(route.policy ?? {}), ...actionOf(route, context, draws) };
}

function actionOf(route: Route, context: ActionContext, draws: readonly LaneDraw[]): JsonObject {
  const { action } = route;
  const responseHeaders = headerFields("response", route.responseHeaders);
  if (action.kind === "redirect") return { redirect: redirect(action), ...responseHeaders };
  if (action.kind === "direct") {
    return { direct_response: directResponse(action.status, action.body), ...responseHeaders };
  }
  const ways = waysOf(action, context, draws);
  const [first] = ways;
  if (first === undefined) return unavailable("the route has no destination");
  const blocked = ways.find(({ way }) => way.kind === "refused");
  if (blocked?.way.kind === "refused") {
    return unavailable(context.refusals.add(route.source, blocked.way.what));
  }
  if (ways.length === 1 && first.way.kind === "missing") return missing(first.way);
  if (ways.reduce((sum, { weight }) => sum + weight, 0) > WEIGHTS_MAX) {
    const what = `divide requests by weights of more than ${WEIGHTS_MAX} with lanes' shares`;
    return unavailable(context.refusals.add(route.source, what));
  }
  return { route: { ...forwarding(route, context), ...destinations(route, ways, context) } };
}

interface DestinationWay {
  readonly destination: WeightedDestination;
  readonly decided: readonly DecidedLane[];
  readonly weight: number;
  readonly way: Way;
}

/** A destination without weight gets nothing, unless it is the only one. */
function waysOf(
  action: Extract<RouteAction, { kind: "forward" }>,
  context: ActionContext,
  draws: readonly LaneDraw[],
): DestinationWay[] {
  const weighted = action.destinations.filter(({ weight }) => weight > 0);
  const chosen = weighted.length > 0 ? weighted : action.destinations.slice(0, 1);
  const ways = chosen.flatMap((destination) =>
    draws.map(({ decided, partsPpm }) => {
      const decision = primaryDecision(destination, decided, context);
      const way = context.keys.wayOf(destination, decision);
      return { destination, decided, way, weight: Math.max(1, destination.weight) * partsPpm };
    }),
  );
  const divisor = ways.reduce((common, { weight }) => greatestDivisor(common, weight), 0);
  return ways.map((way) => ({ ...way, weight: way.weight / divisor }));
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Of several groups the one whose member is called; a lane goes before a baseline. */
function primaryDecision(
  { target }: WeightedDestination,
  decided: readonly DecidedLane[],
  { keys, snapshot }: ActionContext,
): DecidedLane | null {
  const cluster = target.kind === "cluster" ? snapshot.clusters[target.cluster] : undefined;
  const names = cluster === undefined ? [] : keys.groupsOf(cluster).map(({ name }) => name);
  const members = decided.filter(({ group }) => names.includes(group));
  const candidates = members.length > 0 ? members : decided;
  return candidates.find(({ lane }) => lane !== null) ?? candidates[0] ?? null;
}

/**
 * Envoy edits by the cluster's words first and by the route's last, but a destination's are to
 * count: so each cluster has both.
 */
function destinations(
  route: Route,
  ways: readonly DestinationWay[],
  context: ActionContext,
): JsonObject {
  const entries = ways.map(({ destination, decided, way, weight }) => ({
    name: way.kind === "cluster" ? way.cluster : "(missing)",
    weight,
    ...(way.kind === "cluster" ? metadataMatch(way.steps) : {}),
    ...headerFields(
      "request",
      lanesTold(destination, context, decided),
      route.requestHeaders,
      destination.requestHeaders,
    ),
    ...headerFields("response", route.responseHeaders, destination.responseHeaders),
  }));
  for (const { way } of ways) if (way.kind === "cluster") context.used.add(way.cluster);
  return { weighted_clusters: { clusters: entries }, ...missingStatus(ways) };
}

/** What the share of a cluster that is not there is answered; Envoy says 503 unless told. */
function missingStatus(ways: readonly DestinationWay[]): JsonObject {
  const isFault = ways.some(({ way }) => way.kind === "missing" && way.status === STATUS_FAULT);
  return isFault ? { cluster_not_found_response_code: "INTERNAL_SERVER_ERROR" } : {};
}

/** The next hops are told; a route that names a lane's subset makes that lane the request's. */
function lanesTold(
  { target }: WeightedDestination,
  { snapshot: { laneGroups }, baggage, removedHeaders, removesContext = false }: ActionContext,
  decided: readonly DecidedLane[],
): HeaderOperations {
  const subset = target.kind === "cluster" ? target.subset : null;
  const named = subset?.kind === "lane" ? [subset] : [];
  const others = decided.filter(({ group }) => named.every((one) => one.group !== group));
  const told = [...others, ...named].flatMap(({ group: groupName, lane: laneName }) => {
    const group = laneGroups[groupName];
    const lane = group?.lanes.find(({ name }) => name === laneName);
    if (lane?.enabled !== true || group?.signature !== undefined) return [];
    const { routeHeader = "" } = group?.context ?? {};
    const written = [routeHeader, lane.tag] as const;
    const isTold = baggage.some(({ name }) => name === groupName);
    return isTold ? [written, [toldHeader(routeHeader), lane.tag] as const] : [written];
  });
  return {
    remove: removedHeaders,
    set: removesContext ? leavingMark(baggage) : told,
    add: [],
  };
}

const HEDGED: JsonObject = { hedge_policy: { hedge_on_per_try_timeout: true } };

function forwarding(route: Route, context: ActionContext): JsonObject {
  const { policy = {}, timeoutMs } = route;
  return {
    timeout: durationOf(timeoutMs),
    retry_policy: policy.retry === undefined ? BASE_RETRY : retryPolicy(policy.retry),
    ...(policy.retry?.isHedged === true ? HEDGED : {}),
    ...rewrite(route),
    ...mirrors(policy, context),
    ...hashPolicy(route, context.snapshot),
    upgrade_configs: [{ upgrade_type: "websocket" }],
  };
}

function rewrite({ policy, matches }: Route): JsonObject {
  const { uri, path, uriRegex, authority } = policy?.rewrite ?? {};
  const fields: Record<string, Json> = {};
  if (authority !== undefined) fields["host_rewrite_literal"] = authority;
  if (uriRegex !== undefined) {
    fields["regex_rewrite"] = {
      pattern: { regex: uriRegex.match },
      substitution: uriRegex.rewrite,
    };
  } else if (path !== undefined) {
    fields["regex_rewrite"] = { pattern: { regex: "(?s)^.*$" }, substitution: escaped(path) };
  } else if (uri !== undefined) {
    const isRegex = matches.some((match) => match.uri?.kind === "regex");
    if (isRegex) {
      fields["regex_rewrite"] = { pattern: { regex: "(?s)^.*$" }, substitution: escaped(uri) };
    } else fields["prefix_rewrite"] = uri;
  }
  return fields;
}

/** A backslash begins a group's number in Envoy's substitutions. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\");
}

function retryPolicy(retry: RetryPolicy): JsonObject {
  const statuses = retry.statuses.length > 0 ? ["retriable-status-codes"] : [];
  return {
    retry_on: [...retry.on, ...statuses].join(","),
    num_retries: retry.retries,
    ...(retry.perTryTimeoutMs === 0 ? {} : { per_try_timeout: durationOf(retry.perTryTimeoutMs) }),
    ...(retry.statuses.length === 0 ? {} : { retriable_status_codes: retry.statuses }),
    retry_back_off: {
      base_interval: durationOf(Math.max(1, retry.backOffBaseMs)),
      max_interval: durationOf(Math.max(1, retry.backOffBaseMs, retry.backOffMaxMs)),
    },
  };
}

/** Mirrors to subsets and with header operations were refused before. */
function mirrors({ mirrors: list = [] }: RoutePolicy, { used }: ActionContext): JsonObject {
  const policies = list.flatMap(({ target, sharePpm }) => {
    if (target.kind !== "cluster") return [];
    used.add(target.cluster);
    const share = { numerator: sharePpm, denominator: PPM_DENOMINATOR };
    return [{ cluster: target.cluster, runtime_fraction: { default_value: share } }];
  });
  return policies.length === 0 ? {} : { request_mirror_policies: policies };
}

function hashPolicy({ action }: Route, { clusters }: Snapshot): JsonObject {
  if (action.kind !== "forward") return {};
  for (const { target } of action.destinations) {
    const cluster = target.kind === "cluster" ? clusters[target.cluster] : undefined;
    const balancer = cluster?.policy?.loadBalancer;
    if (balancer?.kind !== "ring-hash" && balancer?.kind !== "maglev") continue;
    return { hash_policy: [hashKey(balancer.key)] };
  }
  return {};
}

function hashKey(key: HashKey): JsonObject {
  if (key.kind === "header") return { header: { header_name: key.name } };
  if (key.kind === "query") return { query_parameter: { name: key.name } };
  if (key.kind === "source") return { connection_properties: { source_ip: true } };
  const ttl = key.ttlSeconds === null ? {} : { ttl: `${key.ttlSeconds}s` };
  return { cookie: { name: key.name, path: key.path, ...ttl } };
}

function redirect(action: RedirectAction): JsonObject {
  const { scheme, authority, port, path, prefix } = action;
  return {
    response_code: REDIRECT_CODES[action.status] ?? "MOVED_PERMANENTLY",
    ...(scheme === undefined ? {} : { scheme_redirect: scheme }),
    ...(authority === undefined ? {} : { host_redirect: authority }),
    ...(typeof port === "number" ? { port_redirect: port } : {}),
    ...(path === undefined ? {} : { path_redirect: path }),
    ...(prefix === undefined ? {} : { prefix_rewrite: prefix }),
  };
}

function directResponse(status: number, body: string): JsonObject {
  return { status, ...(body === "" ? {} : { body: { inline_string: body } }) };
}

/** In the words of the embedded engine. */
function missing({ message, status }: Extract<Way, { kind: "missing" }>): JsonObject {
  const code = "route_target_missing";
  return { direct_response: directResponse(status ?? STATUS_UNAVAILABLE, `${code}: ${message}\n`) };
}

function unavailable(message: string): JsonObject {
  return { direct_response: directResponse(STATUS_UNAVAILABLE, `${message}\n`) };
}

/** What completes "Envoy cannot …" for a part that Envoy has no words for; or null. */
function refusedPart(
  { policy, action, requestHeaders, matches }: Route,
  context: ActionContext,
): string | null {
  if (matches.some(confusesEmpty)) {
    return "tell a missing header from an empty one in withoutHeaders";
  }
  if (action.kind === "redirect") {
    return action.port === "request" ? "redirect to the port that the request came in at" : null;
  }
  const { destinations: list } = action.kind === "forward" ? action : { destinations: [] };
  const operations = [requestHeaders, ...list.map((one) => one.requestHeaders)];
  if (operations.some(touchesHost)) return "edit the Host field by header operations";
  const refused = refusedBaggage(policy, operations, context);
  return refused ?? refusedMirror(policy, context) ?? refusedPolicy(action, context);
}

/** The plug-in behind the routes writes after their operations, and on no mirrored request. */
function refusedBaggage(
  { mirrors: list = [] }: RoutePolicy = {},
  operations: readonly HeaderOperations[],
  { baggage }: ActionContext,
): string | null {
  if (baggage.length === 0) return null;
  if (list.length > 0) return "mirror requests whose lanes travel in baggage";
  const isEdited = operations.some((one) => touchedBy(one).includes(BAGGAGE_HEADER));
  return isEdited ? "edit baggage by header operations beside lanes that travel in it" : null;
}

function refusedMirror(policy: RoutePolicy | undefined, context: ActionContext): string | null {
  const { snapshot, keys } = context;
  for (const { target, requestHeaders } of policy?.mirrors ?? []) {
    if (touches(requestHeaders)) return "edit the header fields of a mirrored request";
    const cluster = target.kind === "cluster" ? snapshot.clusters[target.cluster] : undefined;
    const refused = refusedTls(cluster?.policy?.tls, context.view);
    if (refused !== null) return refused;
    if (leaksContext(cluster, context)) return LANES_OUTSIDE;
    if (cluster !== undefined && keys.keysOf(cluster).length > 0) {
      return "mirror to a service that has lanes or subsets";
    }
  }
  return null;
}

function refusedPolicy(action: RouteAction, context: ActionContext): string | null {
  if (action.kind !== "forward") return null;
  for (const { target, fallback } of action.destinations) {
    const refused = refusedTarget(target, context) ?? refusedTarget(fallback, context);
    if (refused !== null) return refused;
  }
  return null;
}

/** A header that a route adds cannot be taken away again for one of its clusters. */
function leaksContext(
  cluster: Cluster | undefined,
  { snapshot: { laneGroups }, removesContext = false }: ActionContext,
): boolean {
  return cluster?.isOutside === true && !removesContext && Object.keys(laneGroups).length > 0;
}

function refusedTarget(target: Target | null, context: ActionContext): string | null {
  if (target?.kind !== "cluster") return null;
  const cluster = context.snapshot.clusters[target.cluster];
  if (leaksContext(cluster, context)) return LANES_OUTSIDE;
  const { policy, subsetPolicies } = cluster ?? {};
  // Never sent in clear instead.
  const refused = refusedTls(policy?.tls, context.view);
  if (refused !== null) return refused;
  const isOwn =
    target.subset?.kind === "labels" && subsetPolicies?.[target.subset.name] !== undefined;
  return isOwn ? "follow a traffic policy of a single subset" : null;
}

function touches({ remove, set, add }: HeaderOperations): boolean {
  return remove.length + set.length + add.length > 0;
}

function touchesHost(operations: HeaderOperations): boolean {
  return touchedBy(operations).some((name) => name === "host" || name.startsWith(":"));
}

function touchedBy({ remove, set, add }: HeaderOperations): string[] {
  const written = [...set, ...add].map(([name]) => name);
  return [...remove, ...written].map((name) => name.toLowerCase());
}

/** One after another. Envoy removes before it adds: what a later one removes is not added. */
export function headerFields(
  message: "request" | "response",
  ...all: readonly HeaderOperations[]
): JsonObject {
  const option = (append: string) => (pair: readonly [string, string]) => ({
    header: { key: pair[0], value: pair[1].replaceAll("%", "%%") },
    append_action: append,
    keep_empty_value: true,
  });
  const added = all.flatMap(({ set, add }, index) => {
    const gone = new Set(all.slice(index + 1).flatMap((later) => later.remove));
    const stays = ([name]: readonly [string, string]): boolean => !gone.has(name);
    return [
      ...set.filter(stays).map(option("OVERWRITE_IF_EXISTS_OR_ADD")),
      ...add.filter(stays).map(option("APPEND_IF_EXISTS_OR_ADD")),
    ];
  });
  const removed = all.flatMap(({ remove }) => remove);
  return {
    ...(added.length === 0 ? {} : { [`${message}_headers_to_add`]: added }),
    ...(removed.length === 0 ? {} : { [`${message}_headers_to_remove`]: removed }),
  };
}
