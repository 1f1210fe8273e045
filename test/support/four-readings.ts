//! Reads what a proxy has sent to an upstream as four kinds of servers would: a strict one, one to
//! which a lone LF ends a line, one to which a lone CR does, and one that believes Content-Length
//! beside Transfer-Encoding. Where they count otherwise, a request was smuggled.

import { RequestParser } from "../../src/http/request-parser.ts";

export interface Count {
  /** Whole requests. */
  readonly whole: number;
  /** Bytes came that are no request. */
  readonly isBroken: boolean;
}

/** A proxy adds fields of its own to those of a case at the limit. */
const LIMITS = { fieldCountMax: 256 } as const;

interface Dialect {
  readonly lineEnd: RegExp;
  readonly lengthFirst: boolean;
}

const DIALECTS: readonly Dialect[] = [
  { lineEnd: /\r?\n/, lengthFirst: false },
  { lineEnd: /\r\n|\r/, lengthFirst: false },
  { lineEnd: /\r\n/, lengthFirst: true },
];

function strict(text: string): Count {
  let whole = 0;
  const parser = new RequestParser(
    {
      onRequestHead: () => undefined,
      onRequestBody: () => undefined,
      onRequestEnd: () => {
        whole += 1;
      },
    },
    LIMITS,
  );
  let rest = Buffer.from(text, "latin1");
  while (rest.length > 0) {
    const took = parser.execute(rest);
    if (typeof took !== "number") return { whole, isBroken: true };
    rest = rest.subarray(took);
    parser.next();
  }
  return { whole, isBroken: false };
}

/** The text before the next end of a line, and what follows; null without one. */
function line(text: string, end: RegExp): readonly [string, string] | null {
  const found = end.exec(text);
  if (found === null) return null;
  return [text.slice(0, found.index), text.slice(found.index + found[0].length)];
}

/** What follows a chunked body, with its trailers; null when it is not there as a whole. */
function afterChunks(text: string, { lineEnd }: Dialect): string | null {
  let rest = text;
  for (;;) {
    const size = line(rest, lineEnd);
    if (size === null) return null;
    const bytes = Number.parseInt(size[0], 16);
    if (Number.isNaN(bytes) || size[1].length < bytes) return null;
    rest = size[1].slice(bytes);
    if (bytes === 0) break;
    rest = line(rest, lineEnd)?.[1] ?? "";
  }
  for (;;) {
    const trailer = line(rest, lineEnd);
    if (trailer === null) return null;
    rest = trailer[1];
    if (trailer[0] === "") return rest;
  }
}

interface Framing {
  readonly length: number;
  readonly isChunked: boolean;
  /** What follows the head. */
  readonly rest: string;
}

/** Null when the head is not there as a whole. */
function framingOf(text: string, { lineEnd }: Dialect): Framing | null {
  let rest = text;
  let length = 0;
  let isChunked = false;
  for (;;) {
    const field = line(rest, lineEnd);
    if (field === null) return null;
    rest = field[1];
    if (field[0] === "") return { length, isChunked, rest };
    const [name = "", value = ""] = field[0].split(/:(.*)/s);
    if (/^content-length$/i.test(name.trim())) length = Number.parseInt(value, 10);
    if (/^transfer-encoding$/i.test(name.trim())) isChunked = /chunked/i.test(value);
  }
}

type Step = { readonly rest: string } | "part" | "broken";

/** What follows the request that `text` begins with. */
function afterRequest(text: string, dialect: Dialect): Step {
  const start = line(text, dialect.lineEnd);
  if (start === null) return "part";
  if (!/^\S+ \S+ HTTP\/1\.[01]$/.test(start[0])) return "broken";
  const framing = framingOf(start[1], dialect);
  if (framing === null) return "part";
  const { length, isChunked, rest } = framing;
  if (isChunked && !(dialect.lengthFirst && length > 0)) {
    const left = afterChunks(rest, dialect);
    return left === null ? "part" : { rest: left };
  }
  return rest.length < length ? "part" : { rest: rest.slice(length) };
}

function lax(text: string, dialect: Dialect): Count {
  let rest = text;
  let whole = 0;
  while (rest !== "") {
    const next = afterRequest(rest, dialect);
    if (next === "part") break;
    if (next === "broken") return { whole, isBroken: true };
    rest = next.rest;
    whole += 1;
  }
  return { whole, isBroken: false };
}

/** Broken when any two of the readings differ, too. `text` is what came on one connection. */
export function countRequests(text: string): Count {
  const first = strict(text);
  const others = DIALECTS.map((dialect) => lax(text, dialect));
  const isAgreed = others.every(({ whole, isBroken }) => whole === first.whole && !isBroken);
  const most = Math.max(first.whole, ...others.map(({ whole }) => whole));
  return { whole: most, isBroken: first.isBroken || !isAgreed };
}
