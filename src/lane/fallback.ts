//! Which endpoints serve a request of a lane at one hop, and why: the lane's own, else a fallback.
//!
//! Everything is worked out at prepare time per cluster, lane group and lane, so a hop is a few map
//! look-ups that return ready arrays. Order: the lane's endpoints; the route's own fallback (ASM's
//! `fallback`); the lane's parents in turn (policy `chain`); the group's fallback lane for the
//! service; the baseline; else missing (a 503).

import type { Cluster, Endpoint, Lane, Snapshot, Target } from "../snapshot/snapshot.ts";
import type { PreparedLaneGroup } from "./decide.ts";
import type { IndexedGroup } from "./group.ts";
import { LabelIndex } from "./label-index.ts";
import type { Labelled } from "./label-index.ts";
import { hasLabels, isInBaseline } from "./membership.ts";

export type ChoiceReason =
  /** The lane's own endpoints. */
  | "lane"
  /** The request is in no lane. */
  | "baseline"
  /** The route names a subset that is no lane's, or the service is in no lane group. */
  | "cluster"
  /** The lane does not hold this service. */
  | "fallback:no-copy"
  /** The lane should hold this service, but has no (healthy) endpoint. */
  | "fallback:no-endpoint"
  | "fallback:closed"
  /** The group has no lane of that name, or the route's target does not exist. */
  | "fallback:unknown";

/** Served lane of endpoints that are the untagged baseline or outside every lane. */
export const BASELINE_NAME = "baseline";

export interface EndpointChoice {
  /** Empty only when `missing` is not null. */
  readonly endpoints: readonly Endpoint[];
  /** A lane's name or `baseline`. */
  readonly servedLane: string;
  readonly reason: ChoiceReason;
  /** Why nothing may serve, in words for the 503's body; null when something does. */
  readonly missing: string | null;
  /** The route's fallback, when it is the one that serves. */
  readonly via?: Target;
}

/** The answer for one lane at one cluster. */
interface LaneStep {
  readonly own: EndpointChoice;
  /** Of a fallback that is not the route's: why the lane itself does not serve. */
  readonly reason: ChoiceReason;
  /** False for a lane whose group's policy is `strict`: not even the route's fallback is used. */
  readonly mayFallBack: boolean;
  /** Tried in order after the route's fallback. */
  readonly others: readonly EndpointChoice[];
  readonly missing: EndpointChoice;
}

interface ClusterLanes {
  readonly group: IndexedGroup;
  readonly lanes: ReadonlyMap<string, LaneStep>;
  readonly unknown: LaneStep;
  readonly baseline: LaneStep;
}

export interface PreparedCluster {
  readonly cluster: Cluster;
  readonly endpoints: readonly Endpoint[];
  /** The groups whose member the service is, by name. */
  readonly groups: readonly IndexedGroup[];
  readonly byGroup: ReadonlyMap<string, ClusterLanes>;
  /** When no group decided: the first group's baseline, which keeps canaries out; else all. */
  readonly whole: LaneStep;
}

/** All that the choice of endpoints needs. */
export interface LaneHops {
  readonly clusters: ReadonlyMap<string, PreparedCluster>;
  /** Choices by label subset and by route fallback, filled on first use; as many as targets. */
  readonly memo: {
    readonly bySubset: Map<Target, LaneStep>;
    readonly byFallback: Map<LaneStep, Map<Target, EndpointChoice>>;
  };
  /** Set by who knows of health; absent: every endpoint passes. */
  isHealthy?: HealthPredicate | undefined;
}

export interface PreparedLanes extends LaneHops {
  readonly groups: ReadonlyMap<string, PreparedLaneGroup>;
  /** Key of a gateway: the groups entered there, by name. */
  readonly byGateway: ReadonlyMap<string, readonly PreparedLaneGroup[]>;
}

/** Where a request wants to go: from the route at a gateway, from the called host at a sidecar. */
export interface Wanted {
  readonly target: Target;
  readonly fallback: Target | null;
  /** The lane group that decided for this request; null when none did. */
  readonly group: string | null;
  /** The decision's lane; null is the baseline. */
  readonly lane: string | null;
}

/** The choice moves on when no endpoint of a step passes. */
export type HealthPredicate = (endpoint: Endpoint) => boolean;

const NONE: readonly Endpoint[] = [];

/**
 * `groups`: all of the snapshot's, in the order of their names. `previous` lets unchanged clusters
 * be taken over: their endpoints are not looked at again.
 */
export function prepareHops(
  snapshot: Pick<Snapshot, "clusters" | "endpoints">,
  groups: Iterable<IndexedGroup>,
  previous?: LaneHops,
): LaneHops {
  const byService = new Map<string, IndexedGroup[]>();
  for (const group of groups) {
    for (const service of new Set(group.group.services)) append(byService, service, group);
  }
  const clusters = new Map<string, PreparedCluster>();
  for (const [name, cluster] of Object.entries(snapshot.clusters)) {
    const endpoints = snapshot.endpoints[name]?.endpoints ?? NONE;
    const members = byService.get(cluster.service) ?? [];
    const old = previous?.clusters.get(name);
    const isSame =
      old?.cluster === cluster && old.endpoints === endpoints && isSameList(old.groups, members);
    clusters.set(name, isSame ? old : prepareCluster(cluster, endpoints, members));
  }
  return { clusters, memo: { bySubset: new Map(), byFallback: new Map() } };
}

/** The endpoints for one hop. Allocates only the first time that a route's fallback is used. */
export function chooseEndpoints(
  prepared: LaneHops,
  wanted: Wanted,
  isHealthy: HealthPredicate | undefined = prepared.isHealthy,
): EndpointChoice {
  const { target, fallback } = wanted;
  if (target.kind === "missing") return chooseForMissing(prepared, wanted, target, isHealthy);
  const step = stepFor(prepared, target, wanted);
  if (isUsable(step.own, isHealthy)) return step.own;
  if (fallback !== null && step.mayFallBack) {
    const choice = routeFallback(prepared, step, fallback, isHealthy);
    if (isUsable(choice, isHealthy)) return choice;
  }
  for (const other of step.others) if (isUsable(other, isHealthy)) return other;
  return step.missing;
}

function chooseForMissing(
  prepared: LaneHops,
  wanted: Wanted,
  target: Extract<Target, { kind: "missing" }>,
  isHealthy: HealthPredicate | undefined,
): EndpointChoice {
  let step = prepared.memo.bySubset.get(target);
  if (step === undefined) {
    step = wholeStep(NONE, target.message, "fallback:unknown");
    prepared.memo.bySubset.set(target, step);
  }
  if (wanted.fallback === null) return step.missing;
  const choice = routeFallback(prepared, step, wanted.fallback, isHealthy);
  return isUsable(choice, isHealthy) ? choice : step.missing;
}

function isUsable(choice: EndpointChoice, isHealthy: HealthPredicate | undefined): boolean {
  if (isHealthy === undefined) return choice.endpoints.length > 0;
  return choice.endpoints.some(isHealthy);
}

function stepFor(
  prepared: LaneHops,
  target: Extract<Target, { kind: "cluster" }>,
  wanted: Wanted,
): LaneStep {
  const cluster = prepared.clusters.get(target.cluster);
  if (cluster === undefined) return UNKNOWN_CLUSTER;
  const { subset } = target;
  if (subset === null) return laneStepAt(cluster, wanted.group, wanted.lane);
  if (subset.kind === "lane") return laneStepAt(cluster, subset.group, subset.lane);
  return subsetStep(prepared, cluster, target);
}

function laneStepAt(cluster: PreparedCluster, group: string | null, lane: string | null): LaneStep {
  const lanes = group === null ? undefined : cluster.byGroup.get(group);
  if (lanes === undefined) return cluster.whole;
  return lane === null ? lanes.baseline : (lanes.lanes.get(lane) ?? lanes.unknown);
}

function subsetStep(
  prepared: LaneHops,
  cluster: PreparedCluster,
  target: Extract<Target, { kind: "cluster" }>,
): LaneStep {
  const known = prepared.memo.bySubset.get(target);
  if (known !== undefined) return known;
  const labels = target.subset?.kind === "labels" ? target.subset.labels : {};
  const name = target.subset?.kind === "labels" ? target.subset.name : "";
  const step = wholeStep(
    cluster.endpoints.filter((endpoint) => hasLabels(endpoint, labels)),
    `service ${cluster.cluster.service} has no ready endpoint in the subset "${name}"`,
    "cluster",
  );
  prepared.memo.bySubset.set(target, step);
  return step;
}

/** The route's own fallback, which is tried once and has no fallback of its own but its group's. */
function routeFallback(
  prepared: LaneHops,
  step: LaneStep,
  fallback: Target,
  isHealthy: HealthPredicate | undefined,
): EndpointChoice {
  let byTarget = prepared.memo.byFallback.get(step);
  if (byTarget === undefined) {
    byTarget = new Map();
    prepared.memo.byFallback.set(step, byTarget);
  }
  const known = byTarget.get(fallback);
  if (known !== undefined && isHealthy === undefined) return known;
  const found = chooseEndpoints(
    prepared,
    { target: fallback, fallback: null, group: null, lane: null },
    isHealthy,
  );
  const choice = { ...found, reason: step.reason, via: fallback };
  if (isHealthy === undefined) byTarget.set(fallback, choice);
  return choice;
}

function prepareCluster(
  cluster: Cluster,
  endpoints: readonly Endpoint[],
  groups: readonly IndexedGroup[],
): PreparedCluster {
  const byLabels = groups.length === 0 ? null : new LabelIndex(endpoints, namespaceless);
  const ofLane = (lane: Lane): readonly Endpoint[] =>
    Object.keys(lane.selector).length === 0
      ? endpoints
      : (byLabels?.select("", lane.selector) ?? NONE);
  const lanes = groups.map((group) => prepareClusterLanes({ cluster, endpoints, ofLane }, group));
  const text = `service ${cluster.service} has no ready endpoint`;
  return {
    cluster,
    endpoints,
    groups,
    byGroup: new Map(lanes.map((entry) => [entry.group.name, entry])),
    whole: lanes[0]?.baseline ?? wholeStep(endpoints, text, "cluster"),
  };
}

function namespaceless({ labels }: Endpoint): Labelled {
  return { namespace: "", labels };
}

interface ClusterContext {
  readonly cluster: Cluster;
  readonly endpoints: readonly Endpoint[];
  readonly ofLane: (lane: Lane) => readonly Endpoint[];
}

function prepareClusterLanes(cluster: ClusterContext, group: IndexedGroup): ClusterLanes {
  const { endpoints } = cluster;
  const baseline = choice(baselineEndpoints(endpoints, group), baselineName(group), "baseline");
  const context = { ...cluster, group, baseline };
  return {
    group,
    lanes: new Map(group.group.lanes.map((lane) => [lane.name, laneStep(context, lane)])),
    unknown: makeStep(context, NONE, null, "fallback:unknown"),
    baseline: {
      own: baseline,
      reason: "fallback:no-endpoint",
      mayFallBack: true,
      others: [],
      missing: missing(
        `service ${cluster.cluster.service} has no ready endpoint in the baseline of lane group ` +
          `"${group.name}"`,
        "baseline",
      ),
    },
  };
}

interface StepContext extends ClusterContext {
  readonly group: IndexedGroup;
  readonly baseline: EndpointChoice;
}

function laneStep(context: StepContext, lane: Lane): LaneStep {
  const { cluster, ofLane } = context;
  if (!lane.enabled) return makeStep(context, NONE, lane, "fallback:closed");
  if (!holds(lane, cluster)) return makeStep(context, NONE, lane, "fallback:no-copy");
  const own = ofLane(lane);
  // A lane that names no services holds whichever have its pods: none means no copy.
  const reason = lane.services.length === 0 ? "fallback:no-copy" : "fallback:no-endpoint";
  return makeStep(context, own, lane, reason);
}

function holds(lane: Lane, cluster: Cluster): boolean {
  return lane.services.length === 0 || lane.services.includes(cluster.service);
}

function makeStep(
  context: StepContext,
  own: readonly Endpoint[],
  lane: Lane | null,
  reason: ChoiceReason,
): LaneStep {
  const { cluster, group } = context;
  const name = lane?.name ?? BASELINE_NAME;
  const policy = group.group.servicePolicies?.[cluster.service] ?? group.group.fallback;
  // A closed lane is the baseline for its requests, so `strict` does not make them fail.
  const mayFallBack = policy !== "strict" || reason === "fallback:closed";
  const parents = policy === "chain" && reason !== "fallback:closed" ? (lane?.parents ?? []) : [];
  const message =
    `service ${cluster.service} has no ready endpoint in lane "${name}" ` +
    `of lane group "${group.name}"` +
    (mayFallBack ? nowhereElse(parents) : ", and the group's fallback policy is strict");
  return {
    own: choice(own, name, "lane"),
    reason,
    mayFallBack,
    others: mayFallBack
      ? [...parentChoices(context, parents, reason), ...standIns(context, name, reason)]
      : [],
    missing: missing(message, reason),
  };
}

function nowhereElse(parents: readonly string[]): string {
  if (parents.length === 0) return ", nor in the baseline";
  return `, nor in its parents (${parents.join(", ")}), nor in the baseline`;
}

/** The open lanes of the chain that hold the service and have endpoints, the nearest first. */
function parentChoices(
  { cluster, ofLane, group }: StepContext,
  parents: readonly string[],
  reason: ChoiceReason,
): EndpointChoice[] {
  return parents.flatMap((name) => {
    const lane = group.byName.get(name)?.lane;
    if (lane?.enabled !== true || !holds(lane, cluster)) return [];
    const own = ofLane(lane);
    return own.length === 0 ? [] : [choice(own, name, reason)];
  });
}

/** The group's fallback lane for this service, then the baseline; only those with endpoints. */
function standIns(context: StepContext, lane: string, reason: ChoiceReason): EndpointChoice[] {
  const { cluster, group, baseline } = context;
  const found: EndpointChoice[] = [];
  const standIn = group.byName.get(group.group.serviceFallback[cluster.service] ?? "")?.lane;
  if (standIn?.enabled === true && standIn.name !== lane) {
    found.push(choice(context.ofLane(standIn), standIn.name, reason));
  }
  found.push({ ...baseline, reason });
  return found.filter(({ endpoints }) => endpoints.length > 0);
}

function wholeStep(
  endpoints: readonly Endpoint[],
  message: string,
  reason: ChoiceReason,
): LaneStep {
  const own = choice(endpoints, BASELINE_NAME, reason);
  const onEmpty = reason === "cluster" ? "fallback:no-endpoint" : reason;
  return {
    own,
    reason: onEmpty,
    mayFallBack: true,
    others: [],
    missing: missing(message, onEmpty),
  };
}

const UNKNOWN_CLUSTER: LaneStep = wholeStep(
  NONE,
  "the route's cluster is not in the snapshot",
  "fallback:unknown",
);

function baselineEndpoints(
  endpoints: readonly Endpoint[],
  { group }: IndexedGroup,
): readonly Endpoint[] {
  return endpoints.filter((endpoint) => isInBaseline(endpoint, group.baseline, group.lanes));
}

function baselineName({ group }: IndexedGroup): string {
  return group.baseline.kind === "lane" ? group.baseline.lane : BASELINE_NAME;
}

function choice(
  endpoints: readonly Endpoint[],
  servedLane: string,
  reason: ChoiceReason,
): EndpointChoice {
  return { endpoints, servedLane, reason, missing: null };
}

function missing(message: string, reason: ChoiceReason): EndpointChoice {
  return { endpoints: NONE, servedLane: BASELINE_NAME, reason, missing: message };
}

export function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
