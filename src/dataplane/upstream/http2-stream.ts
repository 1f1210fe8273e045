//! One exchange on a session of HTTP/2 to an endpoint.

import { constants } from "node:http2";
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import type { Headers } from "../../http/headers.ts";
import { http2Fields } from "../../http/http2-fields.ts";
import { readHttp2Trailers } from "../../http/http2-request.ts";
import { readHttp2Response } from "../../http/http2-response.ts";
import { RESPONSE_FAULTS } from "../../http/fault.ts";
import type { UpstreamFacts } from "./upstream-facts.ts";
import type { OutgoingHead, Upstream, UpstreamFailureKind, UpstreamUser } from "./upstream.ts";

/** What a stream asks of its session. */
export interface StreamSession {
  /** It has carried a whole exchange before. */
  hasServed: boolean;
  readonly scheme: "http" | "https";
  readonly isOpen: boolean;
  readonly facts: UpstreamFacts;
  /** Null when it takes no more. */
  request(headers: OutgoingHttpHeaders, hasBody: boolean): ClientHttp2Stream | null;
  onStreamClosed(stream: UpstreamStream): void;
  /** Something has come of the server. */
  onHeard(): void;
  /** An exchange was given up before the head of its response had come. */
  onUnanswered(): void;
}

export class UpstreamStream implements Upstream {
  readonly switchable = null;
  readonly reused: boolean;
  readonly #session: StreamSession;
  #user: UpstreamUser | null;
  #stream: ClientHttp2Stream | null = null;
  #hasSentBody = false;
  #hasHead = false;
  /** END_STREAM has come. */
  #hasEndOfStream = false;
  /** The whole request has been handed over. */
  #hasEnded = false;
  #trailers: Headers | null = null;
  #requestTrailers: Headers | null = null;

  get facts(): UpstreamFacts {
    return this.#session.facts;
  }

  constructor(session: StreamSession, user: UpstreamUser) {
    this.#session = session;
    this.#user = user;
    this.reused = session.hasServed;
  }

  onConnected(): void {
    this.#tell((user) => {
      user.onUpstreamReady(this);
    });
  }

  /** Nothing comes any more. `kind`: what a request has failed of that was not sent. */
  onSessionClosed(kind: UpstreamFailureKind, detail: string): void {
    if (this.#stream === null) this.#fail(kind, detail);
    else this.#fail(this.#lossKind(), detail);
  }

  sendHead({ method, target, headers, hasBody }: OutgoingHead): boolean {
    const fields = {
      ":method": method,
      ":scheme": this.#session.scheme,
      ":authority": headers.get("host") ?? "",
      ":path": target,
      ...http2Fields(headers),
    };
    const stream = this.#session.request(fields, hasBody);
    if (stream === null) {
      // The session ended in this very turn; its end is told as that of a try that sent nothing.
      queueMicrotask(() => {
        this.#fail("connect", "the connection takes no more requests");
      });
      return false;
    }
    this.#stream = stream;
    this.#listen(stream);
    return true;
  }

  sendBody(chunk: Buffer): boolean {
    const stream = this.#stream;
    if (stream === null || stream.destroyed) return true;
    this.#hasSentBody = true;
    return stream.write(chunk);
  }

  sendEnd(trailers: Headers | null): void {
    this.#requestTrailers = trailers;
    this.#hasEnded = true;
    this.#stream?.end();
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  handOver(user: UpstreamUser): void {
    this.#user = user;
  }

  abort(): void {
    this.#user = null;
    if (this.#stream !== null && !this.#hasHead) this.#session.onUnanswered();
    // Not NO_ERROR: that would end the request as if it were whole.
    if (this.#stream?.destroyed === false) this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#session.onStreamClosed(this);
  }

  abandonConnect(): void {
    if (this.#stream === null) this.abort();
  }

  release(requestComplete: boolean): void {
    if (!requestComplete) {
      this.abort();
      return;
    }
    this.#user = null;
    this.#session.hasServed = true;
    this.#stream?.resume();
    this.#session.onStreamClosed(this);
  }

  #listen(stream: ClientHttp2Stream): void {
    this.#watchEnd(stream);
    stream.on("error", () => undefined);
    stream.on("headers", (_headers, flags, fields?: unknown) => {
      this.#onHead(fields as string[], flags, true);
    });
    stream.on("response", (_headers, flags, fields?: unknown) => {
      this.#onHead(fields as string[], flags, false);
    });
    stream.on("data", (chunk: Buffer) => {
      this.#session.onHeard();
      this.#tell((user) => {
        user.onResponseBody(chunk);
        this.#user?.onUpstreamBatchEnd();
      });
    });
    stream.on("trailers", (_headers, _flags, fields?: unknown) => {
      this.#onTrailers(fields as string[]);
    });
    stream.on("end", () => {
      this.#onEnd(stream);
    });
    stream.on("drain", () => {
      this.#user?.onUpstreamDrain();
    });
    stream.on("wantTrailers", () => {
      // Of a request that is broken off the end must not be sent.
      if (stream.destroyed || !this.#hasEnded) return;
      const trailers = this.#requestTrailers;
      stream.sendTrailers(trailers === null ? {} : http2Fields(trailers));
    });
    stream.on("close", () => {
      this.#session.onStreamClosed(this);
      this.#fail(this.#lossOf(stream.rstCode), `stream closed with code ${stream.rstCode}`);
    });
  }

  #onHead(fields: readonly string[], flags: number, isInterim: boolean): void {
    this.#session.onHeard();
    const endsHere = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const head = readHttp2Response(fields, endsHere);
    if ("code" in head) {
      this.#break(head.message);
      return;
    }
    if (!isInterim) this.#hasHead = true;
    this.#tell((user) => {
      if (isInterim) user.onInformational(head);
      else user.onResponseHead(head);
    });
  }

  #onTrailers(fields: readonly string[]): void {
    const trailers = readHttp2Trailers(fields);
    if (typeof trailers === "string") this.#break(RESPONSE_FAULTS[trailers].message);
    else if (trailers.size > 0) this.#trailers = trailers;
  }

  /**
   * RST_STREAM with NO_ERROR gives the same events as END_STREAM. Only here the two differ: the
   * library says that the stream is closed before it pushes the end that a reset makes.
   */
  #watchEnd(stream: ClientHttp2Stream): void {
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null && !stream.closed) this.#hasEndOfStream = true;
      return push(chunk, encoding);
    };
  }

  /** The stream may also end because it was broken off. */
  #onEnd(stream: ClientHttp2Stream): void {
    const isWhole = this.#hasHead && this.#hasEndOfStream;
    if (!isWhole || stream.rstCode !== constants.NGHTTP2_NO_ERROR || stream.aborted) return;
    this.#tell((user) => {
      user.onResponseEnd(this.#trailers);
    });
  }

  #break(message: string): void {
    const user = this.#user;
    this.abort();
    user?.onUpstreamFailure("protocol", message);
  }

  /** Refused, and nothing of it was kept by the server (RFC 9113 section 8.7). */
  #lossOf(code: number): UpstreamFailureKind {
    const isRefused = code === constants.NGHTTP2_REFUSED_STREAM && !this.#hasSentBody;
    if (isRefused) return "refused";
    return !this.#hasHead && this.#session.isOpen ? "stream" : this.#lossKind();
  }

  #lossKind(): UpstreamFailureKind {
    return this.#hasHead ? "truncated" : "reset";
  }

  #fail(kind: UpstreamFailureKind, detail: string): void {
    const user = this.#user;
    this.#user = null;
    user?.onUpstreamFailure(kind, detail);
  }

  #tell(tell: (user: UpstreamUser) => void): void {
    const user = this.#user;
    if (user === null) return;
    try {
      tell(user);
    } catch (error) {
      this.abort();
      user.onUpstreamAssertion(error);
    }
  }
}
