//! The pools of one request to endpoints that want to be told of its client's connection first.

import type { EndpointPools } from "./endpoint-pools.ts";
import type { PoolSet } from "./pool-set.ts";
import type { SecurePools } from "./secure-pools.ts";
import type { UpstreamPool } from "./upstream.ts";

interface Where {
  readonly address: string;
  readonly port: number;
}

export class ProxiedPools implements EndpointPools {
  readonly #pools: PoolSet | SecurePools;
  readonly #header: Buffer;

  constructor(pools: PoolSet | SecurePools, header: Buffer) {
    this.#pools = pools;
    this.#header = header;
  }

  pool(address: string, port: number, isHttp2: boolean): UpstreamPool | string {
    return this.#pools.getOfClient({ address, port }, isHttp2, this.#header);
  }

  activeCount(endpoint: Where): number {
    return this.#pools.activeCountOfClients(endpoint);
  }
}
