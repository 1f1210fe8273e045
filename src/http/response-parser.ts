//! Parses the responses of one upstream connection: bytes in, heads and payload out.
//!
//! As strict as the request parser: a response whose end is in doubt would let an upstream answer
//! the next client's request too. Every fault has the status 502.

import { ChunkedDecoder } from "./chunked-decoder.ts";
import { RESPONSE_FAULTS, type HttpFault, type HttpFaultCode } from "./fault.ts";
import { CONTENT_LENGTH, TRANSFER_ENCODING } from "./field-names.ts";
import { isKeptAlive, NO_BODY, readConnection, readFraming, type Framing } from "./framing.ts";
import { FAULT, HeadReader } from "./head-reader.ts";
import type { Headers } from "./headers.ts";
import { DEFAULT_LIMITS, INFORMATIONAL_COUNT_MAX, type Limits } from "./limits.ts";
import { StatusLine } from "./status-line.ts";

export interface ResponseHead {
  /** 100 to 599. */
  readonly status: number;
  readonly reason: string;
  readonly versionMinor: 0 | 1;
  /** All fields, also the hop-by-hop ones. */
  readonly headers: Headers;
  /** "close": the body ends with the connection (RFC 9112 6.3). */
  readonly body: "none" | "length" | "chunked" | "close";
  /** Bytes of the body when `body` is "length", else 0 (also for HEAD: see its field). */
  readonly contentLength: number;
  /** May the connection carry another request after this response? */
  readonly keepAlive: boolean;
}

/** Receives one response after the other. A chunk is only valid during the call. */
export interface ResponseSink {
  /** 1xx except 101. */
  onInformational(head: ResponseHead): void;
  onResponseHead(head: ResponseHead): void;
  onResponseBody(chunk: Buffer): void;
  onResponseEnd(trailers: Headers | null): void;
}

const IDLE = 0;
/** A request is outstanding and no byte of its response was seen. */
const WAITING = 1;
const HEAD = 2;
const BODY_LENGTH = 3;
const BODY_CHUNKED = 4;
const BODY_CLOSE = 5;
const FAILED = 6;

const SWITCHING_PROTOCOLS = 101;

export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #limits: Limits;
  readonly #line = new StatusLine();
  readonly #reader: HeadReader;
  #decoder: ChunkedDecoder | null = null;
  #state = IDLE;
  #method = "GET";
  #leftBytes = 0;
  #informationalCount = 0;
  #fault: HttpFault = RESPONSE_FAULTS.bad_status_line;

  constructor(sink: ResponseSink, limits: Partial<Limits> = {}) {
    this.#sink = sink;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#reader = new HeadReader({
      startLine: this.#line,
      bytesMax: this.#limits.headBytesMax,
      fieldCountMax: this.#limits.fieldCountMax,
      tooLargeCode: "head_too_large",
    });
  }

  /** No response is outstanding: bytes that come now belong to nothing (or to a tunnel). */
  get isIdle(): boolean {
    return this.#state === IDLE;
  }

  /** Tells of a request that was sent: HEAD and CONNECT have responses of their own shape. */
  expect(method: string): void {
    if (this.#state !== IDLE) return;
    this.#method = method;
    this.#informationalCount = 0;
    this.#state = WAITING;
  }

  /**
   * Parses up to the end of one response. Returns how many bytes it took: fewer than all, if more
   * came than the one response that was expected. A fault is final: close the connection.
   */
  execute(chunk: Buffer): number | HttpFault {
    let position = 0;
    while (position < chunk.length) {
      switch (this.#state) {
        case IDLE:
          return position;
        case FAILED:
          return this.#fault;
        case BODY_LENGTH:
          position = this.#readBody(chunk, position);
          break;
        case BODY_CHUNKED:
          position = this.#readChunked(chunk, position);
          break;
        case BODY_CLOSE:
          this.#sink.onResponseBody(position === 0 ? chunk : chunk.subarray(position));
          return chunk.length;
        case WAITING:
          this.#state = HEAD;
          this.#reader.reset();
          position = this.#readHead(chunk, position);
          break;
        default:
          position = this.#readHead(chunk, position);
      }
      if (position === FAULT) return this.#fault;
    }
    return position;
  }

  /**
   * The upstream closed its side. Ends a body that ends so; else says what was cut; null if nothing
   * was outstanding. `closed_before_response` says that not one byte of a response came.
   */
  finish(): HttpFault | null {
    switch (this.#state) {
      case IDLE:
        return null;
      case FAILED:
        return this.#fault;
      case BODY_CLOSE:
        this.#state = IDLE;
        this.#sink.onResponseEnd(null);
        return null;
      default: {
        const isUntouched = this.#state === WAITING && this.#informationalCount === 0;
        this.#fail(isUntouched ? "closed_before_response" : "truncated_message");
        return this.#fault;
      }
    }
  }

  #fail(code: HttpFaultCode): number {
    this.#fault = RESPONSE_FAULTS[code];
    this.#state = FAILED;
    return FAULT;
  }

  #readHead(chunk: Buffer, start: number): number {
    const position = this.#reader.read(chunk, start);
    if (position === FAULT) return this.#fail(this.#reader.faultCode);
    if (!this.#reader.isDone) return position;

    const { status } = this.#line;
    const head = this.#finishHead();
    if (typeof head === "string") return this.#fail(head);
    if (status < 200 && status !== SWITCHING_PROTOCOLS) {
      this.#informationalCount++;
      if (this.#informationalCount > INFORMATIONAL_COUNT_MAX) {
        return this.#fail("too_many_informational");
      }
      this.#state = WAITING;
      this.#sink.onInformational(head);
      return position;
    }
    this.#begin(head);
    return position;
  }

  #begin(head: ResponseHead): void {
    this.#leftBytes = head.contentLength;
    if (head.body === "close") {
      this.#state = BODY_CLOSE;
    } else if (head.body === "chunked") {
      this.#state = BODY_CHUNKED;
      this.#decoder ??= new ChunkedDecoder(this.#limits, (data) => {
        this.#sink.onResponseBody(data);
      });
      this.#decoder.reset();
    } else {
      this.#state = head.contentLength > 0 ? BODY_LENGTH : IDLE;
    }
    const hasEnded = this.#state === IDLE;
    this.#sink.onResponseHead(head);
    if (hasEnded) this.#sink.onResponseEnd(null);
  }

  #finishHead(): ResponseHead | HttpFaultCode {
    const reader = this.#reader;
    const { status, reason, versionMinor } = this.#line;
    const framing = readFraming(reader, versionMinor);
    if (typeof framing === "string") return framing;
    const bits = readConnection(reader);
    if (bits === -1) return "bad_connection";

    const body = bodyOf(this.#method, status, framing);
    const hasStrayFraming = this.#dropStrayFraming(status, framing);
    return {
      status,
      reason,
      versionMinor,
      headers: reader.headers,
      body,
      contentLength: body === "length" ? framing.contentLength : 0,
      keepAlive: body !== "close" && !hasStrayFraming && isKeptAlive(bits, versionMinor),
    };
  }

  /**
   * 1xx, 204 and a 2xx to CONNECT must not have framing fields (RFC 9110 8.6, RFC 9112 6.1). They
   * mean nothing there, so they go no further; and a peer that sends a length there may well send
   * that body, so its connection is not used again.
   */
  #dropStrayFraming(status: number, framing: Framing): boolean {
    const isTunnel = this.#method === "CONNECT" && status >= 200 && status < 300;
    if (status >= 200 && status !== 204 && !isTunnel) return false;
    const reader = this.#reader;
    if ((reader.seenBits & (CONTENT_LENGTH | TRANSFER_ENCODING)) === 0) return false;
    reader.headers.remove("content-length");
    reader.headers.remove("transfer-encoding");
    return framing.body === "chunked" || framing.contentLength > 0;
  }

  #readBody(chunk: Buffer, start: number): number {
    const end = Math.min(chunk.length, start + this.#leftBytes);
    this.#leftBytes -= end - start;
    const hasEnded = this.#leftBytes === 0;
    if (hasEnded) this.#state = IDLE;
    this.#sink.onResponseBody(chunk.subarray(start, end));
    if (hasEnded) this.#sink.onResponseEnd(null);
    return end;
  }

  #readChunked(chunk: Buffer, start: number): number {
    const decoder = this.#decoder as ChunkedDecoder;
    const position = decoder.execute(chunk, start);
    if (position === FAULT) return this.#fail(decoder.faultCode);
    if (!decoder.isDone) return position;
    this.#state = IDLE;
    this.#sink.onResponseEnd(decoder.trailers);
    return position;
  }
}

/** How the body of a final response ends (RFC 9112 6.3). */
function bodyOf(method: string, status: number, framing: Framing): ResponseHead["body"] {
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") return "none";
  if (method === "CONNECT" && status < 300) return "none";
  return framing === NO_BODY ? "close" : framing.body;
}
