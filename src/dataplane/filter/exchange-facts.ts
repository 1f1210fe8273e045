//! What properties of plug-ins are read of beside heads, connection and route, and the words that
//! Envoy has for how an exchange has ended.

import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import type { Headers } from "../../http/headers.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import type { EndpointNotes } from "../../snapshot/snapshot.ts";
import { PROXY_ERRORS } from "../proxy-error.ts";
import type { UpstreamFailureKind } from "../upstream/upstream.ts";
import type { UpstreamView } from "../upstream/upstream-facts.ts";

export interface ExchangeFacts {
  /** Who the gateway says it is. */
  readonly node: ProxyNode;
  /** Wall time at which the request came; the same whenever it is asked. */
  readonly startedAtMs: number;
  /** As it was sent; 0: not yet. */
  readonly status: number;
  /** A `ProxyErrorCode`, `downstream_gone`, or "". */
  readonly flag: string;
  /** In the words of the plug-in that has answered; null: none has. */
  readonly replyDetails: string | null;
  /** Of the bodies, so far. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Null until the exchange is over. */
  readonly durationMs: number | null;
  /** Null until the endpoint has given its whole response. */
  readonly backendMs: number | null;
  /** Tries to get an answer of an endpoint. */
  readonly attempts: number;
  /** What the last try has failed of. */
  readonly failedBy: UpstreamFailureKind | null;
  readonly failure: string;
  /** The client has broken off its stream of HTTP/2, and kept the connection. */
  readonly isClientReset: boolean;
  /** What is said of the endpoint in use, beside its address; null: nothing, or there is none. */
  readonly endpointNotes: EndpointNotes | null;
  /** From the wish for a connection to one that takes the request; null: there is none yet. */
  readonly poolReadyMs: number | null;
  /** Of the connection to the endpoint; null: none was ready yet. */
  readonly upstream: UpstreamView | null;
  readonly responseTrailers: Headers | null;
}

const GONE = { flag: 14, details: "downstream_remote_disconnect" };
const RESET = { flag: 28, details: "http2.remote_reset" };
/** An endpoint has broken off one stream of HTTP/2. */
const REMOTE_RESET_FLAG = 4;
const PROTOCOL_FLAG = 23;
const DOWNSTREAM_PROTOCOL_FLAG = 18;
/** Begins the details of a request from which a plug-in has taken what it cannot do without. */
export const REQUIRED_REMOVED = "filter_removed_required_request_headers";

/** Envoy's response flags, as the sum of their bits. */
export function responseFlagsOf(facts: ExchangeFacts): number {
  const { flag, failedBy, replyDetails } = facts;
  if (replyDetails?.startsWith(REQUIRED_REMOVED) === true) return 2 ** DOWNSTREAM_PROTOCOL_FLAG;
  if (flag === "upstream_reset" && failedBy === "truncated") return 2 ** PROTOCOL_FLAG;
  const isBroken = flag.startsWith("upstream_") && flag !== "upstream_overflow";
  if (isBroken && (failedBy === "refused" || failedBy === "stream")) return 2 ** REMOTE_RESET_FLAG;
  const bit = kindOf(facts)?.flag;
  return bit === undefined ? 0 : 2 ** bit;
}

/** Envoy's response code details; null: nothing is known yet. */
export function codeDetailsOf(
  facts: ExchangeFacts,
  response: { readonly local: boolean } | null,
): string | null {
  const { replyDetails } = facts;
  if (replyDetails !== null) return replyDetails;
  const kind = kindOf(facts);
  if (kind !== undefined) return kind.details ?? resetDetails(facts, response);
  if (response === null) return null;
  return response.local ? "direct_response" : "via_upstream";
}

interface EndKind {
  readonly flag?: number;
  readonly details?: string;
}

function kindOf({ flag, isClientReset }: ExchangeFacts): EndKind | undefined {
  if (flag === "downstream_gone") return isClientReset ? RESET : GONE;
  const kinds: Readonly<Record<string, EndKind>> = PROXY_ERRORS;
  return Object.hasOwn(kinds, flag) ? kinds[flag] : undefined;
}

function resetDetails(facts: ExchangeFacts, response: { readonly local: boolean } | null): string {
  const { flag, failedBy } = facts;
  if (failedBy === null && flag !== "upstream_overflow") return flag;
  if (failedBy === "timeout") return "upstream_per_try_timeout";
  const when = response?.local === false ? "after" : "before";
  return `upstream_reset_${when}_response_started{${resetReason(facts)}}`;
}

function resetReason(facts: ExchangeFacts): string {
  switch (facts.failedBy) {
    case "connect":
    case "tls":
      return `remote_connection_failure|${transportFailureOf(facts).replaceAll(" ", "_")}`;
    case "refused":
      return "remote_refused_stream_reset";
    case "stream":
      return "remote_reset";
    case "reset":
      return "connection_termination";
    case "truncated":
    case "protocol":
      return "protocol_error";
    default:
      return "overflow";
  }
}

/** Why no connection could be made, as Envoy writes it; `""`: one could. */
export function transportFailureOf({
  failedBy,
  failure,
}: Pick<ExchangeFacts, "failedBy" | "failure">): string {
  if (failedBy === "tls") return `TLS_error:${failure}`;
  return failedBy === "connect" ? `delayed connect error: ${systemError(failure)}` : "";
}

/** `Connection refused` for `ECONNREFUSED`; another text stays as it is. */
function systemError(code: string): string {
  const numbers: Readonly<Record<string, number>> = constants.errno;
  const number = Object.hasOwn(numbers, code) ? numbers[code] : undefined;
  const text = number === undefined ? code : (getSystemErrorMap().get(-number)?.[1] ?? code);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
