//! Sends what a session has to say, once in a turn, and its streams' DATA by turns: a frame of
//! each, as far as the client's windows and the system's buffers go.

import type { Socket } from "node:net";
import { Flag, FRAME_BYTES_MAX, FrameType, WINDOW_INITIAL_BYTES } from "./frames.ts";
import { FrameOutput } from "./frame-output.ts";
import type { FieldSection } from "./frame-output.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import type { ServerStream } from "./server-stream.ts";

/** While the system has so much to send, no DATA is added. */
const UNSENT_BYTES_MAX = 131_072;

export class FrameSender {
  readonly out: FrameOutput;
  readonly encoder: HpackEncoder = new HpackEncoder();
  /** What the connection may still be sent of DATA. */
  window: number = WINDOW_INITIAL_BYTES;
  /** HEADERS and DATA that were sent; who counts them sets it back. */
  frameCount = 0;
  readonly #onError: (error: unknown) => void;
  readonly #ready: ServerStream[] = [];
  readonly #chunks: Buffer[] = [];
  /** Whose END_STREAM is among what is sent next. */
  #ended: ServerStream[] = [];
  #isScheduled = false;
  #isOver = false;

  constructor(socket: Socket, onError: (error: unknown) => void) {
    this.out = new FrameOutput(socket);
    this.#onError = onError;
  }

  /** What is written in this turn goes out at its end. */
  schedule(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    setImmediate(this.#onTurn);
  }

  /** It gets its turn when it has something to send, and a window for it. */
  queue(stream: ServerStream): void {
    if (stream.isQueued || !stream.canSend) return;
    stream.isQueued = true;
    this.#ready.push(stream);
    this.schedule();
  }

  section(stream: ServerStream, section: FieldSection, endsHere: boolean): void {
    this.frameCount += 1;
    this.out.headers(this.encoder, section, stream.id, endsHere ? Flag.endStream : 0);
    this.schedule();
  }

  endStream(stream: ServerStream): void {
    this.frameCount += 1;
    this.out.frameHead(FrameType.data, 0, Flag.endStream, stream.id);
    this.schedule();
  }

  settleLater(stream: ServerStream): void {
    this.#ended.push(stream);
    this.schedule();
  }

  flush(): void {
    if (this.#isOver) return;
    const roomy = this.#sendData();
    const ended = this.#ended;
    if (ended.length > 0) this.#ended = [];
    for (const stream of ended) stream.settle();
    this.out.flush();
    for (const stream of roomy) stream.user?.onDrain();
  }

  /** Sends the last, and nothing after it. */
  end(): void {
    if (!this.#isOver) this.out.flush();
    this.#isOver = true;
  }

  stop(): void {
    this.#isOver = true;
  }

  readonly #onTurn = (): void => {
    this.#isScheduled = false;
    try {
      this.flush();
    } catch (error) {
      this.#onError(error);
    }
  };

  /** The streams whose users have waited for room. */
  #sendData(): readonly ServerStream[] {
    const ready = this.#ready;
    const roomy: ServerStream[] = [];
    while (ready.length > 0 && this.window > 0 && this.out.unsentBytes < UNSENT_BYTES_MAX) {
      const stream = ready.shift() as ServerStream;
      if (stream.canSend) this.#sendFrame(stream);
      if (stream.takeRoom()) roomy.push(stream);
      stream.isQueued = stream.canSend;
      if (stream.isQueued) ready.push(stream);
    }
    return roomy;
  }

  #sendFrame(stream: ServerStream): void {
    const chunks = this.#chunks;
    const bytes = stream.takeChunks(Math.min(this.window, FRAME_BYTES_MAX), chunks);
    const flags = stream.endsWithData ? Flag.endStream : 0;
    this.out.frameHead(FrameType.data, bytes, flags, stream.id);
    for (const chunk of chunks) this.out.append(chunk);
    chunks.length = 0;
    this.window -= bytes;
    this.frameCount += 1;
    stream.onSent();
  }
}
