//! Frames and header blocks that a session alone has to take or refuse, beside those which are sent
//! through proxies as well.

import {
  END_HEADERS,
  END_STREAM,
  PADDED,
  PRIORITY_SET,
  block,
  dataFrame,
  frame,
  headersFrame,
  setting,
  uint32,
} from "../../src/dataplane/testing/http2-frames.ts";
import { GET, OPEN, fieldsWith, framesOf, get, type FrameCase } from "./http2-frame-case.ts";

const WINDOW_MAX = 0x7fff_ffff;
const STREAMS_MAX = 100;
const FRAME_BYTES_MAX = 16_384;
const INITIAL_WINDOW_SIZE = 4;
const HEAD_ENDS = END_STREAM | END_HEADERS;
const FIELDS = block(GET);
const EMPTY = Buffer.alloc(0);
const POST = headersFrame(fieldsWith(":method", "POST"), OPEN);
const GET_3 = headersFrame(GET, { flags: END_STREAM, stream: 3 });

function windowUpdate(stream: number, payload: Buffer): Buffer {
  return frame("window", payload, { stream });
}

/** A GET whose block begins or ends with these bytes. */
function blockOf(...parts: readonly Buffer[]): Buffer {
  return frame("headers", Buffer.concat(parts), { flags: HEAD_ENDS, stream: 1 });
}

function behind(text: string): Buffer {
  return blockOf(FIELDS, Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** A head in so many frames, each with as many bytes of a long field. */
function continued(count: number, bytes: number): Buffer {
  const open = frame("headers", FIELDS, { flags: END_STREAM, stream: 1 });
  const field = Buffer.concat([Buffer.from([0x10, 1, 0x61, 0]), EMPTY]);
  const parts = Array.from({ length: count }, (_unused, index) => {
    const flags = index === count - 1 ? END_HEADERS : 0;
    const payload = Buffer.concat(Array<Buffer>(bytes / field.length).fill(field));
    return frame("continuation", payload, { flags, stream: 1 });
  });
  return Buffer.concat([open, ...parts]);
}

/** Eight letters `a` in Huffman code. */
const EIGHT_LETTERS = Buffer.from("18c6318c63", "hex");
const LETTERS_8 = 17_500;

/** A short trailer and one of 140,000 letters, which take 87,500 bytes. */
function largeTrailers(): Buffer {
  const coded = Buffer.concat(Array<Buffer>(LETTERS_8).fill(EIGHT_LETTERS));
  // An integer of three further bytes (RFC 7541 section 5.1).
  const rest = coded.length - 127;
  const length = Buffer.from([0xff, (rest & 127) | 128, ((rest >> 7) & 127) | 128, rest >> 14]);
  const fields = Buffer.concat([block([["t", "1"]]), Buffer.from([0, 1, 0x61]), length, coded]);
  const parts: Buffer[] = [];
  for (let at = 0; at < fields.length; at += FRAME_BYTES_MAX) {
    const isLast = at + FRAME_BYTES_MAX >= fields.length;
    const flags = (at === 0 ? END_STREAM : 0) | (isLast ? END_HEADERS : 0);
    const payload = fields.subarray(at, at + FRAME_BYTES_MAX);
    parts.push(frame(at === 0 ? "headers" : "continuation", payload, { flags, stream: 1 }));
  }
  return Buffer.concat(parts);
}

const LARGE_TRAILERS = largeTrailers();

export const SESSION_CASES: readonly FrameCase[] = [
  ...framesOf("6.1", [
    [
      "padded DATA without a length",
      [POST, frame("data", EMPTY, { flags: PADDED, stream: 1 })],
      "refuse",
    ],
    ["DATA behind the end of its stream", [POST, dataFrame("abc"), dataFrame("def")], "refuse"],
    [
      "DATA of another stream within a head",
      [
        POST,
        frame("headers", EMPTY, { flags: END_STREAM, stream: 3 }),
        dataFrame("abc"),
        frame("continuation", FIELDS, { flags: END_HEADERS, stream: 3 }),
      ],
      "refuse",
    ],
    [
      "DATA of a stream that the client has reset",
      [POST, frame("reset", uint32(8), { stream: 1 }), dataFrame("abc"), GET_3],
      "refuse",
    ],
  ]),
  ...framesOf("5.1.2", [
    [
      "one stream more than there may be",
      Array.from({ length: STREAMS_MAX + 1 }, (_unused, index) =>
        headersFrame(GET, { flags: END_STREAM, stream: 2 * index + 1 }),
      ),
      STREAMS_MAX,
    ],
  ]),
  ...framesOf("6.9.1", [
    [
      "more DATA than the stream's window, which nobody reads",
      [
        headersFrame([...fieldsWith(":path", "/unread")], OPEN),
        ...Array<Buffer>(5).fill(
          frame("data", Buffer.alloc(FRAME_BYTES_MAX), { flags: 0, stream: 1 }),
        ),
      ],
      "refuse",
    ],
    [
      "SETTINGS that make a stream's window too large",
      [
        POST,
        windowUpdate(1, uint32(WINDOW_MAX - 65_535)),
        frame("settings", setting(INITIAL_WINDOW_SIZE, 65_536)),
        GET_3,
      ],
      "refuse",
    ],
    [
      "a stream's window that grows too large",
      [get(), windowUpdate(1, uint32(WINDOW_MAX)), windowUpdate(1, uint32(1))],
      "refuse",
    ],
  ]),
  ...framesOf("6.9", [
    ["a stream's window that grows by nothing", [get(), windowUpdate(1, uint32(0))], "refuse"],
    [
      "WINDOW_UPDATE of five bytes",
      [windowUpdate(0, Buffer.from([0, 0, 0, 1, 0])), get()],
      "refuse",
    ],
  ]),
  ...framesOf("6.3", [
    ["PRIORITY of no stream", [frame("priority", Buffer.from([0, 0, 0, 5, 1])), get()], "refuse"],
    [
      "PRIORITY of a stream that waits for itself",
      [frame("priority", Buffer.from([0, 0, 0, 1, 1]), { stream: 1 }), get()],
      "refuse",
    ],
    [
      "HEADERS of a stream that waits for itself",
      frame("headers", Buffer.concat([Buffer.from([0, 0, 0, 1, 1]), FIELDS]), {
        flags: HEAD_ENDS | PRIORITY_SET,
        stream: 1,
      }),
      "refuse",
    ],
    ["PRIORITY of four bytes", [frame("priority", uint32(5), { stream: 1 }), get()], "refuse"],
    [
      "PRIORITY of six bytes",
      [frame("priority", Buffer.from([0, 0, 0, 5, 1, 1]), { stream: 1 }), get()],
      "refuse",
    ],
  ]),
  ...framesOf("6.10, a limit of ours", [
    ["a head in 65 frames", continued(64, 0), 1],
    ["a head in 66 frames", continued(65, 0), "refuse"],
    ["a head of more than 128 KiB", continued(9, FRAME_BYTES_MAX), "refuse"],
    ["trailers of which one is too large", [POST, LARGE_TRAILERS], "refuse"],
  ]),
  ...framesOf("RFC 7541 4.2 and 6.3", [
    ["two sizes of the table", blockOf(Buffer.from([0x20, 0x20]), FIELDS), 1],
    ["three sizes of the table", blockOf(Buffer.from([0x20, 0x20, 0x20]), FIELDS), "refuse"],
    ["a size of the table behind a field", behind("20 01 61 01 62"), "refuse"],
    [
      "a size of the table that does not end, in trailers",
      [
        POST,
        dataFrame("abc", OPEN),
        frame("headers", Buffer.from([0x3f]), { flags: HEAD_ENDS, stream: 1 }),
        frame("ping", Buffer.alloc(8)),
      ],
      "refuse",
    ],
  ]),
  ...framesOf("RFC 7541 2.3.3 and 5.1", [
    ["a name beyond the tables", behind("0f 30 01 61"), "refuse"],
    ["a name's index in too many bytes", behind("0f 80 80 80 80 01 61"), "refuse"],
    ["a length in too many bytes, the last a field", behind("00 01 61 7f 80 80 80 90"), "refuse"],
  ]),
];

/** With a preface of their own. */
export const PREFACE_CASES: readonly FrameCase[] = framesOf("3.4", [
  [
    "a preface with another word at its end",
    [Buffer.from("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"), frame("settings", EMPTY), get()],
    "refuse",
  ],
  [
    "a preface whose first part alone is wrong",
    [Buffer.from("GRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame("settings", EMPTY), get()],
    "refuse",
  ],
]);
