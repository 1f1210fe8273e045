//! The audit log: one line of JSON for each request, as Kubernetes' own writes at the level
//! Metadata (audit.k8s.io/v1): who asked for what, and what it came to; no bodies, no tokens.
//!
//! The line of a write is in the file before its answer goes out: who was told that something was
//! written finds it there, even when the process is killed right then.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { timestampMs } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import type { Ask } from "./access/attributes.ts";
import type { Decision } from "./access/rbac.ts";
import { ANONYMOUS, userInfo, type User } from "./access/user.ts";

export interface AuditLog {
  /** ASCII, with its line feed. */
  write(line: string): void;
  /** Resolves when the line is in the file, or the file could not take it. */
  writeThrough(line: string): Promise<void>;
}

/** What a client says of itself may be as long as a head; Kubernetes cuts it, too. */
const USER_AGENT_CHARS_MAX = 1_024;
const URI_CHARS_MAX = 4_096;

/** Notes one request; exactly one line is written of it. */
export class AuditedRequest {
  readonly #log: AuditLog;
  readonly #clock: Clock;
  readonly #request: IncomingMessage;
  readonly #receivedMs: number;
  /** A connection that has gone does not tell any more. */
  readonly #source: string;
  readonly #isWrite: boolean;
  #ask: Ask | null = null;
  #isOpen = false;
  #user: User = ANONYMOUS;
  #impersonated: User | null = null;
  #decision: Decision | null = null;
  #isWritten = false;

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
    this.#isWrite = request.method !== "GET" && request.method !== "HEAD";
    response.once("close", () => {
      // A write that is under way when its client goes has no outcome yet.
      if (this.#isWrite || !this.#begin()) return;
      // Without a head there was no answer.
      this.#log.write(this.#line(response.headersSent ? response.statusCode : null));
    });
  }

  /** What the request is for. Of what is open to everybody no line is written. */
  asked(ask: Ask, { isOpen }: { readonly isOpen: boolean }): void {
    this.#ask = ask;
    this.#isOpen = isOpen;
  }

  /** The credentials were right. */
  admitted(user: User, impersonated: User | null): void {
    this.#user = user;
    this.#impersonated = impersonated;
  }

  decided(decision: Decision): void {
    this.#decision = decision;
  }

  /** The answer is ready; it may go out when this resolves. Null: at once. */
  answering(code: number): Promise<void> | null {
    return this.#isWrite && this.#begin() ? this.#log.writeThrough(this.#line(code)) : null;
  }

  /** False: there is nothing to write, or it has been written. */
  #begin(): boolean {
    if (this.#isWritten || this.#isOpen) return false;
    this.#isWritten = true;
    return true;
  }

  #line(code: number | null): string {
    const { method = "", url = "", headers } = this.#request;
    const ask = this.#ask;
    const event = {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: randomUUID(),
      stage: "ResponseComplete",
      requestURI: url.slice(0, URI_CHARS_MAX),
      verb: ask?.verb ?? method.toLowerCase(),
      user: userInfo(this.#user),
      ...(this.#impersonated !== null && { impersonatedUser: userInfo(this.#impersonated) }),
      sourceIPs: [this.#source],
      userAgent: (headers["user-agent"] ?? "").slice(0, USER_AGENT_CHARS_MAX),
      ...(ask?.kind === "resource" && { objectRef: objectRefOf(ask) }),
      responseStatus: { metadata: {}, ...(code !== null && { code }) },
      requestReceivedTimestamp: microTime(this.#receivedMs),
      stageTimestamp: microTime(this.#clock.nowMs()),
      ...(this.#decision !== null && { annotations: annotationsOf(this.#decision) }),
    };
    return `${ascii(JSON.stringify(event))}\n`;
  }
}

function annotationsOf({ isAllowed, reason }: Decision): object {
  return {
    "authorization.k8s.io/decision": isAllowed ? "allow" : "forbid",
    "authorization.k8s.io/reason": reason,
  };
}

function objectRefOf(ask: Extract<Ask, { readonly kind: "resource" }>): object {
  const { resource, namespace, name, group, version, subresource } = ask;
  const optional = { namespace, name, apiGroup: group, apiVersion: version, subresource };
  const given = Object.entries(optional).filter(([, value]) => value !== "");
  return { resource, ...Object.fromEntries(given) };
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
