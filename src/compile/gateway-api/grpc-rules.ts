//! Rules of a GRPCRoute to routes: a call is a POST to `/service/method`.

import type {
  GrpcMethodMatch,
  GrpcRouteMatch,
  GrpcRouteRule,
  GRPCRoute,
} from "../../resources/kinds/grpc-route.ts";
import type { StringMatch } from "../../snapshot/snapshot.ts";
import type { RuleScope } from "./backends.ts";
import { collectFilters } from "./filters.ts";
import { headerMatches } from "./http-rules.ts";
import { actionOf, baseRoute, compileRules } from "./rules.ts";
import type { CompiledRoute, RankedRoute } from "./rules.ts";

export function compileGrpcRoute(route: GRPCRoute, scope: RuleScope): CompiledRoute {
  return compileRules(route.spec.rules ?? [], scope, (rule: GrpcRouteRule, index) =>
    compileRule(route, rule, index, scope),
  );
}

function compileRule(
  route: GRPCRoute,
  rule: GrpcRouteRule,
  index: number,
  scope: RuleScope,
): RankedRoute[] {
  const path = `spec.rules[${index}]`;
  const filters = collectFilters(rule.filters ?? [], `${path}.filters`, scope);
  const action = actionOf(rule, filters, path, scope);
  const given = rule.matches ?? [];
  const matches = given.length === 0 ? [{}] : given;
  return matches.map((match, at) => {
    const place = matches.length === 1 ? `rules[${index}]` : `rules[${index}].matches[${at}]`;
    const { mirrors } = filters;
    return {
      rank: rankOf(match),
      route: {
        ...baseRoute(route, rule, place, filters),
        matches: [matchOf(match)],
        action,
        timeoutMs: 0,
        ...(mirrors.length === 0 ? {} : { policy: { mirrors } }),
      },
    };
  });
}

function matchOf({
  method,
  headers = [],
}: GrpcRouteMatch): RankedRoute["route"]["matches"][number] {
  const uri = method === undefined ? null : uriOf(method);
  return {
    ...(uri === null ? {} : { uri }),
    ...(headers.length === 0 ? {} : { headers: headerMatches(headers) }),
  };
}

function uriOf({ type, service, method }: GrpcMethodMatch): StringMatch {
  const isExact = type === "Exact";
  if (isExact && service !== undefined) {
    return method === undefined
      ? { kind: "prefix", value: `/${service}/` }
      : { kind: "exact", value: `/${service}/${method}` };
  }
  const part = (text: string | undefined): string =>
    text === undefined ? "[^/]+" : isExact ? text : `(?:${text})`;
  return { kind: "regex", value: `/${part(service)}/${part(method)}` };
}

function rankOf({ method, headers = [] }: GrpcRouteMatch): number[] {
  return [method?.service?.length ?? 0, method?.method?.length ?? 0, headers.length];
}
