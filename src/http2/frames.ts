//! What stands in frames of HTTP/2 (RFC 9113 sections 6 and 7).

export const FRAME_HEAD_BYTES = 9;
/** Of a payload, both ways: nobody is offered more, and of no peer more is made use of. */
export const FRAME_BYTES_MAX = 16_384;
/** What a flow-control window may grow to (section 6.9.1), and the greatest stream identifier. */
export const WINDOW_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;
/** Of a connection, and of streams before SETTINGS say otherwise (section 6.9.2). */
export const WINDOW_INITIAL_BYTES = 65_535;
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = {
  ack: 0x1,
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** The head of a frame; one object for all that a reader reads. */
export interface FrameHead {
  length: number;
  type: number;
  flags: number;
  stream: number;
}

export function readUint32(bytes: Buffer, at: number): number {
  return ((readUint24(bytes, at) << 8) | (bytes[at + 3] as number)) >>> 0;
}

export function readUint24(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  );
}
