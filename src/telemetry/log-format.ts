//! Format strings of access logs, as Envoy writes them: text with `%COMMANDS%`, or a JSON object
//! whose values are such texts. Compiled once; a line is then a walk over its pieces.

import { timeTextOf } from "../base/clock.ts";
import { asciiOf, NO_DETAILS } from "./access-log.ts";
import type { AccessLogDetails, AccessLogEntry } from "./access-log.ts";
import { commandOf } from "./log-commands.ts";
import type { LogCommand } from "./log-commands.ts";

/** Of the whole text, and of the members of a JSON object. */
const FORMAT_LENGTH_MAX = 16_384;
const MEMBERS_MAX = 128;

/** Envoy's own default. */
export const ENVOY_DEFAULT: string =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% " +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** Istio's, of its meshes and gateways. */
export const ISTIO_DEFAULT: string =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% " +
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ' +
  "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% " +
  "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const NAMED: Readonly<Record<string, string>> = { envoy: ENVOY_DEFAULT, istio: ISTIO_DEFAULT };

export interface LogFormat {
  readonly line: (entry: AccessLogEntry, details?: AccessLogDetails) => string;
  /** It asks for details: without them what it asks for is missing. */
  readonly isDetailed: boolean;
  /** Request fields that it needs and that an entry does not have by itself, lower-case. */
  readonly fields: readonly string[];
}

type Piece = string | LogCommand["value"];

/** What the pieces of a format ask for. */
interface Needs {
  readonly fields: Set<string>;
  isDetailed: boolean;
}

/** `envoy` and `istio` stand for their defaults. A text says what is wrong with the format. */
export function compileLogFormat(given: string): LogFormat | string {
  const format = (Object.hasOwn(NAMED, given) ? NAMED[given] : undefined) ?? given;
  if (format.length > FORMAT_LENGTH_MAX) return `longer than ${FORMAT_LENGTH_MAX} characters`;
  const needs: Needs = { fields: new Set(), isDetailed: false };
  try {
    const isJson = format.trimStart().startsWith("{");
    const line = isJson ? jsonLine(format, needs) : textLine(format, needs);
    return { line, isDetailed: needs.isDetailed, fields: [...needs.fields] };
  } catch (error) {
    if (error instanceof FormatError || error instanceof SyntaxError) return error.message;
    throw error;
  }
}

class FormatError extends Error {
  override readonly name = "FormatError";
}

function textLine(format: string, needs: Needs): LogFormat["line"] {
  const pieces = piecesOf(format, needs);
  const end = format.endsWith("\n") ? "" : "\n";
  return (entry, details = NO_DETAILS) => textOf(pieces, entry, details) + end;
}

/** What is missing is `-`; nothing that came from outside can begin a line. */
function textOf(
  pieces: readonly Piece[],
  entry: AccessLogEntry,
  details: AccessLogDetails,
): string {
  let text = "";
  for (const piece of pieces) {
    if (typeof piece === "string") text += piece;
    else text += asciiOf(String(piece(entry, details) ?? "-"));
  }
  return text;
}

type JsonNode = readonly Piece[] | ReadonlyMap<string, JsonNode>;

function jsonLine(format: string, needs: Needs): LogFormat["line"] {
  const tree = treeOf(JSON.parse(format), needs, { left: MEMBERS_MAX });
  return (entry, details = NO_DETAILS) => `${jsonOf(tree, entry, details)}\n`;
}

function treeOf(value: unknown, needs: Needs, budget: { left: number }): JsonNode {
  if (typeof value === "string") return piecesOf(value, needs);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(`a member of a JSON format is a text or an object, not ${typeof value}`);
  }
  const members = Object.entries(value);
  budget.left -= members.length;
  if (budget.left < 0) throw new FormatError(`more than ${MEMBERS_MAX} members`);
  return new Map(members.map(([name, member]) => [name, treeOf(member, needs, budget)]));
}

/** As in Envoy: a value that is one command alone keeps its type, and is null when missing. */
function jsonOf(node: JsonNode, entry: AccessLogEntry, details: AccessLogDetails): string {
  if (node instanceof Map) {
    const members = [...(node as ReadonlyMap<string, JsonNode>)].map(
      ([name, member]) => `"${asciiOf(name)}":${jsonOf(member, entry, details)}`,
    );
    return `{${members.join(",")}}`;
  }
  const pieces = node as readonly Piece[];
  const [first] = pieces;
  if (pieces.length === 1 && typeof first === "function") {
    const value = first(entry, details);
    return typeof value === "string" ? `"${asciiOf(value)}"` : String(value);
  }
  const text = pieces.map((piece) =>
    typeof piece === "string" ? asciiOf(piece) : asciiOf(String(piece(entry, details) ?? "-")),
  );
  return `"${text.join("")}"`;
}

/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; `%%` is a per cent sign. */
const COMMAND = /%%|%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d{1,5}))?%|%/g;

function piecesOf(format: string, needs: Needs): Piece[] {
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
    pieces.push(pieceOf(whole, { name, argument, length }, needs));
  }
  if (at < format.length) pieces.push(format.slice(at));
  return pieces;
}

function pieceOf(
  whole: string,
  { name, argument, length }: { name: string; argument: string; length: string | undefined },
  needs: Needs,
): Piece {
  const command = name === "START_TIME" ? startTime(argument) : commandOf(name, argument);
  if (typeof command === "string") throw new FormatError(`${whole}: ${command}`);
  for (const field of command.fields) needs.fields.add(field);
  if (command.isDetailed === true) needs.isDetailed = true;
  const { value } = command;
  if (length === undefined) return value;
  const end = Number(length);
  return (entry, details) => {
    const full = value(entry, details);
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
