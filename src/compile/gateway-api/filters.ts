//! A rule's filters, collected by what they do.

import type { CommonFilters, HeaderModifier } from "../../resources/kinds/route-fields.ts";
import type {
  CorsFilter,
  HttpRouteFilter,
  RequestRedirect,
  UrlRewrite,
} from "../../resources/kinds/http-route.ts";
import type { GrpcRouteFilter } from "../../resources/kinds/grpc-route.ts";
import { NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import type { HeaderOperations, StringMatch } from "../../snapshot/snapshot.ts";
import type { CorsPolicy, Mirror } from "../../snapshot/routing.ts";
import { resolveBackend } from "./backends.ts";
import type { RuleScope } from "./backends.ts";
import { refusal } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";

const PPM_TOTAL = 1_000_000;
const PPM_PER_PERCENT = 10_000;

export type RouteFilter = HttpRouteFilter | GrpcRouteFilter;

/** What the filters of one rule ask for. */
export interface Filters {
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
  readonly mirrors: readonly Mirror[];
  readonly redirect: RequestRedirect | null;
  readonly rewrite: UrlRewrite | null;
  readonly cors: CorsPolicy | null;
  /** A filter that nothing here can run: requests may not pass without it. */
  readonly unknown: { readonly filter: RouteFilter; readonly path: string } | null;
}

export function collectFilters(
  filters: readonly RouteFilter[],
  path: string,
  scope: RuleScope,
): Filters {
  const last = <Name extends keyof HttpRouteFilter>(
    name: Name,
  ): NonNullable<HttpRouteFilter[Name]> | null =>
    (filters as readonly HttpRouteFilter[]).map((one) => one[name]).find((one) => one != null) ??
    null;
  const unknown = filters.findIndex(
    ({ type }) => type === "ExtensionRef" || type === "ExternalAuth",
  );
  const cors = last("cors");
  const stranger = filters[unknown];
  return {
    requestHeaders: headerOperations(last("requestHeaderModifier")),
    responseHeaders: headerOperations(last("responseHeaderModifier")),
    mirrors: filters.flatMap((filter, index) => mirrorOf(filter, `${path}[${index}]`, scope)),
    redirect: last("requestRedirect"),
    rewrite: last("urlRewrite"),
    cors: cors === null ? null : corsPolicy(cors),
    unknown: stranger === undefined ? null : { filter: stranger, path: `${path}[${unknown}]` },
  };
}

export function headerOperations(change: HeaderModifier | null): HeaderOperations {
  if (change === null) return NO_HEADER_OPERATIONS;
  const pairs = (list: HeaderModifier["set"] = []): [string, string][] =>
    list.map(({ name, value }) => [name.toLowerCase(), value]);
  return {
    remove: (change.remove ?? []).map((name) => name.toLowerCase()),
    set: pairs(change.set),
    add: pairs(change.add),
  };
}

function mirrorOf({ requestMirror }: CommonFilters, path: string, scope: RuleScope): Mirror[] {
  if (requestMirror === undefined) return [];
  const { backendRef, percent, fraction } = requestMirror;
  const place = `${path}.requestMirror.backendRef`;
  const target = resolveBackend(backendRef, place, scope, "no copies are sent there");
  const sharePpm =
    fraction === undefined
      ? (percent ?? 100) * PPM_PER_PERCENT
      : Math.round((fraction.numerator * PPM_TOTAL) / fraction.denominator);
  return [{ target, sharePpm, requestHeaders: NO_HEADER_OPERATIONS }];
}

function corsPolicy(cors: CorsFilter): CorsPolicy {
  const listed = (values: readonly string[] = []): string => values.join(",");
  return {
    allowOrigins: (cors.allowOrigins ?? []).map(originMatch),
    allowMethods: listed(cors.allowMethods),
    allowHeaders: listed(cors.allowHeaders),
    exposeHeaders: listed(cors.exposeHeaders),
    maxAge: String(cors.maxAge),
    allowCredentials: cors.allowCredentials === true,
    unmatchedPreflights: "forward",
  };
}

/** `*` within an origin stands for any part of a name, or any port. */
function originMatch(origin: string): StringMatch {
  if (origin === "*") return { kind: "prefix", value: "" };
  if (!origin.includes("*")) return { kind: "exact", value: origin };
  const quoted = origin.replaceAll(/[.+]/g, String.raw`\$&`);
  const value = quoted.replace("://*", String.raw`://[^/:]+`).replace(":*", String.raw`:\d+`);
  return { kind: "regex", value };
}

/** Why filters of a backend cannot be honoured; null: they can. */
export function backendFilterFault(filters: readonly RouteFilter[]): Verdict | null {
  const other = filters.find(
    ({ type }) => type !== "RequestHeaderModifier" && type !== "ResponseHeaderModifier",
  );
  if (other === undefined) return null;
  const message = `a filter of the type ${other.type} at a single backend is not supported`;
  return refusal("UnsupportedValue", message);
}
