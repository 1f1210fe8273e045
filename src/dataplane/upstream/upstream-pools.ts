//! All endpoint pools of a worker. They outlive runtimes: a new snapshot keeps warm connections.

import type { DeadlineSweeper } from "../deadlines.ts";
import { ClusterStates } from "./cluster-state.ts";
import { EndpointPool } from "./endpoint-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import type { UpstreamPool } from "./upstream.ts";

export class UpstreamPools {
  /** Of clusters that have a policy. */
  readonly clusters: ClusterStates = new ClusterStates();
  readonly #sweeper: DeadlineSweeper;
  /** Bounded by the open connections: a pool without any is dropped. */
  readonly #pools = new Map<string, EndpointPool>();
  readonly #http2Pools = new Map<string, Http2Pool>();

  constructor(sweeper: DeadlineSweeper) {
    this.#sweeper = sweeper;
  }

  /** Pools with at least one connection. */
  get size(): number {
    return this.#pools.size + this.#http2Pools.size;
  }

  /** The pool of `address:port`, for HTTP/1.1. */
  get(address: string, port: number): EndpointPool {
    const key = `${address}:${port}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new EndpointPool(address, port, this.#sweeper, () => this.#pools.delete(key));
      this.#pools.set(key, pool);
    }
    return pool;
  }

  getHttp2(address: string, port: number): UpstreamPool {
    const key = `${address}:${port}`;
    let pool = this.#http2Pools.get(key);
    if (pool === undefined) {
      pool = new Http2Pool(address, port, this.#sweeper, () => this.#http2Pools.delete(key));
      this.#http2Pools.set(key, pool);
    }
    return pool;
  }

  /** Exchanges at an endpoint, without making a pool for it. */
  activeCount({ address, port }: { readonly address: string; readonly port: number }): number {
    const key = `${address}:${port}`;
    const count = this.#pools.get(key)?.activeCount ?? 0;
    if (this.#http2Pools.size === 0) return count;
    return count + (this.#http2Pools.get(key)?.activeCount ?? 0);
  }

  closeIdle(): void {
    for (const pool of [...this.#pools.values(), ...this.#http2Pools.values()]) pool.closeIdle();
  }
}
