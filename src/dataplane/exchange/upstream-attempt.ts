//! The tries of one exchange to reach an endpoint, all within the lane that was decided.

import type { Timer } from "../../base/clock.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { EndpointPool, Waiting } from "../upstream/endpoint-pool.ts";
import type { UpstreamConnection, UpstreamFailureKind } from "../upstream/upstream-connection.ts";
import type { Exchange } from "./exchange.ts";
import type { ForwardPlan } from "./handler.ts";

/**
 * Pauses before each further try to connect. A connection that was never made carried nothing, so
 * trying again is safe for every method; together they bridge the restart of a killed sidecar.
 */
const CONNECT_RETRY_DELAYS_MS: readonly number[] = [10, 50, 150, 400];
/** Tries after a reused connection was closed under a request. */
const RESET_RETRIES_MAX = 3;

export class UpstreamAttempt {
  readonly #exchange: Exchange;
  readonly #plan: ForwardPlan;
  #index: number;
  #connectFailures = 0;
  #resets = 0;
  #pool: EndpointPool | null = null;
  #connecting: UpstreamConnection | null = null;
  #waiting: Waiting | null = null;
  #timer: Timer | null = null;

  constructor(exchange: Exchange, plan: ForwardPlan) {
    this.#exchange = exchange;
    this.#plan = plan;
    this.#index =
      plan.endpoints.length === 1 ? 0 : exchange.context.prng.below(plan.endpoints.length);
  }

  get service(): string {
    return this.#plan.service;
  }

  get count(): number {
    return 1 + this.#connectFailures + this.#resets;
  }

  /** `address:port` of the endpoint in use. */
  get address(): string {
    return this.#pool === null ? "" : `${this.#pool.address}:${this.#pool.port}`;
  }

  start(): void {
    const { endpoints, connectTimeoutMs } = this.#plan;
    const endpoint = endpoints[this.#index % endpoints.length];
    if (endpoint === undefined) {
      this.#exchange.fail(proxyError("no_endpoint", `${this.service} has no endpoint`));
      return;
    }
    const pool = this.#exchange.context.pools.get(endpoint.address, endpoint.port);
    this.#pool = pool;
    const acquired = pool.acquire(this.#exchange, connectTimeoutMs);
    switch (acquired.kind) {
      case "ready":
        this.#exchange.onUpstreamReady(acquired.connection);
        return;
      case "connecting":
        this.#connecting = acquired.connection;
        return;
      case "waiting":
        this.#waiting = acquired.waiting;
        return;
      case "overflow":
        this.#exchange.fail(
          proxyError("upstream_overflow", `too many requests wait for ${this.service}`),
        );
        return;
    }
  }

  /** Tries again, on the next endpoint if there is one. False when the tries are used up. */
  retry(wasConnected: boolean): boolean {
    this.#index += 1;
    this.#connecting = null;
    if (wasConnected) {
      if (this.#resets === RESET_RETRIES_MAX) return false;
      this.#resets += 1;
      this.start();
      return true;
    }
    const delayMs = CONNECT_RETRY_DELAYS_MS[this.#connectFailures];
    if (delayMs === undefined) return false;
    this.#connectFailures += 1;
    this.#timer = this.#exchange.context.clock.after(delayMs, () => {
      this.start();
    });
    return true;
  }

  failure(kind: UpstreamFailureKind, detail: string): ProxyError {
    const where = `service ${this.service} at ${this.address}`;
    switch (kind) {
      case "connect":
        return proxyError(
          "upstream_connect_failed",
          `${where} accepted no connection (${detail}, ${this.count} tries)`,
        );
      case "reset":
        return proxyError("upstream_reset", `${where} closed before it answered (${detail})`);
      case "truncated":
        return proxyError("upstream_reset", `${where} closed in the middle of its answer`);
      case "protocol":
        return proxyError("upstream_protocol", `${where} broke HTTP/1.1: ${detail}`);
    }
  }

  /** The exchange is over or answered otherwise. */
  abandon(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#waiting !== null) this.#pool?.cancel(this.#waiting);
    this.#waiting = null;
    this.#connecting?.abandonConnect();
    this.#connecting = null;
  }
}
