//! The pools of endpoints that are spoken to in TLS with the same settings. New certificates get
//! new pools; the connections of the old ones end with the exchanges that they carry.

import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { DeadlineSweeper } from "../deadlines.ts";
import type { EndpointPools } from "./endpoint-pools.ts";
import { PoolSet } from "./pool-set.ts";
import { RenewedDial } from "./renewed-dial.ts";
import type { TlsDial } from "./tls-dial.ts";
import type { UpstreamPool } from "./upstream.ts";

export class SecurePools implements EndpointPools {
  isRetired = false;
  readonly #sweeper: DeadlineSweeper;
  readonly #renewed: RenewedDial;
  /** What `#current` connects with. */
  #dial: TlsDial | null = null;
  #current: PoolSet | null = null;
  /** Those of certificates before, for as long as they have connections. */
  #former: PoolSet[] = [];

  constructor(settings: UpstreamTls, sweeper: DeadlineSweeper) {
    this.#sweeper = sweeper;
    this.#renewed = new RenewedDial(settings, () => sweeper.nowMs);
  }

  get size(): number {
    return this.#sets().reduce((sum, { size }) => sum + size, 0);
  }

  /** A text: why there is none, after the name of the service. */
  pool(address: string, port: number, isHttp2: boolean): UpstreamPool | string {
    const dial = this.#renewed.get();
    if (typeof dial === "string") return dial;
    const set = this.#setOf(dial);
    return isHttp2 ? set.getHttp2(address, port) : set.get(address, port);
  }

  /** The same of connections that begin with this PROXY header, before TLS. */
  getOfClient(
    endpoint: { readonly address: string; readonly port: number },
    isHttp2: boolean,
    proxyHeader: Buffer,
  ): UpstreamPool | string {
    const dial = this.#renewed.get();
    if (typeof dial === "string") return dial;
    return this.#setOf(dial).getOfClient(endpoint, isHttp2, proxyHeader);
  }

  activeCount(endpoint: { readonly address: string; readonly port: number }): number {
    return this.#sets().reduce((sum, set) => sum + set.activeCount(endpoint), 0);
  }

  activeCountOfClients(endpoint: { readonly address: string; readonly port: number }): number {
    return this.#sets().reduce((sum, set) => sum + set.activeCountOfClients(endpoint), 0);
  }

  closeIdle(): void {
    for (const set of this.#sets()) set.closeIdle();
  }

  /** Nothing asks for these settings any more, but for exchanges that have begun. */
  retire(): void {
    this.isRetired = true;
    this.#current?.retire();
  }

  #sets(): PoolSet[] {
    return this.#current === null ? this.#former : [this.#current, ...this.#former];
  }

  #setOf(dial: TlsDial): PoolSet {
    const old = this.#current;
    if (old !== null && this.#dial === dial) return old;
    const set = new PoolSet(this.#sweeper, dial);
    if (this.isRetired) set.retire();
    old?.retire();
    this.#former = this.#sets().filter(({ size }) => size > 0);
    this.#current = set;
    this.#dial = dial;
    return set;
  }
}
