//! The parts of a case about gRPC, Redis and DNS: what a plug-in's calls are answered with, and
//! which calls are expected.

import { isIP } from "node:net";
import type { Cursor } from "../resources/cursor.ts";
import type { DnsRecord } from "../wasm/dns-calls.ts";
import { encodeReply, REPLY_DEPTH_MAX } from "./redis-text.ts";
import type { RedisValue } from "./redis-text.ts";

export type Pair = readonly [name: string, value: string];
export type ExpectedFields = readonly (readonly [name: string, value: string | null])[];

export interface CaseGrpc {
  readonly cluster: string;
  /** `""`: any, as with the method. */
  readonly service: string;
  readonly method: string;
  readonly answer: GrpcAnswer;
}

export interface GrpcAnswer {
  readonly metadata: readonly Pair[];
  /** At once. */
  readonly messages: readonly Buffer[];
  /** Each for one message of the plug-in's. */
  readonly replies: readonly Buffer[];
  readonly trailers: readonly Pair[];
  readonly status: number;
  readonly statusMessage: string;
  /** The server does not end it. */
  readonly open: boolean;
}

export interface CaseRedis {
  readonly cluster: string;
  /** How it begins; empty: any. */
  readonly command: readonly string[];
  /** As Redis speaks it; null: the connection is lost. */
  readonly reply: Buffer | null;
}

export interface CaseDns {
  readonly name: string;
  /** Null: nobody could tell. */
  readonly records: readonly DnsRecord[] | null;
}

/** How a plug-in has left its side of a call. */
export const GRPC_STATES = ["open", "ended", "cancelled"] as const;
export type GrpcState = (typeof GRPC_STATES)[number];

/** Null members are not looked at. */
export interface ExpectedGrpc {
  readonly cluster: string | null;
  readonly service: string | null;
  readonly method: string | null;
  readonly authority: string | null;
  readonly state: string | null;
  readonly metadata: ExpectedFields;
  readonly messages: readonly Buffer[] | null;
}

export interface ExpectedRedis {
  readonly cluster: string | null;
  readonly database: number | null;
  readonly command: readonly string[] | null;
}

const GRPC_ANSWER_FIELDS = [
  ...["metadata", "messages", "replies", "trailers"],
  ...["status", "statusMessage", "open"],
];
const GRPC_STATUS = { least: 0, most: 16 };
const DATABASE = { least: 0, most: 999_999 };
const TTL_SECONDS = { least: 0, most: 2 ** 31 - 1 };
const HEX = /^([0-9a-f]{2})*$/i;

export function readGrpc(cursor: Cursor): CaseGrpc {
  cursor.isMap(["cluster", "service", "method", "answer"]);
  return {
    cluster: cursor.at("cluster").text(null),
    service: cursor.at("service").text(),
    method: cursor.at("method").text(),
    answer: readGrpcAnswer(cursor.at("answer")),
  };
}

function readGrpcAnswer(cursor: Cursor): GrpcAnswer {
  cursor.isMap(GRPC_ANSWER_FIELDS);
  return {
    metadata: readFields(cursor.at("metadata")),
    messages: cursor.at("messages").items().map(readMessageBytes),
    replies: cursor.at("replies").items().map(readMessageBytes),
    trailers: readFields(cursor.at("trailers")),
    status: cursor.at("status").count(GRPC_STATUS, 0),
    statusMessage: cursor.at("statusMessage").text(),
    open: cursor.at("open").flag(false),
  };
}

/** A text, or `{hex: "0a03…"}`. */
function readMessageBytes(cursor: Cursor): Buffer {
  if (typeof cursor.value === "string") return Buffer.from(cursor.value);
  if (typeof cursor.value !== "object" || cursor.isAbsent) {
    cursor.wrong("a text, or hex: with the message's bytes");
    return Buffer.alloc(0);
  }
  if (!cursor.isMap(["hex"])) return Buffer.alloc(0);
  const hex = cursor.at("hex");
  const digits = hex.text(null).replaceAll(/\s/g, "");
  if (!HEX.test(digits)) hex.wrong("pairs of hexadecimal digits");
  return Buffer.from(digits, "hex");
}

export function readRedis(cursor: Cursor): CaseRedis {
  cursor.isMap(["cluster", "command", "answer", "lost"]);
  const answer = cursor.at("answer");
  const lost = cursor.at("lost");
  // A written null is Redis' own.
  const isWritten = answer.value !== undefined;
  if (lost.flag(false) === isWritten) {
    const remedy = "Write what Redis answers (null: there is no such key), or lost: true.";
    if (isWritten) lost.wrong("left out beside answer", remedy);
    else answer.wrong("Redis' reply", remedy);
  }
  return {
    cluster: cursor.at("cluster").text(null),
    command: readCommand(cursor.at("command")),
    reply: isWritten ? encodeReply(readReply(answer)) : null,
  };
}

export function readDns(cursor: Cursor): CaseDns {
  cursor.isMap(["name", "addresses", "ttl", "failed"]);
  const addresses = cursor.at("addresses");
  const failed = cursor.at("failed");
  const ttlSeconds = cursor.at("ttl").count(TTL_SECONDS, 60);
  const hasFailed = failed.flag(false);
  const remedy = "Write the addresses that are found (none: []), or failed: true.";
  if (hasFailed && !addresses.isAbsent) failed.wrong("left out beside addresses", remedy);
  if (!hasFailed && addresses.isAbsent) addresses.wrong("a list of addresses", remedy);
  const records = addresses.items().map((item) => {
    const address = item.text(null);
    if (typeof item.value === "string" && isIP(address) === 0) {
      item.wrong("an address of IPv4 or IPv6, without brackets");
    }
    return { address, ttlSeconds };
  });
  return { name: cursor.at("name").text(null), records: hasFailed ? null : records };
}

const NULL_REPLY: RedisValue = null;

function readReply(cursor: Cursor, depth = 0): RedisValue {
  const { value } = cursor;
  if (typeof value === "string" || value === null) return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (depth === REPLY_DEPTH_MAX) {
    cursor.wrong(`nested at most ${REPLY_DEPTH_MAX} deep`);
    return NULL_REPLY;
  }
  if (Array.isArray(value)) return cursor.items().map((item) => readReply(item, depth + 1));
  if (typeof value !== "object") {
    cursor.wrong("a text, a whole number, null, a list of these, or a map of status or error");
    return NULL_REPLY;
  }
  return readLineReply(cursor);
}

/** `{status: OK}` or `{error: ERR …}`. */
function readLineReply(cursor: Cursor): RedisValue {
  if (!cursor.isMap(["status", "error"])) return NULL_REPLY;
  const names = ["status", "error"] as const;
  const [name, second] = names.filter((each) => !cursor.at(each).isAbsent);
  if (name === undefined || second !== undefined) {
    cursor.wrong("a map of either status or error");
    return NULL_REPLY;
  }
  const line = cursor.at(name);
  const text = line.text(null);
  if (/[\r\n]/.test(text)) line.wrong("one line");
  return { kind: name, text };
}

function readCommand(cursor: Cursor): string[] {
  return cursor.items().map((word) => {
    if (typeof word.value === "number") return String(word.value);
    return word.text(null);
  });
}

/** A list of values is so many fields of that name. */
export function readFields(cursor: Cursor): Pair[] {
  return cursor.entries().flatMap(([name, value]) => {
    const values = Array.isArray(value.value) ? value.items() : [value];
    return values.map((each) => [name.toLowerCase(), each.text(null)] as const);
  });
}

export function readExpectedFields(cursor: Cursor): ExpectedFields {
  return cursor
    .entries()
    .map(([name, value]) => [name.toLowerCase(), value.isAbsent ? null : value.text()]);
}

/** Null for what is not written. */
export function optional<T>(cursor: Cursor, read: (value: Cursor) => T): T | null {
  return cursor.isAbsent ? null : read(cursor);
}

export const textOf = (cursor: Cursor): string => cursor.text();

export function readExpectedGrpc(cursor: Cursor): ExpectedGrpc {
  const texts = ["cluster", "service", "method", "authority"];
  cursor.isMap([...texts, "state", "metadata", "messages"]);
  return {
    cluster: optional(cursor.at("cluster"), textOf),
    service: optional(cursor.at("service"), textOf),
    method: optional(cursor.at("method"), textOf),
    authority: optional(cursor.at("authority"), textOf),
    state: optional(cursor.at("state"), (state) => state.choice(GRPC_STATES, "open")),
    metadata: readExpectedFields(cursor.at("metadata")),
    messages: optional(cursor.at("messages"), (list) => list.items().map(readMessageBytes)),
  };
}

export function readExpectedRedis(cursor: Cursor): ExpectedRedis {
  cursor.isMap(["cluster", "database", "command"]);
  return {
    cluster: optional(cursor.at("cluster"), textOf),
    database: optional(cursor.at("database"), (value) => value.count(DATABASE, 0)),
    command: optional(cursor.at("command"), readCommand),
  };
}
