//! One client connection of HTTP/1.1: feeds the parser, runs one exchange at a time, keeps every
//! deadline.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { isNative, readDirectly, readInto } from "../../base/direct-reads.ts";
import type { HttpFault } from "../../http/fault.ts";
import { Headers } from "../../http/headers.ts";
import { RequestParser } from "../../http/request-parser.ts";
import type { RequestHead, RequestSink } from "../../http/request-parser.ts";
import { reasonPhrase, serializeResponseHead } from "../../http/serialize.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import type { TrafficContext } from "../context.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  DRAIN_IDLE_MS,
  EXCHANGE_IDLE_TIMEOUT_MS,
  LINGER_TIMEOUT_MS,
  REQUEST_BODY_BYTES_MIN,
  REQUEST_BODY_WINDOW_MS,
  REQUEST_HEAD_TIMEOUT_MS,
  TUNNEL_IDLE_TIMEOUT_MS,
} from "../deadlines.ts";
import type { Expirable } from "../deadlines.ts";
import type { Downstream, ResponseWriter, SwitchableEnd } from "../exchange/downstream.ts";
import { Exchange } from "../exchange/exchange.ts";
import { Http1Writer } from "../exchange/response-writer.ts";
import type { TunnelSink } from "../exchange/tunnel.ts";
import { ReadBuffers } from "../read-buffers.ts";
import type { ClientConnection, ConnectionParts } from "./client-connection.ts";
import type { ClientNamesReader } from "./client-names.ts";
import { ConnectionFacts } from "./connection-facts.ts";
import { prefaceMatch } from "./http2-preface.ts";
import { recordRefused } from "./refused-request.ts";

/** What is read and dropped after an early answer, before the connection is cut. */
const LINGER_BYTES_MAX = 1_048_576;
const NOTHING = Buffer.alloc(0);

export class DownstreamConnection
  implements RequestSink, Expirable, ClientConnection, Downstream, SwitchableEnd
{
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly localPort: number;
  /** The client speaks TLS. */
  readonly isSecure: boolean;
  readonly tlsServer: TlsServer | null;
  readonly clientNames: ClientNamesReader;
  readonly facts: ConnectionFacts;
  /** What it has sent is with the system, or among the unsent bytes. */
  readonly isNative: boolean;
  readonly switchable: SwitchableEnd = this;
  deadlineMs: number;
  isDraining = false;
  /** The request's last byte has been parsed. */
  requestComplete = false;
  readonly #socket: Socket;
  readonly #parser: RequestParser;
  readonly #parts: ConnectionParts;
  /** Takes our listeners off the socket. */
  #unlisten: () => void = () => undefined;
  #exchange: Exchange | null = null;
  #unparsed: Buffer | null = null;
  #parsing = false;
  #nextDue = false;
  #awaitsHead = false;
  #isPaused = false;
  #peerEnded = false;
  #lingeringBytes = -1;
  #closed = false;
  /** After a protocol switch: takes all bytes, unparsed. */
  #tunnel: TunnelSink | null = null;
  #idleTimeoutMs = EXCHANGE_IDLE_TIMEOUT_MS;
  /** Bytes of the request's body in this window; -1 when no body is awaited. */
  #bodyWindowBytes = -1;
  /** Of what is read in clear. */
  readonly #buffers = new ReadBuffers();
  #isInBuffers = false;

  constructor(socket: Socket, parts: ConnectionParts) {
    const { context } = parts;
    this.context = context;
    this.remoteAddress = (parts.ends ?? socket).remoteAddress ?? "";
    this.localPort = (parts.ends ?? socket).localPort ?? 0;
    this.isSecure = socket instanceof TLSSocket;
    this.isNative = isNative(socket);
    this.#socket = socket;
    this.#parts = parts;
    this.tlsServer = parts.tlsServer;
    this.clientNames = parts.clientNames;
    this.facts = new ConnectionFacts(socket, parts);
    this.#parser = new RequestParser(this);
    this.deadlineMs = context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    context.sweeper.add(this);
    this.#listen();
  }

  #listen(): void {
    const socket = this.#socket;
    const sniff = (chunk: Buffer): void => {
      if (this.#isHttp2(chunk)) return;
      const first = this.#unparsed ?? chunk;
      this.#unparsed = null;
      socket.removeListener("data", sniff);
      this.#read(socket);
      this.#onData(first);
    };
    const onGone = (): void => {
      this.destroy();
    };
    const listeners: [string, (chunk: Buffer) => void][] = [
      ["data", sniff],
      [
        "drain",
        () => {
          this.#onDrain();
        },
      ],
      [
        "end",
        () => {
          this.#onPeerEnd();
        },
      ],
      ["error", onGone],
      ["close", onGone],
    ];
    for (const [event, listener] of listeners) socket.on(event, listener);
    this.#unlisten = (): void => {
      for (const [event, listener] of listeners) socket.removeListener(event, listener);
    };
  }

  #read(socket: Socket): void {
    const onChunk = (chunk: Buffer): void => {
      this.#onData(chunk);
    };
    const buffer = (): Buffer => this.#buffers.current;
    const onRead = (bytes: number, into: Buffer): void => {
      this.#onRead(bytes, into);
    };
    if (!readInto(socket, { buffer, onRead, onChunk })) readDirectly(socket, onChunk);
  }

  #onRead(bytes: number, buffer: Buffer): void {
    this.#isInBuffers = true;
    this.#buffers.begin();
    this.#onData(buffer.subarray(0, bytes));
    this.#isInBuffers = false;
    // Small requests, which are most, need no look at the socket.
    if (this.#buffers.isSmall(bytes)) return;
    const isBody = !this.#closed && this.#exchange !== null && !this.requestComplete;
    this.#buffers.next(bytes, { isBody, isPaused: this.#socket.isPaused() });
  }

  /** What stays when the next read comes. */
  #kept(chunk: Buffer): Buffer {
    return this.#isInBuffers ? Buffer.from(chunk) : chunk;
  }

  #onDrain(): void {
    if (this.#exchange !== null) this.#exchange.onDownstreamDrain();
    else if (this.#tunnel !== null) this.#tunnel.onDrain();
    else if (this.#nextDue) this.#parseRest();
  }

  /**
   * Looks at the first bytes, for the preface of a client that knows that we speak HTTP/2 (RFC 9113
   * section 3.3). True when they are taken: it is one, or may become one.
   */
  #isHttp2(chunk: Buffer): boolean {
    const bytes = this.#unparsed === null ? chunk : Buffer.concat([this.#unparsed, chunk]);
    const match = prefaceMatch(bytes);
    this.#unparsed = bytes;
    if (match === "no") {
      if (this.#parts.codec !== "http2") return false;
      const preface = { code: "http2_preface", status: 0, isHttp2: false, bytesSent: 0 };
      recordRefused(this, preface);
      this.destroy();
      return true;
    }
    if (match === "part") {
      if (this.#awaitsHead) return true;
      this.#awaitsHead = true;
      this.deadlineMs = this.context.sweeper.nowMs + REQUEST_HEAD_TIMEOUT_MS;
      return true;
    }
    if (this.#parts.codec === "http1") {
      const message = "the client began with HTTP/2, and this listener speaks HTTP/1.1 only";
      this.#refuse({ status: 400, code: "http2_not_spoken", message });
      return true;
    }
    this.#closed = true;
    this.context.sweeper.remove(this);
    this.#unlisten();
    this.#socket.pause();
    this.#parts.onHttp2(this, this.#socket, bytes);
    return true;
  }

  // --- for the exchange ---

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  makeWriter(onFull: () => void): ResponseWriter {
    return new Http1Writer(this, onFull);
  }

  writeText(text: string): boolean {
    this.deadlineMs = this.context.sweeper.nowMs + this.#idleTimeoutMs;
    return this.#socket.write(text, "latin1");
  }

  write(bytes: Buffer): boolean {
    this.deadlineMs = this.context.sweeper.nowMs + this.#idleTimeoutMs;
    return this.#socket.write(bytes);
  }

  /** An interim response. It is no progress of the exchange: the deadline stays. */
  writeInterim(text: string): void {
    this.#socket.write(text, "latin1");
  }

  enterTunnel(sink: TunnelSink): void {
    this.#tunnel = sink;
    this.#exchange = null;
    this.#idleTimeoutMs = TUNNEL_IDLE_TIMEOUT_MS;
    this.deadlineMs = this.context.sweeper.nowMs + TUNNEL_IDLE_TIMEOUT_MS;
    const early = this.#unparsed;
    this.#unparsed = null;
    if (early !== null) sink.onBytes(early);
    this.resumeReading();
    if (this.#peerEnded) sink.onPeerEnd();
  }

  endWriting(): void {
    this.#socket.end();
  }

  closeSoon(): void {
    if (this.#closed) return;
    this.deadlineMs = this.context.sweeper.nowMs + LINGER_TIMEOUT_MS;
    this.#socket.destroySoon();
  }

  pauseReading(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resumeReading(): void {
    if (!this.#isPaused || this.#closed || this.#unparsed !== null) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  onExchangeEnd(keepAlive: boolean): void {
    this.#exchange = null;
    if (!keepAlive || this.#peerEnded || this.isDraining) {
      this.#linger();
      return;
    }
    this.deadlineMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
    // The parser is not re-entered from its own callback: its caller's loop goes on.
    this.#nextDue = true;
    if (!this.#parsing) this.#parseRest();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#isInBuffers) this.#buffers.end();
    this.context.sweeper.remove(this);
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onDownstreamClosed();
    this.#tunnel?.onClosed();
    this.#parts.onClosed(this);
  }

  drain(isPatient = false): void {
    this.isDraining = true;
    if (isPatient) return;
    // A tunnel ends when its ends do: nothing in it says where it could be cut.
    const isFree = this.#exchange === null && this.#tunnel === null;
    if (!isFree || !this.#parser.isIdle || this.#lingeringBytes !== -1) return;
    this.deadlineMs = this.context.sweeper.after(DRAIN_IDLE_MS);
  }

  // --- from the parser ---

  onRequestHead(head: RequestHead): void {
    this.#awaitsHead = false;
    this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    if (head.authority === "") this.#nameHost(head);
    const exchange = new Exchange(this, head, this.#parts.makeHandler());
    this.#exchange = exchange;
    if (exchange.hasBody) this.#openBodyWindow();
    // Without a body the exchange begins when the parser has let go of the message.
    if (exchange.hasBody) this.#begin(exchange);
  }

  onRequestBody(chunk: Buffer): void {
    this.#bodyWindowBytes += chunk.length;
    const exchange = this.#exchange;
    if (exchange === null) return;
    const taker = this.#buffers.isShared ? null : exchange.requestTaker;
    if (taker?.usesBytesAtOnce !== true) {
      exchange.onRequestBody(this.#kept(chunk));
      return;
    }
    exchange.onRequestBody(chunk);
    if (taker.holdsBytes) this.#buffers.hold();
  }

  onRequestEnd(trailers: Headers | null): void {
    this.requestComplete = true;
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (!exchange.hasBody) {
      this.#begin(exchange);
      return;
    }
    this.#bodyWindowBytes = -1;
    this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
    exchange.onRequestEnd(trailers);
  }

  /** HTTP/1.0 without Host means this address (RFC 9112 section 3.3); HTTP/1.1 must say so. */
  #nameHost(head: RequestHead): void {
    const { localAddress = "", localPort = 0 } = this.#socket;
    const isIpv6 = localAddress.includes(":");
    head.authority = `${isIpv6 ? `[${localAddress}]` : localAddress}:${localPort}`;
    head.headers.set("host", head.authority);
  }

  #openBodyWindow(): void {
    this.#bodyWindowBytes = 0;
    this.deadlineMs = this.context.sweeper.nowMs + REQUEST_BODY_WINDOW_MS;
  }

  #begin(exchange: Exchange): void {
    try {
      exchange.begin();
    } catch (error) {
      this.context.observer.onAssertion(error);
      exchange.fail({ code: "internal", message: "a fault of ours; it has been logged" });
    }
  }

  onDeadline(): void {
    const exchange = this.#exchange;
    if (exchange !== null && !exchange.responseStarted) {
      if (this.#bodyWindowBytes === -1) exchange.onDeadline();
      else this.#onBodyWindowEnd(exchange);
      return;
    }
    if (exchange === null && this.#awaitsHead && this.#lingeringBytes === -1) {
      const message = `the request's head took longer than ${REQUEST_HEAD_TIMEOUT_MS} ms`;
      this.#refuse({ status: 408, code: "request_timeout", message });
      return;
    }
    if (exchange !== null && this.#bodyWindowBytes > 0) {
      // Nothing more of the response, but its request still comes.
      this.#bodyWindowBytes = 0;
      this.deadlineMs = this.context.sweeper.nowMs + EXCHANGE_IDLE_TIMEOUT_MS;
      return;
    }
    if (exchange === null && this.isDraining && this.#lingeringBytes === -1) this.#linger();
    else this.destroy();
  }

  /** Was the client slow, or we? */
  #onBodyWindowEnd(exchange: Exchange): void {
    if (this.#isPaused || this.#bodyWindowBytes >= REQUEST_BODY_BYTES_MIN) {
      this.#openBodyWindow();
      return;
    }
    const message =
      `fewer than ${REQUEST_BODY_BYTES_MIN} bytes of the request's body ` +
      `came within ${REQUEST_BODY_WINDOW_MS} ms`;
    exchange.refuse({ status: 408, code: "request_body_timeout", message });
  }

  #onData(chunk: Buffer): void {
    if (this.#tunnel !== null) {
      this.deadlineMs = this.context.sweeper.nowMs + TUNNEL_IDLE_TIMEOUT_MS;
      this.#tunnel.onBytes(this.#kept(chunk));
      return;
    }
    if (this.#lingeringBytes !== -1) {
      this.#lingeringBytes += chunk.length;
      if (this.#lingeringBytes > LINGER_BYTES_MAX) this.destroy();
      return;
    }
    try {
      this.#parse(this.#unparsed === null ? chunk : Buffer.concat([this.#unparsed, chunk]));
    } catch (error) {
      this.context.observer.onAssertion(error);
      this.destroy();
    }
  }

  #parse(chunk: Buffer): void {
    this.#parsing = true;
    this.#unparsed = null;
    let rest = chunk;
    while (this.#lingeringBytes === -1 && !this.#closed) {
      if (this.#nextDue) {
        if (this.#socket.writableNeedDrain) {
          // A client that sends without reading its answers: no next request until it has read.
          if (rest.length > 0) this.#unparsed = this.#kept(rest);
          this.pauseReading();
          break;
        }
        this.#nextDue = false;
        this.requestComplete = false;
        this.#parser.next();
      }
      if (rest.length === 0) break;
      if (this.requestComplete) {
        // Pipelined bytes wait, unread and bounded by one read, until this exchange has ended.
        this.#unparsed = this.#kept(rest);
        this.pauseReading();
        break;
      }
      const result = this.#parser.execute(rest);
      if (typeof result !== "number") {
        this.#refuse(result);
        break;
      }
      rest = rest.subarray(result);
    }
    this.#parsing = false;
    this.#watchHead();
  }

  #parseRest(): void {
    this.#parse(this.#unparsed ?? NOTHING);
    if (!this.#nextDue) this.resumeReading();
  }

  /** The head's deadline runs from its first byte, however slowly the rest drips in. */
  #watchHead(): void {
    if (!this.#parser.headStarted || this.#awaitsHead) return;
    this.#awaitsHead = true;
    this.deadlineMs = this.context.sweeper.nowMs + REQUEST_HEAD_TIMEOUT_MS;
  }

  /** The bytes are no request: answer if nothing was answered yet, and close. */
  #refuse(fault: HttpFault): void {
    if (this.#exchange !== null) {
      this.#exchange.refuse(fault);
      return;
    }
    const { code, status } = fault;
    const body = `${code}: ${fault.message}\n`;
    recordRefused(this, { code, status, isHttp2: false, bytesSent: body.length });
    const headers = new Headers();
    headers.add("content-type", "text/plain");
    headers.add("content-length", String(Buffer.byteLength(body)));
    headers.add("connection", "close");
    this.#socket.write(serializeResponseHead(status, reasonPhrase(status), headers) + body);
    this.#linger();
  }

  /** A client that closes its side has gone (as Envoy and nginx judge it): its request too. */
  #onPeerEnd(): void {
    this.#peerEnded = true;
    if (this.#tunnel !== null) this.#tunnel.onPeerEnd();
    else if (this.#exchange === null) this.destroyAfterFlush();
    else this.destroy();
  }

  destroyAfterFlush(): void {
    if (this.#socket.writableLength === 0) this.destroy();
    else this.#socket.end();
  }

  /**
   * Closes our side and drops what still arrives for a while: closing at once would reset the
   * connection and could take the answer with it (RFC 9112 section 9.6).
   */
  #linger(): void {
    if (this.#closed || this.#lingeringBytes !== -1) return;
    this.#lingeringBytes = 0;
    this.#unparsed = null;
    this.deadlineMs = this.context.sweeper.nowMs + LINGER_TIMEOUT_MS;
    this.#socket.end();
    this.#isPaused = false;
    this.#socket.resume();
  }
}
