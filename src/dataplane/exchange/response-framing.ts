//! How the body of a response is framed for the client (RFC 9112 section 6.3).

import type { Headers } from "../../http/headers.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { ResponseDraft } from "./handler.ts";

export type BodyFraming = "none" | "raw" | "chunked" | "close";

export function framingOf(response: ResponseHead, clientVersionMinor: 0 | 1): BodyFraming {
  switch (response.body) {
    case "none":
      return "none";
    case "length":
      return "raw";
    case "chunked":
    case "close":
      return clientVersionMinor === 1 ? "chunked" : "close";
  }
}

/**
 * A plug-in changed the status, or the request's method: then what the client takes for the body's
 * end is no longer what the upstream meant. `client` is the request as the client sent it.
 */
export function frameEdited(
  draft: ResponseDraft,
  response: ResponseHead,
  client: { readonly method: string; readonly versionMinor: 0 | 1 },
): BodyFraming {
  const { headers, status } = draft;
  if (client.method === "HEAD") return "none";
  if (isBodiless(status)) {
    headers.remove("content-length");
    return "none";
  }
  if (response.body === "none") headers.set("content-length", "0");
  return framingOf(response, client.versionMinor);
}

/** 204 and 304 have no body, whatever a route or plug-in gave them (RFC 9110 section 6.4.1). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

/** The head of a reply of ours with a body of `bodyBytes`. */
export function withLength(status: number, headers: Headers, bodyBytes: number): ResponseDraft {
  headers.set("content-length", String(bodyBytes));
  if (bodyBytes > 0 && !headers.has("content-type")) headers.add("content-type", "text/plain");
  return { status, headers, local: true };
}
