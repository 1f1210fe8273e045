//! Forwards the bytes of a connection to an endpoint of a cluster, and back
//! (`envoy.filters.network.tcp_proxy`). Each side may end before the other.

import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Cluster, Endpoint } from "../../snapshot/snapshot.ts";
import { TCP_IDLE_OBJECT } from "../../wasm/envoy-objects.ts";
import { latin1 } from "../../wasm/field-text.ts";
import type { TrafficContext } from "../context.ts";
import type { Expirable } from "../deadlines.ts";
import { objectName } from "../filter/filter-state.ts";
import type { FilteredSocket } from "./filtered-socket.ts";

export interface TcpTarget {
  readonly cluster: Cluster;
  readonly endpoints: readonly Endpoint[];
  /** No byte in either direction for this long closes both connections. */
  readonly idleTimeoutMs: number;
}

export class TcpProxy implements Expirable {
  deadlineMs: number;
  readonly #context: TrafficContext;
  readonly #client: FilteredSocket;
  /** Null: a plug-in has chosen a cluster that is not there. */
  readonly #target: TcpTarget | null;
  #upstream: Socket | null = null;

  constructor(context: TrafficContext, client: FilteredSocket, target: TcpTarget | null) {
    this.#context = context;
    this.#client = client;
    this.#target = target;
    this.deadlineMs = context.sweeper.after(target?.cluster.connectTimeoutMs ?? 0);
  }

  /** Dials. Bytes of the client wait until the upstream has answered. */
  start(): void {
    const target = this.#target;
    const endpoint = target === null ? null : this.#pick(target);
    this.#client.isWithoutCluster = target === null;
    if (target === null || endpoint === null) {
      this.#client.destroySoon();
      return;
    }
    const { address: host, port } = endpoint;
    const upstream = connect({ host, port, noDelay: true, allowHalfOpen: true });
    this.#upstream = upstream;
    const facts = { cluster: target.cluster, endpoint, localAddress: "", failure: "" };
    this.#client.upstream = facts;
    this.#context.sweeper.add(this);
    this.#context.observer.onTunnel(1);
    upstream.on("connect", () => {
      facts.localAddress = `${upstream.localAddress ?? ""}:${upstream.localPort ?? 0}`;
      this.#join(upstream, this.#idleMs(target));
    });
    upstream.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (facts.localAddress === "") facts.failure = code ?? "";
      if (code === "ECONNRESET") this.#client.reset();
      else this.#client.destroySoon();
    });
    upstream.on("close", () => {
      this.#end(upstream);
    });
    this.#client.on("close", () => {
      upstream.destroy();
    });
  }

  onDeadline(): void {
    this.#upstream?.destroy();
  }

  #pick({ cluster, endpoints }: TcpTarget): Endpoint | null {
    const { pools, prng, sweeper } = this.#context;
    if (endpoints.length === 0) return null;
    const { policy } = cluster;
    if (policy === undefined) return endpoints[prng.below(endpoints.length)] ?? null;
    const state = pools.clusters.get(`${cluster.name} `, policy, sweeper.nowMs);
    const input = { prng, hash: null, activeCount: () => 0 };
    return endpoints[state.pick(endpoints, input, sweeper.nowMs)] ?? null;
  }

  /** A plug-in may have said it for this connection. */
  #idleMs({ idleTimeoutMs }: TcpTarget): number {
    const wish = this.#client.state.stored(objectName(TCP_IDLE_OBJECT));
    return wish === undefined ? idleTimeoutMs : Number(latin1(wish));
  }

  #join(upstream: Socket, idleMs: number): void {
    const touch = (): void => {
      this.deadlineMs = this.#context.sweeper.nowMs + idleMs;
    };
    touch();
    upstream.on("data", touch);
    this.#client.on("data", touch);
    this.#client.pipe(upstream);
    upstream.pipe(this.#client);
    this.#client.takeBytes();
  }

  #end(upstream: Socket): void {
    this.#context.sweeper.remove(this);
    this.#context.observer.onTunnel(-1);
    const client = this.#client;
    const close = (): void => {
      client.destroySoon();
    };
    // What it has sent before its end may still be on its way through the filters.
    if (upstream.readableEnded && !client.writableFinished) client.once("finish", close);
    else close();
  }
}
