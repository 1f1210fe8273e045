//! Requests of HTTP/2 in frames that are legal, unusual or wrong.

import {
  ACK,
  END_HEADERS,
  END_STREAM,
  PADDED,
  PRIORITY_SET,
  block,
  dataFrame,
  frame,
  headersFrame,
  indexed,
  keptLiteral,
  setting,
  uint32,
} from "../../src/dataplane/testing/http2-frames.ts";
import { GET, OPEN, fieldsWith, framesOf, get, type FrameCase } from "./http2-frame-case.ts";

const PING_BYTES = 8;
const HEAD_ENDS = END_STREAM | END_HEADERS;
const FIELDS = block(GET);
const POST = fieldsWith(":method", "POST");
const PRIORITY = Buffer.concat([uint32(0), Buffer.from([15])]);
const EMPTY = Buffer.alloc(0);

/** Bytes of padding around a payload; `claimed` is what the frame says of them. */
function padded(payload: Buffer, length: number, claimed = length): Buffer {
  return Buffer.concat([Buffer.from([claimed]), payload, Buffer.alloc(length)]);
}

function headers(payload: Buffer, flags: number = HEAD_ENDS, stream = 1): Buffer {
  return frame("headers", payload, { flags, stream });
}

function getOn(stream: number): Buffer {
  return headersFrame(GET, { flags: END_STREAM, stream });
}

const half = FIELDS.length >> 1;
const parts = [FIELDS.subarray(0, half), FIELDS.subarray(half)] as const;

const LEGAL: readonly FrameCase[] = [
  ...framesOf("5.1", [
    ["three streams", [getOn(1), getOn(3), getOn(5)], 3],
    ["stream ids with gaps", [getOn(3), getOn(11)], 2],
    ["the greatest stream id", getOn(0x7fff_ffff), 1],
  ]),
  ...framesOf("4.1", [
    ["an unknown kind of frame", [frame("unknown", Buffer.from("x")), get()], 1],
    ["one on a stream", [frame("unknown", EMPTY, { stream: 1 }), get()], 1],
    ["undefined flags", headers(FIELDS, HEAD_ENDS | 0x50), 1],
    ["the reserved bit of a stream id", headers(FIELDS, HEAD_ENDS, 0x8000_0001), 1],
  ]),
  ...framesOf("6.1", [
    ["padded DATA", [headersFrame(POST, OPEN), paddedData(padded(Buffer.from("abc"), 9))], 1],
    ["DATA of padding alone", [headersFrame(POST, OPEN), paddedData(padded(EMPTY, 9))], 1],
    [
      "DATA of padding and a length",
      [
        headersFrame([...POST, ["content-length", "3"]], OPEN),
        paddedData(padded(Buffer.from("abc"), 200)),
      ],
      1,
    ],
  ]),
  ...framesOf("6.2", [
    ["padded HEADERS", headers(padded(FIELDS, 20), HEAD_ENDS | PADDED), 1],
    [
      "HEADERS with a priority",
      headers(Buffer.concat([PRIORITY, FIELDS]), HEAD_ENDS | PRIORITY_SET),
      1,
    ],
    [
      "both",
      headers(padded(Buffer.concat([PRIORITY, FIELDS]), 5), HEAD_ENDS | PRIORITY_SET | PADDED),
      1,
    ],
  ]),
  ...framesOf("6.10", [
    ["a head in two frames", [headers(parts[0], END_STREAM), continued(parts[1])], 1],
    [
      "a head in five frames, of which two are empty",
      [
        headers(EMPTY, END_STREAM),
        continued(parts[0], 0),
        continued(EMPTY, 0),
        continued(parts[1], 0),
        continued(EMPTY),
      ],
      1,
    ],
  ]),
  ...framesOf("7541", [
    [
      "fields of the dynamic table",
      [
        headers(Buffer.concat([FIELDS, keptLiteral("x-a", "1")])),
        headers(Buffer.concat([FIELDS, indexed(62)]), HEAD_ENDS, 3),
      ],
      2,
    ],
    ["an update of the table's size", headers(Buffer.concat([Buffer.from([0x20]), FIELDS])), 1],
  ]),
  ...framesOf("6", [
    ["SETTINGS again", [frame("settings", setting(4, 1_000)), get()], 1],
    ["an unknown setting", [frame("settings", setting(0xffaa, 1)), get()], 1],
    ["PING", [frame("ping", Buffer.alloc(PING_BYTES)), get()], 1],
    ["PRIORITY of an idle stream", [frame("priority", PRIORITY, { stream: 1 }), get()], 1],
    ["WINDOW_UPDATE", [frame("window", uint32(1_000)), get()], 1],
  ]),
];

function paddedData(payload: Buffer): Buffer {
  return frame("data", payload, { flags: END_STREAM | PADDED, stream: 1 });
}

function continued(payload: Buffer, flags: number = END_HEADERS, stream = 1): Buffer {
  return frame("continuation", payload, { flags, stream });
}

/** The request behind what is wrong must not be served either: the connection is over. */
const CONNECTION: readonly FrameCase[] = [
  ...framesOf("6, stream 0", [
    ["HEADERS", [headers(FIELDS, HEAD_ENDS, 0), getOn(1)], "refuse"],
    ["DATA", [dataFrame("abc", { stream: 0 }), getOn(1)], "refuse"],
    ["PRIORITY", [frame("priority", PRIORITY), getOn(1)], "refuse"],
    ["RST_STREAM", [frame("reset", uint32(8)), getOn(1)], "refuse"],
    ["CONTINUATION", [continued(FIELDS, END_HEADERS, 0), getOn(1)], "refuse"],
  ]),
  ...framesOf("6, on a stream", [
    ["SETTINGS", [frame("settings", EMPTY, { stream: 1 }), getOn(1)], "refuse"],
    ["PING", [frame("ping", Buffer.alloc(PING_BYTES), { stream: 1 }), getOn(1)], "refuse"],
    ["GOAWAY", [frame("goaway", Buffer.alloc(8), { stream: 1 }), getOn(1)], "refuse"],
  ]),
  ...framesOf("6, sizes", [
    ["PING of 7 bytes", [frame("ping", Buffer.alloc(7)), getOn(1)], "refuse"],
    ["RST_STREAM of 3 bytes", [getOn(1), resetOf(Buffer.alloc(3)), getOn(3)], "refuse", one()],
    ["WINDOW_UPDATE of 3 bytes", [frame("window", Buffer.alloc(3)), getOn(1)], "refuse"],
    ["SETTINGS of 5 bytes", [frame("settings", Buffer.alloc(5)), getOn(1)], "refuse"],
    [
      "an acknowledgement with a payload",
      [frame("settings", setting(4, 1), { flags: ACK }), getOn(1)],
      "refuse",
    ],
    ["GOAWAY of 7 bytes", [frame("goaway", Buffer.alloc(7)), getOn(1)], "refuse"],
    [
      "DATA of 16,385 bytes",
      [headersFrame(POST, OPEN), dataFrame("x".repeat(16_385)), getOn(3)],
      "refuse",
    ],
    [
      "HEADERS of 16,385 bytes",
      [headers(Buffer.concat([FIELDS, Buffer.alloc(16_385, 0x20)]).subarray(0, 16_385)), getOn(3)],
      "refuse",
    ],
    [
      "DATA all padding but one byte too few",
      [headersFrame(POST, OPEN), short(), getOn(3)],
      "refuse",
    ],
    ["HEADERS with more padding than bytes", [shortHead(), getOn(3)], "refuse"],
    [
      "padded DATA without bytes",
      [headersFrame(POST, OPEN), paddedData(EMPTY), getOn(3)],
      "refuse",
    ],
  ]),
  ...framesOf("6.5.2", [
    ["ENABLE_PUSH of 2", [frame("settings", setting(2, 2)), getOn(1)], "refuse"],
    ["a window of 2^31", [frame("settings", setting(4, 0x8000_0000)), getOn(1)], "refuse"],
    ["frames of 16,383 bytes", [frame("settings", setting(5, 16_383)), getOn(1)], "refuse"],
    ["frames of 2^24 bytes", [frame("settings", setting(5, 0x100_0000)), getOn(1)], "refuse"],
  ]),
  ...framesOf("6.9", [
    ["WINDOW_UPDATE by 0", [frame("window", uint32(0)), getOn(1)], "refuse"],
    ["a window over 2^31", [frame("window", uint32(0x7fff_ffff)), getOn(1)], "refuse"],
  ]),
  ...framesOf("5.1.1", [
    ["an even stream id", [getOn(2), getOn(3)], "refuse"],
    ["a lower stream id", [getOn(5), getOn(3)], "refuse", one()],
    ["a stream id again", [getOn(1), getOn(1)], "refuse", one()],
  ]),
  ...framesOf("5.1", [
    ["DATA on an idle stream", [dataFrame("abc"), getOn(3)], "refuse"],
    ["RST_STREAM on an idle stream", [resetOf(uint32(8)), getOn(3)], "refuse"],
    ["WINDOW_UPDATE on an idle stream", [window(1), getOn(3)], "refuse"],
    ["DATA after the end", [getOn(1), dataFrame("GET /hidden HTTP/1.1\r\n\r\n")], "refuse", one()],
    ["HEADERS after the end", [getOn(1), headersFrame([["x", "1"]])], "refuse", one()],
  ]),
  ...framesOf("6.10", [
    ["CONTINUATION without HEADERS", [continued(FIELDS), getOn(3)], "refuse"],
    ["CONTINUATION after the head's end", [getOn(1), continued(FIELDS), getOn(3)], "refuse", one()],
    [
      "another frame inside a head",
      [headers(parts[0], END_STREAM), frame("ping", Buffer.alloc(PING_BYTES)), continued(parts[1])],
      "refuse",
    ],
    [
      "CONTINUATION of another stream",
      [headers(parts[0], END_STREAM), continued(parts[1], END_HEADERS, 3)],
      "refuse",
    ],
    [
      "DATA inside a head",
      [headers(parts[0], END_STREAM), dataFrame("abc"), continued(parts[1])],
      "refuse",
    ],
    ["a head that does not end", headers(FIELDS, END_STREAM), "refuse"],
  ]),
  ...framesOf("8.4", [
    ["PUSH_PROMISE of a client", [getOn(1), promise(), getOn(3)], "refuse", one()],
  ]),
  ...framesOf("7541", [
    ["an index of no table", [headers(Buffer.concat([FIELDS, indexed(70)])), getOn(3)], "refuse"],
    ["the index 0", [headers(Buffer.concat([FIELDS, Buffer.from([0x80])])), getOn(3)], "refuse"],
    [
      "an index of very many bytes",
      [headers(Buffer.concat([FIELDS, Buffer.alloc(12, 0xff)])), getOn(3)],
      "refuse",
    ],
    ["a field that is cut", [headers(FIELDS.subarray(0, -1)), getOn(3)], "refuse"],
    ["Huffman code with EOS", [headers(huffman([0xff, 0xff, 0xff, 0xff])), getOn(3)], "refuse"],
    ["Huffman code with long padding", [headers(huffman([0x1f, 0xff])), getOn(3)], "refuse"],
    ["Huffman code padded with zeros", [headers(huffman([0x18])), getOn(3)], "refuse"],
    [
      "a table over what was offered",
      [headers(Buffer.concat([Buffer.from([0x3f, 0xff, 0xff, 0x7f]), FIELDS])), getOn(3)],
      "refuse",
    ],
    [
      "an update of the table's size behind fields",
      [headers(Buffer.concat([FIELDS, Buffer.from([0x20])])), getOn(3)],
      "refuse",
    ],
  ]),
];

/** The request before what is wrong may be served. */
function one(): { readonly before: number } {
  return { before: 1 };
}

function resetOf(payload: Buffer): Buffer {
  return frame("reset", payload, { stream: 1 });
}

function window(stream: number): Buffer {
  return frame("window", uint32(100), { stream });
}

function short(): Buffer {
  return paddedData(padded(Buffer.from("abc"), 0, 4));
}

function shortHead(): Buffer {
  return headers(padded(FIELDS, 0, FIELDS.length + 1), HEAD_ENDS | PADDED);
}

function promise(): Buffer {
  const payload = Buffer.concat([uint32(2), FIELDS]);
  return frame("push", payload, { flags: END_HEADERS, stream: 1 });
}

/** A field whose value is these bytes of Huffman code. */
function huffman(code: readonly number[]): Buffer {
  const field = Buffer.from([0, 1, 0x61, 0x80 | code.length, ...code]);
  return Buffer.concat([FIELDS, field]);
}

/** What resets only its stream: the request behind it is served. */
const STREAM: readonly FrameCase[] = [
  ...framesOf("5.4.2", [
    ["a malformed request leaves the next one alone", [malformed(), getOn(3)], 1],
    ["a reset without an error does not end a request", [begun(), resetOf(uint32(0)), getOn(3)], 1],
    ["a reset leaves the next one alone", [open(), resetOf(uint32(8)), getOn(3)], 1],
  ]),
];

function begun(): Buffer {
  return Buffer.concat([open(), dataFrame("abc", OPEN)]);
}

function malformed(): Buffer {
  return headersFrame([...GET, ["connection", "close"]]);
}

function open(): Buffer {
  return headersFrame(POST, OPEN);
}

export const FRAMING_CASES: readonly FrameCase[] = [...LEGAL, ...CONNECTION, ...STREAM];
