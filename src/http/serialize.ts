//! Writes heads and chunk framing as Latin-1 text. Nothing is checked here: names and values come
//! from a parser, or were checked with `isFieldName` and `isFieldValue` where they came in.

import { STATUS_CODES } from "node:http";
import type { Headers } from "./headers.ts";

/** Ends a chunked body without trailers. */
export const LAST_CHUNK = "0\r\n\r\n";
/** Ends the data of a chunk. */
export const CHUNK_END = "\r\n";

function serializeFields(headers: Headers): string {
  const { names, values } = headers;
  let text = "";
  for (let index = 0; index < names.length; index++) {
    text += `${names[index] as string}: ${values[index] as string}\r\n`;
  }
  return text;
}

/** A request head with its empty line; to be written as "latin1". */
export function serializeRequestHead(method: string, target: string, headers: Headers): string {
  return `${method} ${target} HTTP/1.1\r\n${serializeFields(headers)}\r\n`;
}

/** A response head with its empty line; to be written as "latin1". */
export function serializeResponseHead(status: number, reason: string, headers: Headers): string {
  return `HTTP/1.1 ${status} ${reason}\r\n${serializeFields(headers)}\r\n`;
}

/** The registered phrase of `status`, or an empty one: the space before it stays (RFC 9112 4). */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? "";
}

/** The line before `sizeBytes` bytes of chunk data; `CHUNK_END` follows them. `sizeBytes` > 0. */
export function chunkHeader(sizeBytes: number): string {
  return `${sizeBytes.toString(16)}\r\n`;
}

/** Ends a chunked body with a trailer section, in place of `LAST_CHUNK`. */
export function serializeTrailers(headers: Headers): string {
  return `0\r\n${serializeFields(headers)}\r\n`;
}
