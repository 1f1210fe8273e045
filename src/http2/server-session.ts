//! A server's side of one connection of HTTP/2 (RFC 9113): frames in, frames out, and the streams
//! between them. It knows no request: what fields say is its user's affair.

import type { Socket } from "node:net";
import { readDirectly } from "../base/direct-reads.ts";
import { ClosedStreams } from "./closed-streams.ts";
import type { FieldSection } from "./frame-output.ts";
import { FrameSender } from "./frame-sender.ts";
import { FrameReader } from "./frame-reader.ts";
import { ErrorCode, FrameType, Setting, STREAM_ID_MAX, WINDOW_INITIAL_BYTES } from "./frames.ts";
import { DRAIN_PING, PING_BYTES, ReceivedFrames } from "./received-frames.ts";
import type { ServerStream } from "./server-stream.ts";
import type { StreamSession } from "./server-stream.ts";

/** While the system has so much to send, nothing is read: a client has to take its answers. */
const UNREAD_ABOVE_BYTES = 524_288;
/** What is read and dropped after the end, so that our last words arrive. */
const LINGER_BYTES_MAX = 1_048_576;

export interface SessionLimits {
  readonly streamsMax: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly headBytesMax: number;
}

/** `fields`: names and values in turn. `isCut`: there were more than may be. */
export interface RequestSection {
  readonly fields: readonly string[];
  readonly isCut: boolean;
  readonly endsHere: boolean;
}

export interface SessionUser {
  /** All that one read brought has been looked at: the stream has not been reset within it. */
  onRequest(stream: ServerStream, section: RequestSection): void;
  onStreamClosed(): void;
  /** SETTINGS or PING, with ACK too. */
  onControl(): void;
  /** A stream that the client broke off, or made us break off. */
  onReset(): void;
  /** A frame with neither fields nor a body, nor the end of one. */
  onIdleFrame(): void;
  /** A head in too many frames, or too long. */
  onTooMuch(): void;
  onFramesSent(count: number): void;
  /** No frame is taken any more; the socket ends when the client has what was sent. */
  onOver(): void;
  onClosed(): void;
  onAssertion(error: unknown): void;
}

export class ServerSession implements StreamSession {
  /** No frame is taken or sent any more. */
  isOver = false;
  /** Streams that run are the last. */
  isEnding = false;
  readonly limits: SessionLimits;
  readonly user: SessionUser;
  readonly sender: FrameSender;
  readonly streams: Map<number, ServerStream> = new Map();
  readonly closed: ClosedStreams = new ClosedStreams();
  readonly #socket: Socket;
  readonly #frames: ReceivedFrames;
  readonly #reader: FrameReader;
  #isReadingPaused = false;
  #lingerBytes = 0;

  constructor(socket: Socket, limits: SessionLimits, user: SessionUser) {
    this.#socket = socket;
    this.limits = limits;
    this.user = user;
    this.sender = new FrameSender(socket, this.#onAssertion);
    this.#frames = new ReceivedFrames(this);
    this.#reader = new FrameReader(this.#frames);
  }

  /** Says our SETTINGS, and reads. */
  start(): void {
    const { streamsMax, streamWindowBytes, connectionWindowBytes, headBytesMax } = this.limits;
    this.sender.out.settings([
      [Setting.maxConcurrentStreams, streamsMax],
      [Setting.initialWindowSize, streamWindowBytes],
      [Setting.maxHeaderListSize, headBytesMax],
    ]);
    this.sender.out.windowUpdate(0, connectionWindowBytes - WINDOW_INITIAL_BYTES);
    this.sender.schedule();
    const socket = this.#socket;
    socket.on("drain", this.#onDrain);
    socket.on("end", () => {
      this.destroy();
    });
    socket.on("error", () => {
      this.destroy();
    });
    socket.on("close", () => {
      this.#closeAll();
      this.user.onClosed();
    });
    readDirectly(socket, this.#onChunk);
    socket.resume();
  }

  /** First a notice, so that requests on their way are served; the end when it has been read. */
  drain(): void {
    if (this.isOver || this.isEnding) return;
    const { out } = this.sender;
    out.goaway(STREAM_ID_MAX, ErrorCode.noError);
    out.frameHead(FrameType.ping, PING_BYTES, 0, 0);
    out.append(DRAIN_PING);
    this.sender.schedule();
  }

  /** Ends it with an error, which the client has time to read. */
  fail(code: ErrorCode): void {
    if (this.isOver) return;
    this.sender.out.goaway(this.#frames.lastId, code);
    this.#end();
  }

  /** The same, and reads no more. */
  cut(code: ErrorCode): void {
    if (this.isOver) return;
    this.fail(code);
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#closeAll();
    this.sender.stop();
    this.#socket.destroy();
  }

  // --- from the socket ---

  readonly #onChunk = (chunk: Buffer): void => {
    if (this.isOver) {
      this.#lingerBytes += chunk.length;
      if (this.#lingerBytes > LINGER_BYTES_MAX) this.#socket.destroy();
      return;
    }
    try {
      this.#reader.read(chunk);
      this.#frames.startPending();
      this.#countSent();
    } catch (error) {
      this.#onAssertion(error);
    }
    if (this.sender.out.unsentBytes < UNREAD_ABOVE_BYTES) return;
    this.sender.flush();
    if (!this.#socket.writableNeedDrain) return;
    this.#isReadingPaused = true;
    this.#socket.pause();
  };

  readonly #onDrain = (): void => {
    try {
      this.sender.flush();
    } catch (error) {
      this.#onAssertion(error);
    }
    if (!this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    this.#socket.resume();
  };

  readonly #onAssertion = (error: unknown): void => {
    this.user.onAssertion(error);
    this.destroy();
  };

  #countSent(): void {
    this.user.onFramesSent(this.sender.frameCount);
    this.sender.frameCount = 0;
  }

  // --- for the streams ---

  writeSection(stream: ServerStream, section: FieldSection, endsHere: boolean): void {
    this.sender.section(stream, section, endsHere);
  }

  writeEnd(stream: ServerStream): void {
    this.sender.endStream(stream);
  }

  queue(stream: ServerStream): void {
    this.sender.queue(stream);
  }

  openWindow({ id }: ServerStream, bytes: number): void {
    this.sender.out.windowUpdate(id, bytes);
    this.sender.schedule();
  }

  reset(stream: ServerStream, code: ErrorCode): void {
    this.sender.out.rstStream(stream.id, code);
    this.sender.schedule();
    this.close(stream, false, !stream.isRemoteEnded);
  }

  onEndWritten(stream: ServerStream): void {
    this.sender.settleLater(stream);
  }

  onLocalEnd(stream: ServerStream): void {
    if (stream.isRemoteEnded) this.close(stream, false, false);
  }

  // --- ends ---

  /** The client has broken the protocol on this stream alone (section 5.4.2). */
  breakOff(stream: ServerStream, code: ErrorCode): void {
    this.sender.out.rstStream(stream.id, code);
    this.sender.schedule();
    this.close(stream, true, true);
    this.user.onReset();
  }

  close(stream: ServerStream, isReset: boolean, isOurs: boolean): void {
    if (!this.streams.delete(stream.id)) return;
    this.closed.add(stream.id, isOurs);
    stream.close(isReset);
    this.user.onStreamClosed();
    this.endIfFree();
  }

  endIfFree(): void {
    if (this.isEnding && this.streams.size === 0 && !this.isOver) this.#end();
  }

  #end(): void {
    this.#closeAll();
    this.sender.end();
    this.#socket.end();
    this.user.onOver();
  }

  #closeAll(): void {
    if (this.isOver) return;
    this.isOver = true;
    const streams = [...this.streams.values()];
    this.streams.clear();
    for (const stream of streams) stream.close(false);
  }
}
