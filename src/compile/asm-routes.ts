//! The gateway's routes that ASM's lane objects make.
//!
//! A lane's rule leads to the service that it names, in that lane: the route names the lane, so it
//! decides before anything else. A group that is `weighted` makes one route instead, and the shares
//! of its lanes say who travels in which. Both are bound to hosts as a VirtualService is, behind
//! the user's own.

import { definedMatch } from "../resources/kinds/asm-ingress.ts";
import type { AsmDestination, AsmRequestMatch } from "../resources/kinds/asm-ingress.ts";
import type { AsmSwimLaneGroup } from "../resources/kinds/asm-swim-lane-group.ts";
import type { AsmIngressRule, AsmSwimLane } from "../resources/kinds/asm-swim-lane.ts";
import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { Resource } from "../resources/object.ts";
import { refOf } from "../resources/object.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Route } from "../snapshot/snapshot.ts";
import type { GroupModel } from "./lane-model.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import { isWithin } from "./route-table.ts";
import type { Binding } from "./route-table.ts";
import { serviceKeyOf } from "./service.ts";
import { resolveTargets } from "./target.ts";
import type { TargetScope } from "./target.ts";
import { compileMatch } from "./virtual-service.ts";

/** The label of the route that a `weighted` group makes. */
export const WEIGHTED_ROUTE = "weightedRoutingRule";
const WEIGHTED_PATH = "spec.ingress.ingressRouting.weightedRoutingRule";

/** One route, and the object that makes it. */
export interface AsmRoute {
  readonly binding: Binding;
  /** Path of the rule in that object. */
  readonly path: string;
  /** OR; empty: every request. */
  readonly matches: readonly AsmRequestMatch[];
}

/** In the order in which they are tried: lanes by name, the rules of a lane as written. */
export function asmRoutes(models: readonly GroupModel[], messages: MessageList): AsmRoute[] {
  return models.flatMap((model) => {
    if (model.resource.kind !== "ASMSwimLaneGroup" || model.gateways.length === 0) return [];
    return isWeighted(model.resource) ? weightedRoutes(model, messages) : ruleRoutes(model);
  });
}

export function isWeighted(group: Resource): boolean {
  const { ingress } = (group as AsmSwimLaneGroup).spec;
  return ingress?.ingressRouting?.ingressRoutingStrategy === "weighted";
}

/** A rule that makes a route. */
interface Rule {
  readonly lane: AsmSwimLane;
  readonly rule: AsmIngressRule;
  readonly path: string;
  readonly hosts: readonly string[];
}

function ruleRoutes(model: GroupModel): AsmRoute[] {
  const rules = model.lanes.flatMap(({ resource }) => rulesOf(resource as AsmSwimLane));
  const allHosts = [...new Set(rules.flatMap(({ hosts }) => hosts))];
  return rules.map((each) => {
    const { lane, path, rule } = each;
    const match = definedMatch(rule.match);
    const matches = match === null ? [] : [match];
    const hosts = withNarrower(each.hosts, allHosts);
    const place: Place = { owner: lane, path, label: rule.name ?? "", matches };
    return asmRoute(model, hosts, place, {
      destination: rule.route?.destination ?? {},
      path: `${path}.route`,
      lane: lane.metadata.name,
    });
  });
}

function rulesOf(lane: AsmSwimLane): Rule[] {
  return (lane.spec.ingressRules ?? []).flatMap((rule, index) => {
    if (rule.online === false || rule.route?.destination?.host === undefined) return [];
    return [{ lane, rule, path: `spec.ingressRules[${index}]`, hosts: hostsOf(rule.hosts) }];
  });
}

/** At the narrower hosts of another rule of the group a rule holds too. */
function withNarrower(hosts: readonly string[], all: readonly string[]): string[] {
  const narrower = all.filter((host) => hosts.some((own) => isWithin(host, own)));
  return [...new Set([...hosts, ...narrower])];
}

function hostsOf(hosts: readonly string[] | undefined): string[] {
  return hosts === undefined || hosts.length === 0
    ? ["*"]
    : hosts.map((host) => host.toLowerCase());
}

function weightedRoutes(model: GroupModel, messages: MessageList): AsmRoute[] {
  const group = model.resource as AsmSwimLaneGroup;
  const named = weightedDestination(model, messages);
  if (named === null) return [];
  const rule = group.spec.ingress?.ingressRouting?.weightedRoutingRule ?? {};
  const given = (rule.requestMatches ?? []).map(definedMatch);
  const matches = given.flatMap((match) => (match === null ? [] : [match]));
  return [
    asmRoute(
      model,
      hostsOf(rule.hosts),
      {
        owner: group,
        path: WEIGHTED_PATH,
        label: WEIGHTED_ROUTE,
        matches: matches.length === given.length ? matches : [],
      },
      { destination: named, path: WEIGHTED_PATH, lane: null },
    ),
  ];
}

/** Of the baseline lane, else of the first lane that names one: a route has one service. */
function weightedDestination(model: GroupModel, messages: MessageList): AsmDestination | null {
  const named = model.lanes.flatMap(({ resource }) => {
    const destination = (resource as AsmSwimLane).spec.ingressWeight?.destination;
    return destination?.host === undefined ? [] : [{ resource, destination }];
  });
  const { baseline } = model;
  const baseName = baseline.kind === "lane" ? baseline.lane : "";
  const first = named.find(({ resource }) => resource.metadata.name === baseName) ?? named[0];
  if (first === undefined) {
    messages.add(model.resource, {
      severity: "warning",
      code: "GL0361",
      path: "spec.ingress.ingressRouting",
      message: "no lane names a destination in ingressWeight, so the weights make no route",
      remedy: "Name the entry service in spec.ingressWeight.destination of the lanes.",
    });
    return null;
  }
  for (const { resource, destination } of named) {
    if (textOf(destination) === textOf(first.destination)) continue;
    messages.add(resource, {
      severity: "warning",
      code: "GL0361",
      path: "spec.ingressWeight.destination",
      message:
        `the lane leads to ${textOf(destination)}, and ${first.resource.metadata.name} to ` +
        `${textOf(first.destination)}: one route leads to one service, and that one counts`,
      remedy: "Name the same service and port in every lane.",
    });
  }
  return first.destination;
}

function textOf({ host = "", portNum }: AsmDestination): string {
  const service = serviceKeyOf(host, "default") ?? host;
  return portNum === undefined ? service : `${service}:${portNum}`;
}

/** The object that makes a route, and where it does. */
interface Place {
  readonly owner: Resource;
  readonly path: string;
  readonly label: string;
  readonly matches: readonly AsmRequestMatch[];
}

interface Leading {
  readonly destination: AsmDestination;
  /** Path above `destination`. */
  readonly path: string;
  /** Null: whichever is decided. */
  readonly lane: string | null;
}

function asmRoute(
  model: GroupModel,
  hosts: readonly string[],
  place: Place,
  leading: Leading,
): AsmRoute {
  const { owner, path, matches } = place;
  const { apiVersion, kind, metadata } = owner;
  const gateways = model.gateways.map(({ key }) => key);
  // What it matches on is asked for where client headers are judged.
  const spec = { hosts, gateways, http: [{ match: matches }] };
  const resource: VirtualService = { apiVersion, kind, metadata, spec };
  return {
    binding: {
      resource,
      gateways,
      makeRoutes: (scope) => [makeRoute(place, leading, ofGroup(scope, model))],
    },
    path,
    matches,
  };
}

/** The lane is meant that the group has, not another group's of that name. */
function ofGroup(scope: TargetScope, { name }: GroupModel): TargetScope {
  return { ...scope, laneGroups: scope.laneGroups.filter((group) => group.name === name) };
}

function makeRoute(place: Place, { destination, path, lane }: Leading, scope: TargetScope): Route {
  const { owner, label, matches } = place;
  const { host = "", portNum } = destination;
  const isMember = scope.laneGroups.some(({ services }) =>
    services.includes(serviceKeyOf(host, namespaceOf(owner)) ?? ""),
  );
  if (!isMember) reportStranger(place, path, host, scope);
  const target = {
    host,
    ...(portNum === undefined ? {} : { port: { number: portNum } }),
    ...(lane === null || !isMember ? {} : { subset: lane }),
  };
  return {
    id: `${keyOf(owner)}/${place.path.slice(place.path.lastIndexOf(".") + 1)}`,
    label,
    source: refOf(owner),
    matches: matches.map(compileMatch),
    action: {
      kind: "forward",
      destinations: [
        {
          weight: 1,
          ...resolveTargets(target, undefined, path, scope),
          requestHeaders: NO_HEADER_OPERATIONS,
          responseHeaders: NO_HEADER_OPERATIONS,
        },
      ],
    },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 0,
  };
}

function reportStranger(
  { owner }: Place,
  path: string,
  host: string,
  { messages }: TargetScope,
): void {
  messages.add(owner, {
    severity: "warning",
    code: "GL0311",
    path: `${path}.destination.host`,
    message: `the service ${host} is not of the lane group, so the route leads to it in no lane`,
    remedy: "Add it to the group's services.",
  });
}
