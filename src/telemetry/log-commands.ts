//! The commands of access log formats: Envoy's names, and ours for lanes.

import type { AccessLogDetails, AccessLogEntry } from "./access-log.ts";
import { DETAIL_COMMANDS, splitAddress } from "./log-details.ts";

/** Null: there was none. */
export type LogValue = string | number | null;

export interface LogCommand {
  readonly value: (entry: AccessLogEntry, details: AccessLogDetails) => LogValue;
  /** It asks for details. */
  readonly isDetailed?: boolean;
  /** Request fields that must be kept for it, lower-case. */
  readonly fields: readonly string[];
}

/** Without arguments. */
const PLAIN: Readonly<Record<string, (entry: AccessLogEntry) => LogValue>> = {
  PROTOCOL: ({ protocol }) => protocol,
  RESPONSE_CODE: ({ status }) => status,
  RESPONSE_FLAGS: ({ flags }) => shortFlag(flags),
  RESPONSE_CODE_DETAILS: ({ flags, status, upstreamMs }) => {
    if (flags !== "") return flags;
    if (status === 0) return null;
    return upstreamMs < 0 ? "direct_response" : "via_upstream";
  },
  BYTES_RECEIVED: ({ bytesReceived }) => bytesReceived,
  BYTES_SENT: ({ bytesSent }) => bytesSent,
  DURATION: ({ durationMs }) => Math.round(durationMs),
  RESPONSE_DURATION: ({ upstreamMs }) => upstreamTime(upstreamMs),
  RESPONSE_TX_DURATION: ({ durationMs, upstreamMs }) =>
    upstreamMs < 0 ? null : Math.round(durationMs - upstreamMs),
  UPSTREAM_HOST: ({ upstream }) => textOrNull(upstream),
  UPSTREAM_REMOTE_ADDRESS: ({ upstream }) => textOrNull(upstream),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ upstream }) => splitAddress(upstream)[0],
  UPSTREAM_REMOTE_PORT: ({ upstream }) => splitAddress(upstream)[1],
  UPSTREAM_CLUSTER: ({ cluster }) => textOrNull(cluster),
  UPSTREAM_CLUSTER_RAW: ({ cluster }) => textOrNull(cluster),
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

const SCHEME = ":scheme";

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
  if (name === "RESP") return responseField(argument);
  if (name === "TRAILER") {
    return fieldCommand(name, argument, (field, { responseTrailer }) => responseTrailer(field));
  }
  if (argument !== "" && (Object.hasOwn(PLAIN, name) || Object.hasOwn(DETAIL_COMMANDS, name))) {
    return "it takes no argument";
  }
  const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (plain !== undefined) return { fields: [], value: plain };
  const read = Object.hasOwn(DETAIL_COMMANDS, name) ? DETAIL_COMMANDS[name] : undefined;
  if (read === undefined) {
    const names = ["START_TIME", "REQ", "RESP", "TRAILER"];
    const known = [...names, ...Object.keys(PLAIN), ...Object.keys(DETAIL_COMMANDS)];
    return `not offered; there is ${known.join(", ")}`;
  }
  return { fields: [], isDetailed: true, value: (_entry, details) => read(details) };
}

function responseField(argument: string): LogCommand | string {
  if (argument.toLowerCase() === "x-envoy-upstream-service-time") {
    return { fields: [], value: ({ upstreamMs }) => upstreamTime(upstreamMs) };
  }
  return fieldCommand("RESP", argument, (field, details) => details.responseField(field));
}

type ReadField = (field: string, details: AccessLogDetails) => string | null;

/** `NAME` or `NAME?OTHER`, of a response. */
function fieldCommand(command: string, argument: string, read: ReadField): LogCommand | string {
  const names = fieldNames(argument);
  if (names === null) return `write ${command}(NAME) or ${command}(NAME?OTHER)`;
  const wrong = names.find((name) => name.startsWith(":"));
  if (wrong !== undefined) return `there is no ${wrong} here`;
  return {
    fields: [],
    isDetailed: true,
    value: (_entry, details) => firstOf(names, (name) => read(name, details)),
  };
}

/** Null: no names. */
function fieldNames(argument: string): string[] | null {
  const names = argument.split("?").map((name) => name.toLowerCase());
  const areNames = names.every((name) => /^:?[!#$&'*+.^_`|~0-9a-z-]+$/.test(name));
  return names.length <= 2 && areNames ? names : null;
}

function firstOf(names: readonly string[], read: (name: string) => string | null): string | null {
  for (const name of names) {
    const value = read(name);
    if (value !== null) return value;
  }
  return null;
}

/** `NAME` or `NAME?OTHER`: the other where the first is missing. */
function requestField(argument: string): LogCommand | string {
  const names = fieldNames(argument);
  if (names === null) return "write REQ(NAME) or REQ(NAME?OTHER)";
  const isKnown = (name: string): boolean => Object.hasOwn(KNOWN_FIELDS, name) || name === SCHEME;
  const wrong = names.find((name) => name.startsWith(":") && !isKnown(name));
  if (wrong !== undefined) return `there is no ${wrong}; take :METHOD, :PATH, :AUTHORITY, :SCHEME`;
  return {
    fields: names.filter((name) => !isKnown(name)),
    isDetailed: names.includes(SCHEME),
    value: (entry, { scheme }) =>
      firstOf(names, (name) => (name === SCHEME ? textOrNull(scheme) : fieldOf(entry, name))),
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
