//! One request to the API: what handlers see of it, its body, and its answer.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Ask } from "./access/attributes.ts";
import type { User } from "./access/user.ts";
import type { AuditedRequest } from "./audit.ts";
import { parseManifests } from "../resources/parse.ts";
import type { ServerDependencies } from "./dependencies.ts";
import type { ListTurns } from "./list-turns.ts";
import { badRequest, faultText, refuse } from "./status.ts";
import type { StreamSet } from "./watch-stream.ts";

/** The limit of a request's body; the objects inside have their own (Kubernetes' limit too). */
export const BODY_BYTES_MAX: number = 3 * 1024 * 1024;
/** What kubectl's own create commands send; `apply -f` and `create -f` send JSON. */
const PROTOBUF = "application/vnd.kubernetes.protobuf";
/** How deep a JSON body may be nested. */
const DEPTH_MAX = 100;
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
  readonly lists: ListTurns;
  /** Who asks, or in whose name. */
  readonly user: User;
  /** What for. */
  readonly ask: Ask;
  /** Null: nothing is written down. */
  readonly audited: AuditedRequest | null;
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

/** The last act of a request. Of a write it happens when the audit log has it. */
export function sendJson(call: Call, code: number, value: unknown): void {
  const text = JSON.stringify(value);
  const send = (): void => {
    call.response.writeHead(code, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    });
    call.response.end(text);
  };
  const audited = call.audited?.answering(code) ?? null;
  if (audited === null) send();
  else void audited.then(send);
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

/**
 * The body as a value: JSON, one YAML document, or Kubernetes' protobuf. `undefined` when there is
 * none.
 */
export async function readBody(call: Call): Promise<unknown> {
  const type = (call.request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  const bytes = await readBytes(call.request);
  if (bytes.length === 0) return undefined;
  if (type === PROTOBUF) return call.dependencies.messages.decode(bytes);
  const text = bytes.toString("utf8");
  switch (type) {
    // As a Kubernetes API server: its scale client sends none.
    case "":
    case "application/json":
      return parseJson(text);
    case "application/yaml":
    case "application/x-yaml":
      return parseYaml(text);
    default: {
      const message = `the content-type must be application/json, application/yaml or ${PROTOBUF}`;
      throw refuse(415, "UnsupportedMediaType", message);
    }
  }
}

/** A patch: its media type, one of `types`, and its body (the apply form may be YAML). */
export async function readPatch(
  call: Call,
  types: readonly string[],
): Promise<{ readonly type: string; readonly body: unknown }> {
  const type = (call.request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type === undefined || !types.includes(type)) {
    const message = `the content-type of a patch must be one of ${types.join(", ")}`;
    throw refuse(415, "UnsupportedMediaType", message);
  }
  const text = await readText(call.request);
  return { type, body: type.endsWith("+yaml") ? parseYaml(text) : parseJson(text) };
}

async function readText(request: IncomingMessage): Promise<string> {
  return (await readBytes(request)).toString("utf8");
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
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
  return Buffer.concat(chunks);
}

/** Throws 400. */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw badRequest(`the body is nested deeper than ${DEPTH_MAX} levels`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

/** Counts brackets outside strings: what is nested too deeply would overflow the stack of walks. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (isInString) {
      if (char === "\\") at += 1;
      else if (char === '"') isInString = false;
    } else if (char === '"') isInString = true;
    else if (char === "{" || char === "[") {
      depth += 1;
      if (depth > DEPTH_MAX) return true;
    } else if (char === "}" || char === "]") depth -= 1;
  }
  return false;
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
