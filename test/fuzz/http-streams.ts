//! Byte streams of one connection for the differential fuzzer: legal and hostile requests one after
//! the other, made from the raw cases and from a grammar that leans on what frames a message, then
//! edited. Each ends in a plain request: where a message was taken to end elsewhere, it is read
//! otherwise.

import fc from "fast-check";
import { REQUEST_CASES } from "./http-cases.ts";

/** Longer cases stand for limits, and would fill the streams. */
const CASE_BYTES_MAX = 400;

/** The last request of each stream. */
export const CANARY =
  "GET /canary HTTP/1.1\r\nHost: canary.test\r\nConnection: close\r\n\r\n" as const;

const SHORT = REQUEST_CASES.filter(({ raw }) => raw.length <= CASE_BYTES_MAX);
const LEGAL_CASES: readonly string[] = SHORT.filter(({ want }) => typeof want !== "string").map(
  ({ raw }) => raw,
);
const HOSTILE_CASES: readonly string[] = SHORT.filter(({ want }) => typeof want === "string").map(
  ({ raw }) => raw,
);

const METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] as const;
const TARGETS = ["/a?b=c", "//a", "/a%2fb", "/%00", "http://b.test/x", "http://b.test", "/a|b"];
const ODD_TARGETS = ["*", "a", "/a#b", "http://u@b/", "/\x80", "/a b", "ftp://a/"];
const ODD_VERSIONS = ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.01"];
const ODD_LINE_ENDS = ["\n", "\r", "\r\r\n", "\n\r\n", "\r\n "];
const ODD_COLONS = [" : ", ":\x0b", " ", "\t:", ""];
const HOSTS = ["a.test", "a.test:80", "[::1]", "a.test:", "%61"];
const FIELDS: readonly string[] = [
  ...["Connection: keep-alive", "Connection: x-a", "Connection: ,, x", "Connection: close, x"],
  ...["Connection: TE", "Expect: 100-continue", "TE: trailers", "X-A: 1", "X-A:", "X-A: \xff"],
  ...[
    "X-A: a\tb",
    'X-A: "',
    "x-a:\t1 ",
    "Cookie: a=b",
    "Cookie: c=d",
    "Accept: */*",
    "!#$%&'*+: 1",
  ],
  ...[
    "Connection: Content-Length",
    "Keep-Alive: 5",
    "Proxy-Connection: close",
    "Content-Type: a/b",
  ],
];
const ODD_FIELDS: readonly string[] = [
  ...["Host: b.test", "Host: a b", "Content-Length: 3", "Content-Length: 4", "Content-Length: +3"],
  ...["Content-Length: 3, 3", "Content-Length: 3,4", "Content-Length: -1", "Content-Length: 0x3"],
  ...["Content-Length:", "Content-Length: 3;", "Content-Length: 1 2", "Content_Length: 9"],
  ...["Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x"],
  ...["Transfer-Encoding: identity", "Transfer-Encoding:", "Transfer-Encoding: chunked, chunked"],
  ...[
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
  ],
  ...['Transfer-Encoding: "chunked"', "Transfer-Encoding: chunked\x0b", "Connection: @"],
  ...["Expect: x", "X-A: \x00", "X-A: \x7f", "X\x00: 1", ": 1", "X-A", "X A: 1", "TE: chunked"],
];
const LENGTHS = ["0", "3", "03", "5", "3\t"];
const CHUNKS = [
  "3\r\nabc\r\n",
  "03\r\nabc\r\n",
  "3;a=b\r\nabc\r\n",
  '3;a="\\""\r\nabc\r\n',
  "B\r\nGET / HTTP/1\r\n",
];
const ODD_CHUNKS = [
  ...["3\nabc\n", "3 \r\nabc\r\n", "0x3\r\nabc\r\n", "+3\r\nabc\r\n", "3\r\nabc", "3\r\nabcd\r\n"],
  ...['3;a="\r\n"\r\nabc\r\n', "3;\r\nabc\r\n", "ffffffffffffffff1\r\nabc\r\n", "3\r\r\nabc\r\n"],
  ...[
    "\r\n",
    "3;\nabc\r\n",
    "3 ;a\r\nabc\r\n",
    "3;a =b\r\nabc\r\n",
    "-1\r\nabc\r\n",
    "00000000000000003\r\nabc\r\n",
  ],
];
const ENDS = ["0\r\n\r\n", "0\r\n\r\n", "000\r\n\r\n", "0\r\nX-T: 1\r\n\r\n", "0;a\r\n\r\n"];
const ODD_ENDS = [
  ...["0\n\n", "0\r\n\n", "0\r\n\rX", "0\r\nContent-Length: 4\r\n\r\n", "0\r\nX-T : 1\r\n\r\n"],
  ...["0\r\nHost: x\r\n\r\n", "0\r\n", "0\r\n X-T: 1\r\n\r\n", ""],
];
const SPICE = [
  ...[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "=",
    '"',
    "chunked",
    "0\r\n\r\n",
    "\r\n\r\n",
  ],
  ...["Host: b\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", "\x0b", "\x0c"],
  ...["GET / HTTP/1.1\r\n", "\xff", "\xa0", "\x85", "#", "@", "[", "%", "\\", "1", "-", "\x7f"],
];

/** Mostly one of the first, seldom one of the others: two oddities hide each other. */
function mostly(usual: readonly string[], odd: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(...usual), weight: 40 },
    { arbitrary: fc.constantFrom(...odd), weight: 1 },
  );
}

const lineEnd = mostly(["\r\n"], ODD_LINE_ENDS);

const field: fc.Arbitrary<string> = fc
  .tuple(mostly(FIELDS, ODD_FIELDS), mostly([": ", ":"], ODD_COLONS), lineEnd)
  .map(([line, colon, end]) => line.replace(/: */, () => colon) + end);

interface Framed {
  readonly line: string;
  readonly body: string;
}

const framed: fc.Arbitrary<Framed> = fc.oneof(
  fc.constant({ line: "", body: "" }),
  fc.tuple(fc.constantFrom(...LENGTHS), lineEnd).map(([length, end]) => ({
    line: `Content-Length: ${length}${end}`,
    body: "abcde".slice(0, Number(length)),
  })),
  fc
    .tuple(
      fc.array(mostly(CHUNKS, ODD_CHUNKS), { maxLength: 3 }),
      mostly(ENDS, ODD_ENDS),
      mostly(["chunked", "Chunked", "chunked "], ["chunked\t", " chunked", "xchunked"]),
    )
    .map(([chunks, end, coding]) => ({
      line: `Transfer-Encoding: ${coding}\r\n`,
      body: chunks.join("") + end,
    })),
);

const made: fc.Arbitrary<string> = fc
  .record({
    method: mostly(METHODS, ["get", "M-SEARCH", "G\x00T", "PRI", "CONNECT"]),
    target: mostly(["/", ...TARGETS], ODD_TARGETS),
    version: mostly(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"], ODD_VERSIONS),
    host: mostly(HOSTS, ["", "a b", "a/b", ":80", "a:8x"]),
    framing: framed,
    before: fc.array(field, { maxLength: 2 }),
    after: fc.array(field, { maxLength: 2 }),
    end: lineEnd,
  })
  .map(({ method, target, version, host, framing, before, after, end }) => {
    const fields = `Host: ${host}\r\n${before.join("")}${framing.line}${after.join("")}`;
    return `${method} ${target} ${version}\r\n${fields}${end}${framing.body}`;
  });

const edit = fc.record({
  place: fc.nat(),
  dropped: fc.nat({ max: 4 }),
  spice: fc.constantFrom("", ...SPICE),
});
const edits = fc.oneof(
  { arbitrary: fc.constant([]), weight: 2 },
  { arbitrary: fc.array(edit, { minLength: 1, maxLength: 3 }), weight: 1 },
);
const request: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: made, weight: 10 },
  { arbitrary: fc.constantFrom(...LEGAL_CASES), weight: 4 },
  { arbitrary: fc.constantFrom(...HOSTILE_CASES), weight: 1 },
);

/** Latin-1 text, a byte for each character. */
export const streams: fc.Arbitrary<string> = fc
  .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), edits)
  .map(([requests, list]) => {
    const raw = list.reduce((current, { place, dropped, spice }) => {
      const start = place % (current.length + 1);
      return current.slice(0, start) + spice + current.slice(start + dropped);
    }, requests.join(""));
    return raw + CANARY;
  });
