//! Which routes are attached to which listeners, at which hosts.

import type { GRPCRoute } from "../../resources/kinds/grpc-route.ts";
import type { HTTPRoute } from "../../resources/kinds/http-route.ts";
import type { AllowedRoutes, LabelSelector } from "../../resources/kinds/api-gateway.ts";
import { GATEWAY_API_GROUP } from "../../resources/kinds/route-fields.ts";
import type { ParentRef } from "../../resources/kinds/route-fields.ts";
import type { Namespace } from "../../resources/kinds/namespace.ts";
import type { MessageList } from "../messages.ts";
import { compareTexts } from "../messages.ts";
import { hasLabels, keyOf, namespaceOf } from "../resource-index.ts";
import { narrower } from "../route-table.ts";
import type { ApiGatewayModel, ApiListenerModel } from "./listeners.ts";
import { ACCEPTED, refusal } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";

export type ApiRoute = HTTPRoute | GRPCRoute;

/** A route at one listener. */
export interface Attachment {
  readonly route: ApiRoute;
  readonly gateway: ApiGatewayModel;
  readonly listener: ApiListenerModel;
  /** Lower-case patterns, each within the listener's. */
  readonly hosts: readonly string[];
}

/** What became of one `parentRefs` entry that means a Gateway. */
export interface ParentModel {
  readonly ref: ParentRef;
  readonly path: string;
  readonly accepted: Verdict;
  readonly attached: readonly Attachment[];
}

export interface RouteModel {
  readonly route: ApiRoute;
  readonly parents: readonly ParentModel[];
}

export interface AttachScope {
  /** By `namespace/name`. */
  readonly gateways: ReadonlyMap<string, ApiGatewayModel>;
  readonly namespaces: readonly Namespace[];
  readonly messages: MessageList;
}

export function attachRoutes(routes: readonly ApiRoute[], scope: AttachScope): RouteModel[] {
  const labels = new Map(
    scope.namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
  );
  const all = routes.map((route) => ({
    route,
    parents: (route.spec.parentRefs ?? []).flatMap((ref, index) => {
      const path = `spec.parentRefs[${index}]`;
      if (ref.group !== GATEWAY_API_GROUP || ref.kind !== "Gateway") {
        reportOtherParent(route, ref, path, scope.messages);
        return [];
      }
      return [attach(route, ref, path, { ...scope, labels })];
    }),
  }));
  return withoutMixedHosts(all, scope.messages);
}

interface LabelledScope extends AttachScope {
  /** Of namespaces, by name. */
  readonly labels: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

function attach(route: ApiRoute, ref: ParentRef, path: string, scope: LabelledScope): ParentModel {
  const key = `${ref.namespace ?? namespaceOf(route)}/${ref.name}`;
  const gateway = scope.gateways.get(key);
  const refuse = (code: string, reason: string, message: string, remedy: string): ParentModel => {
    scope.messages.add(route, { severity: "error", code, path, message, remedy });
    return { ref, path, accepted: refusal(reason, message), attached: [] };
  };
  if (gateway === undefined) {
    const message = `there is no Gateway ${key}, so the route does not serve there`;
    return refuse("GL0274", "NoMatchingParent", message, "Correct the name and namespace.");
  }
  const named = gateway.listeners.filter(
    ({ listener }) =>
      (ref.sectionName === undefined || ref.sectionName === listener.name) &&
      (ref.port === undefined || ref.port === listener.port),
  );
  if (named.length === 0) {
    const message = `no listener of the Gateway ${key} has that name and port`;
    const remedy = "Correct sectionName and port, or extend the Gateway.";
    return refuse("GL0274", "NoMatchingParent", message, remedy);
  }
  const open = named.filter((model) => isAllowed(route, gateway, model, scope));
  if (open.length === 0) {
    const message = `no listener of the Gateway ${key} lets a ${route.kind} of this namespace in`;
    const remedy = "Extend allowedRoutes of the listener.";
    return refuse("GL0275", "NotAllowedByListeners", message, remedy);
  }
  const attached = open.flatMap((listener) => {
    const hosts = hostsAt(route, listener);
    return hosts.length === 0 ? [] : [{ route, gateway, listener, hosts }];
  });
  if (attached.length === 0) {
    const message = `no listener of the Gateway ${key} has one of the route's hostnames`;
    const remedy = "Name a hostname within a listener's, or leave hostnames out.";
    return refuse("GL0276", "NoMatchingListenerHostname", message, remedy);
  }
  return { ref, path, accepted: ACCEPTED, attached };
}

function isAllowed(
  route: ApiRoute,
  gateway: ApiGatewayModel,
  { listener, supportedKinds }: ApiListenerModel,
  { labels }: LabelledScope,
): boolean {
  if (!supportedKinds.includes(route.kind)) return false;
  const { from, selector }: AllowedRoutes["namespaces"] = listener.allowedRoutes.namespaces;
  const namespace = namespaceOf(route);
  if (from === "All") return true;
  if (from === "Same") return namespace === namespaceOf(gateway.resource);
  if (from === "None" || selector === undefined) return false;
  const own = { "kubernetes.io/metadata.name": namespace, ...labels.get(namespace) };
  return isSelected(own, selector);
}

function isSelected(
  labels: Readonly<Record<string, string>>,
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
): boolean {
  return (
    hasLabels(labels, matchLabels) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const isIn = value !== undefined && values.includes(value);
      return operator === "In" ? isIn : !isIn;
    })
  );
}

/** The narrower of both patterns, for each of the route's hostnames that meets the listener's. */
function hostsAt({ spec }: ApiRoute, { host }: ApiListenerModel): string[] {
  const { hostnames = [] } = spec;
  if (hostnames.length === 0) return [host];
  const found = hostnames.map((name) => narrower(name.toLowerCase(), host));
  return [...new Set(found.filter((one) => one !== null))];
}

/** The older first, then by namespace and name. */
export function compareAge(a: ApiRoute, b: ApiRoute): number {
  return compareTexts(ageKey(a), ageKey(b)) || compareTexts(keyOf(a), keyOf(b));
}

function ageKey({ metadata }: ApiRoute): string {
  return metadata.creationTimestamp ?? "";
}

/**
 * A host of a listener is of HTTPRoutes or of GRPCRoutes: of two routes of both kinds the older has
 * it.
 */
function withoutMixedHosts(models: readonly RouteModel[], messages: MessageList): RouteModel[] {
  const kinds = new Set(models.map(({ route }) => route.kind));
  if (kinds.size < 2) return [...models];
  const kept = new Map<ApiListenerModel, Attachment[]>();
  const lost = new Map<Attachment, Attachment>();
  const inOrder = [...models].sort((a, b) => compareAge(a.route, b.route));
  for (const attachment of inOrder.flatMap(({ parents }) => parents.flatMap((p) => p.attached))) {
    const others = kept.get(attachment.listener) ?? [];
    const rival = others.find((other) => isRival(attachment, other));
    if (rival === undefined) kept.set(attachment.listener, [...others, attachment]);
    else lost.set(attachment, rival);
  }
  if (lost.size === 0) return [...models];
  return models.map(({ route, parents }) => ({
    route,
    parents: parents.map((parent) => withoutLost(route, parent, lost, messages)),
  }));
}

function isRival(one: Attachment, other: Attachment): boolean {
  if (one.route.kind === other.route.kind) return false;
  return one.hosts.some((host) => other.hosts.some((taken) => narrower(host, taken) !== null));
}

function withoutLost(
  route: ApiRoute,
  parent: ParentModel,
  lost: ReadonlyMap<Attachment, Attachment>,
  messages: MessageList,
): ParentModel {
  const attached = parent.attached.filter((one) => !lost.has(one));
  if (attached.length === parent.attached.length) return parent;
  const rival = parent.attached.map((one) => lost.get(one)).find((one) => one !== undefined);
  const { kind = "", metadata } = rival?.route ?? {};
  const name = `${kind} ${metadata?.namespace ?? "default"}/${metadata?.name ?? ""}`;
  const message = `the ${name} has the listener's hostname already, and is older or first by name`;
  messages.add(route, {
    severity: "error",
    code: "GL0281",
    path: parent.path,
    message: `${message}: the route does not serve there`,
    remedy: "Give the HTTPRoute and the GRPCRoute hostnames of their own.",
  });
  const accepted = attached.length > 0 ? parent.accepted : refusal("HostnameConflict", message);
  return { ...parent, accepted, attached };
}

function reportOtherParent(
  route: ApiRoute,
  { kind, name }: ParentRef,
  path: string,
  messages: MessageList,
): void {
  messages.add(route, {
    severity: "warning",
    code: "GL0280",
    path,
    message: `the parent ${kind} ${name} is no Gateway, so the route does not serve there`,
    remedy: "Name a Gateway; calls between pods follow the lanes.",
  });
}
