//! What the frames of a client do (RFC 9113 section 6), and what is done about wrong ones.

import { ErrorCode, Flag, FrameType, readUint32, STREAM_ID_MAX, WINDOW_MAX } from "./frames.ts";
import type { FrameHead } from "./frames.ts";
import type { FrameSink } from "./frame-reader.ts";
import { HeadBlock } from "./head-block.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { PeerSettings, SETTING_BYTES } from "./peer-settings.ts";
import { ServerStream } from "./server-stream.ts";
import type { RequestSection, ServerSession } from "./server-session.ts";

export const PING_BYTES = 8;
const PRIORITY_BYTES = 5;
/** Of the PING behind our first GOAWAY. */
export const DRAIN_PING: Buffer = Buffer.from("graylane", "latin1");

interface Pending {
  readonly stream: ServerStream;
  readonly section: RequestSection;
}

export class ReceivedFrames implements FrameSink {
  /** The last stream that the client has opened. */
  lastId = 0;
  readonly #session: ServerSession;
  readonly #decoder = new HpackDecoder();
  readonly #block = new HeadBlock();
  readonly #peer = new PeerSettings();
  /** Requests of this read that nobody serves yet. */
  #pending: Pending[] = [];
  #hasSettings = false;
  #receiveWindow: number;
  #creditBytes = 0;
  /** Whose DATA is being read; null: nobody wants it. */
  #dataStream: ServerStream | null = null;

  constructor(session: ServerSession) {
    this.#session = session;
    this.#receiveWindow = session.limits.connectionWindowBytes;
  }

  get isOver(): boolean {
    return this.#session.isOver;
  }

  /** Serves what has come, and was not reset by what came with it. */
  startPending(): void {
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    for (const { stream, section } of pending) {
      if (!stream.isClosed) this.#session.user.onRequest(stream, section);
    }
  }

  onFrameFault(code: ErrorCode): void {
    this.#session.fail(code);
  }

  onFrame(head: FrameHead, bytes: Buffer, start: number, end: number): void {
    if (!this.#isInPlace(head)) {
      this.#session.fail(ErrorCode.protocolError);
      return;
    }
    switch (head.type) {
      case FrameType.headers:
        this.#onHeaders(head, bytes, start, end);
        return;
      case FrameType.continuation:
        this.#onContinuation(head, bytes, start, end);
        return;
      case FrameType.rstStream:
        this.#onRstStream(head);
        return;
      case FrameType.settings:
        this.#onSettings(head, bytes, start, end);
        return;
      case FrameType.ping:
        this.#onPing(head, bytes, start, end);
        return;
      case FrameType.goaway:
        this.#onGoaway(head);
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(head, bytes, start);
        return;
      case FrameType.priority:
        this.#onPriority(head, bytes, start);
        return;
      default:
        if (head.type === FrameType.pushPromise) this.#session.fail(ErrorCode.protocolError);
        else this.#session.user.onIdleFrame();
    }
  }

  /** SETTINGS come first, and nothing comes between the frames of a block. */
  #isInPlace({ type, flags, stream }: FrameHead): boolean {
    if (!this.#hasSettings) return type === FrameType.settings && (flags & Flag.ack) === 0;
    if (this.#block.stream === 0) return type !== FrameType.continuation;
    return type === FrameType.continuation && stream === this.#block.stream;
  }

  onDataHead(head: FrameHead, paddingBytes: number): void {
    const { stream: id, length, flags } = head;
    this.#dataStream = null;
    if (!this.#isInPlace(head) || id === 0 || id > this.lastId) {
      this.#session.fail(ErrorCode.protocolError);
      return;
    }
    if (!this.#takeWindow(length)) return;
    if (length === paddingBytes && (flags & Flag.endStream) === 0) this.#session.user.onIdleFrame();
    const stream = this.#session.streams.get(id);
    if (stream === undefined) {
      if (this.#session.closed.isOurs(id) !== true) this.#session.fail(ErrorCode.streamClosed);
      return;
    }
    if (stream.isRemoteEnded) {
      this.#session.breakOff(stream, ErrorCode.streamClosed);
      return;
    }
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.#session.breakOff(stream, ErrorCode.flowControlError);
      return;
    }
    if (stream.user === null) this.startPending();
    this.#dataStream = stream;
    if (paddingBytes > 0) stream.credit(paddingBytes);
  }

  onData(body: Buffer): void {
    this.#dataStream?.receive(body);
  }

  onDataEnd({ flags }: FrameHead): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (stream !== null && (flags & Flag.endStream) !== 0) this.#endRemote(stream, null);
  }

  /** The connection's window is opened again at once: each stream's holds what it has to. */
  #takeWindow(bytes: number): boolean {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow < 0) {
      this.#session.fail(ErrorCode.flowControlError);
      return false;
    }
    this.#creditBytes += bytes;
    if (this.#creditBytes < this.#session.limits.connectionWindowBytes / 2) return true;
    this.#receiveWindow += this.#creditBytes;
    this.#session.sender.out.windowUpdate(0, this.#creditBytes);
    this.#session.sender.schedule();
    this.#creditBytes = 0;
    return true;
  }

  #onHeaders(
    { flags, stream, length }: FrameHead,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const isPadded = (flags & Flag.padded) !== 0;
    const hasPriority = (flags & Flag.priority) !== 0;
    const from = start + (isPadded ? 1 : 0) + (hasPriority ? PRIORITY_BYTES : 0);
    const to = isPadded && length > 0 ? end - (bytes[start] as number) : end;
    if (to < from) {
      this.#session.fail(from > end ? ErrorCode.frameSizeError : ErrorCode.protocolError);
      return;
    }
    const isOwn =
      hasPriority && (readUint32(bytes, from - PRIORITY_BYTES) & STREAM_ID_MAX) === stream;
    if (stream % 2 === 0 || isOwn) {
      this.#session.fail(ErrorCode.protocolError);
      return;
    }
    this.#block.begin(stream, (flags & Flag.endStream) !== 0);
    if ((flags & Flag.endHeaders) === 0) this.#block.add(bytes, from, to);
    else this.#onBlock(bytes, from, to);
  }

  #onContinuation({ flags }: FrameHead, bytes: Buffer, start: number, end: number): void {
    if (!this.#block.add(bytes, start, end)) {
      this.#session.user.onTooMuch();
      return;
    }
    if ((flags & Flag.endHeaders) === 0) return;
    const block = this.#block.take();
    this.#onBlock(block, 0, block.length);
  }

  /** A whole block, which is read whatever becomes of its stream: the table has to know it. */
  #onBlock(bytes: Buffer, start: number, end: number): void {
    const { stream: id, endsStream: endsHere } = this.#block;
    this.#block.stream = 0;
    const fields: string[] = [];
    const result = this.#decoder.decode(bytes, start, end, fields);
    if (result === "compression_error") {
      this.#session.fail(ErrorCode.compressionError);
      return;
    }
    const section = { fields, isCut: result === "list_too_large", endsHere };
    if (id > this.lastId) this.#open(id, section);
    else this.#onTrailers(id, section);
  }

  #open(id: number, section: RequestSection): void {
    this.lastId = id;
    if (this.#session.isEnding) {
      this.#session.closed.add(id, true);
      return;
    }
    if (this.#session.streams.size >= this.#session.limits.streamsMax) {
      this.#session.sender.out.rstStream(id, ErrorCode.refusedStream);
      this.#session.sender.schedule();
      this.#session.closed.add(id, true);
      this.#session.user.onReset();
      return;
    }
    const { initialWindowBytes } = this.#peer;
    const stream = new ServerStream(
      this.#session,
      id,
      initialWindowBytes,
      this.#session.limits.streamWindowBytes,
    );
    stream.isRemoteEnded = section.endsHere;
    this.#session.streams.set(id, stream);
    this.#pending.push({ stream, section });
  }

  #onTrailers(id: number, { fields, isCut, endsHere }: RequestSection): void {
    const stream = this.#session.streams.get(id);
    if (stream === undefined) {
      const isOurs = this.#session.closed.isOurs(id);
      if (isOurs === true) return;
      this.#session.fail(isOurs === undefined ? ErrorCode.protocolError : ErrorCode.streamClosed);
      return;
    }
    if (stream.isRemoteEnded) this.#session.breakOff(stream, ErrorCode.streamClosed);
    else if (!endsHere || isCut) this.#session.breakOff(stream, ErrorCode.protocolError);
    else {
      if (stream.user === null) this.startPending();
      this.#endRemote(stream, fields);
    }
  }

  #endRemote(stream: ServerStream, trailers: readonly string[] | null): void {
    stream.receiveEnd(trailers);
    if (stream.isLocalEnded && !stream.isClosed) this.#session.close(stream, false, false);
  }

  #onRstStream({ stream: id, length }: FrameHead): void {
    if (id === 0 || id > this.lastId || length !== 4) {
      this.#session.fail(length === 4 ? ErrorCode.protocolError : ErrorCode.frameSizeError);
      return;
    }
    const stream = this.#session.streams.get(id);
    if (stream === undefined) {
      this.#session.user.onIdleFrame();
      return;
    }
    this.#session.close(stream, true, false);
    this.#session.user.onReset();
  }

  #onSettings(
    { flags, stream, length }: FrameHead,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const isAck = (flags & Flag.ack) !== 0;
    if (stream !== 0) {
      this.#session.fail(ErrorCode.protocolError);
      return;
    }
    if (length % SETTING_BYTES !== 0 || (isAck && length > 0)) {
      this.#session.fail(ErrorCode.frameSizeError);
      return;
    }
    this.#hasSettings = true;
    if (!isAck) this.#applySettings(bytes, start, end);
    this.#session.user.onControl();
  }

  #applySettings(bytes: Buffer, start: number, end: number): void {
    const peer = this.#peer;
    const before = peer.initialWindowBytes;
    const fault = peer.read(bytes, start, end);
    if (fault !== null) {
      this.#session.fail(fault);
      return;
    }
    this.#session.sender.encoder.setTableBytesMax(peer.tableBytesMax);
    this.#session.sender.out.frameHead(FrameType.settings, 0, Flag.ack, 0);
    this.#session.sender.schedule();
    const more = peer.initialWindowBytes - before;
    if (more === 0) return;
    for (const stream of this.#session.streams.values()) {
      stream.sendWindow += more;
      if (stream.sendWindow > WINDOW_MAX) {
        this.#session.fail(ErrorCode.flowControlError);
        return;
      }
      this.#session.sender.queue(stream);
    }
  }

  #onPing({ flags, stream, length }: FrameHead, bytes: Buffer, start: number, end: number): void {
    if (stream !== 0 || length !== PING_BYTES) {
      this.#session.fail(stream === 0 ? ErrorCode.frameSizeError : ErrorCode.protocolError);
      return;
    }
    if ((flags & Flag.ack) === 0) {
      this.#session.sender.out.frameHead(FrameType.ping, PING_BYTES, Flag.ack, 0);
      this.#session.sender.out.append(bytes.subarray(start, end));
      this.#session.sender.schedule();
    } else if (bytes.compare(DRAIN_PING, 0, PING_BYTES, start, end) === 0) this.#onDrainPing();
    this.#session.user.onControl();
  }

  #onDrainPing(): void {
    if (this.#session.isEnding) return;
    this.#session.isEnding = true;
    this.#session.sender.out.goaway(this.lastId, ErrorCode.noError);
    this.#session.sender.schedule();
    this.#session.endIfFree();
  }

  #onGoaway({ stream, length }: FrameHead): void {
    if (stream !== 0 || length < 8) {
      this.#session.fail(stream === 0 ? ErrorCode.frameSizeError : ErrorCode.protocolError);
      return;
    }
    this.startPending();
    this.#session.isEnding = true;
    this.#session.endIfFree();
  }

  #onWindowUpdate({ stream: id, length }: FrameHead, bytes: Buffer, start: number): void {
    if (length !== 4) {
      this.#session.fail(ErrorCode.frameSizeError);
      return;
    }
    const more = readUint32(bytes, start) & WINDOW_MAX;
    if (id === 0) this.#openSendWindow(more);
    else if (id > this.lastId) this.#session.fail(ErrorCode.protocolError);
    else {
      const stream = this.#session.streams.get(id);
      if (stream !== undefined) this.#openStreamWindow(stream, more);
    }
    if (!this.isOver) this.#session.user.onIdleFrame();
  }

  #openSendWindow(more: number): void {
    this.#session.sender.window += more;
    if (more === 0) this.#session.fail(ErrorCode.protocolError);
    else if (this.#session.sender.window > WINDOW_MAX)
      this.#session.fail(ErrorCode.flowControlError);
    else this.#session.sender.schedule();
  }

  #openStreamWindow(stream: ServerStream, more: number): void {
    stream.sendWindow += more;
    if (more === 0) this.#session.breakOff(stream, ErrorCode.protocolError);
    else if (stream.sendWindow > WINDOW_MAX)
      this.#session.breakOff(stream, ErrorCode.flowControlError);
    else this.#session.sender.queue(stream);
  }

  #onPriority({ stream, length }: FrameHead, bytes: Buffer, start: number): void {
    if (length !== PRIORITY_BYTES) {
      this.#session.fail(ErrorCode.frameSizeError);
      return;
    }
    const isOwn = (readUint32(bytes, start) & STREAM_ID_MAX) === stream;
    if (stream === 0 || isOwn) this.#session.fail(ErrorCode.protocolError);
    else this.#session.user.onIdleFrame();
  }
}
