//! A file of cases: what a plug-in is given, and what it is expected to do with it.

import { isAbsolute, join } from "node:path";
import { Cursor } from "../resources/cursor.ts";
import type { Fault } from "../resources/fault.ts";
import { parseManifests } from "../resources/parse.ts";
import { FACT_FIELDS, readFacts } from "./case-facts.ts";
import type { CaseFacts } from "./case-facts.ts";
import {
  optional,
  readDns,
  readExpectedFields,
  readExpectedGrpc,
  readExpectedRedis,
  readFields,
  readGrpc,
  readRedis,
  textOf,
} from "./case-calls.ts";
import type {
  CaseDns,
  CaseGrpc,
  CaseRedis,
  ExpectedFields,
  ExpectedGrpc,
  ExpectedRedis,
  Pair,
} from "./case-calls.ts";

export interface CaseMessage {
  readonly headers: readonly Pair[];
  /** One callback for each. */
  readonly chunks: readonly string[];
  /** Null: none. */
  readonly trailers: readonly Pair[] | null;
}

export interface CaseRequest extends CaseMessage {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
}

export interface CaseResponse extends CaseMessage {
  readonly status: number;
}

/** What a call of the plug-in's own is answered with. */
export interface CaseCall {
  readonly cluster: string;
  /** `""`: any. */
  readonly path: string;
  readonly answer: CaseResponse;
}

export interface ExpectedMessage {
  readonly status: number | null;
  /** A null value: the field may not be there. */
  readonly headers: ExpectedFields;
  readonly body: string | null;
}

export interface ExpectedCall extends ExpectedMessage {
  readonly cluster: string | null;
  readonly method: string | null;
  readonly path: string | null;
  readonly authority: string | null;
}

/** Null members are not looked at. */
export interface Expectation {
  readonly action: string | null;
  readonly request: ExpectedMessage | null;
  readonly response: ExpectedMessage | null;
  /** `none`: there may not be any. */
  readonly localReply: ExpectedMessage | "none" | null;
  /** `level: message`, or a regular expression between slashes. */
  readonly logs: readonly string[] | null;
  readonly calls: readonly ExpectedCall[] | null;
  readonly grpc: readonly ExpectedGrpc[] | null;
  readonly redis: readonly ExpectedRedis[] | null;
  /** Names that are looked up, in their order. */
  readonly dns: readonly string[] | null;
}

export interface PluginCase {
  readonly name: string;
  readonly line: number;
  readonly configuration: string;
  /** Virtual time that passes before the request: ticks run in it. */
  readonly waitMs: number;
  readonly request: CaseRequest;
  readonly response: CaseResponse;
  readonly calls: readonly CaseCall[];
  readonly grpc: readonly CaseGrpc[];
  readonly redis: readonly CaseRedis[];
  readonly dns: readonly CaseDns[];
  readonly facts: CaseFacts;
  /** Null: the case has none yet. */
  readonly expect: Expectation | null;
}

export interface CaseFile {
  readonly file: string;
  /** Absolute. */
  readonly plugin: string;
  readonly rootId: string;
  readonly vmConfiguration: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cases: readonly PluginCase[];
}

export const ACTIONS = ["continue", "pause", "reply", "reset", "trap", "refused"] as const;
export type Action = (typeof ACTIONS)[number];

const CODES = { wrong: "GL0620", unknown: "GL0620" };
const FILE_FIELDS = ["plugin", "configuration", "rootId", "vmConfiguration", "env", "cases"];
const CASE_FIELDS = [
  ...["name", "configuration", "waitMs", "request", "response"],
  ...["calls", "grpc", "redis", "dns", "expect"],
  ...FACT_FIELDS,
];
const MESSAGE_FIELDS = ["headers", "body", "chunks", "trailers"];
const EXPECT_FIELDS = [
  ...["action", "request", "response", "localReply", "logs"],
  ...["calls", "grpc", "redis", "dns"],
];
const CASES_MAX = 10_000;
const WAIT_MS_MAX = 24 * 3_600_000;
const STATUS = { least: 100, most: 999 };

/** `file` is named in faults; `plugin` in it is relative to `folder`. Null with an error. */
export function parseCaseFile(
  text: string,
  place: { readonly file: string; readonly folder: string },
): { readonly suite: CaseFile | null; readonly faults: readonly Fault[] } {
  const { documents, faults: syntax } = parseManifests(text, place.file);
  const faults = [...syntax];
  const [document, ...others] = documents;
  if (document === undefined) {
    if (faults.length === 0) faults.push(emptyFault(place.file));
    return { suite: null, faults };
  }
  const root = new Cursor({ ...document, faults, codes: CODES }, document.value);
  for (const other of others) {
    const cursor = new Cursor({ ...other, faults, codes: CODES }, other.value);
    cursor.fault(CODES.wrong, "a file of cases has one document", "Move the cases into the first.");
  }
  const suite = readFile(root, place);
  return { suite: faults.some(({ severity }) => severity === "error") ? null : suite, faults };
}

function emptyFault(file: string): Fault {
  return {
    ...{ severity: "error", code: CODES.wrong, path: "", object: null },
    message: "the file holds no cases",
    remedy: "Write plugin: FILE.wasm and a list of cases.",
    position: { file, line: 1, column: 1 },
  };
}

function readFile(root: Cursor, { file, folder }: { file: string; folder: string }): CaseFile {
  const isMap = root.isMap(FILE_FIELDS);
  const plugin = isMap ? root.at("plugin").text(null) : "";
  const configuration = root.at("configuration");
  const cases = root.at("cases");
  const items = isMap ? cases.items() : [];
  if (isMap && (items.length === 0 || items.length > CASES_MAX)) {
    cases.wrong(`a list of 1 to ${CASES_MAX} cases`);
  }
  return {
    file,
    plugin: isAbsolute(plugin) ? plugin : join(folder, plugin),
    rootId: root.at("rootId").text(),
    vmConfiguration: configurationOf(root.at("vmConfiguration")),
    env: Object.fromEntries(
      root
        .at("env")
        .entries()
        .map(([key, value]) => [key, value.text()]),
    ),
    cases: items.map((item) => readCase(item, configurationOf(configuration))),
  };
}

/** A text is handed over as it is, anything else as JSON. */
function configurationOf(cursor: Cursor): string {
  if (cursor.isAbsent) return "";
  return typeof cursor.value === "string" ? cursor.value : JSON.stringify(cursor.value);
}

function readCase(cursor: Cursor, configuration: string): PluginCase {
  cursor.isMap(CASE_FIELDS);
  const own = cursor.at("configuration");
  const expect = cursor.at("expect");
  return {
    name: cursor.at("name").text(null),
    line: cursor.line,
    configuration: own.isAbsent ? configuration : configurationOf(own),
    waitMs: cursor.at("waitMs").count({ least: 0, most: WAIT_MS_MAX }, 0),
    request: readRequest(cursor.at("request")),
    response: readResponse(cursor.at("response")),
    calls: cursor.at("calls").items().map(readCall),
    grpc: cursor.at("grpc").items().map(readGrpc),
    redis: cursor.at("redis").items().map(readRedis),
    dns: cursor.at("dns").items().map(readDns),
    facts: readFacts(cursor),
    expect: expect.isAbsent ? null : readExpectation(expect),
  };
}

function readRequest(cursor: Cursor): CaseRequest {
  if (!cursor.isAbsent) cursor.isMap(["method", "path", "authority", ...MESSAGE_FIELDS]);
  return {
    method: cursor.at("method").text("GET"),
    path: cursor.at("path").text("/"),
    authority: cursor.at("authority").text("example.com"),
    ...readMessage(cursor),
  };
}

function readResponse(cursor: Cursor): CaseResponse {
  if (!cursor.isAbsent) cursor.isMap(["status", ...MESSAGE_FIELDS]);
  return { status: cursor.at("status").count(STATUS, 200), ...readMessage(cursor) };
}

function readMessage(cursor: Cursor): CaseMessage {
  const body = cursor.at("body").text();
  const chunks = cursor
    .at("chunks")
    .items()
    .map((chunk) => chunk.text(null));
  if (body !== "" && chunks.length > 0) cursor.at("chunks").wrong("left out beside body");
  const trailers = cursor.at("trailers");
  return {
    headers: readFields(cursor.at("headers")),
    chunks: body === "" ? chunks : [body],
    trailers: trailers.isAbsent ? null : readFields(trailers),
  };
}

function readCall(cursor: Cursor): CaseCall {
  cursor.isMap(["cluster", "path", "answer"]);
  return {
    cluster: cursor.at("cluster").text(null),
    path: cursor.at("path").text(),
    answer: readResponse(cursor.at("answer")),
  };
}

function readExpectation(cursor: Cursor): Expectation {
  cursor.isMap(EXPECT_FIELDS);
  const list = <T>(name: string, read: (value: Cursor) => T): T[] | null =>
    optional(cursor.at(name), (value) => value.items().map(read));
  return {
    action: optional(cursor.at("action"), (value) => value.choice(ACTIONS, "continue")),
    request: optional(cursor.at("request"), (value) => readExpected(value, [])),
    response: optional(cursor.at("response"), (value) => readExpected(value, ["status"])),
    localReply: optional(cursor.at("localReply"), (value) =>
      value.value === "none" ? "none" : readExpected(value, ["status"]),
    ),
    logs: list("logs", (line) => line.text(null)),
    calls: list("calls", readExpectedCall),
    grpc: list("grpc", readExpectedGrpc),
    redis: list("redis", readExpectedRedis),
    dns: list("dns", (name) => name.text(null)),
  };
}

function readExpected(cursor: Cursor, more: readonly string[]): ExpectedMessage {
  cursor.isMap(["headers", "body", ...more]);
  return {
    status: optional(cursor.at("status"), (status) => status.count(STATUS, 200)),
    headers: readExpectedFields(cursor.at("headers")),
    body: optional(cursor.at("body"), textOf),
  };
}

function readExpectedCall(cursor: Cursor): ExpectedCall {
  return {
    ...readExpected(cursor, ["cluster", "method", "path", "authority"]),
    cluster: optional(cursor.at("cluster"), textOf),
    method: optional(cursor.at("method"), textOf),
    path: optional(cursor.at("path"), textOf),
    authority: optional(cursor.at("authority"), textOf),
  };
}
