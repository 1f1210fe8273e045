//! Requests of HTTP/2 whose fields are legal, unusual or wrong, as raw frames.

import {
  END_STREAM,
  dataFrame,
  headersFrame,
  type FieldList,
} from "../../src/dataplane/testing/http2-frames.ts";
import {
  ENDED,
  GET,
  OPEN,
  refusedOf,
  fieldsWith,
  framesOf,
  get,
  getWith,
  withBody,
  withTrailers,
  type FrameCase,
  type FrameRow,
} from "./http2-frame-case.ts";
import { char, hex } from "./http-case.ts";

const CONNECT: FieldList = [
  [":method", "CONNECT"],
  [":authority", "a.test:443"],
];
/** A second request, for a server that reads on where we do not. */
const HIDDEN = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";
const END_OF_LINE = 10;
const LINE_BYTES = [0, END_OF_LINE, 13];
/** No token has them (RFC 9110 section 5.6.2). */
const NOT_IN_NAMES = [
  ...[0, 1, 9, END_OF_LINE, 13, 0x1f, 0x20, 0x7f, 0x80, 0xff],
  ...Array.from('"(,/;=@[{', (text) => text.charCodeAt(0)),
];
const CONTROLS = [0, 1, 8, END_OF_LINE, 11, 13, 0x1f, 0x7f];
const PSEUDO_NAMES = [":method", ":scheme", ":path"];

const LEGAL: readonly FrameCase[] = [
  ...framesOf("8.3.1", [
    ["a plain GET", get(), 1, { upstream: /^GET \/ HTTP\/1\.1\r\n/ }],
    ["pseudo-header fields in another order", headersFrame([...GET].reverse()), 1],
    ["a query", getWith(":path", "/a?b=c&d=%20"), 1, { upstream: /^GET \/a\?b=c&d=%20 / }],
    ["an authority with a port", getWith(":authority", "a.test:8080"), 1],
    ["an IPv6 authority", getWith(":authority", "[::1]:80"), 1],
    [
      "Host without :authority",
      headersFrame([...fieldsWith(":authority", null), ["host", "a"]]),
      1,
    ],
    ["Host beside an equal :authority", get(["host", "a.test"]), 1],
    ["https as the scheme", getWith(":scheme", "https"), 1],
    [
      "OPTIONS with an asterisk",
      headersFrame([...fieldsWith(":method", "OPTIONS").slice(0, 3), [":path", "*"]]),
      1,
    ],
    ["an unknown method", getWith(":method", "BREW"), 1, { upstream: /^BREW / }],
    ["a method in lower case stays so", getWith(":method", "get"), 1, { upstream: /^get / }],
  ]),
  ...framesOf("8.2", [
    ["an empty value", get(["a", ""]), 1],
    ["a blank and a tab inside a value", get(["a", "b c\td"]), 1],
    ["bytes over 0x7f in a value", get(["a", "\xe4\xff"]), 1],
    ["a name of token symbols", get(["!#$%&'*+-.^_`|~1", "b"]), 1],
    ["two fields of one name", get(["a", "1"], ["a", "2"]), 1],
    ["TE: trailers", get(["te", "trailers"]), 1],
    [
      "Cookie in pieces becomes one field",
      get(["cookie", "a=1"], ["cookie", "b=2"]),
      1,
      { upstream: /\r\ncookie: a=1; b=2\r\n/i },
    ],
    ["128 fields less those of the way", get(...fill(100)), 1],
    ["a value of 8 KiB", get(["a", "b".repeat(8_192)]), 1],
  ]),
  ...framesOf("8.1", [
    ["a POST with DATA and no length", withBody("POST", [], "abc"), 1],
    ["a POST with its length", withBody("POST", [["content-length", "3"]], "abc"), 1],
    ["a length of zero", get(["content-length", "0"]), 1],
    ["a POST without DATA", getWith(":method", "POST"), 1],
    ["a POST whose DATA is empty", withBody("POST", [], ""), 1],
    ["a POST with its length in two DATA frames", inTwo("POST"), 1],
    ["trailers", withTrailers(["x-sum", "1"]), 1, { upstream: /\r\nx-sum: 1\r\n/i }],
    ["trailers without fields", withTrailers(), 1],
    ["an expectation", withBody("POST", [["expect", "100-continue"]], "abc"), 1],
  ]),
  ...framesOf(
    "downgrade",
    ["GET", "HEAD", "DELETE", "OPTIONS", "POST"].flatMap((method): FrameRow[] => [
      [`${method} with a request as DATA and no length`, withBody(method, [], HIDDEN), 1],
      [
        `${method} with a request as DATA of that length`,
        withBody(method, [["content-length", String(HIDDEN.length)]], HIDDEN),
        1,
      ],
      [`${method} with DATA that ends chunks`, withBody(method, [], `0\r\n\r\n${HIDDEN}`), 1],
    ]),
  ),
];

function fill(count: number): FieldList {
  return Array.from({ length: count }, (_none, index) => [`x-${index}`, "1"] as const);
}

function inTwo(method: string): Buffer {
  const head = [...fieldsWith(":method", method), ["content-length", "6"] as const];
  return Buffer.concat([headersFrame(head, OPEN), dataFrame("abc", OPEN), dataFrame("def")]);
}

const PSEUDO: readonly FrameCase[] = [
  ...framesOf("8.3.1", [
    ...PSEUDO_NAMES.flatMap((name): FrameRow[] => [
      [`no ${name}`, getWith(name, null), "refuse"],
      [`an empty ${name}`, getWith(name, ""), "refuse"],
    ]),
    ["neither :authority nor Host", getWith(":authority", null), "refuse"],
    ["an empty :authority", getWith(":authority", ""), "refuse"],
    ["an authority with user information", getWith(":authority", "u:p@a.test"), "refuse"],
    ["a Host that differs from :authority", get(["host", "b.test"]), "refuse"],
    ["letters in the port", getWith(":authority", "a.test:8a"), "refuse"],
    ["a port over 65535 digits of it", getWith(":authority", "a.test:99999999"), "refuse"],
    ["an authority with a blank", getWith(":authority", "a b"), "refuse"],
    ["an authority with a slash", getWith(":authority", "a.test/x"), "refuse"],
    ["an authority with a byte over 0x7f", getWith(":authority", "\xe4.test"), "refuse"],
    ["an authority without a name", getWith(":authority", ":80"), "refuse"],
    ["an unclosed IPv6 authority", getWith(":authority", "[::1"), "refuse"],
    ["a path without a slash", getWith(":path", "x"), "refuse"],
    ["a path of a whole URI", getWith(":path", "http://b.test/"), "refuse"],
    ["an asterisk without OPTIONS", getWith(":path", "*"), "refuse"],
    ["a path with a fragment", getWith(":path", "/a#b"), "refuse"],
    ["a scheme with a blank", getWith(":scheme", "ht tp"), "refuse"],
    ["a scheme that is not of the web", getWith(":scheme", "ftp"), "refuse"],
    ["a method with a blank", getWith(":method", "GET /x"), "refuse"],
    ["a method with a byte over 0x7f", getWith(":method", "G\xe4T"), "refuse"],
  ]),
  ...framesOf("8.3", [
    ...[...PSEUDO_NAMES, ":authority"].map((name): FrameRow => {
      const field = GET.find(([own]) => own === name) ?? ["", ""];
      return [`${name} twice`, headersFrame([...GET, field]), "refuse"];
    }),
    ["a pseudo-header field after others", headersFrame([["a", "b"], ...GET]), "refuse"],
    ["one of them late", headersFrame([...GET.slice(1), ["a", "b"], [":method", "GET"]]), "refuse"],
    ["an unknown pseudo-header field", headersFrame([...GET, [":x", "1"]]), "refuse"],
    ["the pseudo-header field of responses", headersFrame([...GET, [":status", "200"]]), "refuse"],
    [
      "a pseudo-header field in upper case",
      headersFrame([[":Method", "GET"], ...GET.slice(1)]),
      "refuse",
    ],
    ["a colon alone as a name", headersFrame([...GET, [":", "1"]]), "refuse"],
  ]),
  ...framesOf("8.5", [
    ["CONNECT, which nobody has allowed", headersFrame(CONNECT, OPEN), "refuse"],
    ["CONNECT with a path", headersFrame([...CONNECT, [":path", "/"]], OPEN), "refuse"],
    ["CONNECT with a scheme", headersFrame([...CONNECT, [":scheme", "http"]], OPEN), "refuse"],
    ["CONNECT to nobody", headersFrame(CONNECT.slice(0, 1), OPEN), "refuse"],
  ]),
  ...framesOf("8441 4", [
    [
      "extended CONNECT that was not offered",
      headersFrame([...fieldsWith(":method", "CONNECT"), [":protocol", "websocket"]], OPEN),
      "refuse",
    ],
    [":protocol with GET", headersFrame([...GET, [":protocol", "websocket"]]), "refuse"],
  ]),
];

const FIELDS: readonly FrameCase[] = [
  ...framesOf("8.2.1", [
    ["a name in upper case", get(["X-A", "1"]), "refuse"],
    ["one letter in upper case", get(["x-A", "1"]), "refuse"],
  ]),
  ...refusedOf("8.2.1", [
    ["an empty name", get(["", "1"])],
    ["a colon in a name", get(["a:b", "1"])],
    ...NOT_IN_NAMES.map(
      (byte) => [`${hex(byte)} in a name`, get([`a${char(byte)}b`, "1"])] as const,
    ),
    ...CONTROLS.map((byte) => [`${hex(byte)} in a value`, get(["a", `b${char(byte)}c`])] as const),
    ...LINE_BYTES.map(
      (byte) => [`${hex(byte)} ends a value`, get(["a", `b${char(byte)}`])] as const,
    ),
    ["a blank before a value", get(["a", " b"])],
    ["a blank after a value", get(["a", "b "])],
    ["a tab before a value", get(["a", "\tb"])],
    ["a tab after a value", get(["a", "b\t"])],
    ["a value of one blank", get(["a", " "])],
  ]),
  ...framesOf("8.2.2", [
    ...["connection", "keep-alive", "proxy-connection", "upgrade"].map((name): FrameRow => [
      name,
      get([name, name === "upgrade" ? "h2c" : "close"]),
      "refuse",
    ]),
    ["transfer-encoding", withBody("POST", [["transfer-encoding", "chunked"]], "abc"), "refuse"],
    ["TE: gzip", get(["te", "gzip"]), "refuse"],
    ["TE: trailers and more", get(["te", "trailers, gzip"]), "refuse"],
  ]),
  ...framesOf("8.1.1", [
    ["a length and no body", get(["content-length", "5"]), "refuse"],
    [
      "a body shorter than its length",
      withBody("POST", [["content-length", "5"]], "abc"),
      "refuse",
    ],
    ["a body longer than its length", withBody("POST", [["content-length", "2"]], "abc"), "refuse"],
    [
      "a body after a length of zero",
      withBody("POST", [["content-length", "0"]], HIDDEN),
      "refuse",
    ],
    ["two lengths", withBody("POST", lengths("3", "5"), "abc"), "refuse"],
    ["two equal lengths", withBody("POST", lengths("3", "3"), "abc"), "refuse"],
    ...["", "3, 3", "+3", "-3", "0x3", "3.0", "3a", "18446744073709551619"].map(
      (text): FrameRow => [
        `the length "${text}"`,
        withBody("POST", [["content-length", text]], "abc"),
        "refuse",
      ],
    ),
    ["trailers before the length is reached", shortWithTrailers(), "refuse"],
  ]),
  ...refusedOf("8.1.1", [['the length " 3"', withBody("POST", [["content-length", " 3"]], "abc")]]),
  ...framesOf("8.1, trailers", [
    ["a pseudo-header field", withTrailers([":path", "/b"]), "refuse"],
    [":status", withTrailers([":status", "200"]), "refuse"],
    ["a name in upper case", withTrailers(["X-A", "1"]), "refuse"],
    ["Connection", withTrailers(["connection", "close"]), "refuse"],
    ["Transfer-Encoding", withTrailers(["transfer-encoding", "chunked"]), "refuse"],
    ["Content-Length", withTrailers(["content-length", "3"]), "refuse"],
    ["Host", withTrailers(["host", "b.test"]), "refuse"],
    ["TE", withTrailers(["te", "trailers"]), "refuse"],
    ["trailers that do not end the stream", openTrailers(), "refuse"],
  ]),
  ...framesOf("9110 10.1.1", [["an unknown expectation", get(["expect", "more"]), "refuse"]]),
];

function lengths(...texts: readonly string[]): FieldList {
  return texts.map((text) => ["content-length", text] as const);
}

function shortWithTrailers(): Buffer {
  const head = [...fieldsWith(":method", "POST"), ["content-length", "5"] as const];
  const parts = [
    headersFrame(head, OPEN),
    dataFrame("abc", OPEN),
    headersFrame([["x", "1"]], ENDED),
  ];
  return Buffer.concat(parts);
}

function openTrailers(): Buffer {
  const head = headersFrame(fieldsWith(":method", "POST"), OPEN);
  return Buffer.concat([head, dataFrame("abc", OPEN), headersFrame([["x-sum", "1"]], OPEN)]);
}

const LINES = "/ HTTP/1.1\r\nHost: a.test\r\n\r\nGET /hidden";
/** What would become two messages, or another one, when it is written as HTTP/1.1. */
const DOWNGRADE: readonly FrameCase[] = [
  ...framesOf("downgrade", [
    ["a request in :path", getWith(":path", LINES), "refuse"],
    ["a request in :method", getWith(":method", `GET ${LINES}`), "refuse"],
    ["a request in :authority", getWith(":authority", `a.test\r\n\r\n${HIDDEN}`), "refuse"],
    ["a request in :scheme", getWith(":scheme", `http://a.test${LINES}`), "refuse"],
    ["a request in a name", get([`a: b\r\n\r\n${HIDDEN}x`, "1"]), "refuse"],
    ["a blank in :path", getWith(":path", "/a b"), "refuse"],
    ["a version in :path", getWith(":path", "/ HTTP/1.0"), "refuse"],
    ["a tab in :path", getWith(":path", "/a\tb"), "refuse"],
    ...[0, 1, END_OF_LINE, 13, 0x7f, 0x80, 0xff].map((byte): FrameRow => [
      `${hex(byte)} in :path`,
      getWith(":path", `/${char(byte)}`),
      "refuse",
    ]),
    ...[0, END_OF_LINE, 13].map((byte): FrameRow => [
      `${hex(byte)} in :authority`,
      getWith(":authority", `a${char(byte)}.test`),
      "refuse",
    ]),
    [
      "two Hosts",
      headersFrame([...fieldsWith(":authority", null), ["host", "a.test"], ["host", "b.test"]]),
      "refuse",
    ],
  ]),
  ...refusedOf("downgrade", [
    ["a request in a value", get(["a", `b\r\n\r\n${HIDDEN}`])],
    ["Transfer-Encoding in a value", get(["a", "b\r\ntransfer-encoding: chunked"])],
    ["Transfer-Encoding in a name", get(["transfer-encoding: chunked\r\nx", "1"])],
    ["a name that ends in a colon", get(["transfer-encoding:", "chunked"])],
    ["a name that ends in a blank", get(["transfer-encoding ", "chunked"])],
  ]),
  ...framesOf("limit", [
    ["129 fields", get(...fill(129)), "refuse"],
    ["2,000 fields", get(...fill(2_000)), "refuse"],
    ["a value of 70,000 bytes", get(["a", "b".repeat(70_000)]), "refuse"],
    ["a path of 40,000 bytes", getWith(":path", `/${"a".repeat(40_000)}`), "refuse"],
    ["a method of 100 bytes", getWith(":method", "A".repeat(100)), "refuse"],
    [
      "129 trailers",
      Buffer.concat([
        headersFrame(fieldsWith(":method", "POST"), OPEN),
        headersFrame(fill(129), { flags: END_STREAM }),
      ]),
      "refuse",
    ],
  ]),
];

export const FIELD_CASES: readonly FrameCase[] = [...LEGAL, ...PSEUDO, ...FIELDS, ...DOWNGRADE];
