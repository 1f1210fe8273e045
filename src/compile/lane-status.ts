//! What a lane group's and a lane's `status` say: which pods were found for which service, how many
//! of them are ready, and who has which share now.
//!
//! For people who ask whether the labels on their Deployments are the ones that the lanes select.

import { DEFAULT_TABLE } from "../lane/cohort.ts";
import { PPM_TOTAL } from "../lane/key-hash.ts";
import { isInBaseline, isInLane } from "../lane/membership.ts";
import { isPodReady } from "../resources/kinds/pod.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import { refOf, refText } from "../resources/object.ts";
import type { CohortInterval } from "../snapshot/cohort.ts";
import type { EndpointSet, Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { percent } from "./cohorts.ts";
import { instancesOf } from "./consistency.ts";
import type { Runner } from "./consistency.ts";
import type { LabelIndex } from "../lane/label-index.ts";
import type { GroupModel, LaneModel } from "./lane-model.ts";
import { namespaceOf } from "./resource-index.ts";
import type { ServiceClusters, ServiceMap } from "./service.ts";

/** Services that one status lists; the counts are of all. */
export const STATUS_MEMBERS_MAX = 100;
/** Lanes that a group's status lists, and base routes with shares of their own. */
export const STATUS_LANES_MAX = 200;
/** What runs the pods of one service: names that are listed. */
const STATUS_WORKLOADS_MAX = 10;

/** Who was found for one service. */
export interface FoundMember {
  readonly service: string;
  /** `Deployment default/a-gray`, or a Pod that no Deployment made. */
  readonly workloads: readonly string[];
  readonly pods: number;
  readonly ready: number;
}

/** The fields by which the status of a lane or a lane group differs from that of other kinds. */
export type LaneFindings = Readonly<Record<string, unknown>>;

export interface FindingScope {
  readonly models: readonly GroupModel[];
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  readonly services: ServiceMap;
  readonly pods: LabelIndex<Pod>;
  readonly runners: LabelIndex<Runner>;
  /** By cluster: who is behind hosts that no Service stands for. */
  readonly endpoints: Readonly<Record<string, EndpointSet>>;
}

/** By `refText` of the object. */
export function laneFindings(scope: FindingScope): ReadonlyMap<string, LaneFindings> {
  const found = new Map<string, LaneFindings>();
  for (const model of scope.models) {
    const group = scope.laneGroups[model.name];
    if (group === undefined) continue;
    const lanes = model.lanes.map((each) => findingsOfLane(each, group, scope));
    for (const { model: one, findings } of lanes) {
      found.set(refText(refOf(one.resource)), findings);
    }
    found.set(refText(refOf(model.resource)), findingsOfGroup(group, lanes, scope));
  }
  return found;
}

interface FoundLane {
  readonly model: LaneModel;
  readonly findings: {
    readonly state: "Open" | "Closed" | "Expired";
    /** Services with a ready pod, of those that the lane holds or may hold. */
    readonly services: string;
    readonly members: readonly FoundMember[];
    readonly share?: string;
    readonly shares?: readonly { readonly route: string; readonly share: string }[];
  };
}

function findingsOfLane(model: LaneModel, group: LaneGroup, scope: FindingScope): FoundLane {
  const lane = group.lanes.find(({ name }) => name === model.lane.name) ?? model.lane;
  const members = servicesOf(lane, group).map((key) => memberOfLane(key, lane, scope));
  const readyCount = members.filter(({ ready }) => ready > 0).length;
  return {
    model,
    findings: {
      state: model.isExpired ? "Expired" : lane.enabled ? "Open" : "Closed",
      services: `${readyCount}/${members.length}`,
      members: members.slice(0, STATUS_MEMBERS_MAX),
      ...sharesOfLane(model, group),
    },
  };
}

/** A lane that names no services holds whichever of the group's have its pods. */
function servicesOf(lane: Lane, { services }: LaneGroup): readonly string[] {
  if (lane.services.length === 0) return services;
  return lane.services.filter((service) => services.includes(service));
}

function findingsOfGroup(
  group: LaneGroup,
  lanes: readonly FoundLane[],
  scope: FindingScope,
): LaneFindings {
  const openCount = lanes.filter(({ findings }) => findings.state === "Open").length;
  const shares = lanes.some(({ findings }) => findings.share !== undefined)
    ? tablesOf(group).slice(0, STATUS_LANES_MAX).map(sharesOfRoute)
    : null;
  return {
    openLanes: `${openCount}/${lanes.length}`,
    lanes: lanes.slice(0, STATUS_LANES_MAX).map(({ model, findings }) => ({
      lane: model.lane.name,
      state: findings.state,
      services: findings.services,
      ...(findings.share === undefined ? {} : { share: findings.share }),
    })),
    baseline: group.services
      .slice(0, STATUS_MEMBERS_MAX)
      .map((key) => memberOfBaseline(key, group, scope)),
    ...(shares === null ? {} : { shares }),
  };
}

function memberOfLane(service: string, lane: Lane, scope: FindingScope): FoundMember {
  const entry = scope.services.get(service);
  if (entry === undefined) return hostMember(service, scope, (each) => isInLane(each, lane));
  const namespace = namespaceOf(entry.service);
  const own = entry.service.spec.selector ?? {};
  // The lane's labels too, so that few have to be looked at; where both name one key, one is tried.
  const wanted = Object.keys(own).length === 0 ? own : { ...lane.selector, ...own };
  const pods = scope.pods
    .select(namespace, wanted)
    .filter(({ metadata }) => isInLane({ labels: metadata.labels ?? {} }, lane));
  const runners = scope.runners
    .select(namespace, wanted)
    .filter((runner) => isInLane(runner, lane));
  return member(service, runners, pods);
}

function memberOfBaseline(service: string, group: LaneGroup, scope: FindingScope): FoundMember {
  const entry = scope.services.get(service);
  const isOfIt = (labels: Runner["labels"]): boolean =>
    isInBaseline({ labels }, group.baseline, group.lanes);
  if (entry === undefined) return hostMember(service, scope, ({ labels }) => isOfIt(labels));
  const pods = behind(entry, scope.pods).filter(({ metadata }) => isOfIt(metadata.labels ?? {}));
  const runners = behind(entry, scope.runners).filter(({ labels }) => isOfIt(labels));
  return member(service, runners, pods);
}

/** Of a host that no Service stands for: its endpoints, all of which are ready. */
function hostMember(
  service: string,
  scope: FindingScope,
  isOfIt: (instance: Runner) => boolean,
): FoundMember {
  const own = instancesOf(service, scope).filter(isOfIt);
  const workloads = own.slice(0, STATUS_WORKLOADS_MAX).map(({ name }) => name);
  return { service, workloads, pods: own.length, ready: own.length };
}

function behind<Item>({ service }: ServiceClusters, index: LabelIndex<Item>): readonly Item[] {
  return index.select(namespaceOf(service), service.spec.selector ?? {});
}

function member(service: string, runners: readonly Runner[], pods: readonly Pod[]): FoundMember {
  return {
    service,
    workloads: runners.slice(0, STATUS_WORKLOADS_MAX).map(({ name }) => name),
    pods: pods.length,
    ready: pods.filter(isPodReady).length,
  };
}

/** Nothing for a lane that neither wants a share nor has one. */
function sharesOfLane(
  { lane, ratio }: LaneModel,
  group: LaneGroup,
): Pick<FoundLane["findings"], "share" | "shares"> {
  const tables = tablesOf(group).map(({ route, intervals }) => ({
    route,
    ppm: ppmOf(intervals, lane.name),
  }));
  if (ratio === undefined && tables.every(({ ppm }) => ppm === 0)) return {};
  const lowest = Math.min(...tables.map(({ ppm }) => ppm));
  const highest = Math.max(...tables.map(({ ppm }) => ppm));
  return {
    share: lowest === highest ? percent(lowest) : `${percent(lowest)} to ${percent(highest)}`,
    shares: tables
      .slice(0, STATUS_LANES_MAX)
      .map(({ route, ppm }) => ({ route, share: percent(ppm) })),
  };
}

interface ShareTable {
  /** `*` is every base route that has no shares of its own. */
  readonly route: string;
  readonly intervals: readonly CohortInterval[];
}

function tablesOf({ cohorts }: LaneGroup): ShareTable[] {
  const tables = cohorts?.tables ?? { [DEFAULT_TABLE]: [] };
  return Object.entries(tables)
    .map(([route, intervals]) => ({ route, intervals }))
    .sort((a, b) => (a.route < b.route ? -1 : 1));
}

function sharesOfRoute({ route, intervals }: ShareTable): object {
  const names = [...new Set(intervals.map(({ lane }) => lane))].sort();
  const lanes = names.map((lane) => ({ lane, share: percent(ppmOf(intervals, lane)) }));
  const takenPpm = intervals.reduce((sum, { fromPpm, toPpm }) => sum + toPpm - fromPpm, 0);
  return { route, lanes, baseline: percent(PPM_TOTAL - takenPpm) };
}

function ppmOf(intervals: readonly CohortInterval[], lane: string): number {
  return intervals.reduce(
    (sum, each) => (each.lane === lane ? sum + each.toPpm - each.fromPpm : sum),
    0,
  );
}
