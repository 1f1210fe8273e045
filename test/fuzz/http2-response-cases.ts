//! Responses of upstreams, of HTTP/1.1 as text and of HTTP/2 as frames, that a proxy may pass to its
//! client of HTTP/2 as whole, or must not.

import {
  END_HEADERS,
  END_STREAM,
  dataFrame,
  frame,
  headersFrame,
  uint32,
  type FieldList,
} from "../../src/dataplane/testing/http2-frames.ts";

export interface ResponseCase {
  readonly clause: string;
  readonly name: string;
  /** The bytes of the answer to the request on this stream; the connection ends after them or not. */
  readonly bytes: (stream: number) => Buffer;
  readonly isCut: boolean;
  /** The client must not see it as whole; or sees this status. */
  readonly must: "refuse" | number;
  /** The library takes the wrong field out and passes the rest on. */
  readonly isDropped: boolean;
}

export interface MoreOfResponse {
  readonly isCut?: boolean;
  readonly isDropped?: boolean;
}

const CUT: MoreOfResponse = { isCut: true };
const DROPPED: MoreOfResponse = { isDropped: true };

type TextRow = readonly [
  name: string,
  text: string,
  must: "refuse" | number,
  more?: MoreOfResponse,
];

function texts(clause: string, rows: readonly TextRow[]): ResponseCase[] {
  return rows.map(([name, text, must, { isCut = false, isDropped = false } = {}]) => {
    const bytes = Buffer.from(text, "latin1");
    return { clause, name, bytes: () => bytes, isCut, must, isDropped };
  });
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

export const TEXT_RESPONSES: readonly ResponseCase[] = [
  ...texts("9112 6", [
    ["a length", `${OK}Content-Length: 2\r\n\r\nok`, 200],
    ["chunks", `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, 200],
    ["chunks and trailers", `${CHUNKED}2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n`, 200],
    ["the end of the connection", `${OK}\r\nok`, 200, CUT],
    ["no content", "HTTP/1.1 204 No Content\r\n\r\n", 204],
    ["an interim response", `HTTP/1.1 103 Early Hints\r\n\r\n${OK}Content-Length: 0\r\n\r\n`, 200],
    ["fields of the connection", `${OK}Connection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n`, 200],
  ]),
  ...texts("9113 8.6", [
    ["101 without an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "refuse"],
    [
      "101 with one",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
      "refuse",
    ],
  ]),
  ...texts("9113 8.1.1, a cut end", [
    ["before the length is reached", `${OK}Content-Length: 5\r\n\r\nok`, "refuse", CUT],
    ["inside a chunk", `${CHUNKED}5\r\nok`, "refuse", CUT],
    ["after a chunk", `${CHUNKED}2\r\nok\r\n`, "refuse", CUT],
    ["before the last line", `${CHUNKED}2\r\nok\r\n0\r\n`, "refuse", CUT],
    ["inside trailers", `${CHUNKED}2\r\nok\r\n0\r\nx-su`, "refuse", CUT],
    ["inside the head", `${OK}Content-Le`, "refuse", CUT],
    ["a bad chunk size", `${CHUNKED}2\r\nok\r\nzz\r\n`, "refuse", CUT],
  ]),
  ...texts("9112 6.3", [
    ["two lengths", `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`, "refuse", CUT],
    [
      "a length beside chunks",
      `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      "refuse",
    ],
  ]),
];

type FrameRow = readonly [
  name: string,
  bytes: (stream: number) => Buffer | Buffer[],
  must: "refuse" | number,
  more?: MoreOfResponse,
];

function framed(clause: string, rows: readonly FrameRow[]): ResponseCase[] {
  return rows.map(([name, make, must, { isCut = false, isDropped = false } = {}]) => ({
    clause,
    name,
    bytes: (stream) => Buffer.concat([make(stream)].flat()),
    isCut,
    must,
    isDropped,
  }));
}

const S200: FieldList = [[":status", "200"]];

/** A head of 200 with these fields that ends the stream. */
function bare(...fields: FieldList): (stream: number) => Buffer {
  return (stream) => headersFrame([...S200, ...fields], { stream });
}

function status(text: string): (stream: number) => Buffer {
  return (stream) => headersFrame([[":status", text]], { stream });
}

/** A head and `body`, ended by its last frame unless `isOpen`. */
function whole(fields: FieldList, body: string, isOpen = false): (stream: number) => Buffer[] {
  return (stream) => [
    headersFrame([...S200, ...fields], { flags: 0, stream }),
    dataFrame(body, { flags: isOpen ? 0 : END_STREAM, stream }),
  ];
}

function trailed(trailers: FieldList, flags: number = END_STREAM): (stream: number) => Buffer[] {
  return (stream) => [...whole([], "ok", true)(stream), headersFrame(trailers, { flags, stream })];
}

function reset(code: number): (stream: number) => Buffer[] {
  return (stream) => [...whole([], "ok", true)(stream), frame("reset", uint32(code), { stream })];
}

export const FRAME_RESPONSES: readonly ResponseCase[] = [
  ...framed("8.1", [
    ["a head alone", bare(), 200],
    ["a body", whole([], "ok"), 200],
    ["a body and its length", whole([["content-length", "2"]], "ok"), 200],
    ["trailers", trailed([["x-sum", "1"]]), 200],
    [
      "an interim response",
      (stream) => [headersFrame([[":status", "103"]], { flags: 0, stream }), bare()(stream)],
      200,
    ],
    ["no content", status("204"), 204],
    ["a length without a body, of 304", (stream) => of304(stream), 304],
    ["bytes over 0x7f in a value", bare(["a", "\xe4"]), 200],
  ]),
  ...framed("8.3.2", [
    ["no :status", (stream) => headersFrame([["a", "b"]], { stream }), "refuse"],
    ["an empty :status", status(""), "refuse"],
    ["a :status of two digits", status("20"), "refuse"],
    ["a :status of four digits", status("2000"), "refuse"],
    ["letters in :status", status("2x0"), "refuse"],
    [":status 099", status("099"), "refuse"],
    [":status twice", (stream) => headersFrame([...S200, ...S200], { stream }), "refuse"],
    [
      ":status after a field",
      (stream) => headersFrame([["a", "b"], ...S200], { stream }),
      "refuse",
    ],
    ["a pseudo-header field of requests", bare([":path", "/"]), "refuse"],
    ["an unknown pseudo-header field", bare([":x", "1"]), "refuse"],
  ]),
  ...framed("8.6", [
    ["101", (stream) => headersFrame([[":status", "101"]], { flags: 0, stream }), "refuse"],
    ["101 that ends the stream", status("101"), "refuse"],
  ]),
  ...framed("8.1", [["an interim response that ends the stream", status("103"), "refuse"]]),
  ...framed("8.2", [
    ["a name in upper case", bare(["X-A", "1"]), "refuse"],
    ["connection", bare(["connection", "close"]), "refuse"],
    ["transfer-encoding", whole([["transfer-encoding", "chunked"]], "ok"), "refuse"],
    ["upgrade", bare(["upgrade", "h2c"]), "refuse"],
    ["keep-alive", bare(["keep-alive", "1"]), "refuse"],
    ["a line end in a value", bare(["a", "b\r\nset-cookie: c"]), "refuse", DROPPED],
    ["a NUL in a value", bare(["a", "b\0"]), "refuse", DROPPED],
    ["a line end in a name", bare(["a\r\nb", "c"]), "refuse", DROPPED],
    ["a blank before a value", bare(["a", " b"]), "refuse", DROPPED],
  ]),
  ...framed("8.1.1", [
    ["a length and no body", bare(["content-length", "5"]), "refuse"],
    ["a body shorter than its length", whole([["content-length", "5"]], "ok"), "refuse"],
    ["a body longer than its length", whole([["content-length", "1"]], "ok"), "refuse"],
    ["two lengths", whole(lengths("2", "3"), "ok"), "refuse"],
    ["two equal lengths", whole(lengths("2", "2"), "ok"), "refuse"],
    ["a length that is no number", whole([["content-length", "2x"]], "ok"), "refuse"],
  ]),
  ...framed("8.1, trailers", [
    ["a pseudo-header field", trailed(S200), "refuse"],
    ["a name in upper case", trailed([["X-A", "1"]]), "refuse"],
    ["Transfer-Encoding", trailed([["transfer-encoding", "chunked"]]), "refuse"],
    ["Content-Length", trailed([["content-length", "2"]]), "refuse"],
    ["trailers that do not end the stream", trailed([["x-sum", "1"]], 0), "refuse"],
  ]),
  ...framed("a cut end", [
    ["RST_STREAM CANCEL", reset(8), "refuse"],
    ["RST_STREAM INTERNAL_ERROR", reset(2), "refuse"],
    ["RST_STREAM NO_ERROR", reset(0), "refuse"],
    ["the connection ends", whole([], "ok", true), "refuse", CUT],
    ["the connection ends inside DATA", cutData(), "refuse", CUT],
    ["GOAWAY", (stream) => [...whole([], "ok", true)(stream), goaway()], "refuse", CUT],
  ]),
  ...framed("6", [["PUSH_PROMISE, which we do not take", pushed(), "refuse"]]),
  ...framed("limit", [
    [
      "129 fields",
      bare(...Array.from({ length: 129 }, (_n, at) => [`x-${at}`, "1"] as const)),
      "refuse",
    ],
    ["a value of 70,000 bytes", bare(["a", "b".repeat(70_000)]), "refuse"],
  ]),
];

function of304(stream: number): Buffer {
  const fields: FieldList = [
    [":status", "304"],
    ["content-length", "5"],
  ];
  return headersFrame(fields, { stream });
}

function lengths(...values: readonly string[]): FieldList {
  return values.map((text) => ["content-length", text] as const);
}

function cutData(): (stream: number) => Buffer[] {
  return (stream) => [
    headersFrame(S200, { flags: 0, stream }),
    dataFrame("abcdef", { stream }).subarray(0, -3),
  ];
}

function goaway(): Buffer {
  return frame("goaway", Buffer.alloc(8));
}

function pushed(): (stream: number) => Buffer[] {
  return (stream) => {
    const payload = Buffer.concat([uint32(2)]);
    return [frame("push", payload, { flags: END_HEADERS, stream }), bare()(stream)];
  };
}
