//! One stream of a server's session (RFC 9113 section 5): both its bodies, with flow control.

import type { Headers } from "../http/headers.ts";
import { ErrorCode, FRAME_BYTES_MAX } from "./frames.ts";
import type { FieldSection } from "./frame-output.ts";

/** Of a response's body this much may wait; then whoever writes it has to. */
const UNSENT_BYTES_MAX = 65_536;
/** When so little of it is left, the rest is asked for. */
const UNSENT_BYTES_LOW = 16_384;

/** Who serves a stream. */
export interface StreamUser {
  onBody(chunk: Buffer): void;
  /** The request is whole; `trailers`: names and values in turn, or null. */
  onEnd(trailers: readonly string[] | null): void;
  /** After a `write` that returned false: there is room again. */
  onDrain(): void;
  /** Once, whatever the end was. `isReset`: the client broke it off, or the protocol. */
  onClosed(isReset: boolean): void;
}

/** What a stream needs of its session. */
export interface StreamSession {
  writeSection(stream: ServerStream, section: FieldSection, endsHere: boolean): void;
  writeEnd(stream: ServerStream): void;
  /** It has DATA to send, and a window for it. */
  queue(stream: ServerStream): void;
  openWindow(stream: ServerStream, bytes: number): void;
  reset(stream: ServerStream, code: ErrorCode): void;
  /** END_STREAM is written: `settle` is called when this turn's frames are sent. */
  onEndWritten(stream: ServerStream): void;
  onLocalEnd(stream: ServerStream): void;
}

export class ServerStream {
  readonly id: number;
  user: StreamUser | null = null;
  /** What the client may still be sent, and may still send. */
  sendWindow: number;
  receiveWindow: number;
  isClosed = false;
  /** END_STREAM has come, or gone. */
  isRemoteEnded = false;
  isLocalEnded = false;
  /** Stands in the session's queue. */
  isQueued = false;
  readonly #session: StreamSession;
  readonly #windowBytes: number;
  /** Received, and not yet given to the user, who has paused. */
  #kept: Buffer[] = [];
  #trailers: readonly string[] | null = null;
  #isEndKept = false;
  #isPaused = false;
  #isUnread = false;
  #creditBytes = 0;
  /** To be sent. */
  #chunks: Buffer[] = [];
  #unsentBytes = 0;
  #hasHead = false;
  #isEnding = false;
  #lastSection: FieldSection | null = null;
  #resetCode: ErrorCode | null = null;
  #isFull = false;

  constructor(session: StreamSession, id: number, sendWindow: number, receiveWindow: number) {
    this.#session = session;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.#windowBytes = receiveWindow;
  }

  // --- for the user ---

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get hasHead(): boolean {
    return this.#hasHead;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  interim(section: FieldSection): void {
    if (!this.isClosed && !this.#hasHead) this.#session.writeSection(this, section, false);
  }

  respond(section: FieldSection, endsHere: boolean): void {
    if (this.isClosed || this.#hasHead) return;
    this.#hasHead = true;
    if (endsHere) this.#isEnding = true;
    this.#session.writeSection(this, section, endsHere);
    if (endsHere) this.#session.onEndWritten(this);
  }

  /** False: no more before `onDrain`. `chunk` is the stream's from here on. */
  write(chunk: Buffer): boolean {
    if (this.isClosed || this.#isEnding) return true;
    this.#chunks.push(chunk);
    this.#unsentBytes += chunk.length;
    this.#askToSend();
    if (this.#unsentBytes <= UNSENT_BYTES_MAX) return true;
    this.#isFull = true;
    return false;
  }

  end(trailers: Headers | null): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    if (trailers !== null) this.#lastSection = { status: 0, headers: trailers };
    if (this.#unsentBytes > 0) return;
    if (this.#lastSection === null) this.#session.writeEnd(this);
    this.#finish();
  }

  /** What still comes of the request is dropped. With `code` it is told so behind the response. */
  stopReading(code: ErrorCode): void {
    this.#isUnread = true;
    this.#kept = [];
    this.#resetCode = code;
    if (this.isLocalEnded) this.reset(code);
  }

  reset(code: ErrorCode): void {
    if (!this.isClosed) this.#session.reset(this, code);
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What has been kept is given out in a turn of its own. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#kept.length > 0 || this.#isEndKept) process.nextTick(this.#release);
  }

  // --- for the session ---

  receive(chunk: Buffer): void {
    if (this.isClosed || this.#isUnread) return;
    if (this.#isPaused || this.#kept.length > 0) {
      // Copied: a byte would keep the whole read that it came with.
      this.#kept.push(Buffer.from(chunk));
      return;
    }
    this.credit(chunk.length);
    this.user?.onBody(chunk);
  }

  receiveEnd(trailers: readonly string[] | null): void {
    this.isRemoteEnded = true;
    if (this.isClosed || this.#isUnread) return;
    if (this.#isPaused || this.#kept.length > 0) {
      this.#isEndKept = true;
      this.#trailers = trailers;
    } else this.user?.onEnd(trailers);
  }

  /** So much of what was received is no longer held. */
  credit(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#creditBytes < this.#windowBytes / 2 || this.isRemoteEnded) return;
    this.receiveWindow += this.#creditBytes;
    this.#session.openWindow(this, this.#creditBytes);
    this.#creditBytes = 0;
  }

  get canSend(): boolean {
    return this.#unsentBytes > 0 && this.sendWindow > 0 && !this.isClosed;
  }

  /** Takes what goes into one frame of at most `bytesMax`, into `out`; how much that is. */
  takeChunks(bytesMax: number, out: Buffer[]): number {
    const room = Math.min(bytesMax, this.sendWindow, this.#unsentBytes, FRAME_BYTES_MAX);
    let left = room;
    while (left > 0) {
      const chunk = this.#chunks[0] as Buffer;
      if (chunk.length > left) {
        out.push(chunk.subarray(0, left));
        this.#chunks[0] = chunk.subarray(left);
        break;
      }
      out.push(chunk);
      this.#chunks.shift();
      left -= chunk.length;
    }
    this.sendWindow -= room;
    this.#unsentBytes -= room;
    return room;
  }

  /** What has been taken is the last of it, and no trailers follow. */
  get endsWithData(): boolean {
    return this.#isEnding && this.#unsentBytes === 0 && this.#lastSection === null;
  }

  /** What was taken has been written. */
  onSent(): void {
    if (this.#isEnding && this.#unsentBytes === 0) this.#finish();
  }

  /** Our side has ended. The user hears of the end only here, never while it writes. */
  settle(): void {
    if (this.isClosed) return;
    this.isLocalEnded = true;
    const code = this.#resetCode;
    const isDone = code === null || (this.isRemoteEnded && code === ErrorCode.noError);
    if (isDone) this.#session.onLocalEnd(this);
    else this.reset(code);
  }

  /** Whether the user waits, and may go on now. */
  takeRoom(): boolean {
    const hasRoom = this.#isFull && this.#unsentBytes <= UNSENT_BYTES_LOW;
    if (hasRoom) this.#isFull = false;
    return hasRoom && !this.isClosed;
  }

  close(isReset: boolean): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#kept = [];
    this.#chunks = [];
    this.#unsentBytes = 0;
    const { user } = this;
    this.user = null;
    user?.onClosed(isReset);
  }

  #askToSend(): void {
    if (!this.isQueued && this.sendWindow > 0) this.#session.queue(this);
  }

  #finish(): void {
    const section = this.#lastSection;
    this.#lastSection = null;
    if (section !== null) this.#session.writeSection(this, section, true);
    this.#session.onEndWritten(this);
  }

  readonly #release = (): void => {
    while (!this.#isPaused && this.#kept.length > 0) {
      const chunk = this.#kept.shift() as Buffer;
      this.credit(chunk.length);
      this.user?.onBody(chunk);
    }
    if (this.#isPaused || !this.#isEndKept || this.isClosed || this.#isUnread) return;
    this.#isEndKept = false;
    this.user?.onEnd(this.#trailers);
  };
}
