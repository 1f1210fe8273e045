//! What a gateway does to a request before anything reads it: the path in one form, the fields that
//! say where it came from, and the trust in those that the client sent.

import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import type { Headers } from "../../http/headers.ts";
import type { HttpFault } from "../../http/fault.ts";
import { BASE_PATH_RULES, normalizeTarget } from "../../http/path.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import { trimBlanks } from "../../http/syntax.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";

export const DEFAULT_EDGE: EdgeSettings = {
  trustedProxies: 0,
  path: BASE_PATH_RULES,
  via: "",
  refuseAbsoluteForm: false,
  addForwardedHostPort: false,
};

/** A client's own id longer than this is replaced: it goes into every log. */
const REQUEST_ID_CHARS_MAX = 128;

const BAD_PATH: HttpFault = {
  status: 400,
  code: "bad_path",
  message: "the path has an encoded NUL, or an encoded slash, which this gateway refuses",
};
const ABSOLUTE_FORM: HttpFault = {
  status: 400,
  code: "absolute_form_refused",
  message: "this gateway takes no request target in absolute-form",
};

export interface Peer {
  readonly remoteAddress: string;
  readonly isSecure: boolean;
}

export interface EdgeResult {
  readonly requestId: string;
  /** Of the client, as far as it can be trusted: the peer's, or one of X-Forwarded-For. */
  readonly clientAddress: string;
}

/** Brings the target to one form; a fault when the request is not to be taken. */
export function settleTarget(head: RequestHead, settings: EdgeSettings): HttpFault | null {
  if (settings.refuseAbsoluteForm && head.scheme !== null) return ABSOLUTE_FORM;
  const target = normalizeTarget(head.target, settings.path);
  if (target === null) return BAD_PATH;
  head.target = target;
  return null;
}

/**
 * Sets the fields as Envoy at the edge does (`use_remote_address`, `xff_num_trusted_hops`): the
 * peer's address is appended to X-Forwarded-For; X-Forwarded-Proto, -Host and -Port and the request
 * id are the client's only behind a trusted proxy (the id also from a private address). `port` is
 * the one that the Gateway resource names.
 */
export function addEdgeFields(
  head: RequestHead,
  settings: EdgeSettings,
  peer: Peer,
  port: number,
): EdgeResult {
  const { headers } = head;
  const isBehindProxy = settings.trustedProxies > 0;
  const isInternal = isInternalAddress(peer.remoteAddress);
  const forwarded = headers.has("x-forwarded-for")
    ? headers.getAll("x-forwarded-for").join(",")
    : null;
  const clientAddress = isBehindProxy
    ? trustedAddress(forwarded, settings.trustedProxies, peer.remoteAddress)
    : peer.remoteAddress;
  const { remoteAddress } = peer;
  if (forwarded === null) headers.add("x-forwarded-for", remoteAddress);
  else headers.set("x-forwarded-for", `${forwarded},${remoteAddress}`);
  removeClaims(headers, isBehindProxy);
  setProto(headers, isBehindProxy, peer.isSecure);
  if (!isInternalAddress(clientAddress)) headers.set("x-envoy-external-address", clientAddress);
  if (settings.addForwardedHostPort) addHostPort(head, port);
  if (settings.via !== "") appendVia(headers, viaVersion(head), settings.via);
  return { requestId: settleRequestId(headers, isBehindProxy || isInternal), clientAddress };
}

/** `1.1 name`, after what other hops have said (RFC 9110 section 7.6.3). */
export function appendVia(headers: Headers, version: string, name: string): void {
  const before = headers.getAll("via");
  headers.set("via", [...before, `${version} ${name}`].join(", "));
}

function viaVersion(head: RequestHead): string {
  return head.isHttp2 === true ? "2" : `1.${head.versionMinor}`;
}

/** The address `count` from the right, as each trusted proxy appended one; else the peer's. */
function trustedAddress(forwarded: string | null, count: number, peer: string): string {
  if (forwarded === null) return peer;
  const addresses = forwarded.split(",");
  const address = trimBlanks(addresses[addresses.length - count] ?? "");
  return isIP(address) === 0 ? peer : address;
}

/** What only a proxy in front may say. */
const CLAIMS: ReadonlySet<string> = new Set([
  ...["x-forwarded-host", "x-forwarded-port"],
  ...["x-envoy-internal", "x-envoy-external-address"],
]);
/**
 * What Envoy at the edge takes from every request (`ConnectionManagerUtility`): it steers Envoys
 * behind it, or says whose certificate another proxy has seen.
 */
const INTERNAL: ReadonlySet<string> = new Set([
  "x-forwarded-client-cert",
  ...[
    ...["decorator-operation", "downstream-service-cluster", "downstream-service-node"],
    ...["expected-rq-timeout-ms", "force-trace", "hedge-on-per-try-timeout", "ip-tags"],
    ...["max-retries", "original-host", "original-path", "original-url"],
    ...["retriable-header-names", "retriable-status-codes", "retry-grpc-on", "retry-on"],
    ...["upstream-alt-stat-name", "upstream-rq-per-try-timeout-ms", "upstream-rq-timeout-ms"],
    ...["upstream-rq-timeout-alt-response", "upstream-stream-duration-ms"],
  ].map((name) => `x-envoy-${name}`),
]);
const INTERNAL_CHARS_MIN = "x-envoy-ip-tags".length;
const LETTER_X = 0x78;

/** Hardly any request has one of them; the most are told by length and first letter. */
function removeClaims(headers: Headers, isBehindProxy: boolean): void {
  const { names } = headers;
  for (let index = names.length - 1; index >= 0; index--) {
    const name = names[index] ?? "";
    if (name.length < INTERNAL_CHARS_MIN || name.charCodeAt(0) !== LETTER_X) continue;
    if (INTERNAL.has(name) || (!isBehindProxy && CLAIMS.has(name))) headers.remove(name);
  }
}

function setProto(headers: Headers, isBehindProxy: boolean, isSecure: boolean): void {
  if (isBehindProxy) {
    const claimed = headers.get("x-forwarded-proto");
    if (claimed === "http" || claimed === "https") return;
  }
  headers.set("x-forwarded-proto", isSecure ? "https" : "http");
}

function addHostPort(head: RequestHead, port: number): void {
  const { headers } = head;
  if (!headers.has("x-forwarded-host")) headers.add("x-forwarded-host", head.authority);
  if (!headers.has("x-forwarded-port")) headers.add("x-forwarded-port", String(port));
}

function settleRequestId(headers: Headers, isKept: boolean): string {
  const given = headers.get("x-request-id");
  if (isKept && given !== undefined && given !== "" && given.length <= REQUEST_ID_CHARS_MAX) {
    return given;
  }
  const id = randomUUID();
  headers.set("x-request-id", id);
  return id;
}

/** Loopback and private networks (RFC 1918, RFC 4193). */
export function isInternalAddress(address: string): boolean {
  const text = address.startsWith("::ffff:") ? address.slice(7) : address;
  if (text.startsWith("127.") || text.startsWith("10.") || text.startsWith("192.168.")) return true;
  if (text.startsWith("172.")) return /^172\.(?:1[6-9]|2\d|3[01])\./.test(text);
  return text === "::1" || /^f[cd]/i.test(text);
}
