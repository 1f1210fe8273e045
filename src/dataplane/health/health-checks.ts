//! Asks the endpoints of clusters that want it whether they are well, again and again. Each worker
//! asks for itself, and each endpoint of a cluster has a turn of its own.

import type { Timer } from "../../base/clock.ts";
import type { HealthCheck } from "../../snapshot/routing.ts";
import type { Cluster, Endpoint, Snapshot } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import { ClusterHealth } from "./cluster-health.ts";
import type { CheckOutcome } from "./cluster-health.ts";
import { probe } from "./probe.ts";

/** Endpoints that one worker checks; further ones are taken to be well. */
export const ENDPOINTS_CHECKED_MAX = 4_096;
const PERCENT = 100;

interface Turn {
  readonly endpoint: Endpoint;
  timer: Timer | null;
  /** Ends the question that waits for its answer; null: none does. */
  end: (() => void) | null;
}

interface Checked {
  cluster: Cluster;
  readonly check: HealthCheck;
  readonly health: ClusterHealth;
  readonly turns: Map<string, Turn>;
}

type Context = Pick<TrafficContext, "clock" | "prng" | "pools" | "sweeper">;

export class HealthChecks {
  readonly #context: Context;
  readonly #checked = new Map<string, Checked>();
  #turnCount = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  /** From now on the endpoints of this snapshot are asked, as its policies say. */
  update({ clusters, endpoints }: Snapshot): void {
    for (const [name, checked] of this.#checked) {
      if (clusters[name]?.policy?.healthCheck === checked.check) continue;
      this.#forget(name, checked);
    }
    for (const [name, cluster] of Object.entries(clusters)) {
      const check = cluster.policy?.healthCheck;
      if (check !== undefined) this.#check(cluster, check, endpoints[name]?.endpoints ?? []);
    }
  }

  stop(): void {
    for (const [name, checked] of this.#checked) this.#forget(name, checked);
  }

  #check(cluster: Cluster, check: HealthCheck, endpoints: readonly Endpoint[]): void {
    const known = this.#checked.get(cluster.name);
    const checked = known ?? this.#make(cluster, check);
    checked.cluster = cluster;
    const keys = new Set(endpoints.map(({ address, port }) => `${address}:${port}`));
    for (const [key, turn] of checked.turns) if (!keys.has(key)) this.#end(checked, key, turn);
    for (const endpoint of endpoints) {
      const key = `${endpoint.address}:${endpoint.port}`;
      if (checked.turns.has(key) || this.#turnCount >= ENDPOINTS_CHECKED_MAX) continue;
      // Those that are there from the beginning serve until they fail: nobody else could.
      this.#begin(checked, key, { endpoint, isTrusted: known === undefined });
    }
  }

  #make(cluster: Cluster, check: HealthCheck): Checked {
    const { clusters } = this.#context.pools;
    const mayPanic = (cluster.policy?.outliers?.healthyPercentMin ?? 0) > 0;
    const health = new ClusterHealth({ check, failing: mayPanic ? null : clusters.failing });
    const checked = { cluster, check, health, turns: new Map<string, Turn>() };
    this.#checked.set(cluster.name, checked);
    clusters.health.set(cluster.name, health);
    return checked;
  }

  #begin(
    checked: Checked,
    key: string,
    { endpoint, isTrusted }: { readonly endpoint: Endpoint; readonly isTrusted: boolean },
  ): void {
    const turn: Turn = { endpoint, timer: null, end: null };
    checked.turns.set(key, turn);
    checked.health.add(key, isTrusted);
    this.#turnCount += 1;
    this.#askAfter(checked, turn, this.#drawn(checked.check.initialJitterMs));
  }

  #end(checked: Checked, key: string, turn: Turn): void {
    turn.timer?.cancel();
    turn.end?.();
    checked.turns.delete(key);
    checked.health.remove(key);
    this.#turnCount -= 1;
  }

  #forget(name: string, checked: Checked): void {
    for (const [key, turn] of checked.turns) this.#end(checked, key, turn);
    this.#checked.delete(name);
    this.#context.pools.clusters.health.delete(name);
  }

  #drawn(maxMs: number): number {
    return maxMs < 1 ? 0 : this.#context.prng.below(Math.floor(maxMs));
  }

  #askAfter(checked: Checked, turn: Turn, delayMs: number): void {
    const ask = (): void => {
      this.#ask(checked, turn);
    };
    turn.timer = this.#context.clock.after(delayMs, ask, { unref: true });
  }

  #ask(checked: Checked, turn: Turn): void {
    const { pools, sweeper } = this.#context;
    const { check, cluster } = checked;
    const { endpoint } = turn;
    // Never before `probe` has returned: what fails at once is told in a later turn.
    const onOutcome = (outcome: CheckOutcome): void => {
      turn.end = null;
      turn.timer?.cancel();
      this.#settle(checked, turn, outcome);
    };
    const expire = (): void => {
      turn.end?.();
      onOutcome("bad");
    };
    turn.timer = sweeper.clock.after(check.timeoutMs, expire, { unref: true });
    turn.end = probe({ check, cluster, endpoint }, pools, onOutcome);
  }

  #settle(checked: Checked, turn: Turn, outcome: CheckOutcome): void {
    const { check, health } = checked;
    const { address, port } = turn.endpoint;
    const pauseMs = health.record(`${address}:${port}`, outcome);
    const jitterMs = check.jitterMs + (pauseMs * check.jitterPercent) / PERCENT;
    this.#askAfter(checked, turn, pauseMs + this.#drawn(jitterMs));
  }
}
