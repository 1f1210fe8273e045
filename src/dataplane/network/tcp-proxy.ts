//! Forwards the bytes of a connection to an endpoint of a cluster, and back
//! (`envoy.filters.network.tcp_proxy`). Each side may end before the other.

import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Cluster, Endpoint } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import type { Expirable } from "../deadlines.ts";
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
  readonly #target: TcpTarget;
  #upstream: Socket | null = null;

  constructor(context: TrafficContext, client: FilteredSocket, target: TcpTarget) {
    this.#context = context;
    this.#client = client;
    this.#target = target;
    this.deadlineMs = context.sweeper.after(target.cluster.connectTimeoutMs);
  }

  /** Dials. Bytes of the client wait until the upstream has answered. */
  start(): void {
    const endpoint = this.#pick();
    if (endpoint === null) {
      this.#client.destroySoon();
      return;
    }
    const { address: host, port } = endpoint;
    const upstream = connect({ host, port, noDelay: true, allowHalfOpen: true });
    this.#upstream = upstream;
    const facts = { cluster: this.#target.cluster, endpoint, localAddress: "", failure: "" };
    this.#client.upstream = facts;
    this.#context.sweeper.add(this);
    this.#context.observer.onTunnel(1);
    upstream.on("connect", () => {
      facts.localAddress = `${upstream.localAddress ?? ""}:${upstream.localPort ?? 0}`;
      this.#join(upstream);
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

  #pick(): Endpoint | null {
    const { pools, prng, sweeper } = this.#context;
    const { cluster, endpoints } = this.#target;
    if (endpoints.length === 0) return null;
    const { policy } = cluster;
    if (policy === undefined) return endpoints[prng.below(endpoints.length)] ?? null;
    const state = pools.clusters.get(`${cluster.name} `, policy, sweeper.nowMs);
    const input = { prng, hash: null, activeCount: () => 0 };
    return endpoints[state.pick(endpoints, input, sweeper.nowMs)] ?? null;
  }

  #join(upstream: Socket): void {
    const touch = (): void => {
      this.deadlineMs = this.#context.sweeper.nowMs + this.#target.idleTimeoutMs;
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
