//! Reads raw frames with a session of ours, cut anywhere, and tells what it saw in a comparable form.

import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { readHttp2Request, readHttp2Trailers } from "../../src/http/http2-request.ts";
import { Headers } from "../../src/http/headers.ts";
import { ErrorCode } from "../../src/http2/frames.ts";
import { ServerSession } from "../../src/http2/server-session.ts";
import type { RequestSection, SessionUser } from "../../src/http2/server-session.ts";
import type { ServerStream, StreamUser } from "../../src/http2/server-stream.ts";
import { TYPE, readFrames } from "../../src/dataplane/testing/http2-frames.ts";

const LIMITS = {
  ...{ streamsMax: 100, streamWindowBytes: 65_535, connectionWindowBytes: 1_048_576 },
  headBytesMax: 65_536,
} as const;

/** The target of requests whose bodies nobody reads. */
const UNREAD = "/unread";

export interface SessionOutcome {
  /** Requests that came whole and right and were not broken off: number, method, target, bytes. */
  readonly served: readonly string[];
  /** Heads and trailers that were wrong, by their code. */
  readonly refused: readonly string[];
  /** Streams that we reset, with the code. */
  readonly resets: readonly string[];
  readonly goaway: number | null;
  readonly errors: readonly unknown[];
}

/** What a session needs of a socket; keeps what is written. */
class Wire extends Duplex {
  readonly written: Buffer[] = [];

  override _read(): void {
    // What comes is emitted by hand.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    done();
  }

  destroySoon(): void {
    this.end();
  }
}

class Request implements StreamUser {
  isWhole = false;
  isWrong: string | null = null;
  isReset = false;
  bytes = 0;
  readonly stream: ServerStream;
  readonly words: string;
  readonly #lengthMax: number;

  constructor(stream: ServerStream, words: string, length: number) {
    this.stream = stream;
    this.words = words;
    this.#lengthMax = length;
  }

  onBody(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#lengthMax !== -1 && this.bytes > this.#lengthMax) this.isWrong = "length";
  }

  onEnd(fields: readonly string[] | null): void {
    if (this.#lengthMax !== -1 && this.bytes !== this.#lengthMax) this.isWrong = "length";
    const trailers = fields === null ? null : readHttp2Trailers(fields);
    if (typeof trailers === "string") this.isWrong = trailers;
    this.isWhole = true;
  }

  onDrain(): void {
    // Little is written.
  }

  onClosed(isReset: boolean): void {
    this.isReset = isReset;
  }
}

class Reader implements SessionUser {
  readonly requests: Request[] = [];
  readonly refused: string[] = [];
  readonly errors: unknown[] = [];
  session: ServerSession | null = null;

  onRequest(stream: ServerStream, { fields, isCut, endsHere }: RequestSection): void {
    const head = readHttp2Request(fields, endsHere);
    if ("code" in head || isCut) {
      this.refused.push(`${stream.id}: ${"code" in head ? head.code : "head_too_large"}`);
      stream.stopReading(ErrorCode.noError);
      return;
    }
    const length = head.body === "chunked" ? -1 : head.contentLength;
    const request = new Request(stream, `${stream.id}: ${head.method} ${head.target}`, length);
    request.isWhole = endsHere;
    stream.user = request;
    if (head.target === UNREAD) stream.pause();
    this.requests.push(request);
  }

  onStreamClosed(): void {
    // Told by the streams.
  }

  onControl(): void {
    // Not counted here.
  }

  onReset(): void {
    // Not counted here.
  }

  onIdleFrame(): void {
    // Not counted here.
  }

  onTooMuch(): void {
    this.session?.cut(ErrorCode.enhanceYourCalm);
  }

  onFramesSent(): void {
    // Not counted here.
  }

  onOver(): void {
    // The wire has no end.
  }

  onClosed(): void {
    // The wire has no end.
  }

  onAssertion(error: unknown): void {
    this.errors.push(error);
  }
}

/** Each chunk is one read. All is answered at the end, so that cuts change nothing. */
export function readSession(chunks: readonly Buffer[]): SessionOutcome {
  const wire = new Wire();
  const reader = new Reader();
  const session = new ServerSession(wire as unknown as Socket, LIMITS, reader);
  reader.session = session;
  session.start();
  for (const chunk of chunks) wire.emit("data", chunk);
  const right = reader.requests.filter((one) => one.isWhole && one.isWrong === null);
  const served = right.filter(({ isReset }) => !isReset);
  for (const { stream } of served) {
    stream.respond({ status: 200, headers: new Headers() }, false);
    stream.write(Buffer.from("hello"));
    stream.end(null);
  }
  session.sender.flush();
  const { frames } = readFrames(Buffer.concat(wire.written));
  wire.destroy();
  const wrong = reader.requests.filter(({ isWrong }) => isWrong !== null);
  const goaways = frames.filter(({ type }) => type === TYPE.goaway);
  return {
    served: served.map(({ words, bytes }) => `${words} ${bytes}`),
    refused: [
      ...reader.refused,
      ...wrong.map(({ words, isWrong }) => `${words}: ${isWrong ?? ""}`),
    ],
    resets: frames
      .filter(({ type, payload }) => type === TYPE.reset && payload.readUInt32BE() !== 0)
      .map(({ stream, payload }) => `${stream}: ${payload.readUInt32BE()}`),
    goaway: goaways.at(-1)?.payload.readUInt32BE(4) ?? null,
    errors: reader.errors,
  };
}
