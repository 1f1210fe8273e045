//! Every way in which an exchange can fail by our own word: code, status and side in one table.
//!
//! The code is the first word of the reply's body, the access log's flag and the metric's label,
//! so the three never drift apart.

export type Side = "downstream" | "upstream" | "internal";

interface ErrorKind {
  readonly status: number;
  readonly side: Side;
  /** Envoy's response flag: the number of its bit. Absent: Envoy has none for it. */
  readonly flag?: number;
  /** Envoy's response code details; of failures of endpoints see `codeDetailsOf`. */
  readonly details?: string;
}

export type ProxyErrorCode =
  | "no_route"
  | "method_not_supported"
  | "route_target_missing"
  | "lane_has_no_endpoint"
  | "no_endpoint"
  | "upstream_connect_failed"
  | "upstream_tls_failed"
  | "upstream_overflow"
  | "upstream_reset"
  | "upstream_protocol"
  | "upstream_timeout"
  | "fault_injected"
  | "plugin_trap"
  | "plugin_unavailable"
  | "plugin_body_length"
  | "request_body_too_large"
  | "response_body_too_large"
  | "internal"
  | "overload"
  | "not_ready";

export const PROXY_ERRORS: Readonly<Record<ProxyErrorCode, ErrorKind>> = {
  no_route: { status: 404, side: "downstream", flag: 8, details: "route_not_found" },
  method_not_supported: { status: 501, side: "downstream" },
  route_target_missing: { status: 503, side: "internal", flag: 24, details: "cluster_not_found" },
  lane_has_no_endpoint: { status: 503, side: "upstream", flag: 1, details: "no_healthy_upstream" },
  no_endpoint: { status: 503, side: "upstream", flag: 1, details: "no_healthy_upstream" },
  upstream_connect_failed: { status: 503, side: "upstream", flag: 5 },
  upstream_tls_failed: { status: 503, side: "upstream", flag: 5 },
  upstream_overflow: { status: 503, side: "upstream", flag: 7 },
  upstream_reset: { status: 502, side: "upstream", flag: 6 },
  upstream_protocol: { status: 502, side: "upstream", flag: 23 },
  upstream_timeout: { status: 504, side: "upstream", flag: 2, details: "response_timeout" },
  fault_injected: { status: 503, side: "internal", flag: 10, details: "fault_filter_abort" },
  plugin_trap: { status: 503, side: "internal", details: "wasm_fail_stream" },
  plugin_unavailable: { status: 503, side: "internal", details: "wasm_fail_stream" },
  plugin_body_length: { status: 502, side: "internal" },
  request_body_too_large: { status: 413, side: "downstream", details: "request_payload_too_large" },
  response_body_too_large: { status: 500, side: "upstream", details: "response_payload_too_large" },
  internal: { status: 500, side: "internal" },
  overload: { status: 503, side: "internal", flag: 25, details: "overload" },
  not_ready: { status: 503, side: "internal" },
};

/** An outcome, not an exception: hot paths return it. */
export interface ProxyError {
  readonly code: ProxyErrorCode;
  /** What happened, with the names that the reader needs to act. */
  readonly message: string;
  /** In the place of the code's own. */
  readonly status?: number;
  readonly details?: string;
}

export function proxyError(code: ProxyErrorCode, message: string): ProxyError {
  return { code, message };
}

export function statusOf(error: ProxyError): number {
  return error.status ?? PROXY_ERRORS[error.code].status;
}
