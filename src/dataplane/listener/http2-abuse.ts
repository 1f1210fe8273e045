//! What one connection of HTTP/2 costs us beyond its requests: no client needs much of that.

import type { Socket } from "node:net";

/** Of a request's body this much may come before it is read. */
export const STREAM_WINDOW_BYTES = 262_144;
export const CONNECTION_WINDOW_BYTES = 1_048_576;
/** All of it is counted in windows that long. */
const ABUSE_WINDOW_MS = 10_000;
/** How often the bytes of a connection are looked at. */
const INSPECTION_INTERVAL_MS = 1_000;
/** Streams that the client breaks off, or makes us break off (rapid reset, MadeYouReset). */
const RESETS_PER_WINDOW_MAX = 500;
/** PING and SETTINGS frames. */
const CONTROLS_PER_WINDOW_MAX = 1_000;
/**
 * Bytes that carried neither fields nor a body: WINDOW_UPDATE, PRIORITY, padding, unknown frames.
 * The library tells nobody of these frames, but the socket counts its bytes. Bodies on their way
 * to their readers have not been counted yet either: hence the windows.
 */
const IDLE_BYTES_PER_WINDOW_MAX: number = 2 * CONNECTION_WINDOW_BYTES;
/** A client may open both windows (two frames of 13 bytes) for each frame of ours (10 and more). */
const IDLE_BYTES_PER_SENT_BYTE = 2;
/** A frame's own bytes and a little padding. */
const FRAME_OVERHEAD_BYTES = 64;

type ByteCounts = Pick<Socket, "bytesRead" | "bytesWritten">;

export class AbuseCount {
  /** When `inspect` is to be called, in the sweeper's time. */
  inspectionMs: number;
  readonly #socket: ByteCounts;
  #windowEndMs = 0;
  #resets = 0;
  #controls = 0;
  /** Of fields and bodies, in this window. */
  #usefulBytes = 0;
  #readBefore = 0;
  #sentBefore = 0;

  constructor(socket: ByteCounts, nowMs: number) {
    this.#socket = socket;
    this.inspectionMs = nowMs + INSPECTION_INTERVAL_MS;
  }

  onFields(fields: readonly string[]): void {
    let bytes = FRAME_OVERHEAD_BYTES;
    for (const text of fields) bytes += text.length;
    this.#usefulBytes += bytes;
  }

  onBody(bytes: number): void {
    this.#usefulBytes += bytes + FRAME_OVERHEAD_BYTES;
  }

  /** A stream has ended before its body: what of it was on its way nobody has counted. */
  onUnreadBody(): void {
    this.#usefulBytes += STREAM_WINDOW_BYTES;
  }

  /** Is that too much? */
  onReset(nowMs: number): boolean {
    this.#turnWindow(nowMs);
    this.#resets += 1;
    return this.#resets > RESETS_PER_WINDOW_MAX;
  }

  onControl(nowMs: number): boolean {
    this.#turnWindow(nowMs);
    this.#controls += 1;
    return this.#controls > CONTROLS_PER_WINDOW_MAX;
  }

  inspect(nowMs: number): boolean {
    this.inspectionMs = nowMs + INSPECTION_INTERVAL_MS;
    const read = this.#socket.bytesRead - this.#readBefore;
    const sent = this.#socket.bytesWritten - this.#sentBefore;
    const idle = read - this.#usefulBytes - IDLE_BYTES_PER_SENT_BYTE * sent;
    // First the sum, then the turn: the last second of a window counts, too.
    this.#turnWindow(nowMs);
    return idle > IDLE_BYTES_PER_WINDOW_MAX;
  }

  #turnWindow(nowMs: number): void {
    if (nowMs < this.#windowEndMs) return;
    this.#windowEndMs = nowMs + ABUSE_WINDOW_MS;
    this.#resets = 0;
    this.#controls = 0;
    this.#usefulBytes = 0;
    this.#readBefore = this.#socket.bytesRead;
    this.#sentBefore = this.#socket.bytesWritten;
  }
}
