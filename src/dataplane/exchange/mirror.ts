//! A copy of a request to a mirror: sent beside the exchange, and its answer is thrown away.
//!
//! A mirror must not cost the request anything: a body that is too long for the buffer, or a
//! mirror that is too slow, ends the copy and nothing else.

import type { Expirable } from "../deadlines.ts";
import { Headers } from "../../http/headers.ts";
import type { Mirror } from "../../snapshot/routing.ts";
import { drawIndex } from "../../lane/endpoint-weights.ts";
import { chooseEndpoints } from "../../lane/fallback.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import { leaveMesh } from "../filter/lane-context.ts";
import { applyHeaderOperations } from "../filter/header-operations.ts";
import { speaksHttp2 } from "../upstream/cluster-policy.ts";
import type { Waiting } from "../upstream/endpoint-pool.ts";
import type { OutgoingHead, Upstream, UpstreamPool, UpstreamUser } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";

/** A copy has this long in all. */
const MIRROR_TIMEOUT_MS = 15_000;
/** Of a body at most this much waits for the mirror. */
const MIRROR_BODY_BYTES_MAX = 262_144;
/** Copies at once in one worker; further ones are not made. */
const MIRRORS_AT_ONCE_MAX = 1_024;
const PPM_TOTAL = 1_000_000;
/** As Envoy does, so that a mirror can tell copies from requests. */
const HOST_SUFFIX = "-shadow";

let atOnce = 0;

/** The copies of one exchange. They get the body as the upstream gets it. */
export function startMirrors(
  exchange: Exchange,
  mirrors: readonly Mirror[],
  lanes: PreparedLanes,
): MirrorCall[] {
  const calls: MirrorCall[] = [];
  for (const mirror of mirrors) {
    const { prng, pools } = exchange.context;
    if (prng.below(PPM_TOTAL) >= mirror.sharePpm || atOnce >= MIRRORS_AT_ONCE_MAX) continue;
    const wanted = { target: mirror.target, fallback: null, group: null, lane: null };
    const { endpoints } = chooseEndpoints(lanes, wanted);
    const endpoint = endpoints[drawIndex(endpoints, prng)];
    if (endpoint === undefined) continue;
    if (mirror.target.kind !== "cluster") continue;
    const { cluster: name, subset } = mirror.target;
    const cluster = lanes.clusters.get(name)?.cluster;
    const client = exchange.connection;
    const isHttp2 = speaksHttp2(cluster, exchange.head);
    const pool = pools.poolFor(endpoint, cluster, { subset, client, isHttp2 });
    // What the copy should be sent in TLS with cannot be used.
    if (typeof pool === "string") continue;
    const call = new MirrorCall(exchange, mirror);
    if (cluster?.isOutside === true) call.leaveMesh(lanes, cluster.host);
    call.start(pool);
    calls.push(call);
  }
  return calls;
}

export class MirrorCall implements UpstreamUser, Expirable {
  readonly deadlineMs: number;
  readonly #exchange: Exchange;
  readonly #head: OutgoingHead;
  #connection: Upstream | null = null;
  #connecting: Upstream | null = null;
  #waiting: { readonly pool: UpstreamPool; readonly waiting: Waiting } | null = null;
  readonly #unsent: Buffer[] = [];
  #unsentBytes = 0;
  #isBodyEnded: boolean;
  #isOver = false;
  #canWrite = true;
  #isEndSent = false;

  constructor(exchange: Exchange, mirror: Mirror) {
    const { head, context, hasBody } = exchange;
    this.#exchange = exchange;
    const headers = new Headers();
    head.headers.names.forEach((name, index) => {
      headers.add(name, head.headers.values[index] ?? "");
    });
    applyHeaderOperations(mirror.requestHeaders, headers);
    const host = headers.get("host") ?? head.authority;
    headers.set("host", suffixed(host));
    if (hasBody && !headers.has("content-length")) headers.set("transfer-encoding", "chunked");
    headers.remove("expect");
    this.#head = { method: head.method, target: head.target, headers, hasBody };
    this.#isBodyEnded = !hasBody;
    this.deadlineMs = context.sweeper.after(MIRROR_TIMEOUT_MS);
    context.sweeper.add(this);
    atOnce += 1;
  }

  leaveMesh({ groups }: PreparedLanes, host: string): void {
    leaveMesh(this.#head.headers, groups.values(), host);
  }

  start(pool: UpstreamPool): void {
    const acquired = pool.acquire(this, { connectTimeoutMs: MIRROR_TIMEOUT_MS, cluster: null });
    if (acquired.kind === "ready") this.onUpstreamReady(acquired.connection);
    else if (acquired.kind === "connecting") this.#connecting = acquired.connection;
    else if (acquired.kind === "waiting") this.#waiting = { pool, waiting: acquired.waiting };
    else this.#end();
  }

  /** A part of the request's body, as it goes to the upstream. */
  body(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#connection !== null && this.#canWrite) {
      this.#write(this.#connection, chunk);
      return;
    }
    this.#unsentBytes += chunk.length;
    if (this.#unsentBytes > MIRROR_BODY_BYTES_MAX) this.#end();
    else this.#unsent.push(chunk);
  }

  bodyEnd(): void {
    if (this.#isOver || this.#isBodyEnded) return;
    this.#isBodyEnded = true;
    if (this.#connection !== null && this.#unsent.length === 0) this.#writeEnd(this.#connection);
  }

  /** The request came to nothing before its end: neither does the copy. */
  abandon(): void {
    if (!this.#isBodyEnded) this.#end();
  }

  onDeadline(): void {
    this.#end();
  }

  onUpstreamReady(connection: Upstream): void {
    this.#connecting = null;
    this.#waiting = null;
    if (this.#isOver) {
      connection.abort();
      return;
    }
    this.#connection = connection;
    connection.sendHead(this.#head);
    this.#writeUnsent(connection);
  }

  onUpstreamFailure(): void {
    this.#connection = null;
    this.#connecting = null;
    this.#end();
  }

  onUpstreamDrain(): void {
    this.#canWrite = true;
    if (this.#connection !== null) this.#writeUnsent(this.#connection);
  }

  onInformational(): void {
    // Nobody waits for it.
  }

  onResponseHead(): void {
    // Nobody waits for it.
  }

  onResponseBody(): void {
    // Nobody waits for it.
  }

  onUpstreamBatchEnd(): void {
    // Nothing is written on.
  }

  onResponseEnd(): void {
    const connection = this.#connection;
    this.#connection = null;
    connection?.release(this.#isEndSent);
    this.#end();
  }

  onUpstreamAssertion(error: unknown): void {
    this.#connection = null;
    this.#exchange.context.observer.onAssertion(error);
    this.#end();
  }

  #writeUnsent(connection: Upstream): void {
    while (this.#unsent.length > 0 && this.#canWrite) {
      const chunk = this.#unsent.shift();
      if (chunk === undefined) break;
      this.#unsentBytes -= chunk.length;
      this.#write(connection, chunk);
    }
    if (this.#isBodyEnded && this.#unsent.length === 0) this.#writeEnd(connection);
  }

  #write(connection: Upstream, chunk: Buffer): void {
    this.#canWrite = connection.sendBody(chunk);
  }

  #writeEnd(connection: Upstream): void {
    if (this.#isEndSent) return;
    this.#isEndSent = true;
    connection.sendEnd(null);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    atOnce -= 1;
    this.#unsent.length = 0;
    this.#exchange.context.sweeper.remove(this);
    if (this.#waiting !== null) this.#waiting.pool.cancel(this.#waiting.waiting);
    this.#connecting?.abandonConnect();
    this.#connection?.abort();
    this.#connection = null;
  }
}

/** `shop.example.com:8080` becomes `shop.example.com-shadow:8080`. */
function suffixed(host: string): string {
  const port = /:\d+$/.exec(host)?.[0] ?? "";
  return host.slice(0, host.length - port.length) + HOST_SUFFIX + port;
}
