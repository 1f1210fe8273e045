//! What there is to say about the lanes of a group: parents, expiry, rules that cannot work.

import { operandKindsOfRule } from "../lane/operand-kinds.ts";
import { contentHash } from "../base/canonical-json.ts";
import { findContradiction, isImplied } from "../lane/contradiction.ts";
import type { Lane as LaneResource } from "../resources/kinds/lane.ts";
import type { Route } from "../snapshot/snapshot.ts";
import type { GroupModel, LaneModel } from "./lane-model.ts";
import type { MessageList } from "./messages.ts";

/** The lanes that stand in for one, in turn. In a cycle, once each, itself last. */
export function parentsOf(model: GroupModel, name: string): string[] {
  const byName = new Map(model.lanes.map((each) => [each.lane.name, each]));
  const parents: string[] = [];
  let parent = byName.get(name)?.parent?.key;
  while (parent !== undefined && byName.has(parent) && !parents.includes(parent)) {
    parents.push(parent);
    parent = byName.get(parent)?.parent?.key;
  }
  return parents;
}

export function reportParents(model: GroupModel, messages: MessageList): void {
  const names = new Set(model.lanes.map(({ lane }) => lane.name));
  for (const current of model.lanes) {
    const { lane, parent, resource } = current;
    if (parent === null) continue;
    const parents = parentsOf(model, lane.name);
    if (!names.has(parent.key)) {
      messages.add(resource, {
        severity: "error",
        code: "GL0321",
        path: parent.path,
        message: `the group has no lane ${parent.key}, the parent of ${lane.name}`,
        remedy: "Name a lane of the group; until then the baseline stands in.",
      });
    } else if (parents.includes(lane.name)) {
      messages.add(resource, {
        severity: "error",
        code: "GL0322",
        path: parent.path,
        message: `the parents form a cycle: ${[lane.name, ...parents].join(" -> ")}`,
        remedy: "Let one of them name no parent: the baseline stands in for it.",
      });
    } else if (!usesChain(model)) {
      messages.add(resource, {
        severity: "warning",
        code: "GL0323",
        path: parent.path,
        message: `the parent has no effect: the group's fallback is ${model.fallback}`,
        remedy: "Write fallback: chain in the LaneGroup, or remove the parent.",
      });
    }
  }
}

function usesChain(model: GroupModel): boolean {
  if (model.fallback === "chain") return true;
  return model.serviceFallback.some(({ policy }) => policy === "chain");
}

/** Pairs of lanes whose rules are compared: beyond, only equal rules are found. */
const COMPARED_PAIRS_MAX = 5_000;

/** Lanes that are closed by time, or that can take nobody by their rule. */
export function reportRules(model: GroupModel, messages: MessageList): void {
  const rules = new Map<string, LaneModel>();
  const earlier: LaneModel[] = [];
  let pairsLeft = COMPARED_PAIRS_MAX;
  for (const current of model.lanes) {
    reportExpiry(current, messages);
    reportSources(model, current, messages);
    const { lane } = current;
    if (lane.rule === null || !lane.enabled || reportImpossible(current, messages)) continue;
    const identity = contentHash(lane.rule.condition);
    const owner = rules.get(identity);
    if (owner !== undefined) {
      reportSameRule(current, owner, messages);
      continue;
    }
    rules.set(identity, current);
    pairsLeft -= earlier.length;
    if (pairsLeft >= 0) reportShadowed(current, earlier, messages);
    // Who is forced out of the first may still meet the rule of the second.
    if (lane.forcedOut === undefined) earlier.push(current);
  }
}

function reportSameRule(current: LaneModel, owner: LaneModel, messages: MessageList): void {
  if (owner.lane.forcedOut !== undefined) return;
  messages.add(current.resource, {
    severity: "warning",
    code: "GL0324",
    path: current.rulePath,
    message:
      `the lane ${owner.lane.name} has the same rule and decides first (priority, then ` +
      `name), so the rule takes nobody into the lane ${current.lane.name}`,
    remedy: "Give them different rules, or remove one.",
  });
}

function reportShadowed(
  { lane, resource, rulePath }: LaneModel,
  earlier: readonly LaneModel[],
  messages: MessageList,
): void {
  const { rule } = lane;
  if (rule === null) return;
  const owner = earlier.find(
    (one) => one.lane.rule !== null && isImplied(rule.condition, one.lane.rule.condition),
  );
  if (owner === undefined) return;
  messages.add(resource, {
    severity: "warning",
    code: "GL0338",
    path: rulePath,
    message:
      `whoever meets the rule of the lane ${lane.name} meets that of the lane ` +
      `${owner.lane.name}, which decides first (priority, then name): it takes nobody`,
    remedy: `Give it a smaller priority, or make the rule of ${owner.lane.name} narrower.`,
  });
}

function reportImpossible({ lane, resource, rulePath }: LaneModel, messages: MessageList): boolean {
  const found = lane.rule === null ? null : findContradiction(lane.rule.condition);
  if (found === null) return false;
  messages.add(resource, {
    severity: "error",
    code: "GL0337",
    path: rulePath,
    message:
      `no request meets the rule of the lane ${lane.name}: ${found.first} contradicts ` +
      found.second,
    remedy: "Write `any` where one of them is enough, or remove one.",
  });
  return true;
}

const SOURCES = [
  { kind: "claim", field: "tokens", write: "operands: {jwt: {jwksUri: ADDRESS}}" },
  { kind: "geo", field: "geoDatabase", write: "operands: {geo: {database: PATH}}" },
] as const;

/** A rule reads what its lane group does not say how to get. */
function reportSources(model: GroupModel, current: LaneModel, messages: MessageList): void {
  const { lane, resource } = current;
  for (const { kind, field, write } of SOURCES) {
    if (model.operands?.[field] !== undefined) continue;
    for (const place of ["rule", "forcedIn", "forcedOut"] as const) {
      const rule = lane[place] ?? null;
      if (rule === null || !operandKindsOfRule(rule).has(kind)) continue;
      messages.add(resource, {
        severity: "error",
        code: "GL0320",
        path: `spec.${place}`,
        message:
          `a condition reads ${kind}, for which the lane group ${model.name} names no source, ` +
          "so it is missing in every request",
        remedy: `Write ${write} in the LaneGroup.`,
      });
    }
  }
}

/** Entries that name what is not there. `routes`: all routes of the VirtualServices. */
export function reportEntryRoutes(
  model: GroupModel,
  routes: readonly Route[],
  messages: MessageList,
): void {
  for (const { virtualService, kind, route } of model.entryRoutes ?? []) {
    const own = routes.filter(
      ({ source }) =>
        `${source.namespace}/${source.name}` === virtualService.key &&
        (kind === undefined || kind === source.kind),
    );
    const noun = kind ?? "VirtualService";
    if (route === null ? own.length > 0 : own.some(({ label }) => label === route)) continue;
    const what = own.length === 0 ? "" : ` has no route named ${String(route)}`;
    messages.add(model.resource, {
      severity: "warning",
      code: "GL0327",
      path: virtualService.path,
      message:
        (what === ""
          ? `no ${noun} ${virtualService.key} has routes at a gateway`
          : `the ${noun} ${virtualService.key}${what}`) +
        `, so no lane of the lane group ${model.name} is entered there`,
      remedy: `Correct the name, or apply the ${noun}.`,
    });
  }
}

function reportExpiry({ lane, resource, isExpired }: LaneModel, messages: MessageList): void {
  if (!isExpired) return;
  const { expiresAt = "", owner } = (resource as LaneResource).spec;
  messages.add(resource, {
    severity: "warning",
    code: "GL0325",
    path: "spec.expiresAt",
    message:
      `the lane ${lane.name} expired at ${expiresAt} and is closed` +
      (owner === undefined ? "" : `; its owner is ${owner}`),
    remedy: "Delete the lane with what runs in it, or set a later time.",
  });
}
