//! All endpoint pools of a worker. They outlive runtimes: a new snapshot keeps warm connections.

import type { DeadlineSweeper } from "../deadlines.ts";
import { ClusterStates } from "./cluster-state.ts";
import { EndpointPool } from "./endpoint-pool.ts";

export class UpstreamPools {
  /** Of clusters that have a policy. */
  readonly clusters: ClusterStates = new ClusterStates();
  readonly #sweeper: DeadlineSweeper;
  /** Bounded by the open connections: a pool without any is dropped. */
  readonly #pools = new Map<string, EndpointPool>();

  constructor(sweeper: DeadlineSweeper) {
    this.#sweeper = sweeper;
  }

  /** Pools with at least one connection. */
  get size(): number {
    return this.#pools.size;
  }

  /** The pool of `address:port`. */
  get(address: string, port: number): EndpointPool {
    const key = `${address}:${port}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new EndpointPool(address, port, this.#sweeper, () => this.#pools.delete(key));
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Exchanges at an endpoint, without making a pool for it. */
  activeCount({ address, port }: { readonly address: string; readonly port: number }): number {
    return this.#pools.get(`${address}:${port}`)?.activeCount ?? 0;
  }

  closeIdle(): void {
    for (const pool of [...this.#pools.values()]) pool.closeIdle();
  }
}
