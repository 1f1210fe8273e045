//! One client connection of HTTP/2: its session, its streams, and the limits on both.

import { constants, performServerHandshake } from "node:http2";
import type { ServerHttp2Session, ServerHttp2Stream, ServerOptions } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { FIELD_COUNT_MAX, HEAD_BYTES_MAX } from "../../http/limits.ts";
import { FIELDS_WITH_BLANKS } from "../../http/http2-fields.ts";
import { readHttp2Request } from "../../http/http2-request.ts";
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
import { AbuseCount, CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from "./http2-abuse.ts";
import { DownstreamStream } from "./http2-stream.ts";
import { recordRefused } from "./refused-request.ts";
import type { StreamOwner } from "./http2-stream.ts";

/** Requests at once on one connection; Envoy's advice for an edge. */
export const STREAMS_PER_CONNECTION_MAX = 100;
/** Frames that break the protocol, on one connection. */
const INVALID_FRAMES_MAX = 100;
/** Megabytes that the library may hold for one connection. */
const SESSION_MEMORY_MB_MAX = 10;
const STREAM_ID_MAX = 0x7fff_ffff;

const OPTIONS: ServerOptions = {
  ...FIELDS_WITH_BLANKS,
  settings: {
    maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxHeaderListSize: HEAD_BYTES_MAX,
    enableConnectProtocol: false,
  },
  // A few more than we take, so that it is our answer that says what was wrong.
  maxHeaderListPairs: FIELD_COUNT_MAX + 16,
  maxSessionInvalidFrames: INVALID_FRAMES_MAX,
  maxSessionMemory: SESSION_MEMORY_MB_MAX,
};

export class Http2Connection implements ClientConnection, Expirable, StreamOwner {
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly isSecure: boolean;
  readonly tlsServer: TlsServer | null;
  readonly clientNames: ClientNamesReader;
  readonly facts: ConnectionFacts;
  readonly abuse: AbuseCount;
  isDraining = false;
  readonly #parts: ConnectionParts;
  readonly #session: ServerHttp2Session;
  #endMs: number;
  #streamCount = 0;
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
    this.#endMs = parts.context.sweeper.nowMs + REQUEST_HEAD_TIMEOUT_MS;
    this.abuse = new AbuseCount(socket, parts.context.sweeper.nowMs);
    parts.context.sweeper.add(this);
    // The session ends when the client closes its side: it can ask for nothing more.
    socket.allowHalfOpen = false;
    this.#session = performServerHandshake(socket, OPTIONS);
    this.#listen();
  }

  get deadlineMs(): number {
    return Math.min(this.#endMs, this.abuse.inspectionMs);
  }

  get isOpen(): boolean {
    return !this.#closed && !this.#session.destroyed;
  }

  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    const session = this.#session;
    if (session.destroyed) return;
    // First a notice, so that requests on their way are served; the end when it has been read.
    session.goaway(constants.NGHTTP2_NO_ERROR, STREAM_ID_MAX);
    session.ping(() => {
      if (!session.destroyed) session.close();
    });
    if (this.#streamCount === 0) this.#awaitEnd();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#session.destroy();
    this.#onClosed();
  }

  onDeadline(): void {
    const { nowMs } = this.context.sweeper;
    if (nowMs >= this.abuse.inspectionMs && this.abuse.inspect(nowMs)) {
      this.#calm();
      return;
    }
    if (nowMs < this.#endMs) return;
    if (this.isDraining || !this.#hasSettings) {
      this.destroy();
      return;
    }
    this.drain();
  }

  #listen(): void {
    const session = this.#session;
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on("error", () => undefined);
    session.on("close", () => {
      this.#onClosed();
    });
    session.on("remoteSettings", () => {
      if (!this.#hasSettings) {
        this.#hasSettings = true;
        this.#restIfFree();
      }
      this.#onControl();
    });
    session.on("ping", () => {
      this.#onControl();
    });
    session.on("stream", (stream, _headers, flags, fields?: unknown) => {
      const endsHere = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      this.#onStream(stream, fields as string[], endsHere);
    });
  }

  #onStream(stream: ServerHttp2Stream, fields: readonly string[], endsHere: boolean): void {
    this.#endMs = NO_DEADLINE;
    this.abuse.onFields(fields);
    this.#streamCount += 1;
    const downstream = new DownstreamStream(this, stream, (isReset) => {
      this.#streamCount -= 1;
      if (isReset) this.#onReset();
      this.#restIfFree();
    });
    // Broken off before it was seen: it costs nobody else anything.
    if (stream.destroyed || stream.closed) return;
    const head = readHttp2Request(fields, endsHere);
    if ("code" in head) downstream.refuse(head);
    else downstream.begin(head, this.#parts.makeHandler());
  }

  #restIfFree(): void {
    if (this.#streamCount > 0 || this.#closed) return;
    if (this.isDraining) this.#awaitEnd();
    else this.#endMs = this.context.sweeper.nowMs + DOWNSTREAM_IDLE_TIMEOUT_MS;
  }

  #awaitEnd(): void {
    this.#endMs = this.context.sweeper.nowMs + LINGER_TIMEOUT_MS;
  }

  #onReset(): void {
    if (this.abuse.onReset(this.context.sweeper.nowMs)) this.#calm();
  }

  #onControl(): void {
    if (this.abuse.onControl(this.context.sweeper.nowMs)) this.#calm();
  }

  /** No client needs that much: it is cut off. */
  #calm(): void {
    if (this.#closed) return;
    recordRefused(this, { code: "http2_flood", status: 0, isHttp2: true, bytesSent: 0 });
    // Without an error Node would say NO_ERROR, whatever the code.
    this.#session.destroy(new Error("http2_flood"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#onClosed();
  }

  #onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.context.sweeper.remove(this);
    this.#parts.onClosed(this);
  }
}
