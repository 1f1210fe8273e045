//! A reply of ours to a client of gRPC: it reads `grpc-status`, and takes no plain text.

import { Headers } from "../../http/headers.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import { grpcStatusFor } from "../filter/plugin-properties.ts";
import type { ResponseDraft } from "./handler.ts";

const GRPC = /^application\/grpc(?:[+;]|$)/;
/** What stands in `grpc-message` as it is: visible ASCII and space, without `%`. */
const ESCAPED = /[^ -$&-~]/g;
/** Of the text at most this much is told. */
const MESSAGE_CHARS_MAX = 1_024;
const STATUS_ERROR_MIN = 400;

/** Status 200 without a body, as Envoy answers such requests; null when it is none, or no error. */
export function grpcReply(head: RequestHead, status: number, text: Buffer): ResponseDraft | null {
  const contentType = head.headers.get("content-type");
  const isGrpc = contentType !== undefined && GRPC.test(contentType);
  if (!isGrpc || status < STATUS_ERROR_MIN) return null;
  const headers = new Headers();
  headers.add("content-type", "application/grpc");
  headers.add("grpc-status", String(grpcStatusFor(status)));
  const message = text.toString("latin1").trim().slice(0, MESSAGE_CHARS_MAX);
  if (message !== "") headers.add("grpc-message", message.replace(ESCAPED, escaped));
  return { status: 200, headers, local: true, hasBody: false };
}

function escaped(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
