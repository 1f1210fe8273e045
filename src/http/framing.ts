//! What the framing and connection fields of a message mean; shared by requests and responses.

import type { HttpFaultCode } from "./fault.ts";
import { CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING } from "./field-names.ts";
import type { Headers } from "./headers.ts";
import type { HeadReader } from "./head-reader.ts";
import { isToken, trimBlanks } from "./syntax.ts";

/** `Connection` tokens that concern the codec, as bits of `connectionBits`. */
export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADE_NAMED = 4;

/** Digits of a Content-Length with which it is certainly below 2^53. */
const SAFE_DIGITS_MAX = 15;

/**
 * The value of a Content-Length field: digits only (RFC 9110 8.6), below 2^53; -1 for anything
 * else, a list of equal numbers included.
 */
export function parseContentLength(text: string): number {
  if (text.length === 0) return -1;
  let value = 0;
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (index >= SAFE_DIGITS_MAX && value > Number.MAX_SAFE_INTEGER) return -1;
  }
  return value;
}

/**
 * Checks a Transfer-Encoding value: `chunked`, alone, in any case. Another coding before a final
 * `chunked` is legal but not ours; everything else leaves the end of the message in doubt.
 */
export function transferEncodingFault(text: string): HttpFaultCode | null {
  if (text === "chunked" || text.toLowerCase() === "chunked") return null;
  const codings = text.split(",").map((coding) => trimBlanks(coding).toLowerCase());
  const isFinalChunked = codings.pop() === "chunked";
  const areOthers = codings.every((coding) => {
    return isToken(codingName(coding)) && coding !== "chunked" && coding !== "identity";
  });
  return isFinalChunked && areOthers ? "unsupported_transfer_coding" : "bad_transfer_encoding";
}

/** `gzip` of `gzip;level=1`; parameters are not looked into, as the coding is refused anyway. */
function codingName(coding: string): string {
  const semicolon = coding.indexOf(";");
  return semicolon === -1 ? coding : trimBlanks(coding.slice(0, semicolon));
}

/** The bits of a Connection value, -1 if it is not a list of tokens (RFC 9110 7.6.1). */
export function connectionBits(text: string): number {
  if (text === "keep-alive") return KEEP_ALIVE;
  if (text === "close") return CLOSE;
  let bits = 0;
  for (const element of text.split(",")) {
    const token = trimBlanks(element).toLowerCase();
    if (token.length === 0) continue; // RFC 9110 5.6.1: empty elements are ignored.
    if (!isToken(token)) return -1;
    if (token === "close") bits |= CLOSE;
    if (token === "keep-alive") bits |= KEEP_ALIVE;
    if (token === "upgrade") bits |= UPGRADE_NAMED;
  }
  return bits;
}

/** The bits of all Connection fields together; -1 if one is malformed. */
export function allConnectionBits(headers: Headers): number {
  let bits = 0;
  for (let index = 0; index < headers.names.length; index++) {
    if (headers.names[index] !== "connection") continue;
    const more = connectionBits(headers.values[index] as string);
    if (more === -1) return -1;
    bits |= more;
  }
  return bits;
}

/**
 * Is `100-continue` all that the Expect fields ask for? They are lists (RFC 9110 10.1.1): a proxy
 * may have made one line of two.
 */
export function isContinue(headers: Headers): boolean {
  return headers.getAll("expect").every((value) => {
    if (value === "100-continue") return true;
    return value.split(",").every((one) => trimBlanks(one).toLowerCase() === "100-continue");
  });
}

/** Does the connection stay open after this message (RFC 9112 9.3)? */
export function isKeptAlive(bits: number, versionMinor: 0 | 1): boolean {
  if ((bits & CLOSE) !== 0) return false;
  return versionMinor === 1 || (bits & KEEP_ALIVE) !== 0;
}

/** What the framing fields say about the end of a message. */
export interface Framing {
  readonly body: "none" | "length" | "chunked";
  readonly contentLength: number;
}

export const NO_BODY: Framing = { body: "none", contentLength: 0 };
const CHUNKED: Framing = { body: "chunked", contentLength: 0 };

/** The framing of a head, or the fault in it. A length gets its shortest form. */
export function readFraming(reader: HeadReader, versionMinor: 0 | 1): Framing | HttpFaultCode {
  const seen = reader.seenBits & (CONTENT_LENGTH | TRANSFER_ENCODING);
  if (seen === 0) return NO_BODY;
  if (seen === (CONTENT_LENGTH | TRANSFER_ENCODING)) return "conflicting_length";

  const headers = reader.headers;
  if (seen === TRANSFER_ENCODING) {
    if (versionMinor === 0) return "transfer_encoding_in_http10";
    const all = headers.getAll("transfer-encoding").join(",");
    return transferEncodingFault(all) ?? CHUNKED;
  }
  if ((reader.repeatedBits & CONTENT_LENGTH) !== 0) return "repeated_content_length";
  const text = headers.get("content-length") ?? "";
  const contentLength = parseContentLength(text);
  if (contentLength === -1) return "bad_content_length";
  if (text.length > 1 && text.startsWith("0")) headers.set("content-length", `${contentLength}`);
  return { body: "length", contentLength };
}

/** Connection bits of a head that was read; 0 without the field, -1 if malformed. */
export function readConnection(reader: HeadReader): number {
  return (reader.seenBits & CONNECTION) === 0 ? 0 : allConnectionBits(reader.headers);
}
