//! What the specification wants the `status` of its objects to say. Times are added by who writes.

import type { GatewayClass } from "../../resources/kinds/gateway-class.ts";
import { GATEWAY_API_GROUP } from "../../resources/kinds/route-fields.ts";
import type { ParentRef } from "../../resources/kinds/route-fields.ts";
import { refOf, refText } from "../../resources/object.ts";
import type { ApiGatewayModel, ApiListenerModel } from "./listeners.ts";
import type { ApiRoute, ParentModel, RouteModel } from "./attach.ts";
import type { CompiledRoutes } from "./tables.ts";
import { ACCEPTED, refusal, RESOLVED } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";

/** Who we are in the statuses of routes, and in GatewayClasses. */
export const CONTROLLER_NAME = "graylane.io/gateway-controller";

export interface ApiCondition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

/** Of a GatewayClass, Gateway or route: the fields that we write. */
export type ApiStatus = Readonly<Record<string, unknown>>;

export interface StatusInput {
  readonly classes: readonly GatewayClass[];
  readonly gateways: readonly ApiGatewayModel[];
  readonly routes: readonly RouteModel[];
  readonly compiled: CompiledRoutes;
  /** Ports that another gateway has: of each Gateway. */
  readonly lostPorts: ReadonlyMap<ApiGatewayModel, ReadonlySet<number>>;
  /** Where the gateways listen; null: not known. */
  readonly address: string | null;
}

/** By `refText`. */
export function apiStatuses(input: StatusInput): Map<string, ApiStatus> {
  const statuses = new Map<string, ApiStatus>();
  for (const resource of input.classes) {
    statuses.set(refText(refOf(resource)), { conditions: [condition("Accepted", ACCEPTED)] });
  }
  for (const gateway of input.gateways) {
    statuses.set(refText(refOf(gateway.resource)), gatewayStatus(gateway, input));
  }
  for (const model of input.routes) {
    statuses.set(refText(refOf(model.route)), routeStatus(model, input.compiled));
  }
  return statuses;
}

function condition(type: string, { isTrue, reason, message }: Verdict): ApiCondition {
  return { type, status: isTrue ? "True" : "False", reason, message };
}

const PROGRAMMED: Verdict = { isTrue: true, reason: "Programmed", message: "" };

function gatewayStatus(gateway: ApiGatewayModel, input: StatusInput): ApiStatus {
  const lost = input.lostPorts.get(gateway) ?? new Set<number>();
  const isWhole = (one: ApiListenerModel): boolean =>
    one.isServed && one.resolvedRefs.isTrue && !lost.has(one.listener.port);
  const isUsed = (one: ApiListenerModel): boolean => one.isServed && !lost.has(one.listener.port);
  const used = gateway.listeners.filter(isUsed).length;
  const message = `${used} of ${gateway.listeners.length} listeners take connections`;
  const accepted = gateway.listeners.every(isWhole)
    ? ACCEPTED
    : { isTrue: used > 0, reason: "ListenersNotValid", message };
  const programmed = used > 0 ? PROGRAMMED : refusal("Invalid", message);
  const { address } = input;
  return {
    ...(address === null ? {} : { addresses: [{ type: "IPAddress", value: address }] }),
    conditions: [condition("Accepted", accepted), condition("Programmed", programmed)],
    listeners: gateway.listeners.map((one) => ({
      name: one.listener.name,
      supportedKinds: one.supportedKinds.map((kind) => ({ group: GATEWAY_API_GROUP, kind })),
      attachedRoutes: attachedRoutes(one, input),
      conditions: listenerConditions(one, lost.has(one.listener.port)),
    })),
  };
}

function listenerConditions(one: ApiListenerModel, isLost: boolean): ApiCondition[] {
  const taken = `another gateway of this machine has port ${one.listener.port}`;
  const accepted = isLost ? refusal("PortUnavailable", taken) : one.accepted;
  const why = [accepted, one.resolvedRefs].find(({ isTrue }) => !isTrue) ?? RESOLVED;
  const programmed = one.isServed && !isLost ? PROGRAMMED : refusal("Invalid", why.message);
  return [
    condition("Accepted", accepted),
    condition("Programmed", programmed),
    condition("ResolvedRefs", one.resolvedRefs),
    condition("Conflicted", one.conflicted),
  ];
}

function attachedRoutes(listener: ApiListenerModel, { routes, compiled }: StatusInput): number {
  return routes.filter(
    ({ route, parents }) =>
      compiled.get(route)?.accepted.isTrue === true &&
      parents.some(({ attached }) => attached.some((one) => one.listener === listener)),
  ).length;
}

function routeStatus({ route, parents }: RouteModel, compiled: CompiledRoutes): ApiStatus {
  return { parents: parents.map((parent) => parentStatus(route, parent, compiled)) };
}

function parentStatus(
  route: ApiRoute,
  { ref, accepted }: ParentModel,
  compiled: CompiledRoutes,
): ApiStatus {
  const rules = compiled.get(route);
  const own = rules === undefined || !accepted.isTrue ? accepted : rules.accepted;
  const partial = rules?.partiallyInvalid ?? null;
  return {
    parentRef: parentRefOf(ref),
    controllerName: CONTROLLER_NAME,
    conditions: [
      condition("Accepted", own),
      condition("ResolvedRefs", rules?.resolvedRefs ?? RESOLVED),
      ...(partial === null ? [] : [condition("PartiallyInvalid", partial)]),
    ],
  };
}

function parentRefOf({ group, kind, namespace, name, sectionName, port }: ParentRef): ParentRef {
  return {
    group,
    kind,
    ...(namespace === undefined ? {} : { namespace }),
    name,
    ...(sectionName === undefined ? {} : { sectionName }),
    ...(port === undefined ? {} : { port }),
  };
}
