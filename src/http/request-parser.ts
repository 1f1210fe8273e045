//! Parses the requests of one downstream connection: bytes in, heads and payload out.
//!
//! Strict by RFC 9110 and 9112: what two readers could read in two ways is refused, as that is what
//! request smuggling is made of. The verdict does not depend on how the bytes were cut into chunks.

import { ChunkedDecoder } from "./chunked-decoder.ts";
import { REQUEST_FAULTS, type HttpFault, type HttpFaultCode } from "./fault.ts";
import { EXPECT, HOST, UPGRADE } from "./field-names.ts";
import {
  isContinue,
  isKeptAlive,
  readConnection,
  readFraming,
  UPGRADE_NAMED,
  type Framing,
} from "./framing.ts";
import { FAULT, HeadReader } from "./head-reader.ts";
import type { Headers } from "./headers.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { RequestLine } from "./request-line.ts";
import { isHostEmpty, resolveTarget, type ResolvedTarget } from "./request-target.ts";
import { CR, isAuthority, LF, TOKEN_LOWER } from "./syntax.ts";

export interface RequestHead {
  /** Case-sensitive token. */
  readonly method: string;
  /** Origin-form (absolute-form is rewritten to it), `*`, or authority-form for CONNECT. */
  target: string;
  /**
   * Of the target if it names one (then the `host` field is rewritten to it), else of Host; empty
   * only for HTTP/1.0 without Host. Grammar is checked; case and port are as they came.
   */
  authority: string;
  /** `http` or `https` of an absolute-form target, else null. */
  readonly scheme: string | null;
  readonly versionMinor: 0 | 1;
  /** It came by HTTP/2; `versionMinor` is 1 then. */
  readonly isHttp2?: boolean;
  /** All fields, also `host` and the hop-by-hop ones. */
  readonly headers: Headers;
  readonly body: "none" | "length" | "chunked";
  /** Bytes of the body when `body` is "length", else 0. */
  readonly contentLength: number;
  /** May the connection carry another request after this one (RFC 9112 9.3)? */
  readonly keepAlive: boolean;
  /** The client waits for `100 Continue` before it sends its body (RFC 9110 10.1.1). */
  readonly expectContinue: boolean;
  /** The Upgrade field if Connection names it, else null. */
  readonly upgrade: string | null;
}

/** As access logs and plug-ins read it. */
export function versionText({ isHttp2, versionMinor }: RequestHead): string {
  return isHttp2 === true ? "HTTP/2" : `HTTP/1.${versionMinor}`;
}

/** Receives one request after the other. A chunk is only valid during the call. */
export interface RequestSink {
  onRequestHead(head: RequestHead): void;
  /** Payload without its chunked coding; a part of the bytes given to `execute`. */
  onRequestBody(chunk: Buffer): void;
  onRequestEnd(trailers: Headers | null): void;
}

const START = 0;
/** One CR LF before the request line is tolerated (RFC 9112 2.2); these are its middle and end. */
const START_LF = 1;
const START_LINE = 2;
const HEAD = 3;
const BODY_LENGTH = 4;
const BODY_CHUNKED = 5;
const DONE = 6;
const FAILED = 7;

export class RequestParser {
  readonly #sink: RequestSink;
  readonly #limits: Limits;
  readonly #line: RequestLine;
  readonly #reader: HeadReader;
  #decoder: ChunkedDecoder | null = null;
  #state = START;
  #leftBytes = 0;
  #fault: HttpFault = REQUEST_FAULTS.bad_request_line;

  constructor(sink: RequestSink, limits: Partial<Limits> = {}) {
    this.#sink = sink;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#line = new RequestLine(this.#limits.targetBytesMax);
    this.#reader = new HeadReader({
      startLine: this.#line,
      bytesMax: this.#limits.headBytesMax,
      fieldCountMax: this.#limits.fieldCountMax,
      tooLargeCode: "head_too_large",
    });
  }

  /** Between messages: no byte of a new one was seen (an empty line before it is none of it). */
  get isIdle(): boolean {
    return this.#state === START || this.#state === START_LINE;
  }

  /** A head has begun and is not complete. */
  get headStarted(): boolean {
    return this.#state === HEAD || this.#state === START_LF;
  }

  /**
   * Parses up to the end of one request. Returns how many bytes it took; after `onRequestEnd` it
   * takes none until `next` is called, so pipelined bytes stay with the caller.
   *
   * A fault is final: answer with it, then close.
   */
  execute(chunk: Buffer): number | HttpFault {
    let position = 0;
    while (position < chunk.length) {
      switch (this.#state) {
        case DONE:
          return position;
        case FAILED:
          return this.#fault;
        case HEAD:
          position = this.#readHead(chunk, position);
          break;
        case BODY_LENGTH:
          position = this.#readBody(chunk, position);
          break;
        case BODY_CHUNKED:
          position = this.#readChunked(chunk, position);
          break;
        default:
          position = this.#begin(chunk, position);
      }
      if (position === FAULT) return this.#fault;
    }
    return position;
  }

  /** Makes ready for the next request of the connection. Call it after `onRequestEnd`. */
  next(): void {
    if (this.#state === DONE) this.#state = START;
  }

  #fail(code: HttpFaultCode): number {
    this.#fault = REQUEST_FAULTS[code];
    this.#state = FAILED;
    return FAULT;
  }

  /** Refuses at once what cannot begin a request: bytes of TLS, for example. */
  #begin(chunk: Buffer, position: number): number {
    const byte = chunk[position] as number;
    if (this.#state === START_LF) {
      if (byte !== LF) return this.#fail("bare_cr");
      this.#state = START_LINE;
      return position + 1;
    }
    if (TOKEN_LOWER[byte] !== 0) {
      this.#state = HEAD;
      this.#reader.reset();
      return this.#readHead(chunk, position);
    }
    if (byte !== CR) return this.#fail(byte === LF ? "bare_lf" : "bad_method");
    if (this.#state === START_LINE) return this.#fail("extra_empty_line");
    this.#state = START_LF;
    return position + 1;
  }

  #readHead(chunk: Buffer, start: number): number {
    const position = this.#reader.read(chunk, start);
    if (position === FAULT) return this.#fail(this.#reader.faultCode);
    if (!this.#reader.isDone) return position;

    const head = this.#finishHead();
    if (typeof head === "string") return this.#fail(head);
    if (head.body === "chunked") {
      this.#state = BODY_CHUNKED;
      this.#decoder ??= new ChunkedDecoder(this.#limits, (data) => {
        this.#sink.onRequestBody(data);
      });
      this.#decoder.reset();
    } else {
      this.#leftBytes = head.contentLength;
      this.#state = head.contentLength > 0 ? BODY_LENGTH : DONE;
    }
    const hasEnded = this.#state === DONE;
    this.#sink.onRequestHead(head);
    if (hasEnded) this.#sink.onRequestEnd(null);
    return position;
  }

  /** The meaning of a head whose every line is well-formed. */
  #finishHead(): RequestHead | HttpFaultCode {
    const reader = this.#reader;
    const { method, target, versionMinor } = this.#line;
    const framing = readFraming(reader, versionMinor);
    if (typeof framing === "string") return framing;
    const bits = readConnection(reader);
    if (bits === -1) return "bad_connection";
    if ((reader.seenBits & EXPECT) !== 0 && versionMinor === 1 && !isContinue(reader.headers)) {
      return "unsupported_expectation";
    }
    const host = this.#readHost(versionMinor);
    if (host === null) return this.#hostFault();

    if (target.charCodeAt(0) === 0x2f && method !== "CONNECT") {
      if (host.length === 0 ? (reader.seenBits & HOST) !== 0 : isHostEmpty(host)) {
        return "empty_host";
      }
      return this.#buildHead({ target, authority: host, scheme: null }, framing, bits);
    }
    const resolved = resolveTarget(method, target);
    if (typeof resolved === "string") return resolved;
    if (method === "CONNECT" && (framing.body === "chunked" || framing.contentLength > 0)) {
      return "connect_with_body";
    }
    if (resolved.authority === null) {
      if ((reader.seenBits & HOST) !== 0 && isHostEmpty(host)) return "empty_host";
      return this.#buildHead({ ...resolved, authority: host }, framing, bits);
    }
    // RFC 9112 3.2.2: the target's authority wins, and who comes next must see the same.
    reader.headers.set("host", resolved.authority);
    return this.#buildHead(resolved, framing, bits);
  }

  /** The Host field; "" without one in HTTP/1.0; null if it is missing, repeated or malformed. */
  #readHost(versionMinor: 0 | 1): string | null {
    const reader = this.#reader;
    if ((reader.seenBits & HOST) === 0) return versionMinor === 0 ? "" : null;
    if ((reader.repeatedBits & HOST) !== 0) return null;
    const host = reader.headers.get("host") ?? "";
    return isAuthority(host) ? host : null;
  }

  #hostFault(): HttpFaultCode {
    if ((this.#reader.seenBits & HOST) === 0) return "missing_host";
    return (this.#reader.repeatedBits & HOST) !== 0 ? "repeated_host" : "bad_host";
  }

  #buildHead(resolved: ResolvedTarget, framing: Framing, bits: number): RequestHead {
    const reader = this.#reader;
    const { method, versionMinor } = this.#line;
    const hasBody = framing.body === "chunked" || framing.contentLength > 0;
    const isExpecting = versionMinor === 1 && (reader.seenBits & EXPECT) !== 0;
    const isUpgrading = (bits & UPGRADE_NAMED) !== 0 && (reader.seenBits & UPGRADE) !== 0;
    return {
      method,
      target: resolved.target,
      authority: resolved.authority ?? "",
      scheme: resolved.scheme,
      versionMinor,
      isHttp2: false,
      headers: reader.headers,
      body: framing.body,
      contentLength: framing.contentLength,
      keepAlive: isKeptAlive(bits, versionMinor),
      expectContinue: isExpecting && hasBody,
      upgrade: isUpgrading ? reader.headers.getAll("upgrade").join(", ") : null,
    };
  }

  #readBody(chunk: Buffer, start: number): number {
    const end = Math.min(chunk.length, start + this.#leftBytes);
    this.#leftBytes -= end - start;
    const hasEnded = this.#leftBytes === 0;
    if (hasEnded) this.#state = DONE;
    this.#sink.onRequestBody(chunk.subarray(start, end));
    if (hasEnded) this.#sink.onRequestEnd(null);
    return end;
  }

  #readChunked(chunk: Buffer, start: number): number {
    const decoder = this.#decoder as ChunkedDecoder;
    const position = decoder.execute(chunk, start);
    if (position === FAULT) return this.#fail(decoder.faultCode);
    if (!decoder.isDone) return position;
    this.#state = DONE;
    this.#sink.onRequestEnd(decoder.trailers);
    return position;
  }
}
