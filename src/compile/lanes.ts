//! The lane model to lane groups of the snapshot, with every reference resolved or named.

import type { Resource } from "../resources/object.ts";
import { refOf } from "../resources/object.ts";
import type { Baseline, Lane, LaneGroup, LaneSignature } from "../snapshot/snapshot.ts";
import type { GroupModel, LaneModel, LaneScope } from "./lane-model.ts";
import { parentsOf, reportParents, reportRules } from "./lane-messages.ts";
import type { MessageList } from "./messages.ts";
import { isRegistryHost } from "./service.ts";

/** `matchesHeader` tells whether a route at one of the gateways matches on a header. */
export function compileLaneGroups(
  models: readonly GroupModel[],
  scope: LaneScope,
  matchesHeader: (gateways: readonly string[], header: string) => boolean,
): Record<string, LaneGroup> {
  const groups: Record<string, LaneGroup> = {};
  for (const model of models) {
    const gateways = resolveGateways(model, scope);
    const { routeHeader } = model.context;
    groups[model.name] = {
      name: model.name,
      source: refOf(model.resource),
      gateways,
      services: model.services.map(({ key }) => key).sort(),
      baseline: baselineAmong(model, models),
      ...compileFallback(model),
      ...compileEntry(model),
      ...(model.isolated ? { isolated: true as const } : {}),
      context: model.context,
      ...compileSignature(model),
      ...(model.outsideHosts.length === 0 ? {} : { outsideHosts: model.outsideHosts }),
      ...compileTrace(model),
      stripFromClients: !model.acceptFromClients && !matchesHeader(gateways, routeHeader),
      ...(model.operands === null ? {} : { operands: model.operands }),
      lanes: compileLanes(model),
    };
    reportReferences(model, scope);
    reportLanes(model, scope.messages);
    reportParents(model, scope.messages);
    reportRules(model, scope.messages);
  }
  reportSharedContext(models, groups, scope.messages);
  return groups;
}

function compileTrace({
  traceFrom,
  traceTokenDigest,
}: GroupModel): Pick<LaneGroup, "traceFrom" | "traceTokenDigest"> {
  return {
    ...(traceFrom === null ? {} : { traceFrom }),
    ...(traceTokenDigest === null ? {} : { traceTokenDigest }),
  };
}

function compileFallback(
  model: GroupModel,
): Pick<LaneGroup, "fallback" | "serviceFallback" | "servicePolicies"> {
  const lanes = model.serviceFallback.flatMap(({ service, lane }) =>
    lane === null ? [] : [[service.key, lane.key] as const],
  );
  const policies = model.serviceFallback.flatMap(({ service, policy }) =>
    policy === null ? [] : [[service.key, policy] as const],
  );
  return {
    fallback: model.fallback,
    serviceFallback: Object.fromEntries(lanes),
    ...(policies.length === 0 ? {} : { servicePolicies: Object.fromEntries(policies) }),
  };
}

function compileEntry({ entryRoutes }: GroupModel): Pick<LaneGroup, "entryRoutes"> {
  if (entryRoutes === null) return {};
  const routes = entryRoutes.map(({ virtualService, kind, route }) => ({
    virtualService: virtualService.key,
    ...(kind === undefined ? {} : { kind }),
    route,
  }));
  return { entryRoutes: routes };
}

/** A group that should sign and cannot has no key: nothing is written, and nothing believed. */
function compileSignature({ signature }: GroupModel): Pick<LaneGroup, "signature"> {
  if (signature === null) return {};
  return { signature: signature === "unusable" ? UNUSABLE_SIGNATURE : signature };
}

const UNUSABLE_SIGNATURE: LaneSignature = { keys: [], epoch: 0, lifetimeMs: 0 };

/**
 * Each lane with its chain of parents, which ends where it would come back to itself. Where tags
 * cannot be signed, lanes are closed: else a request would be in its lane at the first hop only.
 */
function compileLanes(model: GroupModel): Lane[] {
  const lanes = compileParents(model);
  if (model.signature !== "unusable") return lanes;
  const { baseline } = model;
  const baseName = baseline.kind === "lane" ? baseline.lane : null;
  return lanes.map((lane) => (lane.name === baseName ? lane : { ...lane, enabled: false }));
}

function compileParents(model: GroupModel): Lane[] {
  return model.lanes.map(({ lane, parent }) => {
    if (parent === null) return lane;
    const parents = parentsOf(model, lane.name).filter((name) => name !== lane.name);
    return parents.length === 0 ? lane : { ...lane, parents };
  });
}

export function resolveGateways(model: GroupModel, { gateways }: LaneScope): string[] {
  const names = model.gateways.map(({ key }) => gateways.byResource.get(key)?.name);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

/**
 * An untagged baseline also keeps out what other groups with a common service call a lane: else one
 * group's baseline would serve from the other's canary.
 */
function baselineAmong(model: GroupModel, models: readonly GroupModel[]): Baseline {
  const { baseline } = model;
  if (baseline.kind === "lane") return baseline;
  const own = new Set(model.services.map(({ key }) => key));
  const keys = models
    .filter(({ services }) => services.some(({ key }) => own.has(key)))
    .flatMap(({ lanes }) => lanes.flatMap(({ lane }) => Object.keys(lane.selector)));
  return { kind: "untagged", labelKeys: [...new Set([...baseline.labelKeys, ...keys])].sort() };
}

function reportReferences(model: GroupModel, { gateways, services, messages }: LaneScope): void {
  const { resource } = model;
  for (const { key, path } of model.gateways) {
    if (gateways.byResource.has(key)) continue;
    messages.add(resource, {
      severity: "error",
      code: "GL0302",
      path,
      message: `there is no Gateway ${key}, so no lane of the group is entered there`,
      remedy: "Correct the name and namespace, or apply the Gateway.",
    });
  }
  for (const { key, path } of model.services) {
    if (services.has(key) || services.entryHosts.has(key)) continue;
    const host = key.slice(key.indexOf("/") + 1);
    const isRegistered = isRegistryHost(host);
    if (isRegistered && !services.areRegistriesAsked) continue;
    messages.add(resource, {
      severity: "warning",
      code: "GL0303",
      path,
      message: isRegistered ? `no registry has the service ${host}` : `there is no Service ${key}`,
      remedy: isRegistered
        ? "Correct the name, or register the service."
        : "Correct the name and namespace, or apply the Service.",
    });
  }
  reportBaseline(model, messages);
  reportServiceFallback(model, messages);
}

function reportBaseline(model: GroupModel, messages: MessageList): void {
  const { resource, baseline, baselinePath: path } = model;
  // ASM: what the group asks for may differ from the lane that stands in for it.
  const asked = askedBaseline(resource) ?? (baseline.kind === "lane" ? baseline.lane : null);
  if (asked === null) return;
  const lane = findLane(model, asked);
  if (lane === undefined) {
    const instead =
      baseline.kind === "lane" && baseline.lane !== asked
        ? `the lane ${baseline.lane}, the first made, is the baseline instead`
        : "requests in no lane, and every fallback, answer 503";
    messages.add(resource, {
      severity: "error",
      code: "GL0304",
      path,
      message: `the baseline lane ${asked} does not exist: ${instead}`,
      remedy: "Name a lane of the group, or apply that lane.",
    });
  } else if (!lane.lane.enabled) {
    messages.add(resource, {
      severity: "warning",
      code: "GL0316",
      path,
      message: `the baseline lane ${asked} is closed; its pods serve as the baseline all the same`,
    });
  }
}

function askedBaseline(resource: Resource): string | null {
  const spec = resource.spec as {
    readonly permissiveModeConfiguration?: { readonly fallbackTarget?: string };
  };
  return spec.permissiveModeConfiguration?.fallbackTarget ?? null;
}

function reportServiceFallback(model: GroupModel, messages: MessageList): void {
  for (const { service, lane } of model.serviceFallback) {
    if (!model.services.some(({ key }) => key === service.key)) {
      messages.add(model.resource, {
        severity: "warning",
        code: "GL0305",
        path: service.path,
        message: `the service ${service.key} is not of the group, so its fallback has no effect`,
        remedy: "Add it to the group's services, or remove the fallback.",
      });
    }
    if (lane !== null && findLane(model, lane.key) === undefined) {
      messages.add(model.resource, {
        severity: "warning",
        code: "GL0305",
        path: lane.path,
        message: `the group has no lane ${lane.key}: ${service.key} falls back to the baseline`,
        remedy: "Name a lane of the group.",
      });
    }
  }
}

/** Two lanes that cannot be told apart, and services of a lane that are not the group's. */
function reportLanes(model: GroupModel, messages: MessageList): void {
  const tags = new Map<string, LaneModel>();
  const selectors = new Map<string, LaneModel>();
  for (const current of model.lanes) {
    const { lane, resource } = current;
    const tagOwner = tags.get(lane.tag);
    if (tagOwner === undefined) tags.set(lane.tag, current);
    else {
      messages.add(resource, {
        severity: "error",
        code: "GL0310",
        path: current.tagPath,
        message: `the tag ${lane.tag} is the lane ${tagOwner.lane.name}'s too, and that one counts`,
        remedy: "Give each lane of a group a tag of its own.",
      });
    }
    const selector = selectorText(lane.selector);
    const selectorOwner = selectors.get(selector);
    if (selectorOwner === undefined) selectors.set(selector, current);
    else {
      messages.add(resource, {
        severity: "warning",
        code: "GL0306",
        path: current.selectorPath,
        message: `the lane ${selectorOwner.lane.name} selects the same pods (${selector})`,
        remedy: "Give the pods of each lane a label value of their own.",
      });
    }
    reportForeignServices(model, current, messages);
  }
}

function reportForeignServices(
  model: GroupModel,
  { resource, services }: LaneModel,
  messages: MessageList,
): void {
  for (const { key, path } of services) {
    if (model.services.some((member) => member.key === key)) continue;
    messages.add(resource, {
      severity: "warning",
      code: "GL0311",
      path,
      message: `the service ${key} is not of the lane group, so its calls do not follow lanes`,
      remedy: "Add it to the group's services.",
    });
  }
}

/**
 * Two groups that one request can meet (they share a gateway or a service) and that write the same
 * header, or the same member of the baggage, would overwrite each other's lane.
 */
function reportSharedContext(
  models: readonly GroupModel[],
  groups: Readonly<Record<string, LaneGroup>>,
  messages: MessageList,
): void {
  const owners = new Map<string, string>();
  for (const { name, resource, context } of models) {
    const carriers = [`the route header ${context.routeHeader}`];
    if (context.mode === "baggage") carriers.push(`the baggage member ${context.baggageKey}`);
    for (const carrier of carriers) {
      const places = [
        ...(groups[name]?.gateways ?? []).map((gateway) => `at the gateway ${gateway}`),
        ...(groups[name]?.services ?? []).map((service) => `for the service ${service}`),
      ];
      const shared = places.find((place) => owners.has(`${carrier} ${place}`));
      if (shared !== undefined) {
        const owner = owners.get(`${carrier} ${shared}`) ?? "";
        messages.add(resource, {
          severity: "error",
          code: "GL0317",
          path: "spec",
          message:
            `the lane group ${owner} uses ${carrier} too, ${shared}: on one request each would ` +
            "overwrite the other's lane, and the first group that decides for a lane wins",
          remedy: "Give each group a route header, and in mode baggage a member, of its own.",
        });
      }
      for (const place of places) {
        const key = `${carrier} ${place}`;
        if (!owners.has(key)) owners.set(key, name);
      }
    }
  }
}

export function selectorText(selector: Readonly<Record<string, string>>): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

function findLane(model: GroupModel, name: string): LaneModel | undefined {
  return model.lanes.find(({ lane }) => lane.name === name);
}
