//! The head of a response of HTTP/2, checked by RFC 9113 section 8.

import { RESPONSE_FAULTS, type HttpFault } from "./fault.ts";
import { parseContentLength } from "./framing.ts";
import { Headers } from "./headers.ts";
import { readFields } from "./http2-request.ts";
import type { ResponseHead } from "./response-parser.ts";
import { reasonPhrase } from "./serialize.ts";

const STATUS = /^[1-5]\d\d$/;

/** `fields`: names and values in turn, as they came. `endsHere`: no DATA and no trailers follow. */
export function readHttp2Response(
  fields: readonly string[],
  endsHere: boolean,
): ResponseHead | HttpFault {
  const [name, value = ""] = fields;
  if (name !== ":status") return RESPONSE_FAULTS.bad_pseudo_field;
  // 101 is no status of HTTP/2 (RFC 9113 section 8.6).
  if (!STATUS.test(value) || value === "101") return RESPONSE_FAULTS.bad_status;
  const headers = new Headers();
  const bad = readFields(fields.slice(2), null, headers);
  if (bad !== null) return RESPONSE_FAULTS[bad];
  const lengthText = headers.get("content-length");
  const length = lengthText === undefined ? -1 : parseContentLength(lengthText);
  if (lengthText !== undefined && length === -1) return RESPONSE_FAULTS.bad_content_length;
  if (headers.getAll("content-length").length > 1) return RESPONSE_FAULTS.repeated_content_length;
  const status = Number(value);
  const hasLength = !endsHere && length !== -1;
  const open = hasLength ? "length" : "chunked";
  return {
    status,
    reason: reasonPhrase(status),
    versionMinor: 1,
    headers,
    body: endsHere ? "none" : open,
    contentLength: hasLength ? length : 0,
    keepAlive: true,
  };
}
