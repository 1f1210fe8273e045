//! Everything that can be wrong with a message on the wire: stable code, status, sentence.
//!
//! A fault ends the connection: after one, nobody knows where the next message would begin. The
//! sentences are fixed text, so that a reply never echoes a byte of a hostile message.

export interface HttpFault {
  /** The status to answer with: of the request's fault, or 502 for a fault of an upstream. */
  readonly status: number;
  /** Stable, snake_case; documented in docs/replies.md. */
  readonly code: string;
  readonly message: string;
}

type Row = readonly [status: number, message: string];

/** Every fault of the codec. The status is the one for a request; an upstream's is always 502. */
const TABLE = {
  // Start line.
  bad_request_line: [400, "the request line is not: method, space, target, space, version"],
  bad_method: [400, "the method is not a token"],
  method_too_long: [501, "the method is longer than any known one"],
  bad_target: [400, "the request target has a byte that a URI may not have, or a fragment"],
  bad_target_form: [400, "the form of the request target does not fit the method"],
  unsupported_scheme: [400, "the request target's scheme is neither http nor https"],
  target_too_long: [414, "the request target is too long"],
  unsupported_version: [505, "the HTTP version is neither HTTP/1.0 nor HTTP/1.1"],
  extra_empty_line: [400, "more than one empty line stands before the request line"],
  bad_status_line: [502, "the status line is not: version, space, three digits, space, reason"],
  bad_status: [502, "the status code is not in 100 to 599"],
  // Field lines.
  bare_cr: [400, "a CR is not followed by LF"],
  bare_lf: [400, "a line ends in LF without CR"],
  line_folding: [400, "a field line begins with white space (line folding is refused)"],
  space_before_colon: [400, "white space stands between a field name and its colon"],
  bad_field_name: [400, "a field name is empty or not a token, or a field line has no colon"],
  bad_field_value: [400, "a field value has a control byte"],
  head_too_large: [431, "the message head is too large"],
  too_many_fields: [431, "the message has too many fields"],
  // Host.
  missing_host: [400, "the Host field is missing"],
  repeated_host: [400, "the Host field is repeated"],
  bad_host: [400, "the Host field is not a host with an optional port"],
  empty_host: [400, "the Host field is empty"],
  conflicting_host: [400, "the Host field and :authority differ"],
  // HTTP/2.
  bad_pseudo_field: [400, "a pseudo-header field is unknown, missing, repeated or out of place"],
  connection_field: [400, "a field of HTTP/1.1 connections came by HTTP/2"],
  wrong_content_length: [400, "the Content-Length field is not the length of the body"],
  // Framing.
  bad_content_length: [400, "the Content-Length field is not one decimal number below 2^53"],
  repeated_content_length: [400, "the Content-Length field is repeated"],
  conflicting_length: [400, "the message has both Content-Length and Transfer-Encoding"],
  bad_transfer_encoding: [400, "the Transfer-Encoding field is not exactly: chunked"],
  unsupported_transfer_coding: [501, "a transfer coding other than chunked is not supported"],
  transfer_encoding_in_http10: [400, "an HTTP/1.0 message has a Transfer-Encoding field"],
  connect_with_body: [400, "a CONNECT request has a body"],
  bad_chunk_size: [400, "a chunk size is not a hexadecimal number below 2^53"],
  bad_chunk_extension: [400, "a chunk extension is malformed"],
  chunk_line_too_long: [400, "a chunk-size line is too long"],
  chunk_extensions_too_large: [400, "the chunk extensions of the message are too large"],
  bad_chunk_end: [400, "the data of a chunk is not followed by CR LF"],
  forbidden_trailer: [400, "the trailer section has a field that is not allowed there"],
  trailers_too_large: [431, "the trailer section is too large"],
  // Control fields.
  bad_connection: [400, "the Connection field is not a list of tokens"],
  unsupported_expectation: [417, "the Expect field is not: 100-continue"],
  // Upstream only.
  too_many_informational: [502, "the upstream sent too many interim responses"],
  truncated_message: [502, "the upstream closed the connection in the middle of a response"],
  closed_before_response: [502, "the upstream closed the connection before it responded"],
} as const;

export type HttpFaultCode = keyof typeof TABLE;

const STATUS_UPSTREAM = 502;

function build(statusOf: (row: Row) => number): Readonly<Record<HttpFaultCode, HttpFault>> {
  const entries = Object.entries(TABLE).map(([code, row]) => {
    return [code, Object.freeze({ status: statusOf(row), code, message: row[1] })] as const;
  });
  return Object.fromEntries(entries) as Record<HttpFaultCode, HttpFault>;
}

/** The faults of a request, by code. */
export const REQUEST_FAULTS: Readonly<Record<HttpFaultCode, HttpFault>> = build((row) => row[0]);

/** The same faults found in an upstream's response: the status is always 502. */
export const RESPONSE_FAULTS: Readonly<Record<HttpFaultCode, HttpFault>> = build(
  () => STATUS_UPSTREAM,
);
