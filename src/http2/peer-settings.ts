//! The SETTINGS of the other side (RFC 9113 section 6.5.2).

import { ErrorCode, readUint32, Setting, WINDOW_INITIAL_BYTES, WINDOW_MAX } from "./frames.ts";

export const SETTING_BYTES = 6;
const FRAME_SIZE_MIN = 16_384;
const FRAME_SIZE_MAX = 0xff_ffff;
const TABLE_BYTES_DEFAULT = 4_096;

export class PeerSettings {
  initialWindowBytes: number = WINDOW_INITIAL_BYTES;
  tableBytesMax: number = TABLE_BYTES_DEFAULT;

  /** Takes the entries in [start, end); the last of each kind counts. Null: they are right. */
  read(bytes: Buffer, start: number, end: number): ErrorCode | null {
    for (let at = start; at < end; at += SETTING_BYTES) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const fault = this.#take(id, readUint32(bytes, at + 2));
      if (fault !== null) return fault;
    }
    return null;
  }

  /** What we make no use of is checked, and what we do not know is not. */
  #take(id: number, value: number): ErrorCode | null {
    switch (id) {
      case Setting.headerTableSize:
        this.tableBytesMax = value;
        return null;
      case Setting.enablePush:
        return value > 1 ? ErrorCode.protocolError : null;
      case Setting.initialWindowSize:
        if (value > WINDOW_MAX) return ErrorCode.flowControlError;
        this.initialWindowBytes = value;
        return null;
      case Setting.maxFrameSize: {
        const isRight = value >= FRAME_SIZE_MIN && value <= FRAME_SIZE_MAX;
        return isRight ? null : ErrorCode.protocolError;
      }
      default:
        return null;
    }
  }
}
