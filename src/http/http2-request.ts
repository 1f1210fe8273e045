//! The head of a request of HTTP/2, checked by RFC 9113 section 8 before anything is forwarded.
//!
//! What HTTP/1.1 could read otherwise than we do is refused: a request that is sent on as HTTP/1.1
//! must not become two (request smuggling by downgrade).

import { REQUEST_FAULTS, type HttpFault, type HttpFaultCode } from "./fault.ts";
import { isContinue, parseContentLength } from "./framing.ts";
import { Headers } from "./headers.ts";
import { FIELD_COUNT_MAX, HEAD_BYTES_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX } from "./limits.ts";
import type { RequestHead } from "./request-parser.ts";
import { isHostEmpty } from "./request-target.ts";
import { isAuthority, isFieldName, isFieldValue, isMethod, isTarget } from "./syntax.ts";

/** What RFC 9113 section 6.5.2 counts for each field beside its bytes. */
const FIELD_OVERHEAD_BYTES = 32;
const UPPERCASE = /[A-Z]/;
/** RFC 9113 section 8.2.2. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** Of a request; absent: not seen. */
export interface Pseudo {
  ":method"?: string;
  ":scheme"?: string;
  ":authority"?: string;
  ":path"?: string;
}

const PSEUDO: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path"]);

/** `fields`: names and values in turn, as they came. `endsHere`: no DATA and no trailers follow. */
export function readHttp2Request(
  fields: readonly string[],
  endsHere: boolean,
): RequestHead | HttpFault {
  const pseudo: Pseudo = {};
  const headers = new Headers();
  const bad = readFields(fields, pseudo, headers);
  if (bad !== null) return REQUEST_FAULTS[bad];
  const target = targetOf(pseudo);
  if (!target.isRight) return REQUEST_FAULTS[target.code];
  const length = lengthOf(headers, endsHere);
  if (typeof length === "string") return REQUEST_FAULTS[length];
  const isExpecting = headers.has("expect");
  if (isExpecting && !isContinue(headers)) return REQUEST_FAULTS.unsupported_expectation;
  const authority = settleHost(pseudo[":authority"], headers);
  if (!authority.isRight) return REQUEST_FAULTS[authority.code];
  joinCookies(headers);
  const isOpen = length === -1 && !endsHere;
  return {
    method: pseudo[":method"] ?? "",
    target: target.text,
    authority: authority.text,
    scheme: null,
    versionMinor: 1,
    isHttp2: true,
    headers,
    body: bodyOf(isOpen, length),
    contentLength: Math.max(0, length),
    keepAlive: true,
    expectContinue: isExpecting && (isOpen || length > 0),
    upgrade: null,
  };
}

/** Trailers of a request or response; null when they are not to be passed on. */
export function readHttp2Trailers(fields: readonly string[]): Headers | HttpFaultCode {
  const headers = new Headers();
  const bad = readFields(fields, null, headers);
  if (bad !== null) return bad;
  const isFramed = headers.names.some((name) => TRAILER_FORBIDDEN.has(name));
  return isFramed ? "forbidden_trailer" : headers;
}

const TRAILER_FORBIDDEN: ReadonlySet<string> = new Set([
  ...["host", "content-length", "te", "expect", "trailer", "authorization"],
  ...["cookie", "set-cookie", "content-encoding", "content-type", "content-range"],
]);

function bodyOf(isOpen: boolean, length: number): RequestHead["body"] {
  if (isOpen) return "chunked";
  return length > 0 ? "length" : "none";
}

/** `pseudo` is null where none may stand. */
export function readFields(
  fields: readonly string[],
  pseudo: Pseudo | null,
  headers: Headers,
): HttpFaultCode | null {
  if (fields.length > 2 * FIELD_COUNT_MAX + 2 * PSEUDO.size) return "too_many_fields";
  let bytes = 0;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    bytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (bytes > HEAD_BYTES_MAX) return "head_too_large";
    const isPseudo = name.startsWith(":");
    const bad = isPseudo ? addPseudo(pseudo, headers, name, value) : fieldFault(name, value);
    if (bad !== null) return bad;
    if (!isPseudo) headers.add(name, value);
  }
  return headers.size > FIELD_COUNT_MAX ? "too_many_fields" : null;
}

/** RFC 9113 section 8.3: known ones, once each, before all other fields. */
function addPseudo(
  pseudo: Pseudo | null,
  headers: Headers,
  name: string,
  value: string,
): HttpFaultCode | null {
  const isTaken = pseudo !== null && headers.size === 0 && PSEUDO.has(name);
  if (!isTaken || pseudo[name as keyof Pseudo] !== undefined) return "bad_pseudo_field";
  pseudo[name as keyof Pseudo] = value;
  return null;
}

function fieldFault(name: string, value: string): HttpFaultCode | null {
  if (!isFieldName(name) || UPPERCASE.test(name)) return "bad_field_name";
  if (!isFieldValue(value)) return "bad_field_value";
  const isTe = name === "te" && value.toLowerCase() !== "trailers";
  return isTe || CONNECTION_FIELDS.has(name) ? "connection_field" : null;
}

type Reading =
  | { readonly isRight: true; readonly text: string }
  | { readonly isRight: false; readonly code: HttpFaultCode };

function wrong(code: HttpFaultCode): Reading {
  return { isRight: false, code };
}

function targetOf(pseudo: Pseudo): Reading {
  const { ":method": method, ":scheme": scheme, ":path": path } = pseudo;
  if (method === undefined) return wrong("bad_pseudo_field");
  if (method.length > METHOD_BYTES_MAX) return wrong("method_too_long");
  if (!isMethod(method)) return wrong("bad_method");
  if (method === "CONNECT") return connectTarget(pseudo);
  if (scheme === undefined || path === undefined) return wrong("bad_pseudo_field");
  if (scheme !== "http" && scheme !== "https") return wrong("unsupported_scheme");
  if (path.length > TARGET_BYTES_MAX) return wrong("target_too_long");
  if (!isTarget(path)) return wrong("bad_target");
  const isRight = path.startsWith("/") || (path === "*" && method === "OPTIONS");
  return isRight ? { isRight, text: path } : wrong("bad_target_form");
}

/** RFC 9113 section 8.5. */
function connectTarget({ ":scheme": scheme, ":path": path, ":authority": text }: Pseudo): Reading {
  if (scheme !== undefined || path !== undefined) return wrong("bad_pseudo_field");
  return text === undefined ? wrong("missing_host") : { isRight: true, text };
}

/** The length that Content-Length names, or -1 without it. */
function lengthOf(headers: Headers, endsHere: boolean): number | HttpFaultCode {
  const text = headers.get("content-length");
  if (text === undefined) return -1;
  if (headers.getAll("content-length").length > 1) return "repeated_content_length";
  const length = parseContentLength(text);
  if (length === -1) return "bad_content_length";
  return endsHere && length > 0 ? "wrong_content_length" : length;
}

/** `:authority` becomes Host, first of the fields; beside it a Host must say the same. */
function settleHost(authority: string | undefined, headers: Headers): Reading {
  const hosts = headers.getAll("host");
  if (hosts.length > 1) return wrong("repeated_host");
  const [host] = hosts;
  const text = authority ?? host;
  if (text === undefined) return wrong("missing_host");
  if (!isAuthority(text)) return wrong("bad_host");
  if (isHostEmpty(text)) return wrong("empty_host");
  if (host !== undefined && host.toLowerCase() !== text.toLowerCase()) {
    return wrong("conflicting_host");
  }
  headers.remove("host");
  headers.names.unshift("host");
  headers.values.unshift(text);
  return { isRight: true, text };
}

/** RFC 9113 section 8.2.3: HTTP/1.1 has one Cookie field. */
function joinCookies(headers: Headers): void {
  const cookies = headers.getAll("cookie");
  if (cookies.length > 1) headers.set("cookie", cookies.join("; "));
}
