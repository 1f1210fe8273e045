//! Translates ASM's lane objects into the lane model, so that there is one inside.
//!
//! Where the meaning differs: in ASM a lane group also makes the gateway's routes (from
//! `ingressRules`); here a VirtualService does, and a rule only decides the lane. ASM's strict mode
//! (the caller's pod decides, and every lane holds every service) is called isolated here, and has
//! the fallback policy `strict`, which keeps a lane's requests from leaving it.

import type {
  AsmSwimLaneGroup,
  AsmSwimLaneGroupSpec,
  ClusterServiceRef,
} from "../resources/kinds/asm-swim-lane-group.ts";
import { SWIM_LANE_GROUP_LABEL } from "../resources/kinds/asm-swim-lane.ts";
import type { AsmIngressRule, AsmSwimLane } from "../resources/kinds/asm-swim-lane.ts";
import { BAGGAGE_HEADER } from "../lane/baggage.ts";
import type { Baseline, DecisionRule, LaneContext } from "../snapshot/snapshot.ts";
import { LANE_LABEL_KEYS } from "./lane-model.ts";
import type { GroupModel, LaneModel, LaneScope, NamedReference } from "./lane-model.ts";
import { equalsRule } from "./lane-rule.ts";
import { compareTexts } from "./messages.ts";
import { keyOf } from "./resource-index.ts";

/** ASM's own default, used where the object names no route header. */
const DEFAULT_ROUTE_HEADER = "x-asm-prefer-tag";
const CONFIGURATION = "spec.permissiveModeConfiguration";

export function modelAsmLaneGroups(
  groups: readonly AsmSwimLaneGroup[],
  lanes: readonly AsmSwimLane[],
  scope: LaneScope,
): GroupModel[] {
  const byGroup = new Map<string, AsmSwimLane[]>(groups.map(({ metadata }) => [metadata.name, []]));
  for (const lane of lanes) {
    const name = lane.metadata.labels?.[SWIM_LANE_GROUP_LABEL] ?? "";
    const members = byGroup.get(name);
    if (members !== undefined) members.push(lane);
    else {
      scope.messages.add(lane, {
        severity: "error",
        code: "GL0301",
        path: `metadata.labels.${SWIM_LANE_GROUP_LABEL}`,
        message: `there is no ASMSwimLaneGroup ${name}`,
        remedy: "Correct the label, or apply the group; until then the lane takes nobody.",
      });
    }
  }
  return groups.map((group) => modelGroup(group, byGroup.get(group.metadata.name) ?? [], scope));
}

function modelGroup(
  group: AsmSwimLaneGroup,
  members: readonly AsmSwimLane[],
  scope: LaneScope,
): GroupModel {
  const { spec } = group;
  return {
    name: keyOf(group),
    resource: group,
    gateways: gatewaysOf(spec, scope),
    services: serviceReferences(spec.services ?? []),
    baseline: baselineOf(spec, members),
    baselinePath: `${CONFIGURATION}.fallbackTarget`,
    fallback: spec.isPermissive === true ? "permissive" : "strict",
    serviceFallback: serviceFallbackOf(spec),
    isolated: spec.isPermissive !== true,
    entryRoutes: null,
    operands: null,
    context: contextOf(spec),
    acceptFromClients: false,
    lanes: members.map((lane) => modelLane(lane, scope)),
  };
}

/** A Gateway resource by name, else the gateway whose selector is `istio: <name>` as in ASM. */
function gatewaysOf(spec: AsmSwimLaneGroupSpec, { gateways }: LaneScope): NamedReference[] {
  const gateway = spec.ingress?.gateway;
  if (gateway === undefined) return [];
  const path = "spec.ingress.gateway";
  const key = `${gateway.namespace ?? "istio-system"}/${gateway.name}`;
  if (gateways.byResource.has(key)) return [{ key, path }];
  const selected = gateways.logical.find(({ name }) => name === `istio=${gateway.name}`);
  const member = selected?.resources[0];
  return [{ key: member === undefined ? key : keyOf(member), path }];
}

/** ASM's own rule: the lane that `fallbackTarget` names, else the first that was made. */
function baselineOf(spec: AsmSwimLaneGroupSpec, members: readonly AsmSwimLane[]): Baseline {
  const named = spec.permissiveModeConfiguration?.fallbackTarget;
  if (named !== undefined && members.some(({ metadata }) => metadata.name === named)) {
    return { kind: "lane", lane: named };
  }
  const first = [...members].sort(
    (a, b) => compareTexts(createdAt(a), createdAt(b)) || compareTexts(keyOf(a), keyOf(b)),
  )[0];
  if (first !== undefined) return { kind: "lane", lane: first.metadata.name };
  return { kind: "untagged", labelKeys: [...LANE_LABEL_KEYS] };
}

function createdAt({ metadata }: AsmSwimLane): string {
  return metadata.creationTimestamp ?? "";
}

function contextOf(spec: AsmSwimLaneGroupSpec): LaneContext {
  const configuration = spec.permissiveModeConfiguration ?? {};
  const routeHeader = (configuration.routeHeader ?? DEFAULT_ROUTE_HEADER).toLowerCase();
  const traceHeader = (configuration.traceHeader ?? routeHeader).toLowerCase();
  if (traceHeader === BAGGAGE_HEADER) {
    // As ASM's ASMHeaderPropagation has it: the member is called as the header.
    return { mode: "baggage", routeHeader, baggageKey: routeHeader, stripFromClients: true };
  }
  return traceHeader === routeHeader
    ? { mode: "header", routeHeader }
    : { mode: "traceId", routeHeader, traceHeader };
}

function serviceFallbackOf(spec: AsmSwimLaneGroupSpec): GroupModel["serviceFallback"] {
  const targets = spec.permissiveModeConfiguration?.serviceLevelFallbackTarget ?? {};
  return Object.entries(targets).map(([service, lane]) => {
    const path = `${CONFIGURATION}.serviceLevelFallbackTarget["${service}"]`;
    return {
      service: { key: namespacedService(service), path },
      lane: { key: lane, path },
      policy: null,
    };
  });
}

/** `namespace/name` as it is; `name.namespace` turned round; a bare name is in `default`. */
function namespacedService(text: string): string {
  if (text.includes("/")) return text;
  const [name = "", namespace = "default"] = text.split(".");
  return `${namespace}/${name}`;
}

function modelLane(resource: AsmSwimLane, scope: LaneScope): LaneModel {
  const { spec, metadata } = resource;
  const services = serviceReferences(spec.services ?? []);
  return {
    lane: {
      name: metadata.name,
      tag: metadata.name,
      selector: spec.labelSelector,
      services: services.map(({ key }) => key).sort(),
      enabled: true,
      rule: ruleOf(resource, scope),
    },
    resource,
    services,
    selectorPath: "spec.labelSelector",
    tagPath: "metadata.name",
    parent: null,
    isExpired: false,
  };
}

function serviceReferences(services: readonly ClusterServiceRef[]): NamedReference[] {
  return services.map(({ name, namespace = "default" }, index) => ({
    key: `${namespace}/${name}`,
    path: `spec.services[${index}]`,
  }));
}

/** The first rule that is online and asks for one header exactly; the others are reported. */
function ruleOf(resource: AsmSwimLane, { messages }: LaneScope): DecisionRule | null {
  let taken: DecisionRule | null = null;
  (resource.spec.ingressRules ?? []).forEach((rule, index) => {
    if (rule.online === false) return;
    const candidate = taken === null ? exactHeaderRule(rule) : null;
    taken ??= candidate;
    messages.add(resource, {
      severity: "warning",
      code: "GL0315",
      path: `spec.ingressRules[${index}]`,
      message:
        candidate === null
          ? "the rule is left out: one rule with exactly one exact header match is supported"
          : "the rule decides the lane but makes no route: hosts, uri and route have no effect",
      remedy: "Write the route as a VirtualService.",
    });
  });
  return taken;
}

function exactHeaderRule({ match }: AsmIngressRule): DecisionRule | null {
  const headers = Object.entries(match?.headers ?? {});
  const [name, value] = headers[0] ?? [];
  if (headers.length !== 1 || name === undefined || value?.exact === undefined) return null;
  return equalsRule(name, value.exact);
}
