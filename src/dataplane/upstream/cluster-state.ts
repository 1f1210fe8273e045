//! What a worker knows of one cluster with a policy: whose turn it is, what is in use, who is out.
//!
//! It outlives runtimes as long as the policy is the same object, which deltas see to.

import { drawPoint } from "../../lane/endpoint-weights.ts";
import type { Place } from "../../lane/locality.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { ClusterPolicy, ConnectionLimits } from "../../snapshot/routing.ts";
import type { ClusterHealth } from "../health/cluster-health.ts";
import { Balancer } from "./balancer.ts";
import type { PickInput } from "./balancer.ts";
import { chooseGroup, NearEndpoints } from "./near-endpoints.ts";
import type { Near, Points } from "./near-endpoints.ts";
import { Outliers } from "./outliers.ts";
import { RetryBudget } from "./retry.ts";
import { WarmUp } from "./slow-start.ts";

const RANDOM = { kind: "random" } as const;
const NO_LIMITS: ConnectionLimits = {};
const NONE = Number.POSITIVE_INFINITY;
const PERCENT = 100;
const NOBODY = -1;
const POINTS = 0x1_0000_0000;
/** Odd, so that they mix all bits (Knuth; xxHash). */
const LEVEL_FACTOR = 2_654_435_761;
const GROUP_FACTOR = 2_246_822_519;

export class ClusterState {
  readonly policy: ClusterPolicy;
  readonly limits: ConnectionLimits;
  readonly outliers: Outliers | null;
  /** Null: the policy has one of its own. */
  readonly budget: RetryBudget | null;
  readonly #balancer: Balancer;
  /** Null: no endpoint goes before another. */
  readonly #nearness: NearEndpoints | null;
  /** Null: new endpoints get as much as old ones. */
  readonly #warmUp: WarmUp | null;
  /** In this worker. */
  connections = 0;
  pending = 0;
  requests = 0;
  retries = 0;

  /** Null: endpoints are not checked. */
  readonly #health: ClusterHealth | null;

  constructor(policy: ClusterPolicy, nowMs: number, known: KnownHealth) {
    const { ejected, health } = known;
    this.#health = health;
    this.policy = policy;
    this.limits = policy.connections ?? NO_LIMITS;
    this.outliers = policy.outliers === undefined ? null : new Outliers(policy.outliers, ejected);
    this.budget = policy.retryBudget === undefined ? new RetryBudget(nowMs) : null;
    const balancer = policy.loadBalancer ?? RANDOM;
    this.#balancer = new Balancer(balancer);
    const isWatched = policy.outliers !== undefined || policy.healthCheck !== undefined;
    const hasPlaces = isWatched || policy.locality !== undefined;
    this.#nearness = hasPlaces ? new NearEndpoints(policy) : null;
    const slowStart = "slowStart" in balancer ? balancer.slowStart : undefined;
    this.#warmUp = slowStart === undefined ? null : new WarmUp(slowStart);
  }

  get mayConnect(): boolean {
    return this.connections < (this.limits.connectionsMax ?? NONE);
  }

  get mayWait(): boolean {
    return this.pending < (this.limits.pendingMax ?? NONE);
  }

  get mayRequest(): boolean {
    return this.requests < (this.limits.requestsMax ?? NONE);
  }

  get mayRetry(): boolean {
    return this.retries < this.#retriesMax();
  }

  /** The index of the endpoint to use; -1 when all of them have been ejected. */
  pick(endpoints: readonly Endpoint[], input: PickInput, nowMs: number): number {
    const near = this.#near(endpoints, input.place);
    if (near !== null) return this.#pickNear(endpoints, near, input, nowMs);
    const picked = this.#draw(endpoints, input, nowMs);
    return this.#isCalm ? picked : this.#nextWell(endpoints, picked, nowMs);
  }

  #draw(endpoints: readonly Endpoint[], input: PickInput, nowMs: number): number {
    if (this.#warmUp === null) return this.#balancer.pick(endpoints, input);
    return this.#warmUp.pick(endpoints, { prng: input.prng, nowMs }, () =>
      this.#balancer.pick(endpoints, input),
    );
  }

  #near(endpoints: readonly Endpoint[], place: Place | undefined): Near | null {
    if (this.#nearness === null || place === undefined) return null;
    return this.#nearness.of(endpoints, place);
  }

  #pickNear(endpoints: readonly Endpoint[], near: Near, input: PickInput, nowMs: number): number {
    this.#warmUp?.meet(endpoints, nowMs);
    const isCalm = this.#isCalm || this.#isPanic(endpoints, nowMs);
    const isWell = isCalm ? null : (endpoint: Endpoint) => !this.#isOut(endpoint, nowMs);
    const group = chooseGroup(near, pointsOf(input), isWell);
    if (group === null) return NOBODY;
    const picked = this.#draw(group.endpoints, input, nowMs);
    const index = isCalm ? picked : this.#nextWell(group.endpoints, picked, nowMs);
    return group.indices[index] ?? NOBODY;
  }

  /**
   * For another try: `from` or the next after it that is well, of the nearest that are left; -1
   * when there is none.
   */
  next(endpoints: readonly Endpoint[], from: number, nowMs: number, place?: Place): number {
    const near = this.#near(endpoints, place);
    if (near === null) return this.#nextWell(endpoints, from, nowMs);
    const isCalm = this.#isCalm || this.#isPanic(endpoints, nowMs);
    const count = endpoints.length;
    let best = NOBODY;
    let bestLevel = Number.POSITIVE_INFINITY;
    // The last in turn is the one that has just been tried.
    for (let step = 0; step < count; step++) {
      if (step === count - 1 && best !== NOBODY) break;
      const index = (from + step) % count;
      const endpoint = endpoints[index];
      const level = near.levelOf[index] ?? Number.POSITIVE_INFINITY;
      if (endpoint === undefined || level >= bestLevel) continue;
      if (!isCalm && this.#isOut(endpoint, nowMs)) continue;
      best = index;
      bestLevel = level;
    }
    return best;
  }

  #nextWell(endpoints: readonly Endpoint[], from: number, nowMs: number): number {
    const count = endpoints.length;
    if (this.#isCalm || this.#isPanic(endpoints, nowMs)) return from % count;
    for (let step = 0; step < count; step++) {
      const index = (from + step) % count;
      const endpoint = endpoints[index];
      if (endpoint !== undefined && !this.#isOut(endpoint, nowMs)) return index;
    }
    return -1;
  }

  /** As in Envoy, a budget takes the place of a fixed limit. */
  #retriesMax(): number {
    const { retryBudget } = this.policy;
    if (retryBudget === undefined) return this.limits.retriesMax ?? NONE;
    const { percent, countMin } = retryBudget;
    return Math.max(countMin, Math.floor((this.requests * percent) / PERCENT));
  }

  /** Nobody can be out. */
  get #isCalm(): boolean {
    const isPassive = this.outliers === null || this.outliers.isCalm;
    return isPassive && (this.#health === null || this.#health.isCalm);
  }

  #isOut(endpoint: Endpoint, nowMs: number): boolean {
    if (this.outliers?.isEjected(endpoint, nowMs) === true) return true;
    return this.#health?.isUnhealthy(endpoint) === true;
  }

  /** So few are left that who is out is disregarded. */
  #isPanic(endpoints: readonly Endpoint[], nowMs: number): boolean {
    const percentMin = this.policy.outliers?.healthyPercentMin ?? 0;
    if (percentMin === 0) return false;
    const healthy = endpoints.filter((endpoint) => !this.#isOut(endpoint, nowMs)).length;
    return healthy * PERCENT < endpoints.length * percentMin;
  }
}

/** Of its key where the request has one, so that it comes back to the same endpoint. */
function pointsOf({ hash, prng }: PickInput): Points {
  if (hash === null) return [drawPoint(prng), drawPoint(prng)];
  const point = (factor: number): number => (Math.imul(hash, factor) >>> 0) / POINTS;
  return [point(LEVEL_FACTOR), point(GROUP_FACTOR)];
}

/** What is known of a cluster's endpoints beside its own state. */
export interface KnownHealth {
  readonly ejected: Map<string, number>;
  readonly health: ClusterHealth | null;
}

/** The states of a worker, by cluster and subset. */
export class ClusterStates {
  readonly #states = new Map<string, ClusterState>();
  /** By `address:port`: until when. As many as endpoints; what is over goes when it is seen. */
  readonly #ejected = new Map<string, number>();
  /** By cluster: those whose endpoints are checked. */
  readonly health: Map<string, ClusterHealth> = new Map<string, ClusterHealth>();
  /** By `address:port`: in how many clusters it fails its check. */
  readonly failing: Map<string, number> = new Map<string, number>();

  get(key: string, policy: ClusterPolicy, nowMs: number): ClusterState {
    const known = this.#states.get(key);
    if (known?.policy === policy) return known;
    const health = this.health.get(key.slice(0, key.lastIndexOf(" "))) ?? null;
    const state = new ClusterState(policy, nowMs, { ejected: this.#ejected, health });
    this.#states.set(key, state);
    return state;
  }

  /** Drops the states of clusters that are no more. */
  retain(isCluster: (name: string) => boolean): void {
    for (const key of this.#states.keys()) {
      if (!isCluster(key.slice(0, key.lastIndexOf(" ")))) this.#states.delete(key);
    }
  }

  /** `address:port` of the endpoints that are ejected now. */
  ejected(nowMs: number): string[] {
    return [...this.#ejected].flatMap(([key, untilMs]) => (untilMs > nowMs ? [key] : []));
  }

  /** `address:port` of the endpoints that fail a check now. */
  unhealthy(): string[] {
    return [...this.health.values()].flatMap((health) => health.unhealthy());
  }

  /** Whether no cluster has ejected the endpoint, and it fails no check. */
  isHealthy({ address, port }: Endpoint, nowMs: number): boolean {
    if (this.#ejected.size + this.failing.size === 0) return true;
    const key = `${address}:${port}`;
    if (this.failing.has(key)) return false;
    const untilMs = this.#ejected.get(key);
    if (untilMs === undefined) return true;
    if (untilMs > nowMs) return false;
    this.#ejected.delete(key);
    return true;
  }
}
