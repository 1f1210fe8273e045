//! Format strings of access logs, as Envoy writes them: text with `%COMMANDS%`, or a JSON object
//! whose values are such texts. Compiled once; a line is then a walk over its pieces.

import { timeTextOf } from "../base/clock.ts";
import { asciiOf } from "./access-log.ts";
import type { AccessLogEntry } from "./access-log.ts";
import { commandOf } from "./log-commands.ts";
import type { LogValue } from "./log-commands.ts";

/** Of the whole text, and of the members of a JSON object. */
const FORMAT_LENGTH_MAX = 16_384;
const MEMBERS_MAX = 128;

/** Envoy's own default. */
export const ENVOY_DEFAULT: string =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% " +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

export interface LogFormat {
  readonly line: (entry: AccessLogEntry) => string;
  /** Request fields that it needs and that an entry does not have by itself, lower-case. */
  readonly fields: readonly string[];
}

type Piece = string | ((entry: AccessLogEntry) => LogValue);

/** `envoy` stands for Envoy's default. A text says what is wrong with the format. */
export function compileLogFormat(given: string): LogFormat | string {
  const format = given === "envoy" ? ENVOY_DEFAULT : given;
  if (format.length > FORMAT_LENGTH_MAX) return `longer than ${FORMAT_LENGTH_MAX} characters`;
  const fields = new Set<string>();
  try {
    const line = format.trimStart().startsWith("{")
      ? jsonLine(format, fields)
      : textLine(format, fields);
    return { line, fields: [...fields] };
  } catch (error) {
    if (error instanceof FormatError || error instanceof SyntaxError) return error.message;
    throw error;
  }
}

class FormatError extends Error {
  override readonly name = "FormatError";
}

function textLine(format: string, fields: Set<string>): LogFormat["line"] {
  const pieces = piecesOf(format, fields);
  const end = format.endsWith("\n") ? "" : "\n";
  return (entry) => textOf(pieces, entry) + end;
}

/** What is missing is `-`; nothing that came from outside can begin a line. */
function textOf(pieces: readonly Piece[], entry: AccessLogEntry): string {
  let text = "";
  for (const piece of pieces) {
    if (typeof piece === "string") text += piece;
    else text += asciiOf(String(piece(entry) ?? "-"));
  }
  return text;
}

type JsonNode = readonly Piece[] | ReadonlyMap<string, JsonNode>;

function jsonLine(format: string, fields: Set<string>): LogFormat["line"] {
  const tree = treeOf(JSON.parse(format), fields, { left: MEMBERS_MAX });
  return (entry) => `${jsonOf(tree, entry)}\n`;
}

function treeOf(value: unknown, fields: Set<string>, budget: { left: number }): JsonNode {
  if (typeof value === "string") return piecesOf(value, fields);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(`a member of a JSON format is a text or an object, not ${typeof value}`);
  }
  const members = Object.entries(value);
  budget.left -= members.length;
  if (budget.left < 0) throw new FormatError(`more than ${MEMBERS_MAX} members`);
  return new Map(members.map(([name, member]) => [name, treeOf(member, fields, budget)]));
}

/** As in Envoy: a value that is one command alone keeps its type, and is null when missing. */
function jsonOf(node: JsonNode, entry: AccessLogEntry): string {
  if (node instanceof Map) {
    const members = [...(node as ReadonlyMap<string, JsonNode>)].map(
      ([name, member]) => `"${asciiOf(name)}":${jsonOf(member, entry)}`,
    );
    return `{${members.join(",")}}`;
  }
  const pieces = node as readonly Piece[];
  const [first] = pieces;
  if (pieces.length === 1 && typeof first === "function") {
    const value = first(entry);
    return typeof value === "string" ? `"${asciiOf(value)}"` : String(value);
  }
  const text = pieces.map((piece) =>
    typeof piece === "string" ? asciiOf(piece) : asciiOf(String(piece(entry) ?? "-")),
  );
  return `"${text.join("")}"`;
}

/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; `%%` is a per cent sign. */
const COMMAND = /%%|%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d{1,5}))?%|%/g;

function piecesOf(format: string, fields: Set<string>): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of format.matchAll(COMMAND)) {
    const [whole, name, argument = "", length] = match;
    if (match.index > at) pieces.push(format.slice(at, match.index));
    at = match.index + whole.length;
    if (whole === "%%") {
      pieces.push("%");
      continue;
    }
    if (name === undefined) {
      const rest = format.slice(match.index, match.index + 20);
      throw new FormatError(
        `what begins at ${JSON.stringify(rest)} is no command; % is written %%`,
      );
    }
    pieces.push(pieceOf(whole, { name, argument, length }, fields));
  }
  if (at < format.length) pieces.push(format.slice(at));
  return pieces;
}

function pieceOf(
  whole: string,
  { name, argument, length }: { name: string; argument: string; length: string | undefined },
  fields: Set<string>,
): Piece {
  const command = name === "START_TIME" ? startTime(argument) : commandOf(name, argument);
  if (typeof command === "string") throw new FormatError(`${whole}: ${command}`);
  for (const field of command.fields) fields.add(field);
  const { value } = command;
  if (length === undefined) return value;
  const end = Number(length);
  return (entry) => {
    const full = value(entry);
    return full === null ? null : String(full).slice(0, end);
  };
}

const TIME_PARTS: Readonly<Record<string, (wallMs: number, text: string) => string>> = {
  Y: (_, text) => text.slice(0, 4),
  m: (_, text) => text.slice(5, 7),
  d: (_, text) => text.slice(8, 10),
  H: (_, text) => text.slice(11, 13),
  M: (_, text) => text.slice(14, 16),
  S: (_, text) => text.slice(17, 19),
  F: (_, text) => text.slice(0, 10),
  T: (_, text) => text.slice(11, 19),
  s: (wallMs) => String(Math.floor(wallMs / 1_000)),
  "3f": (_, text) => text.slice(20, 23),
  z: () => "+0000",
  Z: () => "UTC",
  "%": () => "%",
};

/** strftime's letters, and Envoy's `%3f` for milliseconds. Without an argument RFC 3339. */
function startTime(argument: string): ReturnType<typeof commandOf> {
  if (argument === "") return { fields: [], value: ({ startMs }) => timeTextOf(startMs) };
  const parts = argument.split(/(%(?:3f|[a-zA-Z%])?)/).filter((part) => part !== "");
  const unknown = parts.find(
    (part) => part.startsWith("%") && !Object.hasOwn(TIME_PARTS, part.slice(1)),
  );
  if (unknown !== undefined) {
    const known = Object.keys(TIME_PARTS).map((part) => `%${part}`);
    return `${unknown} is not offered in a time; take ${known.join(" ")}`;
  }
  return {
    fields: [],
    value: ({ startMs }) => {
      const text = timeTextOf(startMs);
      const written = parts.map((part) =>
        part.startsWith("%") ? TIME_PARTS[part.slice(1)]?.(startMs, text) : part,
      );
      return written.join("");
    },
  };
}
