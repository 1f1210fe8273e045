//! HTTP and gRPC calls of plug-ins to clusters of the snapshot, over the worker's own pools.
//!
//! A call that gets no answer is answered as Envoy does: 503 when nobody could be reached or the
//! answer broke off, 504 when it took too long.

import type { Clock, Timer } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import { Headers } from "../../http/headers.ts";
import { removeHopByHop } from "../../http/hop-by-hop.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import { isAuthority, isMethod, isTarget } from "../../http/syntax.ts";
import type { Cluster, Endpoint } from "../../snapshot/snapshot.ts";
import type { GrpcConnection, GrpcRefusal, GrpcRequest, GrpcSink } from "../../wasm/grpc-calls.ts";
import type { HttpCall, HttpCallResponse, PendingCall } from "../../wasm/http-calls.ts";
import { isAllowedField } from "../filter/request-header-map.ts";
import type { Waiting } from "../upstream/endpoint-pool.ts";
import type { Upstream, UpstreamFailureKind, UpstreamUser } from "../upstream/upstream.ts";
import type { UpstreamPools } from "../upstream/upstream-pools.ts";
import type { PluginClusters } from "./plugin-clusters.ts";
import { RunningGrpc } from "./plugin-grpc.ts";

/** A larger answer is dropped: the plug-in hears that the call broke off. Envoy's buffer limit. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export interface CallDeps {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly pools: UpstreamPools;
}

type OnDone = (response: HttpCallResponse | null) => void;

export class PluginCalls {
  readonly #deps: CallDeps;
  readonly #clusters: PluginClusters;

  constructor(deps: CallDeps, clusters: PluginClusters) {
    this.#deps = deps;
    this.#clusters = clusters;
  }

  /** An `HttpCaller`. */
  start(call: HttpCall, onDone: OnDone): PendingCall | null {
    const cluster = this.#clusters.find(call.cluster);
    if (cluster === null || !isValid(call)) return null;
    const running = new RunningCall(this.#deps, call, onDone);
    running.start(this.#clusters.pick(cluster), cluster);
    return running;
  }

  /** A `GrpcCaller`. Always over HTTP/2, whatever the cluster says of its protocol. */
  startGrpc(request: GrpcRequest, sink: GrpcSink): GrpcConnection | GrpcRefusal {
    const cluster = this.#clusters.find(request.cluster);
    if (cluster === null) return "no_cluster";
    // Servers refuse names such as `outbound|9000||host`, which Envoy would send.
    const name = isAuthority(request.cluster) ? request.cluster : `${cluster.host}:${cluster.port}`;
    const authority = request.authority ?? name;
    const isValidTarget = isTarget(`/${request.service}/${request.method}`);
    if (!isValidTarget || !isAuthority(authority)) return "bad_request";
    const running = new RunningGrpc(this.#deps, request, sink);
    running.start({ cluster, endpoint: this.#clusters.pick(cluster), authority });
    return running;
  }
}

function isValid({ method, path, authority, headers }: HttpCall): boolean {
  if (!isMethod(method) || method === "CONNECT" || !isTarget(path)) return false;
  return isAuthority(authority) && headers.every(([name, value]) => mayCarry(name, value));
}

function mayCarry(name: string, value: string): boolean {
  return isAllowedField(name, value) || name === "content-length" || name === "host";
}

class RunningCall implements UpstreamUser, PendingCall {
  readonly #deps: CallDeps;
  readonly #call: HttpCall;
  readonly #onDone: OnDone;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #head: ResponseHead | null = null;
  #connection: Upstream | null = null;
  #abandon: () => void = () => undefined;
  #timer: Timer | null = null;
  #isOver = false;

  constructor(deps: CallDeps, call: HttpCall, onDone: OnDone) {
    this.#deps = deps;
    this.#call = call;
    this.#onDone = onDone;
  }

  /** The guest is running: whatever comes of it comes later. */
  start(endpoint: Endpoint | null, cluster: Cluster): void {
    const { clock, pools } = this.#deps;
    if (this.#call.timeoutMs > 0) {
      this.#timer = clock.after(this.#call.timeoutMs, () => {
        this.#answer(504, "upstream request timeout");
      });
    }
    if (endpoint === null) {
      this.#later(() => {
        this.#answer(503, "no healthy upstream");
      });
      return;
    }
    const pool = pools.poolFor(endpoint, cluster, { subset: null, client: null });
    if (typeof pool === "string") {
      this.#later(() => {
        this.#answer(503, `upstream connect error: ${pool}`);
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
    } else if (acquired.kind === "waiting") {
      const { waiting }: { readonly waiting: Waiting } = acquired;
      this.#abandon = () => {
        pool.cancel(waiting);
      };
    } else {
      this.#later(() => {
        this.#answer(503, "upstream connect error or disconnect/reset before headers. overflow");
      });
    }
  }

  cancel(): void {
    this.#end();
  }

  onUpstreamReady(connection: Upstream): void {
    this.#abandon = () => undefined;
    if (this.#isOver) {
      connection.abort();
      return;
    }
    this.#connection = connection;
    const { method, path, authority, body } = this.#call;
    const headers = new Headers();
    headers.add("host", authority);
    for (const [name, value] of this.#call.headers) {
      if (isAllowedField(name, value)) headers.add(name, value);
    }
    const needsLength = body.length > 0 || method === "POST" || method === "PUT";
    if (needsLength) headers.add("content-length", String(body.length));
    const hasBody = body.length > 0;
    connection.sendHead({ method, target: path, headers, hasBody });
    if (!hasBody) return;
    connection.sendBody(Buffer.from(body));
    connection.sendEnd(null);
  }

  onUpstreamFailure(kind: UpstreamFailureKind): void {
    this.#connection = null;
    if (this.#head !== null) {
      this.#settle(null);
      return;
    }
    const isUntaken = kind === "connect" || kind === "refused";
    const reason = isUntaken ? "connection failure" : "connection termination";
    const text = "upstream connect error or disconnect/reset before headers. reset reason: ";
    this.#answer(503, text + reason);
  }

  onUpstreamDrain(): void {
    // The body is at most what one guest may hand over; it is written at once.
  }

  onInformational(): void {
    // Advice only.
  }

  onResponseHead(head: ResponseHead): void {
    this.#head = head;
    removeHopByHop(head.headers);
  }

  onResponseBody(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > ANSWER_BYTES_MAX) this.#settle(null);
    else this.#chunks.push(Buffer.from(chunk));
  }

  onResponseEnd(trailers: Headers | null): void {
    const head = this.#head;
    const connection = this.#connection;
    this.#connection = null;
    connection?.release(true);
    if (head === null) return;
    this.#settle({
      headers: [[":status", String(head.status)], ...pairsOf(head.headers)],
      body: Buffer.concat(this.#chunks, this.#bytes),
      trailers: trailers === null ? [] : pairsOf(trailers),
    });
  }

  onUpstreamBatchEnd(): void {
    // The whole answer is gathered.
  }

  onUpstreamAssertion(): void {
    this.#connection = null;
    this.#settle(null);
  }

  #later(task: () => void): void {
    const timer = this.#deps.clock.after(0, task);
    this.#abandon = () => {
      timer.cancel();
    };
  }

  /** A made-up answer, as Envoy makes up one. */
  #answer(status: number, text: string): void {
    const body = Buffer.from(text);
    const length = String(body.length);
    const fields = [
      [":status", String(status)],
      ["content-length", length],
      ["content-type", "text/plain"],
    ] as const;
    this.#settle({ headers: fields, body, trailers: [], isFailure: true });
  }

  #settle(response: HttpCallResponse | null): void {
    if (this.#isOver) return;
    this.#end();
    this.#onDone(response);
  }

  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#abandon();
    this.#connection?.abort();
    this.#connection = null;
  }
}

function pairsOf(headers: Headers): [string, string][] {
  return headers.names.map((name, index) => [name, headers.values[index] ?? ""]);
}
