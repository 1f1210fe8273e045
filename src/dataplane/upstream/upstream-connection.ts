//! One connection of HTTP/1.1 to an endpoint. It carries one exchange at a time, and is reused.

import type { Socket } from "node:net";
import { readDirectly } from "../../base/direct-reads.ts";
import { ResponseParser } from "../../http/response-parser.ts";
import type { ResponseHead, ResponseSink } from "../../http/response-parser.ts";
import type { Headers } from "../../http/headers.ts";
import {
  CHUNK_END,
  chunkHeader,
  LAST_CHUNK,
  serializeRequestHead,
  serializeTrailers,
} from "../../http/serialize.ts";
import { LINGER_TIMEOUT_MS, NO_DEADLINE, UPSTREAM_IDLE_TIMEOUT_MS } from "../deadlines.ts";
import type { DeadlineSweeper, Expirable } from "../deadlines.ts";
import type { ConnectionLimits } from "../../snapshot/routing.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { AcquireOptions } from "./endpoint-pool.ts";
import type { TunnelSink } from "../exchange/tunnel.ts";
import { ReadBuffers } from "../read-buffers.ts";
import { tlsFailure } from "./tls-dial.ts";
import { UpstreamFacts } from "./upstream-facts.ts";
import { openSocket } from "./open-socket.ts";
import { keepAlive } from "./upstream.ts";
import type {
  BodyTaker,
  OutgoingHead,
  PoolEndpoint,
  SwitchableUpstream,
  Upstream,
  UpstreamFailureKind,
  UpstreamUser,
} from "./upstream.ts";

/** What a connection tells the pool that owns it. */
export interface ConnectionOwner extends PoolEndpoint {
  readonly sweeper: DeadlineSweeper;
  onConnectionIdle(connection: UpstreamConnection): void;
  onConnectionClosed(connection: UpstreamConnection): void;
}

export class UpstreamConnection
  implements ResponseSink, Expirable, Upstream, SwitchableUpstream, BodyTaker
{
  readonly switchable: SwitchableUpstream = this;
  readonly bodyTaker: BodyTaker = this;
  readonly usesBytesAtOnce = true;
  deadlineMs: number = NO_DEADLINE;
  /** True once it has carried a whole exchange: a reset may then be the idle-close race. */
  reused = false;
  /** Whose connections this one counts among. */
  readonly cluster: ClusterState | null;
  readonly facts: UpstreamFacts;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: ResponseParser;
  #user: UpstreamUser | null;
  #connected = false;
  #closed = false;
  #keepAlive = true;
  /** The request's body goes in chunks. */
  #isChunked = false;
  /** A byte has come since the request was announced. */
  #heard = false;
  /** The parser has seen the response's end; the user is told when the parser has returned. */
  #endDue = false;
  #trailers: Headers | null = null;
  #idleTimeoutMs = UPSTREAM_IDLE_TIMEOUT_MS;
  #idleTimeoutMaxMs = UPSTREAM_IDLE_TIMEOUT_MS;
  #durationMsMax = Number.POSITIVE_INFINITY;
  /** From then on it takes no further exchange. */
  #endsMs = Number.POSITIVE_INFINITY;
  /** In real time: the peer's clock has run on while this process was stopped. */
  #restsUntilMs = Number.POSITIVE_INFINITY;
  /** Exchanges that it may still carry. */
  #requestsLeft = Number.POSITIVE_INFINITY;
  /** After a protocol switch: takes all bytes, unparsed. */
  #tunnel: TunnelSink | null = null;
  /** Of what is read in clear. */
  readonly #buffers = new ReadBuffers();
  #isInBuffers = false;

  constructor(owner: ConnectionOwner, user: UpstreamUser, options: AcquireOptions) {
    this.cluster = options.cluster;
    if (options.cluster !== null) this.#limit(options.cluster.limits);
    this.#owner = owner;
    this.#user = user;
    this.#parser = new ResponseParser(this);
    this.deadlineMs = owner.sweeper.after(options.connectTimeoutMs);
    this.#socket = openSocket(owner, "http/1.1", {
      buffer: () => this.#buffers.current,
      callback: (bytes, buffer) => this.#onRead(bytes, buffer as Buffer),
    });
    keepAlive(this.#socket, options.cluster?.limits);
    this.facts = new UpstreamFacts(this.#socket);
    this.#listen();
    owner.sweeper.add(this);
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on(this.#owner.tls === null ? "connect" : "secureConnect", () => {
      this.#connected = true;
      this.facts.onConnected();
      this.#endsMs = this.#owner.sweeper.nowMs + this.#durationMsMax;
      this.deadlineMs = NO_DEADLINE;
      this.#guard(() => this.#user?.onUpstreamReady(this));
    });
    if (this.#owner.tls !== null) {
      readDirectly(socket, (chunk) => {
        this.#onData(chunk);
      });
    }
    socket.on("drain", () => {
      if (this.#tunnel === null) this.#user?.onUpstreamDrain();
      else this.#tunnel.onDrain();
    });
    socket.on("end", () => {
      this.#guard(() => {
        this.#onEnd();
      });
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#onError(error);
    });
    socket.on("close", () => {
      this.#fail(this.#lossKind(), "connection closed");
    });
  }

  #onError(error: NodeJS.ErrnoException): void {
    const failure = this.#owner.tls === null || this.#heard ? null : tlsFailure(error);
    if (failure === null) this.#fail(this.#lossKind(), error.code ?? error.message);
    else this.#fail(failure.kind, failure.detail);
  }

  #limit({ idleTimeoutMs, requestsPerConnectionMax, connectionMsMax }: ConnectionLimits): void {
    if (connectionMsMax !== undefined) this.#durationMsMax = connectionMsMax;
    if (idleTimeoutMs !== undefined) this.#idleTimeoutMaxMs = idleTimeoutMs;
    this.#idleTimeoutMs = this.#idleTimeoutMaxMs;
    if (requestsPerConnectionMax !== undefined) this.#requestsLeft = requestsPerConnectionMax;
  }

  get holdsBytes(): boolean {
    return this.#socket.writableLength > 0;
  }

  handOver(user: UpstreamUser): void {
    this.#user = user;
  }

  /** Idle for longer than it may be: the peer may have closed it, and it is not read yet. */
  get isOverdue(): boolean {
    return this.#owner.sweeper.clock.readMs >= this.#restsUntilMs;
  }

  /** Takes an idle connection into use. */
  attach(user: UpstreamUser): void {
    this.#user = user;
    this.deadlineMs = NO_DEADLINE;
    this.reused = true;
  }

  sendHead({ method, target, headers, hasBody }: OutgoingHead): boolean {
    this.#requestsLeft -= 1;
    this.#heard = false;
    this.#parser.expect(method);
    this.#isChunked = hasBody && headers.has("transfer-encoding");
    return this.#socket.write(serializeRequestHead(method, target, headers), "latin1");
  }

  sendBody(chunk: Buffer): boolean {
    if (!this.#isChunked) return this.#socket.write(chunk);
    this.#socket.write(chunkHeader(chunk.length), "latin1");
    this.#socket.write(chunk);
    return this.#socket.write(CHUNK_END, "latin1");
  }

  sendEnd(trailers: Headers | null): void {
    if (!this.#isChunked) return;
    this.#socket.write(trailers === null ? LAST_CHUNK : serializeTrailers(trailers), "latin1");
  }

  write(bytes: Buffer): boolean {
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  enterTunnel(sink: TunnelSink): void {
    this.#tunnel = sink;
    this.#user = null;
    this.#keepAlive = false;
  }

  endWriting(): void {
    this.#socket.end();
  }

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  closeSoon(): void {
    if (this.#closed) return;
    this.deadlineMs = this.#owner.sweeper.after(LINGER_TIMEOUT_MS);
    this.#socket.destroySoon();
  }

  abort(): void {
    this.#user = null;
    this.#close();
  }

  abandonConnect(): void {
    if (!this.#connected) this.abort();
  }

  /** The user is done; the connection goes back to the pool if it may carry another exchange. */
  release(requestComplete: boolean): void {
    this.#user = null;
    if (this.#closed) return;
    const { nowMs, realNowMs } = this.#owner.sweeper;
    if (this.#requestsLeft <= 0 || nowMs >= this.#endsMs) this.#keepAlive = false;
    if (!this.#keepAlive || !requestComplete || !this.#parser.isIdle) {
      this.#close();
      return;
    }
    this.#socket.resume();
    this.deadlineMs = Math.min(nowMs + this.#idleTimeoutMs, this.#endsMs);
    this.#restsUntilMs = realNowMs + this.#idleTimeoutMs;
    this.#owner.onConnectionIdle(this);
  }

  onDeadline(): void {
    this.#fail("connect", "connect timeout");
    this.#close();
  }

  onInformational(head: ResponseHead): void {
    this.#user?.onInformational(head);
  }

  onResponseHead(head: ResponseHead): void {
    this.#keepAlive = head.keepAlive && head.body !== "close";
    const keepAliveField = head.headers.get("keep-alive");
    if (keepAliveField !== undefined) {
      this.#idleTimeoutMs = Math.min(this.#idleTimeoutMaxMs, idleTimeoutOf(keepAliveField));
    }
    this.#user?.onResponseHead(head);
  }

  onResponseBody(chunk: Buffer): void {
    const user = this.#user;
    if (user === null) return;
    const taker = user.bodyTaker ?? null;
    if (taker?.usesBytesAtOnce !== true) {
      user.onResponseBody(this.#kept(chunk));
      return;
    }
    user.onResponseBody(chunk);
    if (taker.holdsBytes) this.#buffers.hold();
  }

  onResponseEnd(trailers: Headers | null): void {
    // The user lets go of the connection at the end, and the next exchange may take it at once:
    // not while the parser still holds bytes that came after this response.
    this.#endDue = true;
    this.#trailers = trailers;
  }

  /** False would stop reading; `pause` does it where it is wanted. */
  #onRead(bytes: number, buffer: Buffer): boolean {
    this.#isInBuffers = true;
    this.#buffers.begin();
    this.#onData(buffer.subarray(0, bytes));
    this.#isInBuffers = false;
    // Small answers, which are most, need no look at the socket.
    if (this.#buffers.isSmall(bytes)) return true;
    const isBody = this.#user !== null;
    this.#buffers.next(bytes, { isBody, isPaused: this.#socket.isPaused() });
    return true;
  }

  /** What stays when the next read comes. */
  #kept(chunk: Buffer): Buffer {
    return this.#isInBuffers ? Buffer.from(chunk) : chunk;
  }

  #onData(chunk: Buffer): void {
    if (this.#user === null) {
      if (this.#tunnel !== null) {
        this.#tunnel.onBytes(this.#kept(chunk));
        return;
      }
      // Bytes that nobody asked for: the peer and we disagree about where messages end.
      this.#close();
      return;
    }
    this.#heard = true;
    try {
      this.#parse(chunk);
    } catch (error) {
      this.#failByAssertion(error);
    }
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#failByAssertion(error);
    }
  }

  #lossKind(): UpstreamFailureKind {
    if (!this.#connected) return "connect";
    return this.#heard ? "truncated" : "reset";
  }

  #failByAssertion(error: unknown): void {
    const user = this.#user;
    this.#user = null;
    this.#close();
    user?.onUpstreamAssertion(error);
  }

  #parse(chunk: Buffer): void {
    const result = this.#parser.execute(chunk);
    if (typeof result !== "number") {
      this.#fail("protocol", result.message);
      return;
    }
    if (this.#tunnel !== null) {
      if (result < chunk.length) this.#tunnel.onBytes(this.#kept(chunk.subarray(result)));
      return;
    }
    // More than the response: the peer and we disagree about where messages end.
    if (result < chunk.length) this.#keepAlive = false;
    if (this.#endDue) this.#tellEnd();
    else this.#user?.onUpstreamBatchEnd();
  }

  #tellEnd(): void {
    const trailers = this.#trailers;
    this.#endDue = false;
    this.#trailers = null;
    this.#user?.onResponseEnd(trailers);
  }

  #onEnd(): void {
    if (this.#tunnel !== null) {
      this.#tunnel.onPeerEnd();
      return;
    }
    const fault = this.#parser.finish();
    this.#keepAlive = false;
    if (this.#endDue) this.#tellEnd();
    if (fault !== null || this.#user !== null) {
      this.#fail(this.#lossKind(), fault?.code ?? "closed by the peer");
    }
    this.#close();
  }

  #fail(kind: UpstreamFailureKind, detail: string): void {
    const user = this.#user;
    this.#user = null;
    this.#close();
    user?.onUpstreamFailure(kind, detail);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#isInBuffers) this.#buffers.end();
    this.#owner.sweeper.remove(this);
    this.#socket.destroy();
    this.#owner.onConnectionClosed(this);
    this.#tunnel?.onClosed();
  }
}

/** Closes a second before the peer's announced `Keep-Alive: timeout=…` (seconds) would. */
function idleTimeoutOf(field: string): number {
  const seconds = Number(/timeout=(\d{1,6})/.exec(field)?.[1] ?? Number.NaN);
  if (Number.isNaN(seconds)) return UPSTREAM_IDLE_TIMEOUT_MS;
  return Math.min(UPSTREAM_IDLE_TIMEOUT_MS, Math.max(0, seconds * 1_000 - 1_000));
}
