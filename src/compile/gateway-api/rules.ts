//! What rules of HTTPRoute and GRPCRoute have in common: their action, and what becomes of the
//! route when a rule cannot be honoured.

import type { GrpcRouteRule } from "../../resources/kinds/grpc-route.ts";
import type { HttpRouteRule } from "../../resources/kinds/http-route.ts";
import type { HeaderModifier } from "../../resources/kinds/route-fields.ts";
import { refOf } from "../../resources/object.ts";
import type { Route, RouteAction, WeightedDestination } from "../../snapshot/snapshot.ts";
import { keyOf } from "../resource-index.ts";
import type { ApiRoute } from "./attach.ts";
import { faultStatus, resolveBackend } from "./backends.ts";
import type { RuleScope } from "./backends.ts";
import { backendFilterFault, headerOperations } from "./filters.ts";
import type { Filters, RouteFilter } from "./filters.ts";
import { ACCEPTED, refusal, RESOLVED } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";

const STATUS_UNAVAILABLE = 503;

/** One match of one rule: with its place among all matches of a host. */
export interface RankedRoute {
  readonly route: Route;
  /** Compared member by member, the greater first. */
  readonly rank: readonly number[];
}

/** A route of the API with all that does not depend on where it is attached. */
export interface CompiledRoute {
  readonly ranked: readonly RankedRoute[];
  readonly resolvedRefs: Verdict;
  /** False when no rule is left. */
  readonly accepted: Verdict;
  /** Rules were left out. */
  readonly partiallyInvalid: Verdict | null;
}

export type ApiRule = HttpRouteRule | GrpcRouteRule;

/** What a rule comes to, or why it is left out. */
export type RuleResult = readonly RankedRoute[] | RuleFault;

export interface RuleFault extends Verdict {
  /** Below the rule. */
  readonly field: string;
}

export function ruleFault(reason: string, field: string, message: string): RuleFault {
  return { ...refusal(reason, message), field };
}

export function isRuleFault(result: RuleResult): result is RuleFault {
  return "reason" in result;
}

export function compileRules(
  rules: readonly ApiRule[],
  scope: RuleScope,
  compileRule: (rule: never, index: number) => RuleResult,
): CompiledRoute {
  const ranked: RankedRoute[] = [];
  const dropped: RuleFault[] = [];
  rules.forEach((rule, index) => {
    const result = commonFault(rule) ?? compileRule(rule as never, index);
    if (!isRuleFault(result)) {
      ranked.push(...result);
      return;
    }
    dropped.push(result);
    scope.messages.add(scope.route, {
      severity: "error",
      code: "GL0278",
      path: `spec.rules[${index}].${result.field}`,
      message: `${result.message}: the rule is left out`,
      remedy: "Take it away, or write it in another way.",
    });
  });
  const [first] = dropped;
  const isAllDropped = first !== undefined && ranked.length === 0;
  return {
    ranked,
    resolvedRefs: scope.unresolved[0] ?? RESOLVED,
    accepted: isAllDropped ? refusal(first.reason, first.message) : ACCEPTED,
    partiallyInvalid:
      first === undefined || isAllDropped
        ? null
        : { isTrue: true, reason: first.reason, message: `Dropped Rule: ${first.message}` },
  };
}

/** What neither kind of rule may ask for. */
function commonFault({ sessionPersistence, backendRefs = [] }: ApiRule): RuleFault | null {
  if (sessionPersistence !== undefined) {
    const message = "session persistence is not supported";
    return ruleFault("UnsupportedValue", "sessionPersistence", message);
  }
  for (const [index, { filters }] of backendRefs.entries()) {
    const list: readonly RouteFilter[] = filters ?? [];
    const fault = backendFilterFault(list);
    if (fault !== null) return { ...fault, field: `backendRefs[${index}].filters` };
  }
  return null;
}

/** Where a rule's requests go, or what they are answered. */
export function actionOf(
  { backendRefs = [] }: ApiRule,
  filters: Filters,
  path: string,
  scope: RuleScope,
): RouteAction {
  const status = faultStatus(scope.route).status ?? STATUS_UNAVAILABLE;
  if (filters.unknown !== null) return refuseUnknown(filters.unknown, status, scope);
  const destinations = backendRefs.map((backend, index): WeightedDestination => {
    const own: readonly RouteFilter[] = backend.filters ?? [];
    const change = (
      name: "requestHeaderModifier" | "responseHeaderModifier",
    ): HeaderModifier | null => own.find((filter) => filter[name] !== undefined)?.[name] ?? null;
    return {
      weight: backend.weight,
      target: resolveBackend(backend, `${path}.backendRefs[${index}]`, scope),
      fallback: null,
      requestHeaders: headerOperations(change("requestHeaderModifier")),
      responseHeaders: headerOperations(change("responseHeaderModifier")),
    };
  });
  const weighted = destinations.filter(({ weight }) => weight > 0);
  if (weighted.length > 0) return { kind: "forward", destinations: weighted };
  const body =
    destinations.length === 0
      ? "the rule names no backend\n"
      : "every backend of the rule has the weight 0\n";
  return { kind: "direct", status, body };
}

function refuseUnknown(
  { filter, path }: NonNullable<Filters["unknown"]>,
  status: number,
  { route, messages, unresolved }: RuleScope,
): RouteAction {
  const { extensionRef } = filter;
  const what =
    extensionRef === undefined ? filter.type : `${extensionRef.kind} ${extensionRef.name}`;
  const message = `the filter ${what} cannot be run here`;
  unresolved.push(refusal("InvalidKind", message));
  messages.add(route, {
    severity: "error",
    code: "GL0279",
    path,
    message: `${message}, and requests may not pass without it: they are answered ${status}`,
    remedy: "Use a WasmPlugin with a targetRef to the Gateway, and take the filter away.",
  });
  return { kind: "direct", status, body: `${message}\n` };
}

/** `Route` but for its matches, action and what is special. */
export function baseRoute(
  route: ApiRoute,
  rule: ApiRule,
  place: string,
  filters: Filters,
): Omit<Route, "matches" | "action" | "timeoutMs"> {
  return {
    id: `${keyOf(route)}/${place}`,
    label: rule.name ?? "",
    source: refOf(route),
    requestHeaders: filters.requestHeaders,
    responseHeaders: filters.responseHeaders,
  };
}
