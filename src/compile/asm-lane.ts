//! Translates ASM's lane objects into the lane model, so that there is one inside.
//!
//! The routes that `ingressRules` and weights make are asm-routes.ts's part; a rule decides the
//! lane at the routes of VirtualServices too. ASM's strict mode (the caller's pod decides, and
//! every lane holds every service) is called isolated here, and has the fallback policy `strict`,
//! which keeps a lane's requests from leaving it.

import type {
  AsmSwimLaneGroup,
  AsmSwimLaneGroupSpec,
  ClusterServiceRef,
} from "../resources/kinds/asm-swim-lane-group.ts";
import { definedMatch } from "../resources/kinds/asm-ingress.ts";
import { SWIM_LANE_GROUP_LABEL } from "../resources/kinds/asm-swim-lane.ts";
import type {
  AsmIngressRule,
  AsmSwimLane,
  AsmSwimLaneSpec,
} from "../resources/kinds/asm-swim-lane.ts";
import { BAGGAGE_HEADER } from "../lane/baggage.ts";
import type { StringMatch } from "../resources/kinds/virtual-service.ts";
import type {
  Baseline,
  Condition,
  DecisionRule,
  LaneContext,
  Operand,
  OperandKind,
  Operator,
} from "../snapshot/snapshot.ts";
import { isWeighted, WEIGHTED_ROUTE } from "./asm-routes.ts";
import { LANE_LABEL_KEYS } from "./lane-model.ts";
import type { GroupModel, LaneModel, LaneScope, NamedReference } from "./lane-model.ts";
import { anyOf } from "./lane-rule.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { keyOf } from "./resource-index.ts";

/** ASM's own default, used where the object names no route header. */
const DEFAULT_ROUTE_HEADER = "x-asm-prefer-tag";
const PPM_OF_PERCENT = 10_000;
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
    signature: null,
    outsideHosts: [],
    traceFrom: null,
    traceTokenDigest: null,
    acceptFromClients: false,
    ratio: undefined,
    ratioPath: "spec.ingress.ingressRouting",
    lanes: members.map((lane) => modelLane(lane, group, scope)),
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

function modelLane(resource: AsmSwimLane, group: AsmSwimLaneGroup, scope: LaneScope): LaneModel {
  const { spec, metadata } = resource;
  const services = serviceReferences(spec.services ?? []);
  reportUnused(resource, group, scope);
  return {
    lane: {
      name: metadata.name,
      tag: metadata.name,
      selector: spec.labelSelector,
      services: services.map(({ key }) => key).sort(),
      enabled: true,
      rule: isWeighted(group) ? null : ruleOf(resource, group, scope),
    },
    resource,
    services,
    selectorPath: "spec.labelSelector",
    tagPath: "metadata.name",
    rulePath: "spec.ingressRules",
    ratio: ratioOf(spec, group),
    ratioPath: "spec.ingressWeight",
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

/** The lane's weight in percent, at the one route that the group makes. */
function ratioOf({ ingressWeight }: AsmSwimLaneSpec, group: AsmSwimLaneGroup): LaneModel["ratio"] {
  const { weight } = ingressWeight ?? {};
  if (weight === undefined || !isWeighted(group)) return undefined;
  const { name, namespace = "" } = group.metadata;
  const ppm = weight * PPM_OF_PERCENT;
  return { routes: [{ virtualService: name, namespace, route: WEIGHTED_ROUTE, ppm }] };
}

/** Of rules and weights a group has the one or the other. */
function reportUnused(
  resource: AsmSwimLane,
  group: AsmSwimLaneGroup,
  { messages }: LaneScope,
): void {
  const { ingressRules = [], ingressWeight } = resource.spec;
  const [field, strategy, other] = isWeighted(group)
    ? ["ingressRules", "weighted", "rule_based"]
    : ["ingressWeight", "rule_based", "weighted"];
  const isGiven = isWeighted(group)
    ? ingressRules.some(({ online }) => online !== false)
    : ingressWeight?.weight !== undefined;
  if (!isGiven) return;
  messages.add(resource, {
    severity: "warning",
    code: "GL0361",
    path: `spec.${field}`,
    message:
      `${field} has no effect: the ingressRoutingStrategy of the ASMSwimLaneGroup ` +
      `${group.metadata.name} is ${strategy}`,
    remedy: `Write ${other} there, or remove ${field}.`,
  });
}

/** Who meets one of the rules that are online: a rule wants all of its matches. */
function ruleOf(
  resource: AsmSwimLane,
  group: AsmSwimLaneGroup,
  { messages }: LaneScope,
): DecisionRule | null {
  const conditions: Condition[] = [];
  const hasGateway = group.spec.ingress?.gateway !== undefined;
  (resource.spec.ingressRules ?? []).forEach((rule, index) => {
    if (rule.online === false) return;
    if (rule.online === undefined) reportUnstated(resource, index, messages);
    const of = testsOf(rule);
    if (of.length > 0) conditions.push(of.length === 1 && of[0] ? of[0] : { kind: "all", of });
    const text = partOf(rule, hasGateway);
    if (text === null) return;
    messages.add(resource, {
      severity: "warning",
      code: "GL0315",
      path: `spec.ingressRules[${index}]`,
      ...text,
    });
  });
  const [first] = conditions;
  if (first === undefined) return null;
  return { programVersion: 2, condition: conditions.length === 1 ? first : anyOf(conditions) };
}

function reportUnstated(resource: AsmSwimLane, index: number, messages: MessageList): void {
  messages.add(resource, {
    severity: "info",
    code: "GL0363",
    path: `spec.ingressRules[${index}]`,
    message: "the rule does not say whether it is online, and is taken to be",
    remedy: "Write online: true or false; ASM's server leaves the field out where it is false.",
  });
}

/** What a rule says that has not its full effect; null: it has. */
function partOf(
  { match, route }: AsmIngressRule,
  hasGateway: boolean,
): { readonly message: string; readonly remedy: string } | null {
  const isAll = definedMatch(match) === null;
  if (route?.destination?.host === undefined || !hasGateway) {
    const why = hasGateway ? "it names no destination" : "the group names no gateway";
    return isAll
      ? { message: `the rule is left out: it has no match, and ${why}`, remedy: FULL_RULE }
      : { message: `the rule decides the lane but makes no route: ${why}`, remedy: FULL_RULE };
  }
  if (!isAll) return null;
  return {
    message: "the rule has no match, so it takes every request of its hosts that gets to it",
    remedy: "Give it a match, unless that is meant.",
  };
}

const FULL_RULE = "Write route.destination.host, and the group's ingress.gateway.";

function testsOf({ hosts, match: given }: AsmIngressRule): Condition[] {
  const match = definedMatch(given);
  const headers = Object.entries(match?.headers ?? {}).map(([name, value]) =>
    matchTest(operandOf(name), value),
  );
  if (match?.uri !== undefined) headers.push(matchTest({ kind: "path", name: "" }, match.uri));
  const named = (hosts ?? []).filter((host) => host !== "*");
  if (headers.length === 0 || named.length === 0 || hosts?.includes("*") === true) return headers;
  return [...headers, anyOf(named.map(hostTest))];
}

/** Pseudo headers are operands of their own here. */
function operandOf(name: string): Operand {
  const kind = PSEUDO_HEADERS[name];
  return kind === undefined ? { kind: "header", name: name.toLowerCase() } : { kind, name: "" };
}

const PSEUDO_HEADERS: Readonly<Record<string, OperandKind>> = {
  ":method": "method",
  ":path": "path",
  ":authority": "host",
};

function matchTest(operand: Operand, { exact, prefix, regex }: StringMatch): Condition {
  if (exact === undefined && prefix === undefined && regex === undefined) {
    return { kind: "test", operand, operator: "exists", values: [] };
  }
  const [operator, value]: readonly [Operator, string] =
    exact !== undefined
      ? ["==", exact]
      : prefix !== undefined
        ? ["prefix", prefix]
        : ["regex", regex ?? ""];
  return { kind: "test", operand, operator, values: [value] };
}

/** `*.example.com` is every host below. */
function hostTest(host: string): Condition {
  const isWild = host.startsWith("*.");
  const operand = { kind: "host", name: "" } as const;
  const value = (isWild ? host.slice(1) : host).toLowerCase();
  return { kind: "test", operand, operator: isWild ? "suffix" : "==", values: [value] };
}
