//! One request to the API: what handlers see of it, its body, and its answer.

import type { IncomingMessage, ServerResponse } from "node:http";
import { parseManifests } from "../resources/parse.ts";
import type { ServerDependencies } from "./dependencies.ts";
import { badRequest, faultText, refuse } from "./status.ts";
import type { StreamSet } from "./watch-stream.ts";

/** The limit of a request's body; the objects inside have their own (Kubernetes' limit too). */
export const BODY_BYTES_MAX: number = 3 * 1024 * 1024;
/** How much of the warnings goes into headers (Kubernetes' limit too). */
const WARNING_CHARS_MAX = 4_096;

export interface Call {
  readonly dependencies: ServerDependencies;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the route's `:names` stand for, decoded. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Aborts when the client has gone or the server closes. */
  readonly signal: AbortSignal;
  /** Watches and followed logs join it. */
  readonly streams: StreamSet;
}

/** The parameter of the route; a route without it is our own mistake and reads as empty. */
export function parameter(call: Call, name: string): string {
  return call.parameters.get(name) ?? "";
}

export function isDryRun(call: Call): boolean {
  const value = call.query.get("dryRun");
  if (value === null || value === "") return false;
  if (value === "All") return true;
  throw badRequest(`dryRun must be All, is ${JSON.stringify(value)}`);
}

export function sendJson(call: Call, code: number, value: unknown): void {
  const text = JSON.stringify(value);
  call.response.writeHead(code, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  call.response.end(text);
}

/** Sets `Warning: 299 - "..."`, as Kubernetes does (RFC 9111 section 5.5); longest first to go. */
export function setWarnings(call: Call, warnings: readonly string[]): void {
  const values: string[] = [];
  let chars = 0;
  for (const warning of warnings) {
    const value = `299 - "${quotable(warning)}"`;
    chars += value.length;
    if (chars > WARNING_CHARS_MAX) break;
    values.push(value);
  }
  if (values.length > 0) call.response.setHeader("warning", values);
}

/** Header values are ASCII: the rest travels as percent escapes. */
function quotable(text: string): string {
  return text
    .replace(/\p{Cs}/gu, "?")
    .replace(/[^\x20-\x7e]|%/gu, (char) => encodeURIComponent(char))
    .replace(/["\\]/g, "\\$&");
}

/** The body as a value: JSON, or one YAML document. `undefined` when there is none. */
export async function readBody(call: Call): Promise<unknown> {
  const type = (call.request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  const text = await readText(call.request);
  if (text === "") return undefined;
  switch (type) {
    case "application/json":
      return parseJson(text);
    case "application/yaml":
    case "application/x-yaml":
      return parseYaml(text);
    default: {
      const message = "the content-type must be application/json or application/yaml";
      throw refuse(415, "UnsupportedMediaType", message);
    }
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      const message = `the body is larger than ${BODY_BYTES_MAX} bytes`;
      throw refuse(413, "RequestEntityTooLarge", message);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

function parseYaml(text: string): unknown {
  const { documents, faults } = parseManifests(text, "body");
  const errors = faults.filter((fault) => fault.severity === "error");
  if (errors.length > 0) {
    throw badRequest(`the body is not YAML: ${errors.map(faultText).join("; ")}`);
  }
  if (documents.length !== 1) {
    throw badRequest(`the body must hold one object, it holds ${documents.length}`);
  }
  return documents[0]?.value;
}
