//! Lanes and subsets as metadata of endpoints, and the order in which a request tries them.
//!
//! An endpoint says under `lane/<group>` in which lanes it is, under `subset` in which subsets.
//! A route names the values to try in turn (`fallback_list`): the subset balancer moves on where
//! no healthy endpoint has the value, which is what `lane/fallback.ts` does. The keys are few and
//! stay the same, so that a new lane changes endpoints and routes, but no cluster.

import type { JsonObject } from "../base/json.ts";
import { hasLabels, isInBaseline, isInLane } from "../lane/membership.ts";
import type {
  Cluster,
  Endpoint,
  Lane,
  LaneGroup,
  Snapshot,
  Subset,
  Target,
  WeightedDestination,
} from "../snapshot/snapshot.ts";

/** The namespace of metadata that Envoy's balancers read. */
export const BALANCER_METADATA = "envoy.lb";
const SUBSET_KEY = "subset";
/** Every endpoint has it, for routes to the whole of a cluster that has subsets. */
const WHOLE = "*";
/** No lane has such a name. */
const BASELINE = "(baseline)";

/** One value to try. */
export interface Step {
  readonly key: string;
  readonly value: string;
}

export type Way =
  /** No steps: any endpoint of the cluster will do. */
  | { readonly kind: "cluster"; readonly cluster: string; readonly steps: readonly Step[] }
  | { readonly kind: "missing"; readonly message: string; readonly status?: number }
  | { readonly kind: "refused"; readonly what: string };

type ClusterTarget = Extract<Target, { kind: "cluster" }>;
type LabelSubset = Extract<Subset, { kind: "labels" }>;

export class SubsetKeys {
  readonly #snapshot: Snapshot;
  /** By cluster, then by name. */
  readonly #labelSubsets = new Map<string, Map<string, LabelSubset>>();

  /** `alsoUsed` are snapshots whose routes may still be in use. */
  constructor(snapshot: Snapshot, alsoUsed: readonly Snapshot[]) {
    this.#snapshot = snapshot;
    for (const one of [...alsoUsed, snapshot]) {
      for (const target of targetsOf(one)) this.#note(target);
    }
  }

  /** The groups whose member the cluster's service is, by name. */
  groupsOf(cluster: Cluster): LaneGroup[] {
    const groups = Object.values(this.#snapshot.laneGroups);
    return groups
      .filter(({ services }) => services.includes(cluster.service))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The keys by which the cluster's endpoints are told apart; empty: they are not. */
  keysOf(cluster: Cluster): string[] {
    const hasSubsets = this.#labelSubsets.has(cluster.name);
    const lanes = this.groupsOf(cluster).map(laneKey);
    return hasSubsets ? [...lanes, SUBSET_KEY] : lanes;
  }

  metadataOf(cluster: Cluster, endpoint: Endpoint): JsonObject {
    const metadata: Record<string, readonly string[]> = {};
    for (const group of this.groupsOf(cluster)) {
      const lanes = group.lanes.filter((lane) => isInLane(endpoint, lane)).map(({ name }) => name);
      const isBaseline = isInBaseline(endpoint, group.baseline, group.lanes);
      metadata[laneKey(group)] = isBaseline ? [...lanes, BASELINE] : lanes;
    }
    const subsets = this.#labelSubsets.get(cluster.name);
    if (subsets !== undefined) {
      const names = [...subsets.values()].filter(({ labels }) => hasLabels(endpoint, labels));
      metadata[SUBSET_KEY] = [WHOLE, ...names.map(({ name }) => name).sort()];
    }
    return metadata;
  }

  /** Where a destination leads; `decided` is the lane that was decided for, if any was. */
  wayOf({ target, fallback }: WeightedDestination, decided: DecidedLane | null = null): Way {
    if (target.kind === "missing") {
      if (fallback?.kind !== "cluster") return target;
      return this.#way(fallback.cluster, this.#laneSteps(fallback, null));
    }
    const steps = this.#laneSteps(target, decided);
    if (fallback?.kind !== "cluster" || !steps.mayFallBack) return this.#way(target.cluster, steps);
    if (fallback.cluster !== target.cluster) {
      return { kind: "refused", what: "fall back to another service, or to another port" };
    }
    const second = this.#laneSteps(fallback, null);
    const others = [...second.own, ...second.others, ...steps.others];
    return this.#way(target.cluster, { ...steps, others });
  }

  #way(cluster: string, { own, others, isWhole }: Steps): Way {
    if (isWhole) return { kind: "cluster", cluster, steps: [] };
    const steps = distinct([...own, ...others]);
    if (steps.length > 0) return { kind: "cluster", cluster, steps };
    return { kind: "missing", message: `nothing may serve this lane at ${cluster}` };
  }

  /** As `lane/fallback.ts` orders them. */
  #laneSteps({ cluster: name, subset }: ClusterTarget, decided: DecidedLane | null): Steps {
    const cluster = this.#snapshot.clusters[name];
    if (cluster === undefined) return { own: [], others: [], mayFallBack: true, isWhole: false };
    if (subset?.kind === "labels") return plain({ key: SUBSET_KEY, value: subset.name });
    const wanted = subset ?? decided;
    const group = wanted === null ? undefined : this.#memberGroup(cluster, wanted.group);
    if (wanted === null || group === undefined) return this.#whole(cluster);
    if (wanted.lane === null) return plain({ key: laneKey(group), value: BASELINE });
    return laneSteps(cluster, group, wanted.lane);
  }

  #memberGroup(cluster: Cluster, name: string): LaneGroup | undefined {
    return this.groupsOf(cluster).find((group) => group.name === name);
  }

  /** No group decided: the first group's baseline, which keeps canaries out; else all. */
  #whole(cluster: Cluster): Steps {
    const [first] = this.groupsOf(cluster);
    if (first !== undefined) return plain({ key: laneKey(first), value: BASELINE });
    if (this.keysOf(cluster).length > 0) return plain({ key: SUBSET_KEY, value: WHOLE });
    return { own: [], others: [], mayFallBack: true, isWhole: true };
  }

  #note(target: Target | null): void {
    if (target?.kind !== "cluster" || target.subset?.kind !== "labels") return;
    const subsets = this.#labelSubsets.get(target.cluster) ?? new Map<string, LabelSubset>();
    subsets.set(target.subset.name, target.subset);
    this.#labelSubsets.set(target.cluster, subsets);
  }
}

/** What a group decided for a request: a lane, or (null) its baseline. */
export interface DecidedLane {
  readonly group: string;
  readonly lane: string | null;
}

interface Steps {
  readonly own: readonly Step[];
  /** Tried after the route's own fallback. */
  readonly others: readonly Step[];
  readonly mayFallBack: boolean;
  readonly isWhole: boolean;
}

function plain(step: Step): Steps {
  return { own: [step], others: [], mayFallBack: true, isWhole: false };
}

function laneKey(group: LaneGroup): string {
  return `lane/${group.name}`;
}

function laneSteps(cluster: Cluster, group: LaneGroup, name: string): Steps {
  const lane = group.lanes.find((one) => one.name === name);
  const policy = group.servicePolicies?.[cluster.service] ?? group.fallback;
  const isClosed = lane?.enabled === false;
  const mayFallBack = policy !== "strict" || isClosed;
  const open = new Map(group.lanes.filter(({ enabled }) => enabled).map((one) => [one.name, one]));
  const isHeld = (one: string): boolean => {
    const candidate = open.get(one);
    return candidate !== undefined && holds(candidate, cluster);
  };
  const own = isHeld(name) ? [laneStep(group, name)] : [];
  if (!mayFallBack) return { own, others: [], mayFallBack, isWhole: false };
  const parents = policy === "chain" && !isClosed ? (lane?.parents ?? []) : [];
  const standIns = [group.serviceFallback[cluster.service] ?? name].filter(
    (one) => one !== name && open.has(one),
  );
  const others = [...parents.filter(isHeld), ...standIns].map((one) => laneStep(group, one));
  const baseline = { key: laneKey(group), value: BASELINE };
  return { own, others: [...others, baseline], mayFallBack, isWhole: false };
}

function laneStep(group: LaneGroup, lane: string): Step {
  return { key: laneKey(group), value: lane };
}

function holds(lane: Lane, cluster: Cluster): boolean {
  return lane.services.length === 0 || lane.services.includes(cluster.service);
}

function distinct(steps: readonly Step[]): Step[] {
  const seen = new Map(steps.map((step) => [`${step.key} ${step.value}`, step]));
  return [...seen.values()];
}

/** Every target that a route of the snapshot names. */
function* targetsOf(snapshot: Snapshot): Generator<Target | null> {
  for (const { virtualHosts } of Object.values(snapshot.routeTables)) {
    for (const { action, policy } of virtualHosts.flatMap(({ routes }) => routes)) {
      for (const mirror of policy?.mirrors ?? []) yield mirror.target;
      if (action.kind !== "forward") continue;
      for (const { target, fallback } of action.destinations) {
        yield target;
        yield fallback;
      }
    }
  }
}

/** Envoy's JSON of the steps, on a route or on one of its weighted clusters. */
export function metadataMatch(steps: readonly Step[]): JsonObject {
  if (steps.length === 0) return {};
  const list = steps.map(({ key, value }) => ({ [key]: value }));
  const metadata = { [BALANCER_METADATA]: { fallback_list: list } };
  return { metadata_match: { filter_metadata: metadata } };
}
