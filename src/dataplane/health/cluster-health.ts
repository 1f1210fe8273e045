//! What the checks of one cluster's endpoints have found: thresholds as in Envoy.

import type { HealthCheck } from "../../snapshot/routing.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";

/** `refused`: the endpoint itself says that it is not well, which counts at once. */
export type CheckOutcome = "good" | "bad" | "refused";

interface Host {
  isHealthy: boolean;
  /** Nothing has been heard of it yet: the first outcome decides alone. */
  isNew: boolean;
  /** Outcomes in a row that speak against what is believed. */
  against: number;
}

export interface ClusterHealthOptions {
  readonly check: HealthCheck;
  /** By `address:port`: in how many clusters it fails. Null: nobody need fall back for it. */
  readonly failing: Map<string, number> | null;
}

export class ClusterHealth {
  readonly check: HealthCheck;
  readonly #failing: Map<string, number> | null;
  readonly #hosts = new Map<string, Host>();
  #unhealthyCount = 0;

  constructor({ check, failing }: ClusterHealthOptions) {
    this.check = check;
    this.#failing = failing;
  }

  /** No endpoint is out. */
  get isCalm(): boolean {
    return this.#unhealthyCount === 0;
  }

  isUnhealthy({ address, port }: Pick<Endpoint, "address" | "port">): boolean {
    return this.#hosts.get(`${address}:${port}`)?.isHealthy === false;
  }

  unhealthy(): string[] {
    return [...this.#hosts].flatMap(([key, { isHealthy }]) => (isHealthy ? [] : [key]));
  }

  /** `isTrusted`: it serves until it fails, as when there is nothing else yet to serve. */
  add(key: string, isTrusted: boolean): void {
    const host = { isHealthy: true, isNew: true, against: 0 };
    this.#hosts.set(key, host);
    if (!isTrusted) this.#set(key, host, false);
  }

  remove(key: string): void {
    const host = this.#hosts.get(key);
    if (host === undefined) return;
    this.#set(key, host, true);
    this.#hosts.delete(key);
  }

  /** The pause until the next check of the endpoint, without jitter. */
  record(key: string, outcome: CheckOutcome): number {
    const { check } = this;
    const host = this.#hosts.get(key);
    if (host === undefined) return check.intervalMs;
    const isGood = outcome === "good";
    const isEdge = host.isNew || (host.against === 0 && isGood !== host.isHealthy);
    host.against = isGood === host.isHealthy ? 0 : host.against + 1;
    const threshold = isGood ? check.healthyThreshold : check.unhealthyThreshold;
    const decides = host.isNew || outcome === "refused" || host.against >= threshold;
    host.isNew = false;
    if (host.against > 0 && decides) this.#set(key, host, isGood);
    return isEdge ? this.#edgePause(isGood) : this.#pause(host);
  }

  #edgePause(isGood: boolean): number {
    const { healthyEdgeIntervalMs, unhealthyEdgeIntervalMs } = this.check;
    return isGood ? healthyEdgeIntervalMs : unhealthyEdgeIntervalMs;
  }

  #pause({ isHealthy }: Host): number {
    return isHealthy ? this.check.intervalMs : this.check.unhealthyIntervalMs;
  }

  #set(key: string, host: Host, isHealthy: boolean): void {
    if (host.isHealthy === isHealthy) return;
    const change = isHealthy ? -1 : 1;
    host.isHealthy = isHealthy;
    host.against = 0;
    this.#unhealthyCount += change;
    if (this.#failing === null) return;
    const count = (this.#failing.get(key) ?? 0) + change;
    if (count > 0) this.#failing.set(key, count);
    else this.#failing.delete(key);
  }
}
