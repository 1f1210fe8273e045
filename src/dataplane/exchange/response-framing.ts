//! How the body of a response is framed for the client (RFC 9112 section 6.3).

import type { Headers } from "../../http/headers.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { ResponseDraft } from "./handler.ts";

export type BodyFraming = "none" | "raw" | "chunked" | "close";

/**
 * The framing for the client, of the upstream's `response` or (null) of a reply of ours that
 * filters have seen. `method` is the client's own: a plug-in may have changed it since.
 */
export function framingFor(
  draft: ResponseDraft,
  response: ResponseHead | null,
  method: string,
  head: RequestHead,
): BodyFraming {
  if (response === null) {
    if (isMadeEmpty(draft)) return "none";
    return draft.headers.has("content-length") ? "raw" : openEnded(head);
  }
  const isEdited = draft.status !== response.status || head.method !== method;
  if (isEdited && isMadeBodiless(draft, response, method)) return "none";
  if (response.body === "none") {
    if (isUnframed(draft, head)) draft.headers.set("content-length", "0");
    return "none";
  }
  // A plug-in may have removed the length: it means to change the body.
  if (response.body === "length" && draft.headers.has("content-length")) return "raw";
  return openEnded(head);
}

/** What the client takes for the body's end is no longer what the upstream meant. */
function isMadeBodiless(draft: ResponseDraft, response: ResponseHead, method: string): boolean {
  if (isMadeEmpty(draft) || method === "HEAD") return true;
  if (response.body === "none") draft.headers.set("content-length", "0");
  return false;
}

/** HTTP/2 ended it with its head; to a client of HTTP/1 that is a length. */
function isUnframed({ status, headers }: ResponseDraft, head: RequestHead): boolean {
  if (head.isHttp2 === true || head.method === "HEAD" || isBodiless(status)) return false;
  return !headers.has("content-length");
}

/** With such a status no length may be announced (RFC 9110 section 8.6). */
function isMadeEmpty({ status, headers }: ResponseDraft): boolean {
  if (!isBodiless(status)) return false;
  headers.remove("content-length");
  return true;
}

function openEnded(head: RequestHead): BodyFraming {
  return head.versionMinor === 1 ? "chunked" : "close";
}

/** Whether a byte of a body may follow this head. */
export function mayHaveBody({ status, body, contentLength }: ResponseHead): boolean {
  if (body === "none" || status < 200) return false;
  return body !== "length" || contentLength > 0;
}

/** 204 and 304 have no body, whatever a route or plug-in gave them (RFC 9110 section 6.4.1). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

/** The head of a reply of ours with a body of `bodyBytes`. */
export function withLength(status: number, headers: Headers, bodyBytes: number): ResponseDraft {
  headers.set("content-length", String(bodyBytes));
  if (bodyBytes > 0 && !headers.has("content-type")) headers.add("content-type", "text/plain");
  return { status, headers, local: true, hasBody: bodyBytes > 0 };
}

interface ConnectionEnd {
  readonly keepAlive: boolean;
  /** Of the request. */
  readonly head: RequestHead;
}

/** Says how the body ends, and whether the connection goes on. */
export function tellEnd(
  headers: Headers,
  framing: BodyFraming,
  { keepAlive, head }: ConnectionEnd,
): void {
  if (framing === "chunked") headers.set("transfer-encoding", "chunked");
  if (!keepAlive) headers.set("connection", "close");
  else if (head.versionMinor === 0) headers.set("connection", "keep-alive");
}
