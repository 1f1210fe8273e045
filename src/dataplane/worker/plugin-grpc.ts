//! One gRPC call or stream of a plug-in, over the worker's HTTP/2 upstream pools.
//!
//! What the server's answer means is as in Envoy: which status a broken answer gives, what it is
//! called, and that a call that never reached anybody still has trailers.

import type { Clock, Timer } from "../../base/clock.ts";
import { grpcFrame, GrpcFrameReader } from "../../http/grpc-frames.ts";
import { Headers } from "../../http/headers.ts";
import { removeHopByHop } from "../../http/hop-by-hop.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { Cluster, Endpoint } from "../../snapshot/snapshot.ts";
import type { GrpcConnection, GrpcRequest, GrpcSink } from "../../wasm/grpc-calls.ts";
import type { HeaderPair } from "../../wasm/header-pairs.ts";
import { grpcStatusFor } from "../filter/plugin-properties.ts";
import { isAllowedField } from "../filter/request-header-map.ts";
import type { Upstream, UpstreamFailureKind, UpstreamUser } from "../upstream/upstream.ts";
import type { UpstreamPools } from "../upstream/upstream-pools.ts";

/** Of one message of a server, as most clients of gRPC take no larger one. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** What may wait to be written; more is refused until the server has read. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;
const BACKLOG_MESSAGES_MAX = 4_096;
/** Ours to set; the framing of a request is kept from plug-ins anyway. */
const RESERVED_FIELDS: ReadonlySet<string> = new Set(["te", "content-type", "host"]);
/** `grpc-timeout` has at most eight digits. */
const TIMEOUT_MS_DIGITS_MAX = 99_999_999;

const UNKNOWN = 2;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;
const UNAVAILABLE = 14;
/** The largest status that gRPC has; Envoy calls any other one -1. */
const STATUS_MAX = 16;
const STATUS_INVALID = -1;
const HTTP_OK = 200;

const ANSWERED = "via_upstream";
const NO_ANSWER = "upstream connect error or disconnect/reset before headers. reset reason: ";

export interface GrpcDeps {
  readonly clock: Clock;
  readonly pools: UpstreamPools;
}

export interface GrpcPlace {
  readonly cluster: Cluster;
  /** Null: nobody is there. */
  readonly endpoint: Endpoint | null;
  /** As the request's `:authority`. */
  readonly authority: string;
}

/** What says how the server has ended it. */
interface End {
  readonly fields: Headers;
  readonly pairs: readonly HeaderPair[];
}

export class RunningGrpc implements UpstreamUser, GrpcConnection {
  readonly #deps: GrpcDeps;
  readonly #request: GrpcRequest;
  readonly #sink: GrpcSink;
  readonly #reader = new GrpcFrameReader(MESSAGE_BYTES_MAX);
  #authority = "";
  #connection: Upstream | null = null;
  #abandon: () => void = () => undefined;
  #timer: Timer | null = null;
  /** Frames that wait until they may be written. */
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #isBlocked = false;
  #isEnded = false;
  #hasHead = false;
  /** The head, of an answer that is nothing else. */
  #trailersOnly: End | null = null;
  #isOver = false;

  constructor(deps: GrpcDeps, request: GrpcRequest, sink: GrpcSink) {
    this.#deps = deps;
    this.#request = request;
    this.#sink = sink;
  }

  /** The guest is running: whatever comes of it comes later. */
  start({ cluster, endpoint, authority }: GrpcPlace): void {
    const { clock, pools } = this.#deps;
    const { timeoutMs } = this.#request;
    this.#authority = authority;
    if (timeoutMs > 0) {
      this.#timer = clock.after(timeoutMs, () => {
        this.#breakOff("upstream request timeout", "response_timeout");
      });
    }
    if (endpoint === null) {
      this.#later(() => {
        this.#breakOff("no healthy upstream", "no_healthy_upstream");
      });
      return;
    }
    const wishes = { subset: null, client: null, isHttp2: true };
    const pool = pools.poolFor(endpoint, cluster, wishes);
    if (typeof pool === "string") {
      this.#later(() => {
        this.#breakOff(`${NO_ANSWER}${pool}`, "upstream_reset_before_response_started{tls}");
      });
      return;
    }
    const { connectTimeoutMs } = cluster;
    const acquired = pool.acquire(this, { connectTimeoutMs, cluster: null });
    if (acquired.kind === "ready") {
      this.onUpstreamReady(acquired.connection);
    } else if (acquired.kind === "connecting") {
      this.#abandon = () => {
        acquired.connection.abandonConnect();
      };
    } else {
      // Nobody waits in a pool of HTTP/2.
      this.#later(() => {
        this.#breakOff(`${NO_ANSWER}overflow`, "upstream_reset_before_response_started{overflow}");
      });
    }
  }

  send(message: Uint8Array): boolean {
    if (this.#isOver || this.#isEnded) return true;
    const { length } = this.#backlog;
    const isTooMuch = this.#backlogBytes + message.length > BACKLOG_BYTES_MAX;
    if (length > 0 && (isTooMuch || length >= BACKLOG_MESSAGES_MAX)) return false;
    const frame = grpcFrame(message);
    this.#backlog.push(frame);
    this.#backlogBytes += frame.length;
    this.#flush();
    return true;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#flush();
  }

  cancel(): void {
    this.#finish();
  }

  onUpstreamReady(connection: Upstream): void {
    this.#abandon = () => undefined;
    if (this.#isOver) {
      connection.abort();
      return;
    }
    const { service, method } = this.#request;
    const target = `/${service}/${method}`;
    connection.sendHead({ method: "POST", target, headers: this.#headers(), hasBody: true });
    this.#connection = connection;
    this.#flush();
  }

  onUpstreamFailure(kind: UpstreamFailureKind): void {
    this.#connection = null;
    if (kind === "connect" || kind === "refused") this.#breakOffBy("remote connection failure");
    else if (kind === "protocol") this.#breakOffBy("protocol error");
    else this.#breakOffBy("remote reset");
  }

  onUpstreamDrain(): void {
    this.#isBlocked = false;
    this.#flush();
  }

  onInformational(): void {
    // Advice only.
  }

  onResponseHead({ status, headers, body }: ResponseHead): void {
    this.#hasHead = true;
    removeHopByHop(headers);
    const pairs: HeaderPair[] = [[":status", String(status)], ...pairsOf(headers)];
    const isWhole = body === "none";
    this.#sink.onInitialMetadata(isWhole || status !== HTTP_OK ? [] : pairs);
    if (isWhole && (status === HTTP_OK || headers.has("grpc-status"))) {
      this.#trailersOnly = { fields: headers, pairs };
    } else if (status !== HTTP_OK) {
      this.#fail(grpcStatusFor(status));
    }
  }

  onResponseBody(chunk: Buffer): void {
    this.#reader.push(Buffer.from(chunk));
    while (!this.#isOver) {
      const next = this.#reader.next();
      if (next === null) return;
      if (typeof next === "string") {
        this.#fail(next === "too_large" ? RESOURCE_EXHAUSTED : INTERNAL);
        return;
      }
      this.#sink.onMessage(next);
    }
  }

  onResponseEnd(trailers: Headers | null): void {
    if (this.#isOver) return;
    // The server may end an exchange whose other half it has not read.
    this.#connection?.release(this.#isEnded && this.#backlogBytes === 0);
    this.#connection = null;
    const end =
      trailers === null ? this.#trailersOnly : { fields: trailers, pairs: pairsOf(trailers) };
    if (end === null) this.#fail(UNKNOWN);
    else this.#close(end);
  }

  onUpstreamBatchEnd(): void {
    // Messages have been told as they came.
  }

  onUpstreamAssertion(): void {
    this.#connection = null;
    this.#breakOffBy("local reset");
  }

  #headers(): Headers {
    const headers = new Headers();
    headers.add("host", this.#authority);
    headers.add("te", "trailers");
    headers.add("content-type", "application/grpc");
    const { metadata, timeoutMs } = this.#request;
    if (timeoutMs > 0) headers.add("grpc-timeout", timeoutText(timeoutMs));
    for (const [name, value] of metadata) {
      const isOurs = RESERVED_FIELDS.has(name) || (timeoutMs > 0 && name === "grpc-timeout");
      if (!isOurs && isAllowedField(name, value)) headers.add(name, value);
    }
    return headers;
  }

  /** Writes what may be written, and our end behind it. */
  #flush(): void {
    const connection = this.#connection;
    if (connection === null || this.#isBlocked) return;
    while (this.#backlog.length > 0 && !this.#isBlocked) {
      const frame = this.#backlog.shift() as Buffer;
      this.#backlogBytes -= frame.length;
      this.#isBlocked = !connection.sendBody(frame);
    }
    if (this.#isEnded && this.#backlog.length === 0) connection.sendEnd(null);
  }

  #later(task: () => void): void {
    const timer = this.#deps.clock.after(0, task);
    this.#abandon = () => {
      timer.cancel();
    };
  }

  #breakOffBy(reason: string): void {
    const flag = reason.replaceAll(" ", "_");
    this.#breakOff(NO_ANSWER + reason, `upstream_reset_before_response_started{${flag}}`);
  }

  /** Nothing more comes. Without a head it is as if one of ours had come, as in Envoy. */
  #breakOff(text: string, details: string): void {
    if (this.#isOver) return;
    if (this.#hasHead) {
      this.#fail(UNKNOWN);
      return;
    }
    this.#finish();
    this.#sink.onInitialMetadata([]);
    this.#sink.onTrailingMetadata([
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-status", String(UNAVAILABLE)],
      ["grpc-message", text],
    ]);
    this.#sink.onClose(UNAVAILABLE, `${text}{${details}}`);
  }

  /** The answer has begun, and is no good. */
  #fail(status: number): void {
    this.#finish();
    this.#sink.onTrailingMetadata([]);
    this.#sink.onClose(status, ANSWERED);
  }

  #close({ fields, pairs }: End): void {
    this.#finish();
    const message = fields.get("grpc-message") ?? "";
    this.#sink.onTrailingMetadata(pairs);
    const text = message === "" ? ANSWERED : `${message}{${ANSWERED}}`;
    this.#sink.onClose(statusOf(fields), text);
  }

  #finish(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#abandon();
    this.#connection?.abort();
    this.#connection = null;
    this.#backlog = [];
  }
}

function statusOf(fields: Headers): number {
  const text = fields.get("grpc-status");
  if (text === undefined) return UNKNOWN;
  return /^\d{1,2}$/.test(text) && Number(text) <= STATUS_MAX ? Number(text) : STATUS_INVALID;
}

function timeoutText(timeoutMs: number): string {
  if (timeoutMs <= TIMEOUT_MS_DIGITS_MAX) return `${timeoutMs}m`;
  return `${Math.ceil(timeoutMs / 1_000)}S`;
}

function pairsOf(headers: Headers): HeaderPair[] {
  return headers.names.map((name, index) => [name, headers.values[index] ?? ""]);
}
