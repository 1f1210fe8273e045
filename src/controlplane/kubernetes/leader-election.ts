//! One of several replicas leads, by a Lease: only it writes to objects of the cluster.
//!
//! As client-go does it: who holds the Lease renews it; who sees it unrenewed for its duration, by
//! its own clock, takes it. A replica that does not lead asks nothing: it watches the Lease.
//!
//! <https://kubernetes.io/docs/concepts/architecture/leases/>

import { timestampMs, type Clock, type Timer } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { statusText } from "./cluster-client.ts";
import type { ClusterAnswer, ClusterClient } from "./cluster-client.ts";
import { Reflector } from "./reflector.ts";
import type { RawObject } from "./reflector.ts";

/** As client-go's defaults, but for a longer pause between renewals. */
export const LEASE_SECONDS = 15;
export const RENEW_MS = 5_000;
/** Who could not renew for so long does not lead any more: before others may take the Lease. */
export const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;
/** Others may have seen the last renewal a little later. */
const TAKE_SPREAD_MS = 1_000;

export interface LeaderElectionOptions {
  readonly client: Pick<ClusterClient, "ask" | "watch">;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
  readonly namespace: string;
  readonly name: string;
  /** Of this process alone. */
  readonly identity: string;
  readonly onChange: (isLeader: boolean) => void;
}

interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly leaseDurationSeconds?: number;
  readonly renewTime?: string;
  readonly acquireTime?: string;
  readonly leaseTransitions?: number;
}

interface Seen {
  readonly object: RawObject;
  readonly spec: LeaseSpec;
  /** When this process saw that renewal first. */
  readonly atMs: number;
}

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #reflector: Reflector;
  readonly #collection: string;
  #seen: Seen | null = null;
  #timer: Timer | null = null;
  /** When the last renewal that worked was sent. */
  #renewedMs = -Infinity;
  #isLeader = false;
  #isAsking = false;
  /** What has been logged. */
  #problem = "";
  #isStopped = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#collection = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
    this.#reflector = new Reflector({
      ...options,
      table: {
        kind: "Lease",
        paths: [this.#collection],
        query: `fieldSelector=${encodeURIComponent(`metadata.name=${options.name}`)}`,
      },
      onReplace: ([lease]) => {
        this.#see(lease ?? null);
      },
      onEvent: (type, lease) => {
        this.#see(type === "DELETED" ? null : lease);
      },
    });
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  start(): void {
    this.#reflector.start();
  }

  /** Gives the Lease back, so that another replica need not wait. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#reflector.stop();
    const seen = this.#seen;
    if (!this.#isLeader || seen === null) return;
    this.#isLeader = false;
    const spec = { ...seen.spec, holderIdentity: "", leaseDurationSeconds: 1 };
    await this.#write(seen.object, spec).catch(() => null);
  }

  #see(lease: RawObject | null): void {
    if (this.#isStopped) return;
    const spec = (lease?.["spec"] ?? {}) as LeaseSpec;
    const old = this.#seen;
    const isRenewed =
      old?.spec.renewTime !== spec.renewTime || old?.spec.holderIdentity !== spec.holderIdentity;
    const atMs = isRenewed || old === null ? this.#options.clock.monotonicMs() : old.atMs;
    this.#seen = lease === null ? null : { object: lease, spec, atMs };
    if (this.#isLeader && spec.holderIdentity !== this.#options.identity) this.#set(false);
    this.#plan();
  }

  /** When to do something next. */
  #plan(): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    const { clock, prng } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#timer = clock.after(this.#waitMs(nowMs, prng.below(TAKE_SPREAD_MS)), () => {
      void this.#act();
    });
  }

  #waitMs(nowMs: number, spreadMs: number): number {
    if (this.#isLeader) return Math.max(0, this.#renewedMs + RENEW_MS - nowMs);
    if (!this.#reflector.isSynced) return RETRY_MS;
    const seen = this.#seen;
    const { holderIdentity = "", leaseDurationSeconds = LEASE_SECONDS } = seen?.spec ?? {};
    // Nobody else has taken what this process could not renew for a while.
    const isFree = (holderIdentity ?? "") === "" || holderIdentity === this.#options.identity;
    if (seen === null || isFree) return 0;
    return Math.max(0, seen.atMs + leaseDurationSeconds * 1_000 - nowMs) + spreadMs;
  }

  async #act(): Promise<void> {
    if (this.#isAsking || this.#isStopped) return;
    const sentMs = this.#options.clock.monotonicMs();
    if (this.#waitMs(sentMs, 0) > 0) {
      this.#plan();
      return;
    }
    this.#isAsking = true;
    let problem = "";
    try {
      const answer = await this.#acquire();
      if (answer.status === 200 || answer.status === 201) {
        this.#renewedMs = sentMs;
        this.#problem = "";
        const object = answer.body as RawObject;
        this.#seen = { object, spec: object["spec"] as LeaseSpec, atMs: sentMs };
        this.#set(true);
      } else if (answer.status !== 409) problem = statusText(answer);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    this.#isAsking = false;
    if (this.#isDone()) return;
    if (problem === "" && this.#isLeader) this.#plan();
    else this.#tryLater(problem);
  }

  #isDone(): boolean {
    return this.#isStopped;
  }

  /** `""`: another replica was faster, and the watch will say so. */
  #tryLater(problem: string): void {
    const { clock, logger } = this.#options;
    if (problem !== "" && problem !== this.#problem) {
      logger.warn("the Lease of the leader cannot be written", { error: problem });
    }
    this.#problem = problem;
    if (clock.monotonicMs() - this.#renewedMs >= RENEW_DEADLINE_MS) this.#set(false);
    this.#timer?.cancel();
    this.#timer = clock.after(RETRY_MS, () => {
      void this.#act();
    });
  }

  #acquire(): Promise<ClusterAnswer> {
    const { identity, clock, namespace, name } = this.#options;
    const renewTime = timestampMs(clock.nowMs()).replace("Z", "000Z");
    const seen = this.#seen;
    const isOwn = seen?.spec.holderIdentity === identity;
    const transitions = seen?.spec.leaseTransitions ?? 0;
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: isOwn ? (seen.spec.acquireTime ?? renewTime) : renewTime,
      renewTime,
      leaseTransitions: isOwn || seen === null ? transitions : transitions + 1,
    };
    if (seen !== null) return this.#write(seen.object, spec);
    const lease = {
      ...{ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { namespace, name } },
      spec,
    };
    return this.#options.client.ask({ method: "POST", path: this.#collection, body: lease });
  }

  /** A conflict (409) when it has changed since `object` was seen. */
  #write(object: RawObject, spec: LeaseSpec): Promise<ClusterAnswer> {
    const { client, name } = this.#options;
    const body = { ...object, apiVersion: "coordination.k8s.io/v1", kind: "Lease", spec };
    return client.ask({ method: "PUT", path: `${this.#collection}/${name}`, body });
  }

  #set(isLeader: boolean): void {
    if (this.#isLeader === isLeader) return;
    this.#isLeader = isLeader;
    const { identity, logger, onChange } = this.#options;
    logger.info(isLeader ? "this replica leads" : "this replica leads no more", { identity });
    onChange(isLeader);
  }
}
