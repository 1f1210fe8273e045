//! Cross-origin requests, as Envoy's CORS filter treats them (Fetch standard, section 3.2).

import { Headers } from "../../http/headers.ts";
import type { PreparedRoute } from "../../route/route.ts";
import type { CorsPolicy } from "../../snapshot/routing.ts";

export type CorsOutcome =
  /** Not cross-origin, or of an origin that is not allowed: nothing is added. */
  | { readonly kind: "pass" }
  | { readonly kind: "preflight"; readonly headers: Headers }
  /** The response tells the browser that this origin may read it. */
  | { readonly kind: "allowed"; readonly origin: string };

const PASS: CorsOutcome = { kind: "pass" };

export function checkCors(
  { route, origins }: PreparedRoute,
  method: string,
  headers: Headers,
): CorsOutcome {
  const policy = route.policy?.cors;
  const origin = headers.get("origin");
  if (policy === undefined || origin === undefined || origin === "") return PASS;
  const isAllowed = origins.some((matches) => matches(origin));
  const asked = headers.get("access-control-request-method") ?? "";
  if (method === "OPTIONS" && asked !== "") {
    if (isAllowed) return { kind: "preflight", headers: preflightHeaders(policy, origin) };
    return policy.unmatchedPreflights === "ignore"
      ? { kind: "preflight", headers: new Headers() }
      : PASS;
  }
  return isAllowed ? { kind: "allowed", origin } : PASS;
}

function preflightHeaders(policy: CorsPolicy, origin: string): Headers {
  const headers = new Headers();
  headers.add("access-control-allow-origin", origin);
  if (policy.allowCredentials) headers.add("access-control-allow-credentials", "true");
  addUnlessEmpty(headers, "access-control-allow-methods", policy.allowMethods);
  addUnlessEmpty(headers, "access-control-allow-headers", policy.allowHeaders);
  addUnlessEmpty(headers, "access-control-expose-headers", policy.exposeHeaders);
  addUnlessEmpty(headers, "access-control-max-age", policy.maxAge);
  return headers;
}

/** Fields of the response to an allowed cross-origin request. The upstream's own give way. */
export function addCorsFields(policy: CorsPolicy, origin: string, headers: Headers): void {
  headers.set("access-control-allow-origin", origin);
  if (policy.allowCredentials) headers.set("access-control-allow-credentials", "true");
  if (policy.exposeHeaders !== "") {
    headers.set("access-control-expose-headers", policy.exposeHeaders);
  }
}

function addUnlessEmpty(headers: Headers, name: string, value: string): void {
  if (value !== "") headers.add(name, value);
}
