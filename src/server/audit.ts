//! The audit log: one line of JSON for each request, as Kubernetes' own writes at the level
//! Metadata (audit.k8s.io/v1): who asked for what, and what it came to; no bodies, no tokens.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { timestampMs } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import type { RouteMatch } from "./routes.ts";

export interface AuditLog {
  /** ASCII, with its line feed. */
  write(line: string): void;
}

/** Whoever has the token; there are no other users. */
const ADMIN = { username: "graylane:admin", groups: ["system:masters", "system:authenticated"] };
const ANONYMOUS = { username: "system:anonymous", groups: ["system:unauthenticated"] };
/** What a client says of itself may be as long as a head; Kubernetes cuts it, too. */
const USER_AGENT_CHARS_MAX = 1_024;
const URI_CHARS_MAX = 4_096;

const VERBS: Readonly<Record<string, string>> = {
  GET: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Notes one request; the line is written when its answer has ended, or its client has gone. */
export class AuditedRequest {
  readonly #log: AuditLog;
  readonly #clock: Clock;
  readonly #request: IncomingMessage;
  readonly #receivedMs: number;
  /** A connection that has gone does not tell any more. */
  readonly #source: string;
  #match: RouteMatch | null = null;
  #isAdmin = false;

  constructor(
    { log, clock }: { readonly log: AuditLog; readonly clock: Clock },
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#request = request;
    this.#receivedMs = clock.nowMs();
    this.#source = request.socket.remoteAddress ?? "";
    response.once("close", () => {
      this.#write(response);
    });
  }

  /** The path is that of something that is served. */
  matched(match: RouteMatch): void {
    this.#match = match;
  }

  /** The token was right. */
  admitted(): void {
    this.#isAdmin = true;
  }

  #write(response: ServerResponse): void {
    if (this.#match?.route.isOpen === true) return;
    const { method = "", url = "", headers } = this.#request;
    const ref = objectRefOf(this.#match?.parameters, url);
    const event = {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: randomUUID(),
      stage: "ResponseComplete",
      requestURI: url.slice(0, URI_CHARS_MAX),
      verb: ref === null ? method.toLowerCase() : verbOf(method, url, ref),
      user: this.#isAdmin ? ADMIN : ANONYMOUS,
      sourceIPs: [this.#source],
      userAgent: (headers["user-agent"] ?? "").slice(0, USER_AGENT_CHARS_MAX),
      ...(ref !== null && { objectRef: ref }),
      // Without a head there was no answer.
      responseStatus: { metadata: {}, ...(response.headersSent && { code: response.statusCode }) },
      requestReceivedTimestamp: microTime(this.#receivedMs),
      stageTimestamp: microTime(this.#clock.nowMs()),
    };
    this.#log.write(`${ascii(JSON.stringify(event))}\n`);
  }
}

interface ObjectRef {
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly apiGroup?: string;
  readonly apiVersion: string;
  readonly subresource?: string;
}

/** Null: the path names no resource. */
function objectRefOf(
  parameters: ReadonlyMap<string, string> = new Map(),
  url: string,
): ObjectRef | null {
  const apiVersion = parameters.get("version");
  const name = parameters.get("name");
  const subresource = name === undefined ? undefined : /\/(status|log)(?:\?|$)/.exec(url)?.[1];
  // A pod's log is the one object whose path has no `:plural`.
  const resource = parameters.get("plural") ?? (subresource === "log" ? "pods" : undefined);
  if (apiVersion === undefined || resource === undefined) return null;
  const namespace = parameters.get("namespace");
  const apiGroup = parameters.get("group");
  const optional = Object.entries({ namespace, name, apiGroup, subresource });
  const given = optional.filter(([, value]) => value !== undefined);
  return { resource, apiVersion, ...(Object.fromEntries(given) as Partial<ObjectRef>) };
}

function verbOf(method: string, url: string, { name }: ObjectRef): string {
  if (name === undefined && method === "DELETE") return "deletecollection";
  if (name === undefined && method === "GET") {
    return /[?&]watch=(?:true|1)(?:&|$)/.test(url) ? "watch" : "list";
  }
  return VERBS[method] ?? method.toLowerCase();
}

/** Kubernetes' MicroTime. */
function microTime(ms: number): string {
  return timestampMs(ms).replace("Z", "000Z");
}

function ascii(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
