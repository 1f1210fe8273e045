//! All endpoint pools of a worker. They outlive runtimes: a new snapshot keeps warm connections.

import type { Cluster, Subset } from "../../snapshot/snapshot.ts";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { DeadlineSweeper } from "../deadlines.ts";
import type { ConnectionFacts } from "../listener/connection-facts.ts";
import type { ConnectionEnds } from "../listener/proxy-header.ts";
import { ClusterStates } from "./cluster-state.ts";
import { policyOf } from "./cluster-policy.ts";
import type { EndpointPools } from "./endpoint-pools.ts";
import type { EndpointPool } from "./endpoint-pool.ts";
import { PoolSet } from "./pool-set.ts";
import { ProxiedPools } from "./proxied-pools.ts";
import { SecurePools } from "./secure-pools.ts";
import type { UpstreamPool } from "./upstream.ts";
import { wishedTls } from "./wished-tls.ts";
import { writtenProxyHeader } from "./written-proxy-header.ts";

/** A client's connection, as far as a PROXY header tells of it. */
export interface ClientConnectionFacts {
  readonly remoteAddress: string;
  readonly facts: Pick<ConnectionFacts, "remotePort" | "localAddress" | "localPort">;
}

export interface PoolWishes {
  readonly subset: Subset | null;
  /** On whose behalf; null: on our own. */
  readonly client: ClientConnectionFacts | null;
  /** Absent: as the cluster says. */
  readonly isHttp2?: boolean;
}

export interface PoolUser {
  /** On whose behalf endpoints are called that want to be told; null: on our own. */
  readonly client: ClientConnectionFacts | null;
  /** Where plug-ins may have wished for another TLS. */
  readonly stored?: ReadStored | null;
}

/** What plug-ins have stored for an exchange, by name. */
export type ReadStored = (name: string) => Uint8Array | undefined;

/** Wishes of plug-ins for TLS; connections of the oldest go first. */
const WISHED_MAX = 256;

export class UpstreamPools {
  /** Of clusters that have a policy. */
  readonly clusters: ClusterStates = new ClusterStates();
  readonly #sweeper: DeadlineSweeper;
  readonly #plain: PoolSet;
  /** By what the settings say: equal ones share their connections. */
  readonly #secure = new Map<string, SecurePools>();
  readonly #bySettings = new WeakMap<UpstreamTls, SecurePools>();
  /** As plug-ins have wished it, the oldest wish first; bounded. */
  readonly #wished = new Map<string, SecurePools>();
  /** No longer asked for; they go when their last connection has gone. */
  #retired: SecurePools[] = [];

  constructor(sweeper: DeadlineSweeper) {
    this.#sweeper = sweeper;
    this.#plain = new PoolSet(sweeper, null);
  }

  /** Pools with at least one connection. */
  get size(): number {
    return this.#allSecure().reduce((sum, { size }) => sum + size, this.#plain.size);
  }

  /** The pool of `address:port`, in clear, for HTTP/1.1, connected from our address `from`. */
  get(address: string, port: number, from = ""): EndpointPool {
    return this.#plain.get(address, port, from);
  }

  getHttp2(address: string, port: number, from = ""): UpstreamPool {
    return this.#plain.getHttp2(address, port, from);
  }

  /** Null: in clear, with connections that all clients share. */
  poolsFor(
    cluster: Cluster | undefined,
    subset: Subset | null,
    { client, stored = null }: PoolUser,
  ): EndpointPools | null {
    if (cluster?.policy === undefined && cluster?.subsetPolicies === undefined) return null;
    const { tls, proxyProtocol } = policyOf(cluster, subset) ?? {};
    const secure = tls === undefined ? null : this.#wishedOf(tls, stored);
    if (proxyProtocol === undefined) return secure;
    const header = writtenProxyHeader(proxyProtocol, client === null ? null : endsOf(client));
    return new ProxiedPools(secure ?? this.#plain, header);
  }

  /** In clear or in TLS, as the cluster's policy says. A text: why there is none. */
  poolFor(
    { address, port }: { readonly address: string; readonly port: number },
    cluster: Cluster | undefined,
    { subset, client, isHttp2 = cluster?.protocol === "h2" }: PoolWishes,
  ): UpstreamPool | string {
    const pools = this.poolsFor(cluster, subset, { client });
    if (pools !== null) return pools.pool(address, port, isHttp2);
    return isHttp2 ? this.getHttp2(address, port) : this.get(address, port);
  }

  /** Lets go of what no cluster asks for any more. */
  retainSecure(clusters: Readonly<Record<string, Cluster>>): void {
    this.#retired = this.#retired.filter(({ size }) => size > 0);
    for (const key of [...this.#wished.keys()]) this.#forgetWish(key);
    if (this.#secure.size === 0) return;
    const kept = new Set<SecurePools>();
    for (const { policy, subsetPolicies = {} } of Object.values(clusters)) {
      for (const each of [policy, ...Object.values(subsetPolicies)]) {
        if (each?.tls !== undefined) kept.add(this.#secureOf(each.tls));
      }
    }
    for (const [key, pools] of this.#secure) {
      if (kept.has(pools)) continue;
      this.#secure.delete(key);
      pools.retire();
      this.#retired.push(pools);
    }
  }

  /** Exchanges at an endpoint in clear, without making a pool for it. */
  activeCount(endpoint: { readonly address: string; readonly port: number }): number {
    return this.#plain.activeCount(endpoint);
  }

  closeIdle(): void {
    this.#plain.closeIdle();
    for (const pools of this.#allSecure()) pools.closeIdle();
  }

  #wishedOf(tls: UpstreamTls, stored: ReadStored | null): SecurePools {
    const wish = stored === null ? null : wishedTls(tls, stored);
    if (wish === null) return this.#secureOf(tls);
    const key = JSON.stringify(wish);
    const known = this.#wished.get(key);
    if (known !== undefined) return known;
    const [oldest] = this.#wished.keys();
    if (this.#wished.size >= WISHED_MAX && oldest !== undefined) this.#forgetWish(oldest);
    const pools = new SecurePools(wish, this.#sweeper);
    this.#wished.set(key, pools);
    return pools;
  }

  #forgetWish(key: string): void {
    const pools = this.#wished.get(key);
    this.#wished.delete(key);
    if (pools === undefined) return;
    pools.retire();
    this.#retired = this.#retired.filter(({ size }) => size > 0);
    this.#retired.push(pools);
  }

  #secureOf(tls: UpstreamTls): SecurePools {
    const known = this.#bySettings.get(tls);
    if (known?.isRetired === false) return known;
    const key = JSON.stringify(tls);
    const pools = this.#secure.get(key) ?? new SecurePools(tls, this.#sweeper);
    this.#secure.set(key, pools);
    this.#bySettings.set(tls, pools);
    return pools;
  }

  #allSecure(): SecurePools[] {
    return [...this.#secure.values(), ...this.#wished.values(), ...this.#retired];
  }
}

function endsOf({ remoteAddress, facts }: ClientConnectionFacts): ConnectionEnds {
  const { remotePort, localAddress, localPort } = facts;
  return { remoteAddress, remotePort, localAddress, localPort };
}
