//! gateway.networking.k8s.io GatewayClass: who serves the Gateways that name it.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { notHonoured, text } from "./fields.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { GATEWAY_API_GROUP } from "./route-fields.ts";

export interface GatewayClass extends Resource {
  readonly spec: { readonly controllerName: string; readonly description?: string };
}

const spec = Type.Object({
  controllerName: text("controller-name"),
  description: Type.Optional(Type.String({ maxLength: 64 })),
  parametersRef: notHonoured(),
});

/** The status of one of an object's conditions, as kubectl prints it. */
export function conditionStatus(object: Resource, type: string): string {
  const found = items(member(object.status, "conditions")).find(
    (condition) => member(condition, "type") === type,
  );
  const status = member(found, "status");
  return typeof status === "string" ? status : "Unknown";
}

export const GATEWAY_CLASS: KindInfo = defineKind({
  kind: "GatewayClass",
  plural: "gatewayclasses",
  singular: "gatewayclass",
  shortNames: ["gc"],
  group: GATEWAY_API_GROUP,
  versions: ["v1", "v1beta1"],
  namespaced: false,
  schema: Type.Object({
    spec: described<GatewayClass["spec"], typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("CONTROLLER", (object) => (object as GatewayClass).spec.controllerName),
    column("ACCEPTED", (object) => conditionStatus(object, "Accepted")),
    wideColumn("DESCRIPTION", (object) => (object as GatewayClass).spec.description ?? ""),
  ],
});
