//! One request of an HTTP/2 connection: the client's side of its exchange.

import type { HttpFault, HttpFaultCode } from "../../http/fault.ts";
import { Headers } from "../../http/headers.ts";
import { readHttp2Trailers } from "../../http/http2-request.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import { REQUEST_FAULTS } from "../../http/fault.ts";
import { ErrorCode } from "../../http2/frames.ts";
import type { ServerStream, StreamUser } from "../../http2/server-stream.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
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
  /** The client has made us break a stream off. */
  onReset(): void;
}

/** A malformed message (RFC 9113 section 8.1.1), where others are refused for what they ask. */
const STATUS_MALFORMED = 400;

export class DownstreamStream implements Downstream, StreamUser, Expirable {
  readonly context: TrafficContext;
  readonly switchable = null;
  deadlineMs: number;
  readonly #owner: StreamOwner;
  readonly #stream: ServerStream;
  #exchange: Exchange | null = null;
  /** No more of the request is to come, or wanted. */
  #isRequestOver: boolean;
  /** Bytes of the request's body that Content-Length leaves; infinite without one. */
  #awaitedBytes = Number.POSITIVE_INFINITY;
  /** Bytes of the request's body in this window; -1 when no rate is asked for. */
  #bodyWindowBytes = -1;
  /** With what the stream ends when its request is not read on. */
  #endCode: ErrorCode = ErrorCode.noError;

  constructor(owner: StreamOwner, stream: ServerStream, endsHere: boolean) {
    this.#owner = owner;
    this.#stream = stream;
    this.#isRequestOver = endsHere;
    this.context = owner.context;
    this.deadlineMs = owner.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    owner.context.sweeper.add(this);
    stream.user = this;
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
    if (!this.#isRequestOver) this.#awaitBody(head);
    // One of no bytes may still turn out to have some, and is whole only then.
    if (this.#isRequestOver || exchange.hasBody) this.#begin(exchange);
  }

  /** The request is wrong: answers it; no exchange begins. */
  refuse(fault: HttpFault): void {
    const { code, status } = fault;
    const body = `${code}: ${fault.message}\n`;
    recordRefused(this, { code, status, isHttp2: true, bytesSent: body.length });
    const headers = new Headers();
    headers.add("content-type", "text/plain");
    headers.add("content-length", String(Buffer.byteLength(body)));
    this.#stream.respond({ status, headers }, false);
    this.#stream.write(Buffer.from(body));
    this.#stream.end(null);
    this.deadlineMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    this.#noteFault(fault);
    this.#stopReading();
  }

  get unsentBytes(): number {
    return this.#stream.unsentBytes;
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
    this.#stream.resume();
  }

  onExchangeEnd(): void {
    this.#exchange = null;
    this.deadlineMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    this.#stopReading();
  }

  destroy(): void {
    this.#exchange = null;
    // Not NO_ERROR: that would say that what there is is the whole.
    const isOurs = this.#endCode === ErrorCode.noError;
    this.#stream.reset(isOurs ? ErrorCode.internalError : this.#endCode);
  }

  onDeadline(): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      this.destroy();
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

  // --- from the stream ---

  onBody(chunk: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.#awaitedBytes -= chunk.length;
    if (this.#awaitedBytes < 0) {
      this.#refuseRest(exchange, REQUEST_FAULTS.wrong_content_length);
      return;
    }
    if (this.#bodyWindowBytes !== -1) this.#bodyWindowBytes += chunk.length;
    else this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    this.#guard(() => {
      exchange.onRequestBody(chunk);
    });
  }

  onEnd(fields: readonly string[] | null): void {
    const exchange = this.#exchange;
    this.#bodyWindowBytes = -1;
    this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    if (exchange === null) return;
    const isShort = this.#awaitedBytes > 0 && Number.isFinite(this.#awaitedBytes);
    const trailers = isShort ? "wrong_content_length" : readTrailers(fields);
    if (typeof trailers === "string") {
      this.#refuseRest(exchange, REQUEST_FAULTS[trailers]);
      return;
    }
    this.#isRequestOver = true;
    if (!exchange.hasBody) this.#begin(exchange);
    else {
      this.#guard(() => {
        exchange.onRequestEnd(trailers);
      });
    }
  }

  onDrain(): void {
    this.#exchange?.onDownstreamDrain();
  }

  onClosed(isReset: boolean): void {
    this.context.sweeper.remove(this);
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onDownstreamClosed(isReset);
  }

  #begin(exchange: Exchange): void {
    this.#guard(() => {
      exchange.begin();
    });
  }

  #awaitBody(head: RequestHead): void {
    if (head.body !== "chunked") this.#awaitedBytes = head.contentLength;
    // A gRPC stream may rest between messages, before its response begins too.
    const isGrpc = head.headers.get("content-type")?.startsWith("application/grpc") === true;
    if (!isGrpc) this.#openBodyWindow();
  }

  /** The rest of the request is not what its head says, or malformed. */
  #refuseRest(exchange: Exchange, fault: HttpFault): void {
    this.#noteFault(fault);
    exchange.refuse(fault);
    this.#owner.onReset();
  }

  #noteFault({ status }: HttpFault): void {
    if (status === STATUS_MALFORMED) this.#endCode = ErrorCode.protocolError;
  }

  #openBodyWindow(): void {
    this.#bodyWindowBytes = 0;
    this.deadlineMs = this.context.sweeper.nowMs + REQUEST_BODY_WINDOW_MS;
  }

  /** Was the client slow, or we? */
  #onBodyWindowEnd(exchange: Exchange): void {
    if (this.#stream.isPaused || this.#bodyWindowBytes >= REQUEST_BODY_BYTES_MIN) {
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
    const isWhole = this.#isRequestOver && this.#endCode === ErrorCode.noError;
    if (!isWhole) this.#stream.stopReading(this.#endCode);
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

function readTrailers(fields: readonly string[] | null): Headers | HttpFaultCode | null {
  const trailers = fields === null ? null : readHttp2Trailers(fields);
  return trailers instanceof Headers && trailers.size === 0 ? null : trailers;
}
