//! The pools of the endpoints that are spoken to in one way: in clear, or with one set of
//! certificates.

import type { DeadlineSweeper } from "../deadlines.ts";
import { ClientPools } from "./client-pools.ts";
import type { ClientPool } from "./client-pools.ts";
import { EndpointPool } from "./endpoint-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import type { TlsDial } from "./tls-dial.ts";
import type { UpstreamPool } from "./upstream.ts";

export class PoolSet {
  readonly #sweeper: DeadlineSweeper;
  /** Null: in clear. */
  readonly #tls: TlsDial | null;
  /** Bounded by the open connections: a pool without any is dropped. */
  readonly #pools = new Map<string, EndpointPool>();
  /** Those without an address of ours, found without making a text of address and port. */
  readonly #byPort = new Map<string, Map<number, EndpointPool>>();
  readonly #http2Pools = new Map<string, Http2Pool>();
  readonly #clientPools = new ClientPools();
  #isRetired = false;

  constructor(sweeper: DeadlineSweeper, tls: TlsDial | null) {
    this.#sweeper = sweeper;
    this.#tls = tls;
  }

  /** Pools with at least one connection. */
  get size(): number {
    return this.#pools.size + this.#http2Pools.size + this.#clientPools.size;
  }

  /** The pool of `address:port`, for HTTP/1.1, connected from our address `from`. */
  get(address: string, port: number, from = ""): EndpointPool {
    const near = from === "" ? this.#byPort.get(address)?.get(port) : undefined;
    return near ?? this.#getNamed(address, port, from);
  }

  #getNamed(address: string, port: number, from: string): EndpointPool {
    const key = keyOf(address, port, from);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const endpoint = { address, port, from, tls: this.#tls, proxyHeader: null };
    const pool = new EndpointPool(endpoint, this.#sweeper, () => {
      this.#pools.delete(key);
      if (from === "") this.#removeNear(address, port);
    });
    this.#pools.set(key, pool);
    if (from === "") this.#addNear(pool);
    if (this.#isRetired) pool.retire();
    return pool;
  }

  #addNear(pool: EndpointPool): void {
    const ports = this.#byPort.get(pool.address) ?? new Map<number, EndpointPool>();
    this.#byPort.set(pool.address, ports.set(pool.port, pool));
  }

  #removeNear(address: string, port: number): void {
    const ports = this.#byPort.get(address);
    ports?.delete(port);
    if (ports?.size === 0) this.#byPort.delete(address);
  }

  getHttp2(address: string, port: number, from = ""): UpstreamPool {
    const key = keyOf(address, port, from);
    let pool = this.#http2Pools.get(key);
    if (pool === undefined) {
      const endpoint = { address, port, from, tls: this.#tls, proxyHeader: null };
      pool = new Http2Pool(endpoint, this.#sweeper, () => this.#http2Pools.delete(key));
      this.#http2Pools.set(key, pool);
      if (this.#isRetired) pool.retire();
    }
    return pool;
  }

  /** The same of connections that begin with this PROXY header. */
  getOfClient(
    { address, port }: { readonly address: string; readonly port: number },
    isHttp2: boolean,
    proxyHeader: Buffer,
  ): UpstreamPool {
    const client = `${isHttp2 ? "h2" : "h1"} ${proxyHeader.toString("latin1")}`;
    return this.#clientPools.get(keyOf(address, port, ""), client, (onEmpty): ClientPool => {
      const endpoint = { address, port, from: "", tls: this.#tls, proxyHeader };
      const Pool = isHttp2 ? Http2Pool : EndpointPool;
      const pool = new Pool(endpoint, this.#sweeper, onEmpty);
      if (this.#isRetired) pool.retire();
      return pool;
    });
  }

  /** Exchanges at an endpoint, without making a pool for it. */
  activeCount({ address, port }: { readonly address: string; readonly port: number }): number {
    const key = `${address}:${port}`;
    const count = this.#pools.get(key)?.activeCount ?? 0;
    if (this.#http2Pools.size === 0) return count;
    return count + (this.#http2Pools.get(key)?.activeCount ?? 0);
  }

  /** The same of connections that begin with a PROXY header. */
  activeCountOfClients(endpoint: { readonly address: string; readonly port: number }): number {
    return this.#clientPools.activeCount(keyOf(endpoint.address, endpoint.port, ""));
  }

  closeIdle(): void {
    for (const pool of this.#all()) pool.closeIdle();
  }

  /** Each connection ends with the exchanges that it carries. */
  retire(): void {
    this.#isRetired = true;
    for (const pool of this.#all()) pool.retire();
  }

  #all(): ClientPool[] {
    return [...this.#pools.values(), ...this.#http2Pools.values(), ...this.#clientPools.all()];
  }
}

function keyOf(address: string, port: number, from: string): string {
  return from === "" ? `${address}:${port}` : `${address}:${port} from ${from}`;
}
