//! One request of an HTTP/2 connection: the client's side of its exchange.

import { constants } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import type { HttpFault } from "../../http/fault.ts";
import { Headers } from "../../http/headers.ts";
import { readHttp2Trailers } from "../../http/http2-request.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import { REQUEST_FAULTS } from "../../http/fault.ts";
import type { TrafficContext } from "../context.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  EXCHANGE_IDLE_TIMEOUT_MS,
  REQUEST_BODY_BYTES_MIN,
  REQUEST_BODY_WINDOW_MS,
} from "../deadlines.ts";
import type { Expirable } from "../deadlines.ts";
import type { Downstream, ResponseWriter } from "../exchange/downstream.ts";
import { Exchange } from "../exchange/exchange.ts";
import type { ExchangeHandler } from "../exchange/handler.ts";
import type { ClientNamesReader } from "./client-names.ts";
import type { ConnectionFacts } from "./connection-facts.ts";
import type { AbuseCount } from "./http2-abuse.ts";
import { Http2Writer } from "./http2-writer.ts";
import { recordRefused } from "./refused-request.ts";

/** What a stream knows of its connection. */
export interface StreamOwner {
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly isSecure: boolean;
  readonly tlsServer: TlsServer | null;
  readonly clientNames: ClientNamesReader;
  readonly facts: ConnectionFacts;
  readonly isDraining: boolean;
  readonly abuse: AbuseCount;
  readonly isOpen: boolean;
}

export class DownstreamStream implements Downstream, Expirable {
  readonly context: TrafficContext;
  readonly switchable = null;
  deadlineMs: number;
  readonly #owner: StreamOwner;
  readonly #stream: ServerHttp2Stream;
  #exchange: Exchange | null = null;
  #isRequestOver = true;
  /** Of a body that was announced the end has come. */
  #isBodyRead = false;
  /** Bytes of the request's body in this window; -1 when no rate is asked for. */
  #bodyWindowBytes = -1;
  #trailers: Headers | null = null;
  /** By when the client must have taken the answer whose request is not read on; 0 without. */
  #answeredByMs = 0;
  /** We have broken it off: what the client sees is not its own doing. */
  isCut = false;

  /** `onClosed` says whether it was the client who broke the stream off. */
  constructor(owner: StreamOwner, stream: ServerHttp2Stream, onClosed: (isReset: boolean) => void) {
    this.#owner = owner;
    this.#stream = stream;
    this.context = owner.context;
    this.deadlineMs = owner.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    owner.context.sweeper.add(this);
    stream.on("error", () => undefined);
    stream.on("drain", () => {
      this.#exchange?.onDownstreamDrain();
    });
    stream.on("close", () => {
      owner.context.sweeper.remove(this);
      const exchange = this.#exchange;
      this.#exchange = null;
      if (!stream.endAfterHeaders && !this.#isBodyRead) owner.abuse.onUnreadBody();
      // A reset may name no error.
      const isReset = stream.rstCode !== constants.NGHTTP2_NO_ERROR || stream.aborted;
      onClosed(isReset && !this.isCut);
      exchange?.onDownstreamClosed(isReset && !this.isCut && owner.isOpen);
    });
  }

  get remoteAddress(): string {
    return this.#owner.remoteAddress;
  }

  get localPort(): number {
    return this.#owner.localPort;
  }

  get facts(): ConnectionFacts {
    return this.#owner.facts;
  }

  get isSecure(): boolean {
    return this.#owner.isSecure;
  }

  get tlsServer(): TlsServer | null {
    return this.#owner.tlsServer;
  }

  get clientNames(): ClientNamesReader {
    return this.#owner.clientNames;
  }

  /** The connection ends after its streams: no single response says so. */
  get isDraining(): boolean {
    return false;
  }

  /** The request is right: serves it. */
  begin(head: RequestHead, handler: ExchangeHandler): void {
    const exchange = new Exchange(this, head, handler);
    this.#exchange = exchange;
    if (exchange.hasBody) this.#awaitBody(head);
    this.#guard(() => {
      exchange.begin();
    });
  }

  /** The request is wrong: answers it; no exchange begins. */
  refuse(fault: HttpFault): void {
    const { code, status } = fault;
    const body = `${code}: ${fault.message}\n`;
    recordRefused(this, { code, status, isHttp2: true, bytesSent: body.length });
    const headers = new Headers();
    headers.add("content-type", "text/plain");
    headers.add("content-length", String(Buffer.byteLength(body)));
    const writer = this.makeWriter(() => undefined);
    writer.head({ status, reason: "", headers, framing: "raw" });
    writer.body(Buffer.from(body));
    writer.end(null);
    writer.flush();
    this.#stopReading();
  }

  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  makeWriter(onFull: () => void): ResponseWriter {
    return new Http2Writer(this.#stream, onFull, () => {
      this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    });
  }

  pauseReading(): void {
    if (!this.#isRequestOver) this.#stream.pause();
  }

  resumeReading(): void {
    if (!this.#isRequestOver) this.#stream.resume();
  }

  onExchangeEnd(): void {
    this.#exchange = null;
    this.deadlineMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    if (!this.#isRequestOver) this.#stopReading();
  }

  destroy(): void {
    this.isCut = true;
    this.#exchange = null;
    // Not NO_ERROR: that would send what there is as if it were the whole.
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  onDeadline(): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      if (this.context.sweeper.nowMs < this.#answeredByMs) this.#closeIfAnswered();
      else this.destroy();
      return;
    }
    if (exchange.responseStarted) {
      exchange.onDownstreamClosed();
      this.destroy();
      return;
    }
    if (this.#bodyWindowBytes === -1) exchange.onDeadline();
    else this.#onBodyWindowEnd(exchange);
  }

  #awaitBody(head: RequestHead): void {
    const stream = this.#stream;
    this.#isRequestOver = false;
    // A gRPC stream may rest between messages, before its response begins too.
    const isGrpc = head.headers.get("content-type")?.startsWith("application/grpc") === true;
    if (!isGrpc) this.#openBodyWindow();
    stream.on("data", (chunk: Buffer) => {
      this.#onBody(chunk);
    });
    stream.on("trailers", (_headers, _flags, raw?: unknown) => {
      this.#onTrailers(raw as string[]);
    });
    stream.on("end", () => {
      this.#onEnd();
    });
  }

  #onBody(chunk: Buffer): void {
    this.#owner.abuse.onBody(chunk.length);
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (this.#bodyWindowBytes !== -1) this.#bodyWindowBytes += chunk.length;
    else this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    this.#guard(() => {
      exchange.onRequestBody(chunk);
    });
  }

  #onTrailers(fields: readonly string[]): void {
    const trailers = readHttp2Trailers(fields);
    if (trailers instanceof Headers) {
      this.#trailers = trailers.size === 0 ? null : trailers;
      return;
    }
    this.#exchange?.refuse(REQUEST_FAULTS[trailers]);
  }

  #onEnd(): void {
    // A stream that is broken off may end as well.
    if (this.#isRequestOver || this.#stream.aborted) return;
    this.#isRequestOver = true;
    this.#isBodyRead = true;
    this.#bodyWindowBytes = -1;
    this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.#guard(() => {
      exchange.onRequestEnd(this.#trailers);
    });
  }

  #openBodyWindow(): void {
    this.#bodyWindowBytes = 0;
    this.deadlineMs = this.context.sweeper.nowMs + REQUEST_BODY_WINDOW_MS;
  }

  /** Was the client slow, or we? */
  #onBodyWindowEnd(exchange: Exchange): void {
    if (this.#stream.isPaused() || this.#bodyWindowBytes >= REQUEST_BODY_BYTES_MIN) {
      this.#openBodyWindow();
      return;
    }
    const message =
      `fewer than ${REQUEST_BODY_BYTES_MIN} bytes of the request's body ` +
      `came within ${REQUEST_BODY_WINDOW_MS} ms`;
    exchange.refuse({ status: 408, code: "request_body_timeout", message });
  }

  /** The answer is written; the rest of the request is not wanted (RFC 9113 section 8.1). */
  #stopReading(): void {
    this.isCut = true;
    if (this.#stream.destroyed) return;
    this.#answeredByMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    // The library sends what it holds at the end of this turn, as far as the client's window goes.
    setImmediate(() => {
      this.#closeIfAnswered();
    });
  }

  /** A reset that overtakes END_STREAM would cut the answer off: until then each sweep looks. */
  #closeIfAnswered(): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    if (stream.state.localClose === 1) stream.close(constants.NGHTTP2_NO_ERROR);
    else this.deadlineMs = this.context.sweeper.nowMs;
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.context.observer.onAssertion(error);
      this.#exchange?.fail({ code: "internal", message: "a fault of ours; it has been logged" });
    }
  }
}
