//! What a gateway answers by itself, and what it adds to answers.

import { Headers } from "../../http/headers.ts";
import type { LaneDecision } from "../../lane/decide.ts";
import type { WeightedDestination } from "../../snapshot/snapshot.ts";
import type { LocalResponse } from "../../wasm/stream-host.ts";
import type { GatewayPass } from "../filter/gateway-pass.ts";
import { isAllowedField } from "../filter/request-header-map.ts";
import { proxyError, statusOf } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";
import type { Replacement, ResponseDraft } from "./handler.ts";

/** After the route's own header operations, so that these do not take the cookie away. */
export function addIssuedCookies(
  pass: GatewayPass,
  exchange: Exchange,
  response: ResponseDraft,
): void {
  if (pass.issued === null) return;
  const isSecure = exchange.head.headers.get("x-forwarded-proto") === "https";
  for (const field of pass.issued.fields(isSecure)) response.headers.add("set-cookie", field);
}

/** What is missing: the target that the route names, the lane's endpoints, or any endpoint. */
export function missingError(
  { target }: WeightedDestination,
  decision: LaneDecision | null,
  message: string,
): ProxyError {
  if (target.kind === "missing") {
    const error = proxyError("route_target_missing", message);
    return target.status === undefined ? error : { ...error, status: target.status };
  }
  return proxyError(decision === null ? "no_endpoint" : "lane_has_no_endpoint", message);
}

export function headersOf(response: LocalResponse): Headers {
  const headers = new Headers();
  for (const [name, value] of response.headers) {
    if (isAllowedField(name, value)) headers.add(name, value);
  }
  return headers;
}

export function replacementOf(replacement: LocalResponse | ProxyError): Replacement {
  if ("code" in replacement) {
    const body = Buffer.from(`${replacement.code}: ${replacement.message}\n`);
    const status = statusOf(replacement);
    return { status, headers: new Headers(), body, flag: replacement.code };
  }
  const { status, body } = replacement;
  return { status, headers: headersOf(replacement), body, flag: "" };
}

export function fieldsOf(
  headers: Headers,
  names: readonly string[],
): [name: string, value: string][] {
  return names.flatMap((name) => {
    const value = headers.get(name);
    return value === undefined ? [] : [[name, value] as [string, string]];
  });
}
