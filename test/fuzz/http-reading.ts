//! Reads raw bytes with the codec, cut anywhere, and tells what it saw in a comparable form.

import type { HttpFault } from "../../src/http/fault.ts";
import type { Headers } from "../../src/http/headers.ts";
import { readHttp2Request, readHttp2Trailers } from "../../src/http/http2-request.ts";
import { readHttp2Response } from "../../src/http/http2-response.ts";
import { RequestParser, type RequestHead } from "../../src/http/request-parser.ts";
import { ResponseParser, type ResponseHead } from "../../src/http/response-parser.ts";
import type { Http2Part } from "./http2-cases.ts";

export interface ReadMessage {
  readonly head: RequestHead | ResponseHead;
  body: string;
  trailers: Headers | null;
  hasEnded: boolean;
}

export interface Outcome {
  readonly messages: ReadMessage[];
  /** Heads of 1xx. */
  readonly informational: ResponseHead[];
  fault: string | null;
  /** Bytes left when the parser took no more. */
  leftBytes: number;
}

/** Cuts `bytes` at `cuts` (rising offsets). */
export function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

interface Parser {
  execute(chunk: Buffer): number | HttpFault;
}

function newOutcome(): Outcome {
  return { messages: [], informational: [], fault: null, leftBytes: 0 };
}

/** What both sinks do with a body. */
function bodySink(messages: ReadMessage[]): {
  add: (chunk: Buffer) => void;
  end: (trailers: Headers | null) => void;
} {
  return {
    add(chunk) {
      messages.at(-1)!.body += chunk.toString("latin1");
    },
    end(trailers) {
      messages.at(-1)!.trailers = trailers;
      messages.at(-1)!.hasEnded = true;
    },
  };
}

function feed(
  parser: Parser,
  chunks: readonly Buffer[],
  outcome: Outcome,
  next: () => boolean,
): void {
  for (const chunk of chunks) {
    let rest = chunk;
    while (rest.length > 0) {
      const took = parser.execute(rest);
      if (typeof took !== "number") {
        outcome.fault = took.code;
        return;
      }
      rest = rest.subarray(took);
      if (rest.length > 0 && !next()) break;
    }
    outcome.leftBytes += rest.length;
  }
}

/** Reads all requests of one connection. */
export function readRequests(chunks: readonly Buffer[]): Outcome {
  const outcome = newOutcome();
  const { messages } = outcome;
  const body = bodySink(messages);
  const parser = new RequestParser({
    onRequestHead: (head) =>
      void messages.push({ head, body: "", trailers: null, hasEnded: false }),
    onRequestBody: body.add,
    onRequestEnd: body.end,
  });
  feed(parser, chunks, outcome, () => {
    parser.next();
    return true;
  });
  return outcome;
}

/** Reads one response to a request with `method`, up to the end of the connection. */
export function readResponse(chunks: readonly Buffer[], method = "GET"): Outcome {
  const outcome = newOutcome();
  const { messages } = outcome;
  const body = bodySink(messages);
  const parser = new ResponseParser({
    onInformational: (head) => void outcome.informational.push(head),
    onResponseHead: (head) =>
      void messages.push({ head, body: "", trailers: null, hasEnded: false }),
    onResponseBody: body.add,
    onResponseEnd: body.end,
  });
  parser.expect(method);
  feed(parser, chunks, outcome, () => false);
  outcome.fault ??= parser.finish()?.code ?? null;
  return outcome;
}

/** The code of the fault of a list of fields of HTTP/2, or "". A request has no body. */
export function readHttp2(fields: readonly string[], of: Http2Part): string {
  if (of === "trailers") {
    const trailers = readHttp2Trailers(fields);
    return typeof trailers === "string" ? trailers : "";
  }
  const isRequest = of === "request";
  const head = isRequest ? readHttp2Request(fields, true) : readHttp2Response(fields, false);
  return "code" in head ? head.code : "";
}
