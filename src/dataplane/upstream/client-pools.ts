//! The pools of connections that begin with a PROXY header: it tells of one client's connection, so
//! no other client may use them.

import type { UpstreamPool } from "./upstream.ts";

/** At one endpoint, in each worker: as many as it may have connections otherwise. */
export const CLIENTS_PER_ENDPOINT_MAX = 1_024;

/** Ends with the last of its connections. */
export interface ClientPool extends UpstreamPool {
  retire(): void;
}

type MakePool = (onEmpty: () => void) => ClientPool;

export class ClientPools {
  /** By endpoint, then by client, those that came first at the beginning. */
  readonly #byEndpoint = new Map<string, Map<string, ClientPool>>();

  get size(): number {
    return this.all().length;
  }

  /** `client`: what tells its connections apart. */
  get(endpoint: string, client: string, make: MakePool): UpstreamPool {
    const pools = this.#byEndpoint.get(endpoint) ?? new Map<string, ClientPool>();
    const known = pools.get(client);
    if (known !== undefined) return known;
    if (pools.size >= CLIENTS_PER_ENDPOINT_MAX && !makeRoom(pools)) return FULL;
    this.#byEndpoint.set(endpoint, pools);
    const pool = make(() => {
      pools.delete(client);
      if (pools.size === 0) this.#byEndpoint.delete(endpoint);
    });
    pools.set(client, pool);
    return pool;
  }

  activeCount(endpoint: string): number {
    let count = 0;
    for (const pool of this.#byEndpoint.get(endpoint)?.values() ?? []) count += pool.activeCount;
    return count;
  }

  all(): ClientPool[] {
    return [...this.#byEndpoint.values()].flatMap((pools) => [...pools.values()]);
  }
}

/** Whoever has nothing under way loses its connection. False: everybody has. */
function makeRoom(pools: ReadonlyMap<string, ClientPool>): boolean {
  for (const pool of pools.values()) {
    if (pool.activeCount > 0) continue;
    pool.closeIdle();
    if (pools.size < CLIENTS_PER_ENDPOINT_MAX) return true;
  }
  return false;
}

/** Takes nothing. */
const FULL: UpstreamPool = {
  name: "",
  address: "",
  port: 0,
  activeCount: 0,
  acquire: () => ({ kind: "overflow" }),
  cancel: () => undefined,
  closeIdle: () => undefined,
};
