//! The last request filter: which lane the request travels in, and which endpoints serve it.
//!
//! Order: a route that names a lane's subset wins (`route`); else a trusted context (`forced`), the
//! lanes' rules (`rule`), shares (`cohort`), the baseline. A decision sets the group's route header
//! and computes the route anew, so that a VirtualService may match on it. The same code answers a
//! request and explains it.

import type {
  DecisionExplanation,
  DecisionInput,
  LaneDecision,
  PreparedLaneGroup,
} from "../../lane/decide.ts";
import {
  asksOperands,
  decideLane,
  decisionByRoute,
  explainDecision,
  isEntryRoute,
} from "../../lane/decide.ts";
import { chooseEndpoints } from "../../lane/fallback.ts";
import type { EndpointChoice, PreparedLanes } from "../../lane/fallback.ts";
import type { CohortInput, IssuedCookie } from "../../lane/cohort.ts";
import type { HeaderLookup, OperandLookup } from "../../lane/program.ts";
import type { Prng } from "../../base/prng.ts";
import { pickDestination } from "../../route/route.ts";
import type { Route, WeightedDestination } from "../../snapshot/snapshot.ts";
import type { CollectedOperands } from "./collected-operands.ts";
import { contextLookup, writeContext } from "./lane-context.ts";
import type { EditableRequest } from "./request-header-map.ts";
import { readOperand } from "./request-operands.ts";

/** What the filter needs of the pass it belongs to. */
export interface LaneFilterInput {
  readonly request: EditableRequest;
  readonly lanes: PreparedLanes;
  /** The lane groups entered at this gateway, by name. */
  readonly groups: readonly PreparedLaneGroup[];
  readonly prng: Prng;
  /** Of the client's connection. */
  readonly remoteAddress: string;
  /** The matching route, computed when first asked for. */
  route(): Route | null;
  clearRoute(): void;
  /** Takes the explanation of each group's decision; null when nobody asked for it. */
  readonly explanations: Map<string, DecisionExplanation> | null;
  /** Makes an id for a client that has none, and sends it with the response. */
  issueId(key: IssuedCookie): string | undefined;
  /** What rules read beyond the head; null: nothing. */
  readonly collected: CollectedOperands | null;
  /** Members of other people's baggage that did not fit beside the lane's. */
  onBaggageDropped(count: number): void;
}

export interface LaneOutcome {
  /** Null when no route matches. */
  readonly route: Route | null;
  readonly destination: WeightedDestination | null;
  readonly decision: LaneDecision | null;
  /** Null when there is nothing to choose from: no route, or a direct answer. */
  readonly choice: EndpointChoice | null;
}

const NO_ROUTE: LaneOutcome = { route: null, destination: null, decision: null, choice: null };

export function runLaneFilter(input: LaneFilterInput): LaneOutcome {
  let picked = pick(input);
  let byRoute = decisionOfRoute(input, picked.destination);
  const decisions = decideGroups(input, byRoute?.group ?? "");
  if (decisions.some(({ tag }) => tag !== null)) {
    picked = pickAnew(input, picked);
    byRoute = decisionOfRoute(input, picked.destination);
  }
  const { route, destination } = picked;
  if (route === null) return { ...NO_ROUTE, decision: decisions[0] ?? null };
  const decision = byRoute ?? primaryDecision(input, decisions, destination);
  carry(input, decision);
  if (destination === null) return { route, destination, decision, choice: null };
  const { target, fallback } = destination;
  const group = decision?.group ?? null;
  const lane = decision?.lane ?? null;
  const choice = chooseEndpoints(input.lanes, { target, fallback, group, lane });
  return { route, destination, decision, choice };
}

interface Picked {
  readonly route: Route | null;
  readonly destination: WeightedDestination | null;
}

/** A weighted route draws once here and keeps what it drew. */
function pick(input: LaneFilterInput): Picked {
  const route = input.route();
  if (route?.action.kind !== "forward") return { route, destination: null };
  return { route, destination: pickDestination(route.action.destinations, input.prng) };
}

/** After a header was set. The same route keeps its draw: a second one would bend its weights. */
function pickAnew(input: LaneFilterInput, picked: Picked): Picked {
  input.clearRoute();
  return input.route() === picked.route ? picked : pick(input);
}

function decisionOfRoute(
  input: LaneFilterInput,
  destination: WeightedDestination | null,
): LaneDecision | null {
  if (destination?.target.kind !== "cluster") return null;
  const { subset } = destination.target;
  if (subset?.kind !== "lane") return null;
  const group = input.lanes.groups.get(subset.group);
  return group === undefined ? null : decisionByRoute(group, subset.lane);
}

/** Every group decides for itself but the one (`decided`) whose lane the route has named. */
function decideGroups(input: LaneFilterInput, decided: string): LaneDecision[] {
  const header = contextLookup(input.request.headers);
  const open = input.groups.filter(({ name }) => name !== decided);
  return open.map((group) => {
    const asked = decisionInput(input, group, header);
    // Before anything is written: what is written would be found as a context.
    input.explanations?.set(group.name, explainDecision(group, asked));
    const decision = decideLane(group, asked);
    if (decision.tag !== null) write(input, group, decision.tag);
    return decision;
  });
}

/** What a group's decision reads of the request; the same for a request and its explanation. */
export function decisionInput(
  input: LaneFilterInput,
  group: PreparedLaneGroup,
  context: HeaderLookup,
): DecisionInput {
  if (!asksOperands(group)) return { context, operand: NO_OPERANDS, isEntry: true };
  const operand: OperandLookup = (kind, name) => readOperand(input, group.group, kind, name);
  const route = input.route();
  const isEntry = isEntryRoute(group, route);
  if (group.cohorts === null) return { context, operand, isEntry };
  const cohort: CohortInput = {
    routeId: route?.id ?? null,
    read: operand,
    issueId: (key) => input.issueId(key),
    below: (limit) => input.prng.below(limit),
  };
  return { context, operand, isEntry, cohort };
}

const NO_OPERANDS = (): undefined => undefined;

/** Of several groups the one whose member is called; a lane goes before a baseline. */
function primaryDecision(
  input: LaneFilterInput,
  decisions: readonly LaneDecision[],
  destination: WeightedDestination | null,
): LaneDecision | null {
  if (decisions.length <= 1) return decisions[0] ?? null;
  const target = destination?.target;
  const cluster = target?.kind === "cluster" ? input.lanes.clusters.get(target.cluster) : undefined;
  const members = decisions.filter(({ group }) =>
    (cluster?.groups ?? []).some(({ name }) => name === group),
  );
  const candidates = members.length > 0 ? members : decisions;
  return candidates.find(({ lane }) => lane !== null) ?? candidates[0] ?? null;
}

function carry(input: LaneFilterInput, decision: LaneDecision | null): void {
  if (decision?.tag === undefined || decision.tag === null) return;
  const group = input.lanes.groups.get(decision.group);
  if (group !== undefined) write(input, group, decision.tag);
}

function write(input: LaneFilterInput, group: PreparedLaneGroup, tag: string): void {
  const droppedCount = writeContext(input.request.headers, group, tag);
  if (droppedCount > 0) input.onBaggageDropped(droppedCount);
}
