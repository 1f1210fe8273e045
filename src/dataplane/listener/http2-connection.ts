//! One client connection of HTTP/2: its session, its streams, and the limits on both.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { REQUEST_FAULTS } from "../../http/fault.ts";
import { readHttp2Request } from "../../http/http2-request.ts";
import { HEAD_BYTES_MAX } from "../../http/limits.ts";
import { ErrorCode } from "../../http2/frames.ts";
import { ServerSession } from "../../http2/server-session.ts";
import type { RequestSection, SessionUser } from "../../http2/server-session.ts";
import type { ServerStream } from "../../http2/server-stream.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import type { TrafficContext } from "../context.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  LINGER_TIMEOUT_MS,
  NO_DEADLINE,
  REQUEST_HEAD_TIMEOUT_MS,
} from "../deadlines.ts";
import type { Expirable } from "../deadlines.ts";
import type { ClientConnection, ConnectionParts } from "./client-connection.ts";
import type { ClientNamesReader } from "./client-names.ts";
import { ConnectionFacts } from "./connection-facts.ts";
import { AbuseCount, CONNECTION_WINDOW_BYTES, RESETS_FOR_LONG_HEAD } from "./http2-abuse.ts";
import { STREAM_WINDOW_BYTES } from "./http2-abuse.ts";
import { DownstreamStream } from "./http2-stream.ts";
import { recordRefused } from "./refused-request.ts";
import type { StreamOwner } from "./http2-stream.ts";

/** Requests at once on one connection; Envoy's advice for an edge. */
export const STREAMS_PER_CONNECTION_MAX = 100;

const LIMITS = {
  streamsMax: STREAMS_PER_CONNECTION_MAX,
  streamWindowBytes: STREAM_WINDOW_BYTES,
  connectionWindowBytes: CONNECTION_WINDOW_BYTES,
  headBytesMax: HEAD_BYTES_MAX,
} as const;

export class Http2Connection implements ClientConnection, Expirable, StreamOwner, SessionUser {
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly isSecure: boolean;
  readonly tlsServer: TlsServer | null;
  readonly clientNames: ClientNamesReader;
  readonly facts: ConnectionFacts;
  deadlineMs: number;
  isDraining = false;
  readonly #parts: ConnectionParts;
  readonly #session: ServerSession;
  readonly #abuse = new AbuseCount();
  #hasSettings = false;
  #closed = false;

  /** What has been read of the socket has been given back to it. */
  constructor(socket: Socket, parts: ConnectionParts) {
    this.context = parts.context;
    this.remoteAddress = (parts.ends ?? socket).remoteAddress ?? "";
    this.localPort = (parts.ends ?? socket).localPort ?? 0;
    this.isSecure = socket instanceof TLSSocket;
    this.tlsServer = parts.tlsServer;
    this.clientNames = parts.clientNames;
    this.facts = new ConnectionFacts(socket, parts);
    this.#parts = parts;
    // Until its SETTINGS have come, with the preface.
    this.deadlineMs = parts.context.sweeper.nowMs + REQUEST_HEAD_TIMEOUT_MS;
    parts.context.sweeper.add(this);
    this.#session = new ServerSession(socket, LIMITS, this);
    this.#session.start();
  }

  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.#session.drain();
    if (this.#session.streams.size === 0) this.#awaitEnd();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#session.destroy();
    this.onClosed();
  }

  onDeadline(): void {
    if (this.isDraining || !this.#hasSettings || this.#session.isOver) this.destroy();
    else this.drain();
  }

  // --- from the session ---

  onRequest(stream: ServerStream, { fields, isCut, endsHere }: RequestSection): void {
    this.deadlineMs = NO_DEADLINE;
    const downstream = new DownstreamStream(this, stream, endsHere);
    const head = readHttp2Request(fields, endsHere);
    if (!("code" in head) && !isCut) {
      downstream.begin(head, this.#parts.makeHandler());
      return;
    }
    downstream.refuse("code" in head ? head : REQUEST_FAULTS.head_too_large);
    this.#countResets(isCut ? RESETS_FOR_LONG_HEAD : 1);
  }

  onStreamClosed(): void {
    if (this.#session.streams.size > 0 || this.#session.isOver) return;
    this.#restWhileFree();
  }

  onControl(): void {
    if (!this.#hasSettings) {
      this.#hasSettings = true;
      this.#restWhileFree();
    }
    if (this.#abuse.onControl(this.context.sweeper.nowMs)) this.onTooMuch();
  }

  onReset(): void {
    this.#countResets(1);
  }

  onIdleFrame(): void {
    if (this.#abuse.onIdleFrame(this.context.sweeper.nowMs)) this.onTooMuch();
  }

  /** No client needs that much: it is cut off. */
  onTooMuch(): void {
    if (this.#session.isOver) return;
    recordRefused(this, { code: "http2_flood", status: 0, isHttp2: true, bytesSent: 0 });
    this.#session.cut(ErrorCode.enhanceYourCalm);
  }

  onFramesSent(count: number): void {
    this.#abuse.onSent(count);
  }

  onOver(): void {
    this.#awaitEnd();
  }

  onAssertion(error: unknown): void {
    this.context.observer.onAssertion(error);
  }

  onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.context.sweeper.remove(this);
    this.#parts.onClosed(this);
  }

  #countResets(count: number): void {
    if (this.#abuse.onReset(this.context.sweeper.nowMs, count)) this.onTooMuch();
  }

  #restWhileFree(): void {
    if (this.isDraining) this.#awaitEnd();
    else this.deadlineMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
  }

  #awaitEnd(): void {
    this.deadlineMs = this.context.sweeper.nowMs + LINGER_TIMEOUT_MS;
  }
}
