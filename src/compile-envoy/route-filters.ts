//! What Envoy's filters for CORS and injected faults are told of a route.

import type { JsonObject } from "../base/json.ts";
import type { CorsPolicy, FaultInjection, RoutePolicy } from "../snapshot/routing.ts";
import { durationOf } from "./envoy-config.ts";
import { stringMatcher } from "./route-match.ts";

const FILTERS = "type.googleapis.com/envoy.extensions.filters.http";
const CORS = "envoy.filters.http.cors";
const FAULT = "envoy.filters.http.fault";

/** Of each listener, in their order behind the plug-ins; without a word of the route idle. */
export const ROUTE_FILTERS: readonly JsonObject[] = [
  { name: CORS, typed_config: { "@type": `${FILTERS}.cors.v3.Cors` } },
  { name: FAULT, typed_config: { "@type": `${FILTERS}.fault.v3.HTTPFault` } },
];

export function routeFilters({ cors, fault }: RoutePolicy): JsonObject {
  const told: JsonObject = {
    ...(cors === undefined ? {} : { [CORS]: corsPolicy(cors) }),
    ...(fault === undefined ? {} : { [FAULT]: faultOf(fault) }),
  };
  return Object.keys(told).length === 0 ? {} : { typed_per_filter_config: told };
}

/** A field without content is not sent. */
function corsPolicy(cors: CorsPolicy): JsonObject {
  return {
    "@type": `${FILTERS}.cors.v3.CorsPolicy`,
    allow_origin_string_match: cors.allowOrigins.map(stringMatcher),
    allow_methods: cors.allowMethods,
    allow_headers: cors.allowHeaders,
    expose_headers: cors.exposeHeaders,
    max_age: cors.maxAge,
    allow_credentials: cors.allowCredentials,
    forward_not_matching_preflights: cors.unmatchedPreflights === "forward",
  };
}

function faultOf({ delay, abort }: FaultInjection): JsonObject {
  return {
    "@type": `${FILTERS}.fault.v3.HTTPFault`,
    ...(delay === undefined
      ? {}
      : { delay: { fixed_delay: durationOf(delay.delayMs), percentage: share(delay.sharePpm) } }),
    ...(abort === undefined
      ? {}
      : { abort: { http_status: abort.status, percentage: share(abort.sharePpm) } }),
  };
}

function share(ppm: number): JsonObject {
  return { numerator: ppm, denominator: "MILLION" };
}
