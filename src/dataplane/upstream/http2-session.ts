//! One connection of HTTP/2 to an endpoint.

import { connect as connectHttp2, constants } from "node:http2";
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  OutgoingHttpHeaders,
  Settings,
} from "node:http2";
import { FIELDS_WITH_BLANKS } from "../../http/http2-fields.ts";
import { FIELD_COUNT_MAX, HEAD_BYTES_MAX } from "../../http/limits.ts";
import { NO_DEADLINE, UPSTREAM_IDLE_TIMEOUT_MS } from "../deadlines.ts";
import type { DeadlineSweeper, Expirable } from "../deadlines.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { AcquireOptions, AcquireResult } from "./endpoint-pool.ts";
import { UpstreamStream } from "./http2-stream.ts";
import type { StreamSession } from "./http2-stream.ts";
import { tlsFailure } from "./tls-dial.ts";
import { UpstreamFacts } from "./upstream-facts.ts";
import { openSocket } from "./open-socket.ts";
import { keepAlive } from "./upstream.ts";
import type { PoolEndpoint, UpstreamFailureKind, UpstreamUser } from "./upstream.ts";

/** At once on one session, whatever the server allows. */
const STREAMS_PER_SESSION_MAX = 1_000;
/** Until the server's SETTINGS have said how many. */
const STREAMS_BEFORE_SETTINGS_MAX = 100;
const STREAM_WINDOW_BYTES = 262_144;
const CONNECTION_WINDOW_BYTES = 1_048_576;
/** A request was given up after nothing at all had come for this long: is the server there? */
const SILENT_MS = 1_000;
/** Servers of gRPC end connections that ask them too often. */
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 2_000;

export interface SessionOwner extends PoolEndpoint {
  readonly sweeper: DeadlineSweeper;
  onSessionClosed(session: Http2Session): void;
}

export class Http2Session implements Expirable, StreamSession {
  deadlineMs: number;
  /** Whose connections this one counts among. */
  readonly cluster: ClusterState | null;
  readonly #owner: SessionOwner;
  readonly #session: ClientHttp2Session;
  readonly #idleTimeoutMs: number;
  readonly #durationMsMax: number;
  /** From then on it takes no further exchange. */
  #endsMs = Number.POSITIVE_INFINITY;
  /** While it carries none, in real time: the server's clock runs on when this process does not. */
  #restsUntilMs = Number.POSITIVE_INFINITY;
  /** Exchanges that it may still carry. */
  #requestsLeft: number;
  /** Of the cluster. */
  readonly #streamsLimit: number;
  #streamsMax: number;
  readonly #streams = new Set<UpstreamStream>();
  #isConnected = false;
  /** Takes no further exchanges. */
  #isRetired = false;
  #isClosed = false;
  /** When something last came of any stream, or was first awaited. */
  #heardMs = 0;
  #pingedMs = Number.NEGATIVE_INFINITY;
  /** A PING is to be answered before the next exchange begins. */
  #isPinging = false;
  #fault = "connection closed";
  /** Of what a stream failed that had not begun. */
  #faultKind: UpstreamFailureKind = "connect";
  readonly scheme: "http" | "https";
  readonly facts: UpstreamFacts;
  hasServed = false;

  constructor(owner: SessionOwner, options: AcquireOptions) {
    const limits = options.cluster?.limits;
    this.cluster = options.cluster;
    this.#owner = owner;
    this.#idleTimeoutMs = limits?.idleTimeoutMs ?? UPSTREAM_IDLE_TIMEOUT_MS;
    this.#durationMsMax = limits?.connectionMsMax ?? Number.POSITIVE_INFINITY;
    this.#streamsLimit = limits?.streamsMax ?? STREAMS_PER_SESSION_MAX;
    this.#streamsMax = Math.min(STREAMS_BEFORE_SETTINGS_MAX, this.#streamsLimit);
    this.#requestsLeft = limits?.requestsPerConnectionMax ?? Number.POSITIVE_INFINITY;
    this.deadlineMs = owner.sweeper.after(options.connectTimeoutMs);
    this.scheme = owner.tls === null ? "http" : "https";
    const socket = openSocket(owner, "h2");
    keepAlive(socket, limits);
    this.facts = new UpstreamFacts(socket);
    this.#session = connectHttp2(`${this.scheme}://upstream`, {
      ...FIELDS_WITH_BLANKS,
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxHeaderListSize: HEAD_BYTES_MAX,
      },
      maxHeaderListPairs: FIELD_COUNT_MAX + 1,
    });
    this.#listen();
    owner.sweeper.add(this);
  }

  /** What ends a stream may be the end of all. */
  get isOpen(): boolean {
    return !this.#isClosed && !this.#session.destroyed;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get hasRoom(): boolean {
    if (this.#isRetired || this.#isPinging || this.#hasServedEnough) return false;
    if (this.#owner.sweeper.clock.readMs >= this.#restsUntilMs) return false;
    return this.#streams.size < this.#streamsMax;
  }

  /** It ends with the exchanges that it carries. */
  get #hasServedEnough(): boolean {
    return this.#requestsLeft <= 0 || this.#owner.sweeper.nowMs >= this.#endsMs;
  }

  open(user: UpstreamUser): AcquireResult {
    this.#requestsLeft -= 1;
    const stream = new UpstreamStream(this, user);
    if (this.#streams.size === 0) this.#heardMs = this.#owner.sweeper.nowMs;
    this.#streams.add(stream);
    this.#restsUntilMs = Number.POSITIVE_INFINITY;
    if (!this.#isConnected) return { kind: "connecting", connection: stream };
    this.deadlineMs = NO_DEADLINE;
    return { kind: "ready", connection: stream };
  }

  request(headers: OutgoingHttpHeaders, hasBody: boolean): ClientHttp2Stream | null {
    if (this.#session.destroyed || this.#session.closed) return null;
    return this.#session.request(headers, { endStream: !hasBody, waitForTrailers: hasBody });
  }

  onStreamClosed(stream: UpstreamStream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0 || this.#isClosed) return;
    if (this.#isRetired || this.#hasServedEnough) this.close();
    else if (this.#isConnected) this.#rest();
  }

  onHeard(): void {
    this.#heardMs = this.#owner.sweeper.nowMs;
  }

  /**
   * After a fault in the framing the library reads no more and tells nobody, and a server may be
   * gone without a word: a PING that is not answered ends the connection.
   */
  onUnanswered(): void {
    const { nowMs } = this.#owner.sweeper;
    // The session is destroyed some turns before it says so; Node 24 does that on such a fault.
    if (!this.#isConnected || this.#session.destroyed || this.#isPinging) return;
    if (nowMs - this.#heardMs < SILENT_MS || nowMs - this.#pingedMs < PING_INTERVAL_MS) return;
    this.#pingedMs = nowMs;
    this.#isPinging = true;
    this.deadlineMs = nowMs + PING_TIMEOUT_MS;
    this.#session.ping((error) => {
      if (error !== null || this.#session.destroyed) return;
      this.#isPinging = false;
      this.onHeard();
      this.deadlineMs = NO_DEADLINE;
      if (this.#streams.size === 0) this.#rest();
    });
  }

  #rest(): void {
    if (this.#isPinging) return;
    const { nowMs, realNowMs } = this.#owner.sweeper;
    this.deadlineMs = Math.min(nowMs + this.#idleTimeoutMs, this.#endsMs);
    this.#restsUntilMs = realNowMs + this.#idleTimeoutMs;
  }

  onDeadline(): void {
    this.#fault = this.#isPinging ? "PING is not answered" : "connect timeout";
    this.close();
  }

  /** Takes no further exchanges, and ends after those that it carries. */
  retire(): void {
    this.#isRetired = true;
    if (this.#streams.size === 0) this.close();
  }

  close(): void {
    this.#session.destroy();
    this.#onClosed();
  }

  #listen(): void {
    const session = this.#session;
    session.on("connect", () => {
      if (this.scheme === "https" && session.alpnProtocol !== "h2") {
        this.#faultKind = "tls";
        this.#fault = "it did not choose h2 (ALPN)";
        this.close();
        return;
      }
      this.#isConnected = true;
      this.#endsMs = this.#owner.sweeper.nowMs + this.#durationMsMax;
      this.facts.onConnected();
      this.deadlineMs = NO_DEADLINE;
      if (this.#streams.size === 0) this.#rest();
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      for (const stream of [...this.#streams]) stream.onConnected();
    });
    session.on("remoteSettings", ({ maxConcurrentStreams = STREAMS_PER_SESSION_MAX }: Settings) => {
      const most = Math.min(STREAMS_PER_SESSION_MAX, this.#streamsLimit, maxConcurrentStreams);
      this.#streamsMax = Math.max(1, most);
    });
    session.on("goaway", (code: number) => {
      this.#isRetired = true;
      if (code !== constants.NGHTTP2_NO_ERROR) this.#fault = `GOAWAY ${code}`;
    });
    session.on("error", (error: NodeJS.ErrnoException) => {
      const failure = this.scheme === "https" ? tlsFailure(error) : null;
      this.#fault = failure?.detail ?? error.code ?? error.message;
      this.#faultKind = failure?.kind ?? "connect";
    });
    session.on("close", () => {
      this.#onClosed();
    });
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isRetired = true;
    this.#owner.sweeper.remove(this);
    this.#owner.onSessionClosed(this);
    for (const stream of [...this.#streams]) stream.onSessionClosed(this.#faultKind, this.#fault);
    this.#streams.clear();
  }
}
