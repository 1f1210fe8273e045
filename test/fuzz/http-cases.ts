//! Raw HTTP/1.1 requests and responses, legal and hostile, each with the clause that it stands for.
//! Text is Latin-1. `want` is the code of the fault, or what is read from the message.

import type { HttpFaultCode } from "../../src/http/fault.ts";
import { char, chunked, get, hex, HOST, host, post, target } from "./http-case.ts";
import type { HttpCase, Row } from "./http-case.ts";
import { LEGAL } from "./http-legal-cases.ts";

const CONTROLS: readonly number[] = [
  ...Array.from({ length: 32 }, (_unused, byte) => byte).filter(
    (byte) => byte !== 9 && byte !== 10 && byte !== 13,
  ),
  0x7f,
];
const DELIMITERS = Array.from('"(),/:;<=>?@[\\]{}');

const HOSTILE: readonly Row[] = [
  ["9112 2.2", "two empty lines before the request", `\r\n\r\n${get("")}`, "extra_empty_line"],
  ["9112 2.2", "an empty line of LF", `\n${get("")}`, "bare_lf"],
  ["9112 2.2", "a CR before the request", `\r${get("")}`, "bare_cr"],
  ["9112 2.2", "a space before the request", ` ${get("")}`, "bad_method"],
  ["5246", "a TLS hello", "\x16\x03\x01\x02\x00\x01", "bad_method"],
  ["9113 3.4", "the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version"],
  ["9112 3", "HTTP/0.9", "GET /\r\n", "bad_request_line"],
  ["9112 3", "no target", "GET HTTP/1.1\r\n\r\n", "bad_request_line"],
  ["9112 3", "an empty target", "GET  HTTP/1.1\r\n\r\n", "bad_request_line"],
  ["9112 3", "two spaces before the target", "GET  / HTTP/1.1\r\n\r\n", "bad_request_line"],
  ["9112 3", "two spaces before the version", "GET /  HTTP/1.1\r\n\r\n", "bad_request_line"],
  ["9112 3", "a space after the version", "GET / HTTP/1.1 \r\n\r\n", "bad_request_line"],
  ["9112 3", "tabs for spaces", "GET\t/\tHTTP/1.1\r\n\r\n", "bad_method"],
  ["9112 3", "a tab before the version", "GET /\tHTTP/1.1\r\n\r\n", "bad_target"],
  ["9112 3", "a long method", target("/", "M".repeat(33)), "method_too_long"],
  ["9112 2.3", "a version in lower case", "GET / http/1.1\r\n\r\n", "bad_request_line"],
  ["9112 2.3", "another protocol", "GET / ICE/1.1\r\n\r\n", "bad_request_line"],
  ["9112 2.3", "a short version", "GET / HTTP/1\r\n\r\n", "bad_request_line"],
  ["9112 2.3", "a long version", "GET / HTTP/1.10\r\n\r\n", "bad_request_line"],
  ["9112 2.3", "a version with a comma", "GET / HTTP/1,1\r\n\r\n", "bad_request_line"],
  ["9112 2.3", "HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "unsupported_version"],
  ["9112 2.3", "HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "unsupported_version"],
  ["9112 2.3", "HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "unsupported_version"],
  ["9112 2.2", "a request line that ends in LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", "bare_lf"],
  [
    "9112 2.2",
    "a request line with CR CR LF",
    "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
    "bad_request_line",
  ],
  ["9112 2.2", "a field line that ends in LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", "bare_lf"],
  ["9112 2.2", "a head that ends in LF", "GET / HTTP/1.1\r\nHost: a\r\n\n", "bare_lf"],
  ["9112 2.2", "a CR in a value", get("X-A: a\rb\r\n"), "bare_cr"],
  ["9112 2.2", "a CR before CR LF", get("X-A: a\r\r\n"), "bare_cr"],
  ["9112 2.2", "a CR in a name", get("X\rA: a\r\n"), "bad_field_name"],
  ["9112 2.2", "a CR that hides a field", get("X-A: a\rContent-Length: 9\r\n"), "bare_cr"],
  ["9112 2.2", "an empty line of CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "bare_cr"],
  ["9112 5.2", "line folding with a space", get("X-A: a\r\n b\r\n"), "line_folding"],
  ["9112 5.2", "line folding with a tab", get("X-A: a\r\n\tb\r\n"), "line_folding"],
  [
    "9112 2.2",
    "white space before the first field",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "line_folding",
  ],
  ["9112 5.1", "a space before the colon", get("X-A : a\r\n"), "space_before_colon"],
  ["9112 5.1", "a tab before the colon", get("Content-Length\t: 3\r\n"), "space_before_colon"],
  ["9112 5", "a field line without a colon", get("X-A\r\n"), "bad_field_name"],
  ["9112 5", "an empty name", get(": a\r\n"), "bad_field_name"],
  ["9110 5.1", "a name over 0x7f", get("X-\xe9: a\r\n"), "bad_field_name"],
  ["9112 3.2", "no Host", "GET / HTTP/1.1\r\nX-A: 1\r\n\r\n", "missing_host"],
  ["9112 3.2", "no fields at all", "GET / HTTP/1.1\r\n\r\n", "missing_host"],
  ["9112 3.2", "no Host beside absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n", "missing_host"],
  ["9112 3.2", "two Hosts", get("Host: b.test\r\n"), "repeated_host"],
  ["9112 3.2", "two equal Hosts", get("host: a.test\r\n"), "repeated_host"],
  [
    "9112 3.2",
    "two Hosts in HTTP/1.0",
    "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    "repeated_host",
  ],
  ["9110 4.2.1", "an empty Host", host(""), "empty_host"],
  ["9110 4.2.1", "a Host of blanks", host(" \t"), "empty_host"],
  ["9110 4.2.1", "a port without a host", host(" :80"), "empty_host"],
  ["9110 4.2.1", "an empty Host beside *", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "empty_host"],
  [
    "9112 3.2.2",
    "a bad Host beside absolute-form",
    "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    "bad_host",
  ],
  ["9112 3.2.1", "a target without a slash", target("a/b"), "bad_target_form"],
  ["9112 3.2.1", "a fragment", target("/a#b"), "bad_target"],
  ["9112 3.2.4", "GET with an asterisk", target("*"), "bad_target_form"],
  ["9112 3.2.4", "an asterisk and more", target("*/a", "OPTIONS"), "bad_target_form"],
  ["9112 3.2.2", "another scheme", target("ftp://a/"), "unsupported_scheme"],
  ["9112 3.2.2", "a scheme without slashes", target("http:a"), "bad_target_form"],
  ["9110 4.2.1", "absolute-form without a host", target("http:///a"), "bad_target"],
  ["9110 4.2.1", "absolute-form with a port only", target("http://:80/a"), "bad_target"],
  ["9110 4.2.4", "absolute-form with a user", target("http://u@a/"), "bad_target"],
  ["9110 4.2.4", "a user and a password", target("http://u:p@a/"), "bad_target"],
  ["3986 3.2.3", "absolute-form with a bad port", target("http://a:8x/"), "bad_target"],
  ["9112 3.2.3", "authority-form for GET", target("a.test:80"), "bad_target_form"],
  ["9110 9.3.6", "CONNECT without a port", target("b.test", "CONNECT"), "bad_target_form"],
  ["9110 9.3.6", "CONNECT with an empty port", target("b.test:", "CONNECT"), "bad_target_form"],
  ["9110 9.3.6", "CONNECT with a path", target("/a", "CONNECT"), "bad_target_form"],
  ["9110 9.3.6", "CONNECT without a host", target(":80", "CONNECT"), "bad_target_form"],
  ["9110 9.3.6", "CONNECT with a URI", target("http://a:80/", "CONNECT"), "bad_target_form"],
  [
    "9110 9.3.6",
    "CONNECT with a body",
    `CONNECT a:80 HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nab`,
    "connect_with_body",
  ],
  ["9110 10.1.1", "another expectation", get("Expect: 200-ok\r\n"), "unsupported_expectation"],
  [
    "9110 10.1.1",
    "two expectations",
    get("Expect: 100-continue, x\r\n"),
    "unsupported_expectation",
  ],
  ["9110 7.6.1", "a Connection that is no list", get("Connection: a b\r\n"), "bad_connection"],
  ["9110 7.6.1", "one with a parameter", get("Connection: close;x\r\n"), "bad_connection"],
  [
    "9112 6.1",
    "both framings",
    post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    "conflicting_length",
  ],
  [
    "9112 6.1",
    "both, the other way round",
    post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"),
    "conflicting_length",
  ],
  [
    "9112 6.1",
    "a length beside an empty coding",
    post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "12345"),
    "conflicting_length",
  ],
  [
    "9112 6.1",
    "a coding in HTTP/1.0",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer_encoding_in_http10",
  ],
  [
    "9112 6.3",
    "two lengths",
    post("Content-Length: 1\r\nContent-Length: 2\r\n"),
    "repeated_content_length",
  ],
  [
    "9112 6.3",
    "two equal lengths",
    post("Content-Length: 1\r\ncontent-length: 1\r\n"),
    "repeated_content_length",
  ],
];

const BAD_LENGTHS = [
  ...[
    "",
    "5, 5",
    "5,5",
    "+5",
    "-5",
    "5.0",
    "0x5",
    "5 5",
    "5;",
    "a",
    "1e3",
    "٥",
    "5\t5",
    ",5",
    "5,",
  ],
  ...["9007199254740993", "18446744073709551621", "9".repeat(400), "\xb2", "'5'", '"5"'],
];

const BAD_CODINGS = [
  ...["", "identity", "chunked, chunked", "chunked,", ", chunked", "chunked, gzip", "xchunked"],
  ...[
    "gzip",
    "chunked;q=1",
    "chunked chunked",
    '"chunked"',
    "chunked, identity",
    "identity, chunked",
  ],
  ...[
    "\x0bchunked".slice(1) + "x",
    "chunke",
    "chunked;",
    "gzip chunked",
    "chunked\xa0",
    "\xa0chunked",
  ],
];

const BAD_HOSTS = [
  ...["a b", "a/b", "a?b", "a#b", "u@a", "a:b", "a:80:80", "a:65536", "a:99999999999", "a:-1"],
  ...["a:+1", "a: 80", "a :80", "a,b", "a\tb", "a\\b", "[::1", "::1", "[::1]a", "[::1]:x", "[]"],
  ...["[::1%eth0]", "[1.2.3.4]", "[g::1]", "a[::1]", "%", "%4", "%zz", "a%2", "<a>", 'a"b', "a|b"],
  ...["a^b", "{a}", "`a`", "a\xe9", "http://a", "a.test/", "[v1.]", "[vx.a]", "[::1]]", "a]"],
].filter((value) => value !== "a,b");

const GOOD_HOSTS = [
  ...["a", "a.test", "A.Test", "a.test.", "a:", "a:0", "a:80", "a:65535", "a:00080", "1.2.3.4"],
  ...["1.2.3.4:80", "[::1]", "[::1]:8080", "[::ffff:1.2.3.4]", "[v1.a:b]", "xn--4ca.test", "a_b"],
  ...["a-b", "a~b", "a%41", "a%41:80", "a!$&'()*+;=b", "a,b", "999.999"],
];

const BAD_CHUNKS: readonly (readonly [string, HttpFaultCode])[] = [
  ["\r\n\r\n", "bad_chunk_size"],
  ["g\r\n", "bad_chunk_size"],
  [" 1\r\nx\r\n", "bad_chunk_size"],
  ["+1\r\nx\r\n", "bad_chunk_size"],
  ["-1\r\nx\r\n", "bad_chunk_size"],
  ["0x1\r\nx\r\n", "bad_chunk_size"],
  ["1_0\r\nx\r\n", "bad_chunk_size"],
  ["1,\r\nx\r\n", "bad_chunk_size"],
  [";a\r\nx\r\n", "bad_chunk_size"],
  ["\x001\r\nx\r\n", "bad_chunk_size"],
  ["20000000000000\r\n", "bad_chunk_size"],
  ["ffffffffffffffff\r\n", "bad_chunk_size"],
  ["10000000000000001\r\n", "bad_chunk_size"],
  ["f".repeat(400) + "\r\n", "bad_chunk_size"],
  ["0".repeat(600), "chunk_line_too_long"],
  [`1;a=${"b".repeat(600)}`, "chunk_line_too_long"],
  ["1\nx\r\n", "bare_lf"],
  ["1\rx\r\n", "bare_cr"],
  ["1\r\r\nx\r\n", "bare_cr"],
  ["1;a\nx\r\n", "bare_lf"],
  ["1;a=b\nx\r\n", "bare_lf"],
  ["1;a\rx\r\n", "bare_cr"],
  ["1 \r\nx\r\n", "bad_chunk_extension"],
  ["1\t\r\nx\r\n", "bad_chunk_extension"],
  ["1;\r\nx\r\n", "bad_chunk_extension"],
  ["1;;a\r\nx\r\n", "bad_chunk_extension"],
  ["1;=b\r\nx\r\n", "bad_chunk_extension"],
  ["1;a=\r\nx\r\n", "bad_chunk_extension"],
  ["1;a b\r\nx\r\n", "bad_chunk_extension"],
  ["1;a \r\nx\r\n", "bad_chunk_extension"],
  ['1;a="b\r\nx\r\n', "bad_chunk_extension"],
  ['1;a="b"c\r\nx\r\n', "bad_chunk_extension"],
  ['1;a="b\\\r\nx\r\n', "bad_chunk_extension"],
  ["1;a=\x00\r\nx\r\n", "bad_chunk_extension"],
  ["1 a\r\nx\r\n", "bad_chunk_extension"],
  ["1\r\nx0\r\n\r\n", "bad_chunk_end"],
  ["1\r\nxy\r\n0\r\n\r\n", "bad_chunk_end"],
  ["1\r\nxy\n0\r\n\r\n", "bad_chunk_end"],
  [`1;a=${"b".repeat(500)}\r\nx\r\n`.repeat(40), "chunk_extensions_too_large"],
  ["1\r\nx\n0\r\n\r\n", "bad_chunk_end"],
  ["1\r\nx\r0\r\n\r\n", "bad_chunk_end"],
  ["2\r\nx\r\n0\r\n\r\n", "bad_chunk_end"],
  ["0\r\nX-A: a\n\r\n", "bare_lf"],
  ["0\r\n\n", "bare_lf"],
  ["0\r\nX-A : a\r\n\r\n", "space_before_colon"],
  ["0\r\n X-A: a\r\n\r\n", "line_folding"],
  ["0\r\nX-A: a\r\n b\r\n\r\n", "line_folding"],
  ["0\r\nX-A\r\n\r\n", "bad_field_name"],
  ["0\r\nX-A: \x00\r\n\r\n", "bad_field_value"],
  ["0\r\nGET / HTTP/1.1\r\n\r\n", "space_before_colon"],
  ["0\r\n" + "X-A: 1\r\n".repeat(129) + "\r\n", "too_many_fields"],
  ["0\r\nX-A: " + "a".repeat(9000) + "\r\n\r\n", "trailers_too_large"],
];

const FORBIDDEN_TRAILERS = [
  ...["Host", "Content-Length", "transfer-encoding", "Trailer", "Connection", "TE", "Upgrade"],
  ...["Authorization", "Cookie", "Set-Cookie", "Content-Type", "Content-Encoding", "Expect"],
  ...["Cache-Control", "Max-Forwards", "Content-Range", "Proxy-Authorization", "Keep-Alive"],
];

const LARGE: readonly Row[] = [
  ["limit", "128 fields", get("X-A: 1\r\n".repeat(127)), [{ method: "GET" }]],
  ["limit", "129 fields", get("X-A: 1\r\n".repeat(128)), "too_many_fields"],
  ["limit", "a target of 16 KiB", target("/" + "a".repeat(16_383)), [{ method: "GET" }]],
  ["limit", "a target over 16 KiB", target("/" + "a".repeat(16_384)), "target_too_long"],
  ["limit", "a target without an end", "GET /" + "a".repeat(17_000), "target_too_long"],
  ["limit", "a head over 64 KiB", get(`X-A: ${"a".repeat(66_000)}\r\n`), "head_too_large"],
  [
    "limit",
    "a head without an end",
    `GET / HTTP/1.1\r\nX: ${"a".repeat(66_000)}`,
    "head_too_large",
  ],
];

const GENERATED: readonly Row[] = [
  ...BAD_LENGTHS.map((value): Row => {
    const latin1 = Buffer.from(value, "utf8").toString("latin1");
    return [
      "9110 8.6",
      `length ${value}`,
      post(`Content-Length: ${latin1}\r\n`),
      "bad_content_length",
    ];
  }),
  ...BAD_CODINGS.map((value): Row => {
    return [
      "9112 6.1",
      `coding ${value}`,
      post(`Transfer-Encoding: ${value}\r\n`),
      "bad_transfer_encoding",
    ];
  }),
  ...["gzip, chunked", "gzip,chunked", "x;a=b, chunked", "deflate, gzip, Chunked"].map(
    (value): Row => {
      const raw = post(`Transfer-Encoding: ${value}\r\n`);
      return ["9112 6.1", `coding ${value}`, raw, "unsupported_transfer_coding"];
    },
  ),
  ...BAD_HOSTS.map((value): Row => ["9112 3.2", `Host ${value}`, host(` ${value}`), "bad_host"]),
  ...GOOD_HOSTS.map((value): Row => {
    return ["9112 3.2", `Host ${value}`, host(` ${value}`), [{ authority: value }]];
  }),
  ...BAD_CHUNKS.map(([body, code]): Row => {
    return ["9112 7.1", `chunks ${JSON.stringify(body.slice(0, 40))}`, chunked(body), code];
  }),
  ...FORBIDDEN_TRAILERS.map((name): Row => {
    return [
      "9110 6.5.1",
      `trailer ${name}`,
      chunked(`0\r\n${name}: 1\r\n\r\n`),
      "forbidden_trailer",
    ];
  }),
  ...CONTROLS.flatMap((byte): Row[] => [
    ["9110 5.5", `${hex(byte)} in a value`, get(`X-A: a${char(byte)}b\r\n`), "bad_field_value"],
    ["9110 5.1", `${hex(byte)} in a name`, get(`X${char(byte)}A: b\r\n`), "bad_field_name"],
    ["9112 3.2", `${hex(byte)} in a target`, target(`/a${char(byte)}`), "bad_target"],
    ["9112 3.1", `${hex(byte)} in a method`, target("/", `G${char(byte)}T`), "bad_method"],
  ]),
  ...[0x80, 0xa0, 0xc3, 0xff].map((byte): Row => {
    return ["3986 2", `${hex(byte)} in a target`, target(`/a${char(byte)}`), "bad_target"];
  }),
  ...DELIMITERS.flatMap((mark): Row[] => [
    ["9110 5.6.2", `${mark} in a method`, target("/", `G${mark}T`), "bad_method"],
    ...(mark === ":"
      ? []
      : [["9110 5.6.2", `${mark} in a name`, get(`X${mark}A: b\r\n`), "bad_field_name"] as const]),
  ]),
];

export const REQUEST_CASES: readonly HttpCase[] = [
  ...LEGAL,
  ...HOSTILE,
  ...GENERATED,
  ...LARGE,
].map(([clause, name, raw, want]) => ({ clause, name, raw, want }));
