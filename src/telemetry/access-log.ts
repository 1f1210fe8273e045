//! One line per exchange: a JSON object, or what a format says (`log-format.ts`).
//!
//! Lines are ASCII whatever a client sends: a quote, a control character or a byte above 126 is
//! escaped, so that no request can forge a line or a field.

import { timeTextOf } from "../base/clock.ts";

/** What is logged of one exchange. `""` and -1 mean: there was none. */
export interface AccessLogEntry {
  /** The hop: the gateway, a pod's sidecar for what comes in, or for what the pod calls. */
  readonly role: "gateway" | "inbound" | "outbound";
  /** Wall time of the request's first byte, milliseconds since the Unix epoch. */
  readonly startMs: number;
  readonly method: string;
  /** `""` with the method: what came was no HTTP. With query, as the client sent it. */
  readonly path: string;
  /** `HTTP/1.1`. */
  readonly protocol: string;
  /** 0: the client went away before there was one. */
  readonly status: number;
  /** Why we answered ourselves: a code of docs/replies.md, or "". */
  readonly flags: string;
  /** Body bytes from and to the client. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  /** Until the upstream's response head. */
  readonly upstreamMs: number;
  readonly forwardedFor: string;
  readonly userAgent: string;
  readonly requestId: string;
  /** Request fields that were asked for, as the client sent them; names lower-case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly authority: string;
  /** `address:port` of the endpoint. */
  readonly upstream: string;
  readonly cluster: string;
  /** `Route.id`. */
  readonly route: string;
  readonly laneGroup: string;
  /** The request's lane, also where the baseline stood in. */
  readonly lane: string;
  /** `route`, `forced`, `rule`, `cohort` or `baseline`. */
  readonly reason: string;
  /** What stood in for the lane on this hop: a lane's name or `baseline`. */
  readonly fallback: string;
}

/** What formats may ask for beside it; read when they do. `""`: not known, or none. */
export interface AccessLogDetails {
  /** Of the client's connection: its other end and ours, `address:port`. */
  readonly peer: string;
  readonly local: string;
  /** The client as far as it can be trusted, `address:port`; port 0: a proxy told of it. */
  readonly client: string;
  readonly connectionId: number;
  /** SNI. */
  readonly serverName: string;
  /** `TLSv1.3`. */
  readonly tlsVersion: string;
  /** Of the client's certificate, when it is verified. */
  readonly certificate: {
    readonly subject: string;
    readonly uri: string | null;
    readonly dnsName: string | null;
    readonly sha256: string;
  } | null;
  readonly scheme: string;
  /** Our end of the connection to the endpoint. */
  readonly upstreamLocal: string;
  /** Why there is no such connection. */
  readonly upstreamFailure: string;
  /** Tries to get an answer of an endpoint. */
  readonly attempts: number;
  /** The first of that name (lower-case), as it was sent. */
  readonly responseField: (name: string) => string | null;
  readonly responseTrailer: (name: string) => string | null;
}

export const NO_DETAILS: AccessLogDetails = {
  ...{ peer: "", local: "", client: "", connectionId: 0, serverName: "", tlsVersion: "" },
  ...{ certificate: null, scheme: "", upstreamLocal: "", upstreamFailure: "", attempts: 0 },
  responseField: () => null,
  responseTrailer: () => null,
};

/** A JSON object and a line feed. Fields that are empty are left out. */
export function formatJson(entry: AccessLogEntry): string {
  return (
    `{"time":"${timeTextOf(entry.startMs)}","role":"${entry.role}"` +
    member("method", entry.method) +
    member("path", entry.path) +
    `,"protocol":"${entry.protocol}","status":${entry.status}` +
    member("flags", entry.flags) +
    `,"bytesReceived":${entry.bytesReceived},"bytesSent":${entry.bytesSent}` +
    `,"durationMs":${msText(entry.durationMs)}` +
    (entry.upstreamMs < 0 ? "" : `,"upstreamMs":${msText(entry.upstreamMs)}`) +
    member("authority", entry.authority) +
    member("forwardedFor", entry.forwardedFor) +
    member("userAgent", entry.userAgent) +
    member("requestId", entry.requestId) +
    headersMember(entry.headers) +
    member("upstream", entry.upstream) +
    wayText(entry)
  );
}

/** What the configuration says of an exchange's way: the same for most that follow each other. */
type Way = Pick<AccessLogEntry, "cluster" | "route" | "laneGroup" | "lane" | "reason" | "fallback">;

let lastWay: Way | null = null;
let lastWayText = "";

/** The members of the way, and the line's end. Those of the last line are kept. */
function wayText(entry: AccessLogEntry): string {
  const { cluster, route, laneGroup, lane, reason, fallback } = entry;
  const isSame =
    lastWay?.cluster === cluster &&
    lastWay.route === route &&
    lastWay.laneGroup === laneGroup &&
    lastWay.lane === lane &&
    lastWay.reason === reason &&
    lastWay.fallback === fallback;
  if (isSame) return lastWayText;
  lastWay = { cluster, route, laneGroup, lane, reason, fallback };
  lastWayText =
    member("cluster", cluster) +
    member("route", route) +
    member("laneGroup", laneGroup) +
    member("lane", lane) +
    member("reason", reason) +
    member("fallback", fallback) +
    "}\n";
  return lastWayText;
}

function member(name: string, value: string): string {
  return value === "" ? "" : `,"${name}":"${asciiOf(value)}"`;
}

function headersMember(headers: AccessLogEntry["headers"]): string {
  if (headers.length === 0) return "";
  const members = headers.map(([name, value]) => `"${asciiOf(name)}":"${asciiOf(value)}"`);
  return `,"headers":{${members.join(",")}}`;
}

/** `.001` to `.999` without zeros at the end; a number that is no integer is slow to write. */
const FRACTIONS: readonly string[] = Array.from({ length: 1_000 }, (_none, micros) =>
  micros === 0 ? "" : String((1_000 + micros) / 1_000).slice(1),
);

/** Milliseconds with microseconds, which are enough. */
function msText(ms: number): string {
  const micros = Math.round(ms * 1_000);
  const whole = Math.floor(micros / 1_000);
  return `${whole}${FRACTIONS[micros - whole * 1_000] ?? ""}`;
}

const UNSAFE = /[^ !#-[\]-~]/;
const UNSAFE_ALL = /[^ !#-[\]-~]/g;

/** JSON's escapes, which a reader of other formats understands too. */
export function asciiOf(value: string): string {
  return UNSAFE.test(value) ? value.replace(UNSAFE_ALL, escapeOne) : value;
}

function escapeOne(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
