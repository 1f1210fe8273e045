//! The commands of access log formats: Envoy's names, and ours for lanes.

import type { AccessLogEntry } from "./access-log.ts";

/** Null: there was none. */
export type LogValue = string | number | null;

export interface LogCommand {
  readonly value: (entry: AccessLogEntry) => LogValue;
  /** Request fields that must be kept for it, lower-case. */
  readonly fields: readonly string[];
}

/** Without arguments. */
const PLAIN: Readonly<Record<string, LogCommand["value"]>> = {
  PROTOCOL: ({ protocol }) => protocol,
  RESPONSE_CODE: ({ status }) => status,
  RESPONSE_FLAGS: ({ flags }) => shortFlag(flags),
  RESPONSE_CODE_DETAILS: ({ flags, status }) => {
    if (flags !== "") return flags;
    return status === 0 ? null : "via_upstream";
  },
  BYTES_RECEIVED: ({ bytesReceived }) => bytesReceived,
  BYTES_SENT: ({ bytesSent }) => bytesSent,
  DURATION: ({ durationMs }) => Math.round(durationMs),
  RESPONSE_DURATION: ({ upstreamMs }) => upstreamTime(upstreamMs),
  UPSTREAM_HOST: ({ upstream }) => textOrNull(upstream),
  UPSTREAM_CLUSTER: ({ cluster }) => textOrNull(cluster),
  ROUTE_NAME: ({ route }) => textOrNull(route),
  ROLE: ({ role }) => role,
  LANE_GROUP: ({ laneGroup }) => textOrNull(laneGroup),
  LANE: ({ lane }) => textOrNull(lane),
  LANE_REASON: ({ reason }) => textOrNull(reason),
  LANE_FALLBACK: ({ fallback }) => textOrNull(fallback),
};

/** Request fields that every entry has. */
const KNOWN_FIELDS: Readonly<Record<string, (entry: AccessLogEntry) => string>> = {
  ":method": ({ method }) => method,
  ":path": ({ path }) => path,
  "x-envoy-original-path": ({ path }) => path,
  ":authority": ({ authority }) => authority,
  host: ({ authority }) => authority,
  "user-agent": ({ userAgent }) => userAgent,
  "x-forwarded-for": ({ forwardedFor }) => forwardedFor,
  "x-request-id": ({ requestId }) => requestId,
};

const WITHOUT_LETTERS = [
  ...["plugin_trap", "plugin_unavailable", "plugin_body_length", "internal", "not_ready"],
  ...["method_not_supported", "request_body_too_large", "response_body_too_large"],
];

/** Our flags by Envoy's letters; what Envoy has none for is `-`. A fault of the bytes is DPE. */
const SHORT_FLAGS: Readonly<Record<string, string>> = {
  no_route: "NR",
  route_target_missing: "NC",
  lane_has_no_endpoint: "UH",
  no_endpoint: "UH",
  upstream_connect_failed: "UF",
  upstream_tls_failed: "UF",
  upstream_overflow: "UO",
  upstream_reset: "UC",
  upstream_protocol: "UPE",
  upstream_timeout: "UT",
  fault_injected: "FI",
  downstream_gone: "DC",
  overload: "OM",
  request_timeout: "SI",
  request_body_timeout: "SI",
  ...Object.fromEntries(WITHOUT_LETTERS.map((flag) => [flag, ""])),
};

/** A text says why there is no such command. */
export function commandOf(name: string, argument: string): LogCommand | string {
  if (name === "REQ") return requestField(argument);
  if (name === "RESP") {
    if (argument.toLowerCase() !== "x-envoy-upstream-service-time") {
      return "of responses only X-ENVOY-UPSTREAM-SERVICE-TIME is kept";
    }
    return { fields: [], value: ({ upstreamMs }) => upstreamTime(upstreamMs) };
  }
  const value = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (value === undefined) {
    return `not offered; there is START_TIME, REQ, RESP, ${Object.keys(PLAIN).join(", ")}`;
  }
  return argument === "" ? { fields: [], value } : "it takes no argument";
}

/** `NAME` or `NAME?OTHER`: the other where the first is missing. */
function requestField(argument: string): LogCommand | string {
  const names = argument.split("?").map((name) => name.toLowerCase());
  if (names.length > 2 || names.some((name) => !/^:?[!#$&'*+.^_`|~0-9a-z-]+$/.test(name))) {
    return "write REQ(NAME) or REQ(NAME?OTHER)";
  }
  const wrong = names.find((name) => name.startsWith(":") && !Object.hasOwn(KNOWN_FIELDS, name));
  if (wrong !== undefined) return `there is no ${wrong}; take :METHOD, :PATH or :AUTHORITY`;
  return {
    fields: names.filter((name) => !Object.hasOwn(KNOWN_FIELDS, name)),
    value(entry) {
      for (const name of names) {
        const value = fieldOf(entry, name);
        if (value !== null) return value;
      }
      return null;
    },
  };
}

function fieldOf(entry: AccessLogEntry, name: string): string | null {
  const known = KNOWN_FIELDS[name];
  if (known !== undefined) return textOrNull(known(entry));
  return entry.headers.find(([kept]) => kept === name)?.[1] ?? null;
}

function shortFlag(flags: string): string | null {
  return flags === "" ? null : textOrNull(SHORT_FLAGS[flags] ?? "DPE");
}

function upstreamTime(upstreamMs: number): number | null {
  return upstreamMs < 0 ? null : Math.round(upstreamMs);
}

function textOrNull(text: string): string | null {
  return text === "" ? null : text;
}
