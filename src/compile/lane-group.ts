//! LaneGroup and Lane resources to the lane model.

import { wallTimeOf } from "../base/clock.ts";
import type { LaneGroup, ObjectName } from "../resources/kinds/lane-group.ts";
import type { Lane as LaneResource } from "../resources/kinds/lane.ts";
import { ownerOf } from "../resources/kinds/route-owner.ts";
import type { TokenOperands } from "../resources/kinds/token-operands.ts";
import type { Lane, LaneContext, OperandSources, TokenSettings } from "../snapshot/snapshot.ts";
import { fetchedKeys } from "./key-sets.ts";
import type { GroupModel, LaneModel, LaneScope, NamedReference } from "./lane-model.ts";
import { LANE_LABEL_KEYS } from "./lane-model.ts";
import { compileAny, compileRule } from "./lane-rule.ts";
import { modelSignature } from "./lane-signature.ts";
import { compareTexts } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import { memberKeyOf } from "./service.ts";
import { modelTraceToken } from "./trace-token.ts";

export function modelLaneGroups(
  groups: readonly LaneGroup[],
  lanes: readonly LaneResource[],
  scope: LaneScope,
): GroupModel[] {
  const byGroup = new Map<string, LaneResource[]>(groups.map((group) => [keyOf(group), []]));
  for (const lane of lanes) {
    const members = byGroup.get(`${namespaceOf(lane)}/${lane.spec.group}`);
    if (members !== undefined) members.push(lane);
    else {
      scope.messages.add(lane, {
        severity: "error",
        code: "GL0301",
        path: "spec.group",
        message: `there is no LaneGroup ${lane.spec.group} in namespace ${namespaceOf(lane)}`,
        remedy: "Correct the name, or apply the LaneGroup; until then the lane takes nobody.",
      });
    }
  }
  return groups.map((group) => modelGroup(group, byGroup.get(keyOf(group)) ?? [], scope));
}

function modelGroup(
  group: LaneGroup,
  laneResources: readonly LaneResource[],
  scope: LaneScope,
): GroupModel {
  const { spec } = group;
  const lanes = [...laneResources].sort(compareLanes).map((lane) => modelLane(lane, scope));
  const own = namespaceOf(group);
  return {
    name: keyOf(group),
    resource: group,
    gateways: references(spec.entry.gateways, own, "spec.entry.gateways"),
    services: members(spec.services, own, scope),
    baseline:
      spec.baseline.lane === undefined
        ? { kind: "untagged", labelKeys: labelKeysOf(lanes, spec.baseline.labelKeys ?? []) }
        : { kind: "lane", lane: spec.baseline.lane },
    baselinePath: "spec.baseline.lane",
    fallback: spec.fallback,
    serviceFallback: (spec.serviceFallback ?? []).map(({ service, lane, policy }, index) => {
      const path = `spec.serviceFallback[${index}]`;
      return {
        service: memberOf(service, own, `${path}.service`, scope),
        lane: lane === undefined ? null : { key: lane, path: `${path}.lane` },
        policy: policy ?? null,
      };
    }),
    isolated: spec.isolated === true,
    entryRoutes: entryRoutes(group),
    operands: operandSources(group, scope),
    context: modelContext(group),
    signature: modelSignature(group, scope),
    outsideHosts: (spec.context.outsideHosts ?? []).map((host) => host.toLowerCase()),
    traceFrom: spec.trace?.allowFrom ?? null,
    traceTokenDigest: modelTraceToken(group, scope),
    acceptFromClients: spec.acceptFromClients,
    ratio: spec.ratio,
    ratioPath: "spec.ratio",
    lanes,
  };
}

function modelContext(group: LaneGroup): LaneContext {
  const { context, acceptFromClients } = group.spec;
  const routeHeader = context.routeHeader.toLowerCase();
  if (context.mode === "baggage") {
    const { baggageKey = `graylane-lane.${namespaceOf(group)}.${group.metadata.name}` } = context;
    return { mode: "baggage", routeHeader, baggageKey, stripFromClients: !acceptFromClients };
  }
  // The schema asks for the trace header in this mode.
  return context.mode === "traceId"
    ? { mode: "traceId", routeHeader, traceHeader: context.traceHeader?.toLowerCase() ?? "" }
    : { mode: "header", routeHeader };
}

/** The keys of every lane's selector, of closed lanes too: a closed lane's pods are no baseline. */
function labelKeysOf(lanes: readonly LaneModel[], more: readonly string[]): string[] {
  const keys = lanes.flatMap(({ lane }) => Object.keys(lane.selector));
  return [...new Set([...LANE_LABEL_KEYS, ...more, ...keys])].sort();
}

/** Decision order: priority, then name. */
function compareLanes(a: LaneResource, b: LaneResource): number {
  return a.spec.priority - b.spec.priority || compareTexts(a.metadata.name, b.metadata.name);
}

function modelLane(resource: LaneResource, scope: LaneScope): LaneModel {
  const { spec } = resource;
  const { nowMs } = scope;
  const services = members(spec.services ?? [], namespaceOf(resource), scope);
  const isExpired = nowMs !== null && expiryMs(resource) <= nowMs;
  return {
    lane: compileLane(resource, services, isExpired),
    resource,
    services,
    selectorPath: "spec.selector.matchLabels",
    tagPath: "spec.tag",
    rulePath: "spec.rule",
    ratio: spec.ratio,
    ratioPath: "spec.ratio",
    parent: spec.parent === undefined ? null : { key: spec.parent, path: "spec.parent" },
    isExpired,
  };
}

function compileLane(
  { spec, metadata }: LaneResource,
  services: readonly NamedReference[],
  isExpired: boolean,
): Lane {
  const forcedIn = compileAny(spec.forcedIn);
  const forcedOut = compileAny(spec.forcedOut);
  return {
    name: metadata.name,
    tag: spec.tag ?? metadata.name,
    selector: spec.selector.matchLabels,
    services: services.map(({ key }) => key).sort(),
    enabled: spec.enabled && !isExpired,
    rule: spec.rule === undefined ? null : compileRule(spec.rule),
    ...(forcedIn === undefined ? {} : { forcedIn }),
    ...(forcedOut === undefined ? {} : { forcedOut }),
  };
}

/** Milliseconds since the Unix epoch; infinite when the lane has no end. */
export function expiryMs({ spec }: LaneResource): number {
  return spec.expiresAt === undefined ? Infinity : wallTimeOf(spec.expiresAt);
}

/** The next time after `nowMs` at which a lane expires; null: none does, or there is no time. */
export function nextExpiryMs(lanes: readonly LaneResource[], nowMs: number | null): number | null {
  if (nowMs === null) return null;
  const times = lanes.map(expiryMs).filter((time) => time > nowMs && time < Infinity);
  return times.length === 0 ? null : Math.min(...times);
}

function entryRoutes(group: LaneGroup): GroupModel["entryRoutes"] {
  const { routes } = group.spec.entry;
  if (routes === undefined) return null;
  return routes.map((entry, index) => {
    const { name, ...kind } = ownerOf(entry);
    return {
      virtualService: {
        key: `${entry.namespace ?? namespaceOf(group)}/${name}`,
        path: `spec.entry.routes[${index}]`,
      },
      ...kind,
      route: entry.route ?? null,
    };
  });
}

function operandSources(group: LaneGroup, scope: LaneScope): OperandSources | null {
  const { operands } = group.spec;
  if (operands === undefined) return null;
  const { clientIp, body, jwt, geo } = operands;
  return {
    trustedHops: clientIp?.trustedHops ?? 0,
    ...(body === undefined ? {} : { bodyBytesMax: body.maxBytes }),
    ...(jwt === undefined ? {} : { tokens: tokenSettings(group, jwt, scope) }),
    ...(geo === undefined ? {} : { geoDatabase: geo.database }),
  };
}

function tokenSettings(group: LaneGroup, operands: TokenOperands, scope: LaneScope): TokenSettings {
  const { issuer, audiences, header, cookie, query } = operands;
  return {
    ...(issuer === undefined ? {} : { issuer }),
    ...(audiences === undefined ? {} : { audiences }),
    keys: tokenKeys(group, operands, scope),
    from: tokenPlace(header, cookie, query),
  };
}

function tokenKeys(
  group: LaneGroup,
  { jwks, jwksUri: uri = "" }: TokenOperands,
  scope: LaneScope,
): TokenSettings["keys"] {
  if (jwks !== undefined) return { kind: "inline", jwks };
  const fetched = fetchedKeys(group, uri, scope);
  return { kind: "remote", uri, ...(fetched === null ? {} : { fetched }) };
}

function tokenPlace(header?: string, cookie?: string, query?: string): TokenSettings["from"] {
  if (cookie !== undefined) return { kind: "cookie", name: cookie };
  if (query !== undefined) return { kind: "query", name: query };
  return { kind: "header", name: header?.toLowerCase() ?? "authorization" };
}

function references(names: readonly ObjectName[], own: string, path: string): NamedReference[] {
  return names.map((name, index) => reference(name, own, `${path}[${index}]`));
}

/** Services, and hosts that no Service stands for. */
function members(names: readonly ObjectName[], own: string, scope: LaneScope): NamedReference[] {
  return names.map((name, index) => memberOf(name, own, `spec.services[${index}]`, scope));
}

function memberOf(
  { name, namespace }: ObjectName,
  ...[own, path, { services }]: readonly [string, string, LaneScope]
): NamedReference {
  return { key: memberKeyOf(name, namespace ?? own, services), path };
}

function reference(name: ObjectName, own: string, path: string): NamedReference {
  return { key: `${name.namespace ?? own}/${name.name}`, path };
}
