//! Endpoints that fail again and again are left out for a while (Envoy's outlier detection).
//!
//! What a worker learns is its own. Ejections are judged at each answer and end by themselves, so
//! there is no timer.

import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { OutlierDetection } from "../../snapshot/routing.ts";

const EJECTION_MS_MAX = 300_000;
const STATUS_SERVER_ERROR_MIN = 500;
const GATEWAY_ERRORS: ReadonlySet<number> = new Set([502, 503, 504]);
const PERCENT = 100;

/** What an endpoint of a cluster has done lately. */
interface Host {
  errors: number;
  gatewayErrors: number;
  ejections: number;
  ejectedUntilMs: number;
}

export class Outliers {
  readonly #settings: OutlierDetection;
  /** Only endpoints that have failed since they last did well, or are out. */
  readonly #hosts = new Map<string, Host>();

  readonly #ejected: Map<string, number>;

  /** `ejected` is told who is out, and until when: lanes then fall back. */
  constructor(settings: OutlierDetection, ejected: Map<string, number> = new Map()) {
    this.#settings = settings;
    this.#ejected = ejected;
  }

  /** No endpoint has failed lately: nobody can be out. */
  get isCalm(): boolean {
    return this.#hosts.size === 0;
  }

  isEjected({ address, port }: Pick<Endpoint, "address" | "port">, nowMs: number): boolean {
    const host = this.#hosts.get(`${address}:${port}`);
    return host !== undefined && host.ejectedUntilMs > nowMs;
  }

  /** `status` null: the try got no answer. `endpoints` are all that the request could go to. */
  record(
    endpoint: Endpoint,
    status: number | null,
    endpoints: readonly Endpoint[],
    nowMs: number,
  ): void {
    const key = `${endpoint.address}:${endpoint.port}`;
    if (status !== null && status < STATUS_SERVER_ERROR_MIN) {
      const known = this.#hosts.get(key);
      if (known !== undefined) this.#onSuccess(key, known, nowMs);
      return;
    }
    const host = this.#hosts.get(key) ?? newHost();
    this.#hosts.set(key, host);
    host.errors += 1;
    host.gatewayErrors = status === null || GATEWAY_ERRORS.has(status) ? host.gatewayErrors + 1 : 0;
    const { consecutive5xx, consecutiveGatewayErrors } = this.#settings;
    const isOutlier =
      reaches(host.errors, consecutive5xx) || reaches(host.gatewayErrors, consecutiveGatewayErrors);
    if (isOutlier && this.#mayEject(endpoints, nowMs)) this.#eject(key, host, nowMs);
  }

  #onSuccess(key: string, host: Host, nowMs: number): void {
    host.errors = 0;
    host.gatewayErrors = 0;
    const isForgiven = nowMs > host.ejectedUntilMs + host.ejections * this.#settings.intervalMs;
    if (isForgiven) this.#hosts.delete(key);
  }

  /** The first may always go, as long as any share at all may. */
  #mayEject(endpoints: readonly Endpoint[], nowMs: number): boolean {
    const { ejectedPercentMax } = this.#settings;
    if (ejectedPercentMax === 0) return false;
    const out = endpoints.filter((endpoint) => this.isEjected(endpoint, nowMs)).length;
    return out === 0 || (out + 1) * PERCENT <= endpoints.length * ejectedPercentMax;
  }

  #eject(key: string, host: Host, nowMs: number): void {
    if (host.ejectedUntilMs > nowMs) return;
    const { baseEjectionMs, intervalMs } = this.#settings;
    const calm = Math.floor(Math.max(0, nowMs - host.ejectedUntilMs) / Math.max(1, intervalMs));
    host.ejections = Math.max(0, host.ejections - calm) + 1;
    const limitMs = Math.max(baseEjectionMs, EJECTION_MS_MAX);
    host.ejectedUntilMs = nowMs + Math.min(limitMs, baseEjectionMs * host.ejections);
    host.errors = 0;
    host.gatewayErrors = 0;
    // In a panic it would serve all the same, so nobody need fall back for it.
    if (this.#settings.healthyPercentMin === 0) this.#ejected.set(key, host.ejectedUntilMs);
  }
}

function newHost(): Host {
  return { errors: 0, gatewayErrors: 0, ejections: 0, ejectedUntilMs: 0 };
}

function reaches(count: number, limit: number): boolean {
  return limit > 0 && count >= limit;
}
