//! Frames of HTTP/2 (RFC 9113 section 4), right and wrong ones, for the tests.

export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
  unknown: 0xbb,
} as const;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PRIORITY_SET = 0x20;
export const FRAME_HEAD_BYTES = 9;
const PREFIX_OF_LENGTH = 7;
const PAYLOAD_BYTES_MAX = 16_384;

export interface FrameWords {
  readonly flags?: number;
  readonly stream?: number;
}

export function frame(
  type: keyof typeof TYPE,
  payload: Buffer,
  { flags = 0, stream = 0 }: FrameWords = {},
): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(TYPE[type], 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One entry of SETTINGS. */
export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([id >> 8, id & 0xff]), uint32(value)]);
}

/** An integer of HPACK (RFC 7541 section 5.1). */
function integer(value: number, prefixBits: number, first: number): Buffer {
  const full = 2 ** prefixBits - 1;
  if (value < full) return Buffer.from([first | value]);
  const bytes = [first | full];
  let rest = value - full;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(bytes.length, PREFIX_OF_LENGTH, 0), bytes]);
}

/** A field that is not kept in the dynamic table, as bytes of Latin-1 (RFC 7541 section 6.2.2). */
export function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** A field that both sides keep (RFC 7541 section 6.2.1). */
export function keptLiteral(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

/** A field by its place in the tables (RFC 7541 section 6.1). */
export function indexed(index: number): Buffer {
  return integer(index, 7, 0x80);
}

export type FieldList = readonly (readonly [name: string, value: string])[];

export function block(fields: FieldList): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/** A whole HEADERS frame, with CONTINUATION frames where it does not fit in one. */
export function headersFrame(
  fields: FieldList,
  { flags = END_STREAM, stream = 1 }: FrameWords = {},
): Buffer {
  const bytes = block(fields);
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += PAYLOAD_BYTES_MAX) {
    const payload = bytes.subarray(at, at + PAYLOAD_BYTES_MAX);
    const ends = at + PAYLOAD_BYTES_MAX >= bytes.length ? END_HEADERS : 0;
    const type = at === 0 ? "headers" : "continuation";
    parts.push(frame(type, payload, { flags: (at === 0 ? flags : 0) | ends, stream }));
  }
  return Buffer.concat(parts);
}

export function dataFrame(
  body: string,
  { flags = END_STREAM, stream = 1 }: FrameWords = {},
): Buffer {
  return frame("data", Buffer.from(body, "latin1"), { flags, stream });
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The whole frames at the start of `bytes`, and what is left. */
export function readFrames(bytes: Buffer): {
  readonly frames: readonly Frame[];
  readonly rest: Buffer;
} {
  const frames: Frame[] = [];
  let rest = bytes;
  while (rest.length >= FRAME_HEAD_BYTES) {
    const end = FRAME_HEAD_BYTES + rest.readUIntBE(0, 3);
    if (rest.length < end) break;
    frames.push({
      type: rest.readUInt8(3),
      flags: rest.readUInt8(4),
      stream: rest.readUInt32BE(5) & 0x7fff_ffff,
      payload: rest.subarray(FRAME_HEAD_BYTES, end),
    });
    rest = rest.subarray(end);
  }
  return { frames, rest };
}

/** By HPACK's static table (RFC 7541 appendix A). */
const STATIC_STATUSES: Readonly<Record<number, number>> = {
  0x88: 200,
  0x89: 204,
  0x8a: 206,
  0x8b: 304,
  0x8c: 400,
  0x8d: 404,
  0x8e: 500,
};
/** The codes of the digits in HPACK's code (RFC 7541 appendix B). */
const DIGIT_CODES = [
  ...["00000", "00001", "00010", "011001", "011010"],
  ...["011011", "011100", "011101", "011110", "011111"],
];

/** The `:status` with which a block of fields begins; 0 when it cannot be told. */
export function statusOf(fields: Buffer): number {
  // Updates of the table's size come first.
  let at = 0;
  while (at < fields.length && (fields.readUInt8(at) & 0xe0) === 0x20) at += 1;
  if (at >= fields.length) return 0;
  const first = fields.readUInt8(at);
  const known = STATIC_STATUSES[first];
  if (known !== undefined) return known;
  // A literal whose name is one of the entries 8 to 14.
  const name = first & (first >= 0x40 ? 0x3f : 0x0f);
  if (name < 8 || name > 14 || at + 1 >= fields.length) return 0;
  const length = fields.readUInt8(at + 1);
  const value = fields.subarray(at + 2, at + 2 + (length & 0x7f));
  return Number((length & 0x80) === 0 ? value.toString("latin1") : digitsOf(value));
}

function digitsOf(bytes: Buffer): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let digits = "";
  while (digits.length < 3) {
    const digit = DIGIT_CODES.findIndex((code) => bits.startsWith(code));
    if (digit === -1) return "0";
    digits += String(digit);
    bits = bits.slice(DIGIT_CODES[digit]?.length);
  }
  return digits;
}
