//! The connections of one worker to one endpoint: idle ones are reused last in, first out.

import type { DeadlineSweeper } from "../deadlines.ts";
import { UpstreamConnection } from "./upstream-connection.ts";
import type { ConnectionOwner, UpstreamUser } from "./upstream-connection.ts";

/** Per worker and endpoint; Envoy's default circuit breaker. */
export const CONNECTIONS_PER_ENDPOINT_MAX = 1_024;
/** Exchanges that wait for a connection of a full pool. */
export const PENDING_PER_ENDPOINT_MAX = 1_024;

export interface Waiting {
  readonly user: UpstreamUser;
  readonly connectTimeoutMs: number;
}

export type AcquireResult =
  | { readonly kind: "ready"; readonly connection: UpstreamConnection }
  | { readonly kind: "connecting"; readonly connection: UpstreamConnection }
  | { readonly kind: "waiting"; readonly waiting: Waiting }
  | { readonly kind: "overflow" };

export class EndpointPool implements ConnectionOwner {
  readonly address: string;
  readonly port: number;
  readonly sweeper: DeadlineSweeper;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting = new Set<Waiting>();
  readonly #onEmpty: (pool: EndpointPool) => void;

  constructor(
    address: string,
    port: number,
    sweeper: DeadlineSweeper,
    onEmpty: (pool: EndpointPool) => void,
  ) {
    this.address = address;
    this.port = port;
    this.sweeper = sweeper;
    this.#onEmpty = onEmpty;
  }

  acquire(user: UpstreamUser, connectTimeoutMs: number): AcquireResult {
    const connection = this.#idle.pop();
    if (connection !== undefined) {
      connection.attach(user);
      return { kind: "ready", connection };
    }
    if (this.#all.size < CONNECTIONS_PER_ENDPOINT_MAX) {
      return { kind: "connecting", connection: this.#open(user, connectTimeoutMs) };
    }
    if (this.#waiting.size >= PENDING_PER_ENDPOINT_MAX) return { kind: "overflow" };
    const waiting = { user, connectTimeoutMs };
    this.#waiting.add(waiting);
    return { kind: "waiting", waiting };
  }

  /** The exchange that waited has gone. */
  cancel(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  onConnectionIdle(connection: UpstreamConnection): void {
    const next = this.#takeWaiting();
    if (next === null) {
      this.#idle.push(connection);
      return;
    }
    connection.attach(next.user);
    next.user.onUpstreamReady(connection);
  }

  onConnectionClosed(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    const next = this.#takeWaiting();
    if (next !== null) this.#open(next.user, next.connectTimeoutMs);
    else if (this.#all.size === 0) this.#onEmpty(this);
  }

  closeIdle(): void {
    for (const connection of [...this.#idle]) connection.abort();
  }

  #open(user: UpstreamUser, connectTimeoutMs: number): UpstreamConnection {
    const connection = new UpstreamConnection(this, user, connectTimeoutMs);
    this.#all.add(connection);
    return connection;
  }

  #takeWaiting(): Waiting | null {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      return waiting;
    }
    return null;
  }
}
