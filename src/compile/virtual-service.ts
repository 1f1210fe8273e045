//! VirtualServices to routes.

import type {
  HeaderChange,
  HttpMatch,
  HttpRoute,
  HttpRouteDestination,
  StringMatch as StringMatchSpec,
} from "../resources/kinds/virtual-service.ts";
import { refOf } from "../resources/object.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type {
  HeaderMatch,
  HeaderOperations,
  Route,
  RouteAction,
  RouteMatch,
  StringMatch,
  WeightedDestination,
} from "../snapshot/snapshot.ts";
import type { PlacedRoute } from "./delegate.ts";
import { durationMs } from "../resources/duration.ts";
import { compilePolicy, compileRedirect } from "./route-policy.ts";
import { resolveTargets } from "./target.ts";
import { reportHedging } from "./hedge-policy.ts";
import type { TargetScope } from "./target.ts";

/** The routes of one VirtualService, in its order. */
export function compileRoutes(placed: readonly PlacedRoute[], scope: TargetScope): Route[] {
  const http = scope.resource.spec.http ?? [];
  reportNames(http, scope);
  reportHedging(scope.resource, scope.messages);
  reportUnreachable(http, scope);
  return placed.map((route) => compileRoute(route, { ...scope, resource: route.owner }));
}

function compileRoute({ entry, path, id, owner, fault }: PlacedRoute, scope: TargetScope): Route {
  const policy = compilePolicy(entry, path, scope);
  return {
    id,
    label: entry.name ?? "",
    source: refOf(owner),
    matches: compileMatches(entry.match ?? [], scope),
    action: fault === undefined ? compileAction(entry, path, scope) : unavailable(fault),
    requestHeaders: compileHeaders(entry.headers?.request),
    responseHeaders: compileHeaders(entry.headers?.response),
    timeoutMs: entry.timeout === undefined ? 0 : durationMs(entry.timeout),
    ...(policy === undefined ? {} : { policy }),
  };
}

function compileAction(entry: HttpRoute, path: string, scope: TargetScope): RouteAction {
  const { route, directResponse, redirect } = entry;
  if (redirect !== undefined) return compileRedirect(redirect);
  if (directResponse !== undefined) {
    const { status, body } = directResponse;
    return { kind: "direct", status, body: body?.string ?? "" };
  }
  if (route !== undefined) {
    const destinations = route.map((destination, index) =>
      compileDestination(destination, `${path}.route[${index}]`, scope),
    );
    return { kind: "forward", destinations };
  }
  const message = "the route has neither route, redirect nor directResponse";
  scope.messages.add(scope.resource, {
    severity: "error",
    code: "GL0214",
    path,
    message: `${message}: requests that take it answer 503`,
    remedy: "Write route, redirect, directResponse or delegate.",
  });
  return unavailable(message);
}

function unavailable(message: string): RouteAction {
  return { kind: "direct", status: 503, body: `${message}\n` };
}

function compileDestination(
  entry: HttpRouteDestination,
  path: string,
  scope: TargetScope,
): WeightedDestination {
  return {
    weight: entry.weight ?? 0,
    ...resolveTargets(entry.destination, entry.fallback?.target, path, scope),
    requestHeaders: compileHeaders(entry.headers?.request),
    responseHeaders: compileHeaders(entry.headers?.response),
  };
}

/** An entry without any condition matches everything, as an absent list does. */
function compileMatches(entries: readonly HttpMatch[], { places }: TargetScope): RouteMatch[] {
  return entries.map((entry) => {
    const match = compileMatch(entry);
    const { port, gateways, sourceLabels, sourceNamespace } = entry;
    const place = { port, gateways, sourceLabels, sourceNamespace };
    if (Object.values(place).some((one) => one !== undefined)) places.set(match, place);
    return match;
  });
}

export function compileMatch(entry: HttpMatch): RouteMatch {
  const { uri, method, authority } = entry;
  return {
    ...(uri === undefined ? {} : { uri: uriMatch(uri, entry.ignoreUriCase === true) }),
    ...(method === undefined ? {} : { method: stringMatch(method) }),
    ...(authority === undefined ? {} : { authority: stringMatch(authority) }),
    ...fields("headers", withScheme(entry), true),
    ...fields("withoutHeaders", entry.withoutHeaders, true),
    ...fields("queryParams", entry.queryParams, false),
  };
}

function withScheme({ headers, scheme }: HttpMatch): HttpMatch["headers"] {
  return scheme === undefined ? headers : { ...headers, ":scheme": scheme };
}

function fields<Name extends string>(
  name: Name,
  matches: Readonly<Record<string, StringMatchSpec>> | undefined,
  isLowerCase: boolean,
): Partial<Record<Name, HeaderMatch[]>> {
  const entries = Object.entries(matches ?? {}).sort();
  if (entries.length === 0) return {};
  const list = entries.map(([key, match]) => ({
    name: isLowerCase ? key.toLowerCase() : key,
    match: isPresence(match) ? { kind: "present" as const } : stringMatch(match),
  }));
  return { [name]: list } as Partial<Record<Name, HeaderMatch[]>>;
}

function isPresence({ exact, prefix, regex }: StringMatchSpec): boolean {
  return exact === undefined && prefix === undefined && regex === undefined;
}

function stringMatch({ exact, prefix, regex }: StringMatchSpec): StringMatch {
  if (exact !== undefined) return { kind: "exact", value: exact };
  if (prefix !== undefined) return { kind: "prefix", value: prefix };
  return { kind: "regex", value: regex ?? "" };
}

/** As in Istio, `ignoreUriCase` does not reach regular expressions. */
function uriMatch(spec: StringMatchSpec, ignoreCase: boolean): StringMatch {
  const match = stringMatch(spec);
  return ignoreCase && match.kind !== "regex" ? { ...match, ignoreCase } : match;
}

function compileHeaders(change: HeaderChange | undefined): HeaderOperations {
  if (change === undefined) return NO_HEADER_OPERATIONS;
  return {
    remove: (change.remove ?? []).map((name) => name.toLowerCase()),
    set: pairs(change.set),
    add: pairs(change.add),
  };
}

function pairs(changes: Readonly<Record<string, string>> = {}): (readonly [string, string])[] {
  return Object.entries(changes).map(([name, value]) => [name.toLowerCase(), value] as const);
}

function reportNames(http: readonly HttpRoute[], { resource, messages }: TargetScope): void {
  const first = new Map<string, number>();
  http.forEach(({ name }, index) => {
    if (name === undefined || name === "") return;
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, index);
      return;
    }
    messages.add(resource, {
      severity: "warning",
      code: "GL0205",
      path: `spec.http[${index}].name`,
      message: `the name ${name} is http[${earlier}]'s too, so logs cannot tell the two apart`,
      remedy: "Give each route a name of its own.",
    });
  });
}

function reportUnreachable(http: readonly HttpRoute[], { resource, messages }: TargetScope): void {
  const all = http.findIndex(
    ({ match = [], delegate }) => match.length === 0 && delegate === undefined,
  );
  if (all === -1) return;
  for (let index = all + 1; index < http.length; index++) {
    messages.add(resource, {
      severity: "warning",
      code: "GL0216",
      path: `spec.http[${index}]`,
      message: `no request reaches the route: http[${all}] has no match and takes everything`,
      remedy: "Put the route without match last.",
    });
  }
}
