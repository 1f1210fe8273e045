//! Rules of an HTTPRoute to routes, each match one: the specification puts the matches of all
//! rules at a host in one order.

import type {
  HttpRouteMatch,
  HttpRouteRetry,
  HttpRouteRule,
  HTTPRoute,
  PathModifier,
  RequestRedirect,
} from "../../resources/kinds/http-route.ts";
import type { HeaderMatch as ApiMatch } from "../../resources/kinds/route-fields.ts";
import type { RedirectAction, RetryPolicy, RoutePolicy } from "../../snapshot/routing.ts";
import type { HeaderMatch, Route, RouteMatch, StringMatch } from "../../snapshot/snapshot.ts";
import { durationMs } from "../../resources/duration.ts";
import type { RuleScope } from "./backends.ts";
import { collectFilters } from "./filters.ts";
import type { Filters } from "./filters.ts";
import { actionOf, baseRoute, compileRules, ruleFault } from "./rules.ts";
import type { CompiledRoute, RankedRoute, RuleResult } from "./rules.ts";

const RETRIES_DEFAULT = 2;
const BACK_OFF_BASE_MS = 25;
/** The pause grows to at most this many times its base, as in Envoy. */
const BACK_OFF_GROWTH_MAX = 10;
/** Exact paths before patterns before prefixes. */
const PATH_RANKS = { Exact: 2, RegularExpression: 1, PathPrefix: 0 } as const;

export function compileHttpRoute(route: HTTPRoute, scope: RuleScope): CompiledRoute {
  return compileRules(route.spec.rules, scope, (rule: HttpRouteRule, index) =>
    compileRule(route, rule, index, scope),
  );
}

function compileRule(
  route: HTTPRoute,
  rule: HttpRouteRule,
  index: number,
  scope: RuleScope,
): RuleResult {
  const path = `spec.rules[${index}]`;
  const fault = filtersFault(rule);
  if (fault !== null) return fault;
  const filters = collectFilters(rule.filters ?? [], `${path}.filters`, scope);
  const action =
    filters.redirect === null || filters.unknown !== null
      ? actionOf(rule, filters, path, scope)
      : redirectAction(filters.redirect);
  const timeoutMs = timeoutOf(rule);
  const policy = policyOf(rule, filters);
  const matches = rule.matches.length === 0 ? [WHOLE] : rule.matches;
  return matches.flatMap((match, at) => {
    const place = matches.length === 1 ? `rules[${index}]` : `rules[${index}].matches[${at}]`;
    const common = { ...baseRoute(route, rule, place, filters), action, timeoutMs };
    return ways(match, filters, {
      ...common,
      matches: [],
      ...(policy === undefined ? {} : { policy }),
    });
  });
}

const WHOLE: HttpRouteMatch = { path: { type: "PathPrefix", value: "/" } };

function filtersFault({
  filters = [],
  matches,
  backendRefs = [],
}: HttpRouteRule): RuleResult | null {
  const types = filters.map(({ type }) => type);
  if (types.includes("RequestRedirect")) {
    if (types.includes("URLRewrite")) {
      const message = "RequestRedirect and URLRewrite exclude each other";
      return ruleFault("IncompatibleFilters", "filters", message);
    }
    if (backendRefs.length > 0) {
      const message = "RequestRedirect leaves nothing for backendRefs";
      return ruleFault("IncompatibleFilters", "backendRefs", message);
    }
  }
  const replacesPrefix = filters.some(
    ({ requestRedirect, urlRewrite }) =>
      isPrefixModifier(requestRedirect?.path) || isPrefixModifier(urlRewrite?.path),
  );
  if (!replacesPrefix || matches.every(({ path }) => path.type === "PathPrefix")) return null;
  const message = "ReplacePrefixMatch needs matches by PathPrefix";
  return ruleFault("UnsupportedValue", "filters", message);
}

function isPrefixModifier(modifier: PathModifier | undefined): boolean {
  return modifier?.type === "ReplacePrefixMatch";
}

/** One route, or two where the path itself and what lies below it are rewritten differently. */
function ways(match: HttpRouteMatch, filters: Filters, route: Route): RankedRoute[] {
  const rank = rankOf(match);
  const rest = restOf(match);
  const uris = urisOf(match);
  const modifier = filters.redirect?.path ?? filters.rewrite?.path;
  if (modifier?.type !== "ReplacePrefixMatch") {
    const matches = uris.map((uri) => (uri === null ? rest : { uri, ...rest }));
    return [{ rank, route: { ...route, matches } }];
  }
  const by = trimmed(modifier.replacePrefixMatch ?? "");
  return uris.map((uri) => {
    const isWhole = uri?.kind === "exact";
    const text = isWhole ? rooted(by) : `${by}/`;
    const one = { ...route, matches: [uri === null ? rest : { uri, ...rest }] };
    const id = uris.length === 2 && !isWhole ? `${route.id}/below` : route.id;
    return { rank, route: replacing({ ...one, id }, text) };
  });
}

/** The route with `text` in the place of the matched prefix. */
function replacing(route: Route, text: string): Route {
  if (route.action.kind === "redirect") {
    return { ...route, action: { ...route.action, prefix: text } };
  }
  const rewrite = { ...route.policy?.rewrite, uri: text };
  return { ...route, policy: { ...route.policy, rewrite } };
}

function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

function trimmed(path: string): string {
  return path.replace(/\/+$/, "");
}

/** `PathPrefix` compares whole elements; null: every path. */
function urisOf({ path: { type, value } }: HttpRouteMatch): (StringMatch | null)[] {
  if (type === "Exact") return [{ kind: "exact", value }];
  if (type === "RegularExpression") return [{ kind: "regex", value }];
  const prefix = trimmed(value);
  if (prefix === "") return [null];
  return [
    { kind: "exact", value: prefix },
    { kind: "prefix", value: `${prefix}/` },
  ];
}

function restOf({ method, headers = [], queryParams = [] }: HttpRouteMatch): RouteMatch {
  return {
    ...(method === undefined ? {} : { method: { kind: "exact", value: method } }),
    ...(headers.length === 0 ? {} : { headers: headerMatches(headers) }),
    ...(queryParams.length === 0 ? {} : { queryParams: queryParams.map(fieldMatch) }),
  };
}

/** Of several entries for one header only the first counts. */
export function headerMatches(headers: readonly ApiMatch[]): HeaderMatch[] {
  const byName = new Map<string, HeaderMatch>();
  for (const header of headers) {
    const name = header.name.toLowerCase();
    if (!byName.has(name)) byName.set(name, { ...fieldMatch(header), name });
  }
  return [...byName.values()];
}

function fieldMatch({ type, name, value }: ApiMatch): HeaderMatch {
  const kind = type === "RegularExpression" ? "regex" : "exact";
  return { name, match: { kind, value } };
}

function rankOf({ path, method, headers = [], queryParams = [] }: HttpRouteMatch): number[] {
  return [
    PATH_RANKS[path.type],
    trimmed(path.value).length,
    method === undefined ? 0 : 1,
    headers.length,
    queryParams.length,
  ];
}

function redirectAction(redirect: RequestRedirect): RedirectAction {
  const { scheme, hostname, path, port, statusCode } = redirect;
  return {
    kind: "redirect",
    status: statusCode,
    ...(scheme === undefined ? {} : { scheme }),
    ...(hostname === undefined ? {} : { authority: hostname }),
    ...(port === undefined ? {} : { port }),
    ...(path?.type === "ReplaceFullPath" ? { path: path.replaceFullPath ?? "/" } : {}),
  };
}

function policyOf(rule: HttpRouteRule, filters: Filters): RoutePolicy | undefined {
  const { rewrite, cors, mirrors } = filters;
  const policy: RoutePolicy = {
    ...(rewrite === null
      ? {}
      : {
          rewrite: {
            ...(rewrite.hostname === undefined ? {} : { authority: rewrite.hostname }),
            ...(rewrite.path?.type === "ReplaceFullPath"
              ? { path: rewrite.path.replaceFullPath ?? "/" }
              : {}),
          },
        }),
    ...(cors === null ? {} : { cors }),
    ...(rule.retry === undefined ? {} : { retry: retryOf(rule.retry, backendTimeoutOf(rule)) }),
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
  return Object.keys(policy).length === 0 ? undefined : policy;
}

function backendTimeoutOf({ timeouts }: HttpRouteRule): number {
  return timeouts?.backendRequest === undefined ? 0 : durationMs(timeouts.backendRequest);
}

/** Without retries one try is the request, so the shorter of both times holds. */
function timeoutOf(rule: HttpRouteRule): number {
  const request = rule.timeouts?.request === undefined ? 0 : durationMs(rule.timeouts.request);
  const backend = rule.retry === undefined ? backendTimeoutOf(rule) : 0;
  const given = [request, backend].filter((ms) => ms > 0);
  return given.length === 0 ? 0 : Math.min(...given);
}

function retryOf(
  { codes, attempts, backoff }: HttpRouteRetry,
  perTryTimeoutMs: number,
): RetryPolicy {
  const base = backoff === undefined ? BACK_OFF_BASE_MS : Math.max(1, durationMs(backoff));
  return {
    retries: attempts ?? RETRIES_DEFAULT,
    perTryTimeoutMs,
    on: ["connect-failure", "refused-stream"],
    statuses: [...(codes ?? [])],
    backOffBaseMs: base,
    backOffMaxMs: base * BACK_OFF_GROWTH_MAX,
  };
}
