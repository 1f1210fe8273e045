//! Field lists of HTTP/2 (after HPACK), nearly all to be refused, with the clause or the attack.

export type Http2Part = "request" | "trailers" | "response";

export interface Http2Case {
  readonly name: string;
  readonly clause: string;
  readonly fields: readonly string[];
  /** Of what; absent: of a request's head that ends the request. */
  readonly of?: Http2Part;
  /** The code of the fault; "" for what is right. */
  readonly want: string;
}

const GET = [":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/"];
/** RFC 9113, by section; RFC 9110 where it only points there. */
const PSEUDO = "RFC 9113 8.3";
const FIELDS = "RFC 9113 8.2.1";
const DOWNGRADE = "downgrade to HTTP/1.1";
const LIMIT = "a limit of ours";

function without(name: string): string[] {
  const index = GET.indexOf(name);
  return GET.filter((_text, at) => at !== index && at !== index + 1);
}

function instead(name: string, value: string): string[] {
  return GET.map((text, at) => (GET[at - 1] === name ? value : text));
}

type Row = readonly [name: string, fields: readonly string[], want: string];

function cases(clause: string, rows: readonly Row[]): Http2Case[] {
  return rows.map(([name, fields, want]) => ({ name, clause, fields, want }));
}

const CONNECT = [":method", "CONNECT", ":authority", "a.test:443"];

const OK = [":status", "200"];

const RESPONSES: readonly Http2Case[] = [
  ...cases("RFC 9113 8.3.2", [
    ["no status", ["a", "b"], "bad_pseudo_field"],
    ["a status that is not first", ["a", "b", ...OK], "bad_pseudo_field"],
    ["a status twice", [...OK, ...OK], "bad_pseudo_field"],
    ["a path", [...OK, ":path", "/"], "bad_pseudo_field"],
    ["an empty status", [":status", ""], "bad_status"],
    ["a status of two digits", [":status", "20"], "bad_status"],
    ["a status of four digits", [":status", "2000"], "bad_status"],
    ["a status under 100", [":status", "099"], "bad_status"],
    ["a status over 599", [":status", "600"], "bad_status"],
  ]),
  ...cases("RFC 9113 8.6", [["101", [":status", "101"], "bad_status"]]),
  ...cases(FIELDS, [
    ["an upper-case name", [...OK, "X-A", "1"], "bad_field_name"],
    ["a value with a line end", [...OK, "a", "1\r\nb: 2"], "bad_field_value"],
    ["Transfer-Encoding", [...OK, "transfer-encoding", "chunked"], "connection_field"],
  ]),
  ...cases("RFC 9113 8.1.1", [
    ["a length that is no number", [...OK, "content-length", "5x"], "bad_content_length"],
    ["an empty length", [...OK, "content-length", ""], "bad_content_length"],
    [
      "a repeated length",
      [...OK, "content-length", "5", "content-length", "5"],
      "repeated_content_length",
    ],
  ]),
  ...cases(LIMIT, [
    ["one field too many", [...OK, ...Array<string>(2 * 129).fill("a")], "too_many_fields"],
    ["a value that is too long", [...OK, "a", "b".repeat(70_000)], "head_too_large"],
  ]),
  ...cases("RFC 9113 8.1", [
    ["a head alone", OK, ""],
    ["a length", [...OK, "content-length", "5"], ""],
  ]),
].map((one) => ({ ...one, of: "response" }));

export const HTTP2_CASES: readonly Http2Case[] = [
  ...cases(PSEUDO, [
    ["no method", without(":method"), "bad_pseudo_field"],
    ["no scheme", without(":scheme"), "bad_pseudo_field"],
    ["no path", without(":path"), "bad_pseudo_field"],
    ["neither authority nor Host", without(":authority"), "missing_host"],
    ["a repeated pseudo-header field", [...GET, ":path", "/"], "bad_pseudo_field"],
    ["a pseudo-header field twice at once", [":path", "/x", ...GET], "bad_pseudo_field"],
    ["an unknown pseudo-header field", [":protocol", "websocket", ...GET], "bad_pseudo_field"],
    ["a pseudo-header field after others", ["a", "b", ...GET], "bad_pseudo_field"],
    ["CONNECT with a path", [...CONNECT, ":path", "/"], "bad_pseudo_field"],
    ["CONNECT to nobody", CONNECT.slice(0, 2), "missing_host"],
    ["a scheme that is not of the web", instead(":scheme", "ftp"), "unsupported_scheme"],
    ["a star without OPTIONS", instead(":path", "*"), "bad_target_form"],
    ["a path without a slash", instead(":path", "x"), "bad_target_form"],
  ]),
  ...cases(FIELDS, [
    ["an upper-case name", [...GET, "X-A", "1"], "bad_field_name"],
    ["a name with a line end", [...GET, "a\r\nb", "1"], "bad_field_name"],
    ["a name with a colon", [...GET, "a:b", "1"], "bad_field_name"],
    ["a value with a line end", [...GET, "a", "1\r\nhost: b"], "bad_field_value"],
    ["a value with a blank at its end", [...GET, "a", "1 "], "bad_field_value"],
    ["a value with a blank before it", [...GET, "a", " 1"], "bad_field_value"],
    ["a value with a tab at its end", [...GET, "a", "1\t"], "bad_field_value"],
    ["a value of one blank", [...GET, "a", " "], "bad_field_value"],
  ]),
  ...cases("RFC 9113 8.2.2", [
    ["Connection", [...GET, "connection", "close"], "connection_field"],
    ["TE other than trailers", [...GET, "te", "gzip"], "connection_field"],
  ]),
  ...cases(DOWNGRADE, [
    ["Transfer-Encoding", [...GET, "transfer-encoding", "chunked"], "connection_field"],
    ["a Host that says otherwise", [...GET, "host", "b.test"], "conflicting_host"],
    ["two Hosts", [...without(":authority"), "host", "a.test", "host", "a.test"], "repeated_host"],
    ["an authority that is none", instead(":authority", "a b"), "bad_host"],
    ["an authority without a name", instead(":authority", ":80"), "empty_host"],
    ["a path with a blank", instead(":path", "/ HTTP/1.1"), "bad_target"],
    ["a path with a line end", instead(":path", "/\r\na: b"), "bad_target"],
    ["an empty path", instead(":path", ""), "bad_target"],
    ["a method with a blank", instead(":method", "GET /x"), "bad_method"],
  ]),
  ...cases("RFC 9113 8.1.1", [
    ["a length with no body", [...GET, "content-length", "5"], "wrong_content_length"],
    ["a length that is no number", [...GET, "content-length", "5x"], "bad_content_length"],
    [
      "a repeated length",
      [...GET, "content-length", "0", "content-length", "0"],
      "repeated_content_length",
    ],
  ]),
  ...cases("RFC 9110 10.1.1", [
    ["an expectation that is unknown", [...GET, "expect", "more"], "unsupported_expectation"],
    [
      "an unknown expectation behind a known one",
      [...GET, "expect", "100-continue", "expect", "more"],
      "unsupported_expectation",
    ],
  ]),
  ...cases(LIMIT, [
    ["very many fields", [...GET, ...Array<string>(2_000).fill("a")], "too_many_fields"],
    ["one field too many", [...GET, ...Array<string>(2 * 129).fill("a")], "too_many_fields"],
    ["a value that is too long", [...GET, "a", "b".repeat(70_000)], "head_too_large"],
    ["a method that is too long", instead(":method", "A".repeat(100)), "method_too_long"],
    ["a path that is too long", instead(":path", `/${"a".repeat(40_000)}`), "target_too_long"],
  ]),
  ...[
    { name: "a pseudo-header field", fields: [":path", "/"], want: "bad_pseudo_field" },
    { name: "Host", fields: ["host", "b.test"], want: "forbidden_trailer" },
    { name: "129 fields", fields: Array<string>(2 * 129).fill("a"), want: "too_many_fields" },
  ].map((one) => ({ ...one, clause: "RFC 9113 8.1, trailers", of: "trailers" as const })),
  ...RESPONSES,
];
