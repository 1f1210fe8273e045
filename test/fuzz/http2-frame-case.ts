//! The shape of a case of raw HTTP/2 frames, and the frames that most cases put one oddity into.

import {
  END_STREAM,
  dataFrame,
  headersFrame,
  type FieldList,
  type FrameWords,
} from "../../src/dataplane/testing/http2-frames.ts";

export interface FrameCase {
  /** RFC 9113 by section where no other is named, or the attack. */
  readonly clause: string;
  readonly name: string;
  /** What the client sends after its preface and SETTINGS. */
  readonly bytes: Buffer;
  /** Refused, or that many requests are served. */
  readonly must: "refuse" | number;
  /** Of a case to refuse: requests that stand whole before what is wrong, and may go on. */
  readonly before: number;
  /** What must be in the text that reaches an upstream of HTTP/1.1. */
  readonly upstream: RegExp | null;
}

export interface MoreOfCase {
  readonly before?: number;
  readonly upstream?: RegExp;
}

/** A case as it is written in the tables. */
export type FrameRow = readonly [
  name: string,
  bytes: Buffer | Buffer[],
  must: FrameCase["must"],
  more?: MoreOfCase,
];

export function framesOf(clause: string, rows: readonly FrameRow[]): FrameCase[] {
  return rows.map(([name, bytes, must, more = {}]) => ({
    clause,
    name,
    bytes: Buffer.isBuffer(bytes) ? bytes : Buffer.concat(bytes),
    must,
    before: more.before ?? 0,
    upstream: more.upstream ?? null,
  }));
}

/** Requests that are refused for a field. */
export function refusedOf(
  clause: string,
  rows: readonly (readonly [name: string, bytes: Buffer])[],
): FrameCase[] {
  return framesOf(
    clause,
    rows.map(([name, bytes]): FrameRow => [name, bytes, "refuse"]),
  );
}

export const GET: FieldList = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "a.test"],
  [":path", "/"],
];
export const OPEN: FrameWords = { flags: 0 };
export const ENDED: FrameWords = { flags: END_STREAM };

/** A GET with more fields. */
export function get(...fields: FieldList): Buffer {
  return headersFrame([...GET, ...fields]);
}

/** A GET with one of its pseudo-header fields changed; without it when `value` is null. */
export function getWith(name: string, value: string | null): Buffer {
  return headersFrame(fieldsWith(name, value));
}

export function fieldsWith(name: string, value: string | null): FieldList {
  return GET.flatMap(([own, text]) => {
    if (own !== name) return [[own, text] as const];
    return value === null ? [] : [[own, value] as const];
  });
}

/** A head of `method` with `body` in one DATA frame. */
export function withBody(method: string, fields: FieldList, body: string): Buffer {
  const head = headersFrame([...fieldsWith(":method", method), ...fields], OPEN);
  return Buffer.concat([head, dataFrame(body)]);
}

/** A POST with a body and these trailers. */
export function withTrailers(...trailers: FieldList): Buffer {
  const head = headersFrame(fieldsWith(":method", "POST"), OPEN);
  return Buffer.concat([head, dataFrame("abc", OPEN), headersFrame(trailers, ENDED)]);
}
