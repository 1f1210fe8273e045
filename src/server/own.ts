//! What only Graylane has: /graylane/v1/ explain, analyze, status, shutdown.

import { isIP } from "node:net";
import { RECENT_CLAUSES_MAX, RECENT_FIELDS, RECENT_LIMIT_MAX } from "../api/types.ts";
import type {
  AnalyzeRequest,
  AnalyzeResult,
  ExplainRequest,
  RecentQuery,
  TypedRef,
} from "../api/types.ts";
import { readBody, sendJson, type Call } from "./call.ts";
import { badRequest, refuse, success } from "./status.ts";

const HEADERS_MAX = 200;
const OBJECTS_MAX = 10_000;

export async function explain(call: Call): Promise<void> {
  const request = explainRequestOf(await readBody(call));
  sendJson(call, 200, await call.dependencies.explain(request));
}

export async function recent(call: Call): Promise<void> {
  const query = recentQueryOf(await readBody(call));
  sendJson(call, 200, await call.dependencies.recent(query));
}

export async function analyze(call: Call): Promise<void> {
  const request = analyzeRequestOf(await readBody(call));
  const result: AnalyzeResult = { messages: await call.dependencies.analyze(request) };
  sendJson(call, 200, result);
}

export function runtimeStatus(call: Call): void {
  sendJson(call, 200, call.dependencies.runtimeStatus());
}

export function configDump(call: Call): void {
  const node = call.query.get("node") ?? "";
  const withEndpoints = call.query.has("include_eds");
  const dump = call.dependencies.configDump(node, { withEndpoints });
  if (dump === null) {
    const what = `no Envoy ${JSON.stringify(node)} is connected`;
    throw refuse(404, "NotFound", `${what}: proxy-status lists those that are`);
  }
  sendJson(call, 200, dump);
}

export function shutdown(call: Call): void {
  // After the answer: a process that stops first would leave the client without one.
  call.response.once("finish", () => {
    call.dependencies.shutdown();
  });
  sendJson(call, 200, success({}));
}

function explainRequestOf(body: unknown): ExplainRequest {
  const { method, url, headers, ...others } = fieldsOf(body);
  if (typeof method !== "string" || method === "") throw badRequest("method must be a text");
  if (typeof url !== "string" || !/^https?:$/.test(protocolOf(url))) {
    throw badRequest("url must be an absolute http or https URL, e.g. http://localhost/");
  }
  if (!Array.isArray(headers) || headers.length > HEADERS_MAX || !headers.every(isHeader)) {
    throw badRequest(`headers must be at most ${HEADERS_MAX} pairs of name and value`);
  }
  return { method, url, headers, ...explainExtrasOf(others) };
}

function explainExtrasOf({
  body,
  remoteAddress,
}: Readonly<Record<string, unknown>>): Pick<ExplainRequest, "body" | "remoteAddress"> {
  if (body !== undefined && typeof body !== "string") throw badRequest("body must be a text");
  if (
    remoteAddress !== undefined &&
    (typeof remoteAddress !== "string" || isIP(remoteAddress) === 0)
  ) {
    throw badRequest("remoteAddress must be an IP address");
  }
  return {
    ...(body === undefined ? {} : { body }),
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
  };
}

function recentQueryOf(body: unknown): RecentQuery {
  const { where, limit, hops } = fieldsOf(body);
  if (!Array.isArray(where) || where.length > RECENT_CLAUSES_MAX || !where.every(isClause)) {
    throw badRequest(
      `where must be at most ${RECENT_CLAUSES_MAX} clauses: field, operator (= or ~), value; ` +
        `a field is header.NAME, ${RECENT_FIELDS.join(", ")}`,
    );
  }
  const isCount = typeof limit === "number" && Number.isInteger(limit) && limit > 0;
  if (!isCount || limit > RECENT_LIMIT_MAX) {
    throw badRequest(`limit must be a whole number from 1 to ${RECENT_LIMIT_MAX}`);
  }
  if (hops !== undefined && hops !== true) throw badRequest("hops must be true, or absent");
  return { where, limit, ...(hops === true ? { hops } : {}) };
}

function isClause(value: unknown): value is RecentQuery["where"][number] {
  if (typeof value !== "object" || value === null) return false;
  const { field, operator, value: text } = value as Record<string, unknown>;
  if (typeof field !== "string" || typeof text !== "string") return false;
  const isKnown = /^header\..+/.test(field) || RECENT_FIELDS.includes(field);
  return isKnown && (operator === "=" || operator === "~");
}

function analyzeRequestOf(body: unknown): AnalyzeRequest {
  const given: { readonly objects?: unknown; readonly delete?: unknown } = fieldsOf(body);
  const { objects = [], delete: deleted = [] } = given;
  if (!Array.isArray(objects) || !Array.isArray(deleted)) {
    throw badRequest("objects and delete must be lists");
  }
  if (objects.length + deleted.length > OBJECTS_MAX) {
    throw badRequest(`at most ${OBJECTS_MAX} objects can be analyzed at once`);
  }
  if (!deleted.every(isTypedRef)) {
    throw badRequest("each entry of delete has apiVersion, kind, namespace and name");
  }
  // Without a change the question is another one: what is wrong now?
  return {
    ...(given.objects === undefined ? {} : { objects: objects as unknown[] }),
    ...(given.delete === undefined ? {} : { delete: deleted }),
  };
}

function fieldsOf(body: unknown): Record<string, unknown> {
  if (typeof body !== "object" || body === null) throw badRequest("the body must be an object");
  return body as Record<string, unknown>;
}

function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : "";
}

function isHeader(pair: unknown): pair is [string, string] {
  return Array.isArray(pair) && pair.length === 2 && pair.every((x) => typeof x === "string");
}

function isTypedRef(value: unknown): value is TypedRef {
  if (typeof value !== "object" || value === null) return false;
  const ref = value as Record<string, unknown>;
  return ["apiVersion", "kind", "namespace", "name"].every((n) => typeof ref[n] === "string");
}
