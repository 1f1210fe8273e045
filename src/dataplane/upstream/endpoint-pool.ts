//! The connections of HTTP/1.1 of one worker to one endpoint: idle ones are reused, the last first.

import type { DeadlineSweeper, Expirable } from "../deadlines.ts";
import type { ClusterState } from "./cluster-state.ts";
import { UpstreamConnection } from "./upstream-connection.ts";
import type { ConnectionOwner } from "./upstream-connection.ts";
import type { TlsDial } from "./tls-dial.ts";
import type { PoolEndpoint, Upstream, UpstreamPool, UpstreamUser } from "./upstream.ts";

/** Per worker and endpoint; Envoy's default circuit breaker. */
export const CONNECTIONS_PER_ENDPOINT_MAX = 1_024;
/** Exchanges that wait for a connection of a full pool. */
export const PENDING_PER_ENDPOINT_MAX = 1_024;

/** An exchange waits for a connection of a full pool for at most this long. */
export const PENDING_TIMEOUT_MS = 10_000;

export interface AcquireOptions {
  readonly connectTimeoutMs: number;
  /** Counts and limits of the cluster for which the connection is; null: the pool's own only. */
  readonly cluster: ClusterState | null;
}

/** An exchange in the queue of a full pool. */
export class Waiting implements Expirable {
  readonly user: UpstreamUser;
  readonly options: AcquireOptions;
  readonly deadlineMs: number;
  readonly #pool: EndpointPool;

  constructor(pool: EndpointPool, user: UpstreamUser, options: AcquireOptions) {
    this.#pool = pool;
    this.user = user;
    this.options = options;
    this.deadlineMs = pool.sweeper.after(PENDING_TIMEOUT_MS);
  }

  onDeadline(): void {
    this.#pool.cancel(this);
    this.user.onUpstreamFailure("pending", `no connection became free in ${PENDING_TIMEOUT_MS} ms`);
  }
}

export type AcquireResult =
  | { readonly kind: "ready"; readonly connection: Upstream }
  | { readonly kind: "connecting"; readonly connection: Upstream }
  | { readonly kind: "waiting"; readonly waiting: Waiting }
  | { readonly kind: "overflow" };

export class EndpointPool implements ConnectionOwner, UpstreamPool {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly from: string;
  readonly tls: TlsDial | null;
  readonly proxyHeader: Buffer | null;
  readonly sweeper: DeadlineSweeper;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting = new Set<Waiting>();
  readonly #onEmpty: (pool: EndpointPool) => void;

  /** Its connections carry nothing more than they do. */
  #isRetired = false;

  constructor(
    { address, port, from, tls, proxyHeader }: PoolEndpoint,
    sweeper: DeadlineSweeper,
    onEmpty: (pool: EndpointPool) => void,
  ) {
    this.name = `${address}:${port}`;
    this.address = address;
    this.port = port;
    this.from = from;
    this.tls = tls;
    this.proxyHeader = proxyHeader;
    this.sweeper = sweeper;
    this.#onEmpty = onEmpty;
  }

  get activeCount(): number {
    return this.#all.size - this.#idle.length + this.#waiting.size;
  }

  acquire(user: UpstreamUser, options: AcquireOptions, wantsNew = false): AcquireResult {
    // Only after this process was stopped: else the sweeper has closed what is overdue.
    if (this.#idle.at(-1)?.isOverdue !== true) return this.#acquire(user, options, wantsNew);
    const overdue = this.#idle.filter(({ isOverdue }) => isOverdue);
    for (const one of overdue) this.#idle.splice(this.#idle.indexOf(one), 1);
    const acquired = this.#acquire(user, options, wantsNew);
    for (const one of overdue) one.abort();
    return acquired;
  }

  #acquire(user: UpstreamUser, options: AcquireOptions, wantsNew: boolean): AcquireResult {
    const { cluster } = options;
    const mayOpen = this.#mayOpen(cluster);
    const connection = wantsNew && mayOpen ? undefined : this.#idle.pop();
    if (connection !== undefined) {
      connection.attach(user);
      return { kind: "ready", connection };
    }
    if (mayOpen) {
      return { kind: "connecting", connection: this.#open(user, options) };
    }
    if (this.#waiting.size >= PENDING_PER_ENDPOINT_MAX) return { kind: "overflow" };
    if (cluster?.mayWait === false) return { kind: "overflow" };
    const waiting = new Waiting(this, user, options);
    this.#waiting.add(waiting);
    this.sweeper.add(waiting);
    if (cluster !== null) cluster.pending += 1;
    return { kind: "waiting", waiting };
  }

  /** The first one is always made: who waits here waits for a connection of this pool. */
  #mayOpen(cluster: ClusterState | null): boolean {
    if (this.#all.size === 0) return true;
    return this.#all.size < CONNECTIONS_PER_ENDPOINT_MAX && cluster?.mayConnect !== false;
  }

  /** The exchange that waited has gone. */
  cancel(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return;
    this.sweeper.remove(waiting);
    const { cluster } = waiting.options;
    if (cluster !== null) cluster.pending -= 1;
  }

  onConnectionIdle(connection: UpstreamConnection): void {
    const next = this.#takeWaiting();
    if (next === null) {
      if (this.#isRetired) connection.abort();
      else this.#idle.push(connection);
      return;
    }
    connection.attach(next.user);
    next.user.onUpstreamReady(connection);
  }

  onConnectionClosed(connection: UpstreamConnection): void {
    if (this.#all.delete(connection) && connection.cluster !== null) {
      connection.cluster.connections -= 1;
    }
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    const next = this.#takeWaiting();
    if (next !== null) this.#open(next.user, next.options);
    else if (this.#all.size === 0) this.#onEmpty(this);
  }

  closeIdle(): void {
    for (const connection of [...this.#idle]) connection.abort();
  }

  retire(): void {
    this.#isRetired = true;
    this.closeIdle();
  }

  #open(user: UpstreamUser, options: AcquireOptions): UpstreamConnection {
    const connection = new UpstreamConnection(this, user, options);
    this.#all.add(connection);
    if (options.cluster !== null) options.cluster.connections += 1;
    return connection;
  }

  #takeWaiting(): Waiting | null {
    for (const waiting of this.#waiting) {
      this.cancel(waiting);
      return waiting;
    }
    return null;
  }
}
