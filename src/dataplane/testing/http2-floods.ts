//! Floods of frames (RFC 9113 section 10.5) that cost their sender little and would cost us much.

import {
  ACK,
  END_HEADERS,
  END_STREAM,
  PADDED,
  frame,
  indexed,
  keptLiteral,
  literal,
  setting,
  uint32,
} from "./http2-frames.ts";

/** RFC 9113 section 7. */
const NO_ERROR = 0;
const CANCEL = 8;
const WINDOW_MAX = 0x7fff_ffff;
/** Octets of HPACK's table that we offer (RFC 7541 section 4.2), less what an entry costs. */
const TABLE_VALUE_BYTES = 4_000;
const FIRST_DYNAMIC_INDEX = 62;
const BOMB_REFERENCES = 8_000;

export interface Flood {
  readonly name: string;
  /** What is sent once, before. */
  readonly opening?: Buffer;
  readonly unit: (index: number) => Buffer;
}

/** HPACK's static table has GET and POST, http and /; the authority is a literal. */
function request(methodIndex: number, ...more: readonly Buffer[]): Buffer {
  const authority = Buffer.from("a.test");
  const known = Buffer.from([methodIndex, 0x86, 0x84, 0x41, authority.length]);
  return Buffer.concat([known, authority, ...more]);
}

export function getFields(...more: readonly Buffer[]): Buffer {
  return request(0x82, ...more);
}

function postFields(...more: readonly Buffer[]): Buffer {
  return request(0x83, ...more);
}

function streamOf(index: number): number {
  return 2 * index + 1;
}

/** A request whose body is still to come. */
export function openPost(stream: number, ...more: readonly Buffer[]): Buffer {
  return frame("headers", postFields(...more), { flags: END_HEADERS, stream });
}

export function wholeGet(stream: number, ...more: readonly Buffer[]): Buffer {
  return frame("headers", getFields(...more), { flags: END_STREAM | END_HEADERS, stream });
}

function alike(name: string, bytes: Buffer, opening?: Buffer): Flood {
  return { name, unit: () => bytes, ...(opening === undefined ? {} : { opening }) };
}

/** Requests, each with what makes one of the sides reset it. */
function resets(name: string, unit: (stream: number) => readonly Buffer[]): Flood {
  return { name, unit: (index) => Buffer.concat(unit(streamOf(index))) };
}

function reset(stream: number, code: number): Buffer {
  return frame("reset", uint32(code), { stream });
}

const EMPTY = Buffer.alloc(0);
const PADDING = frame("data", Buffer.from([3, 0, 0, 0]), { flags: PADDED, stream: 1 });
/** Of no other stream, with the least weight. */
const PRIORITY = Buffer.alloc(5);
/** SETTINGS_INITIAL_WINDOW_SIZE. */
export const WINDOW_SETTING = 4;

const FRAMES_TOGETHER = 500;

function many(frames: (index: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: FRAMES_TOGETHER }, (_none, index) => frames(index)));
}

const RESETS: readonly Flood[] = [
  resets("requests that are reset at once (CVE-2023-44487)", (stream) => [
    wholeGet(stream),
    reset(stream, CANCEL),
  ]),
  resets("requests that are reset at once without an error", (stream) => [
    wholeGet(stream),
    reset(stream, NO_ERROR),
  ]),
  resets("requests that are reset before their body", (stream) => [
    openPost(stream),
    reset(stream, NO_ERROR),
  ]),
];

/** Made by the client so that the server resets them (CVE-2025-8671, MadeYouReset). */
const MADE_RESETS: readonly Flood[] = [
  resets("windows over their end", (stream) => [
    wholeGet(stream),
    frame("window", uint32(WINDOW_MAX), { stream }),
  ]),
  resets("windows that are opened by nothing", (stream) => [
    wholeGet(stream),
    frame("window", uint32(0), { stream }),
  ]),
  resets("bodies longer than their length", (stream) => [
    openPost(stream, literal("content-length", "1")),
    frame("data", Buffer.from("xx"), { stream }),
  ]),
  resets("trailers that do not end", (stream) => [
    openPost(stream),
    frame("headers", literal("x-t", "1"), { flags: END_HEADERS, stream }),
  ]),
  resets("requests without a path", (stream) => [
    frame("headers", Buffer.from([0x82]), { flags: END_STREAM | END_HEADERS, stream }),
  ]),
];

/** Frames of flow control, and DATA without a body. */
const SILENT: readonly Flood[] = [
  alike("DATA frames of padding alone", PADDING, openPost(1)),
  alike("WINDOW_UPDATE of the connection", frame("window", uint32(1))),
  alike("WINDOW_UPDATE of a stream", frame("window", uint32(1), { stream: 1 }), openPost(1)),
  alike(
    "WINDOW_UPDATE of an ended stream",
    frame("window", uint32(1), { stream: 1 }),
    Buffer.concat([openPost(1), reset(1, CANCEL)]),
  ),
];

const CONTROLS: readonly Flood[] = [
  alike("PING frames (CVE-2019-9512)", frame("ping", Buffer.alloc(8))),
  alike("SETTINGS frames (CVE-2019-9515)", frame("settings", EMPTY)),
  {
    name: "SETTINGS frames that change windows",
    opening: openPost(1),
    unit: (index) => frame("settings", setting(WINDOW_SETTING, 1_000 + (index & 1))),
  },
];

const OTHERS: readonly Flood[] = [
  alike(
    "PRIORITY frames (CVE-2019-9513)",
    many((index) => frame("priority", PRIORITY, { stream: streamOf(index) })),
  ),
  alike("frames of an unknown kind", frame("unknown", EMPTY)),
  alike("empty DATA frames (CVE-2019-9518)", frame("data", EMPTY, { stream: 1 }), openPost(1)),
  alike("answers to no PING", frame("ping", Buffer.alloc(8), { flags: ACK })),
  alike("answers to no SETTINGS", frame("settings", EMPTY, { flags: ACK })),
  alike(
    "a head that does not end (CVE-2024-27316)",
    frame("continuation", literal("x-more", "y"), { stream: 1 }),
    frame("headers", getFields(), { stream: 1 }),
  ),
  alike(
    "a head that goes on in empty frames",
    frame("continuation", EMPTY, { stream: 1 }),
    frame("headers", getFields(), { stream: 1 }),
  ),
  resets("fields without name and value (CVE-2019-9516)", (stream) => [
    wholeGet(stream, Buffer.from([0, 0, 0])),
  ]),
  {
    name: "short heads that decode to long ones (CVE-2016-6581)",
    opening: wholeGet(1, keptLiteral("x-bomb", "y".repeat(TABLE_VALUE_BYTES))),
    unit: (index) =>
      wholeGet(streamOf(index + 1), Buffer.alloc(BOMB_REFERENCES, indexed(FIRST_DYNAMIC_INDEX))),
  },
];

export const FLOODS: readonly Flood[] = [
  ...RESETS,
  ...SILENT,
  ...CONTROLS,
  ...MADE_RESETS,
  ...OTHERS,
];
