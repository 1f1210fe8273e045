//! istio.alibabacloud.com ASMSwimLane (cluster-scoped): one lane of an ASMSwimLaneGroup.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { asmDestinationSchema, asmHostsSchema, asmRequestMatchSchema } from "./asm-ingress.ts";
import type { AsmDestination, AsmRequestMatch } from "./asm-ingress.ts";
import { clusterServiceRefSchema } from "./asm-swim-lane-group.ts";
import type { ClusterServiceRef } from "./asm-swim-lane-group.ts";
import { labels } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

/** The label that names the lane's group: the only link between the two. */
export const SWIM_LANE_GROUP_LABEL = "swimlane-group";

export interface AsmSwimLaneSpec {
  readonly labelSelector: Labels;
  /** The services that this lane holds. */
  readonly services?: readonly ClusterServiceRef[];
  readonly ingressRules?: readonly AsmIngressRule[];
  readonly ingressWeight?: AsmIngressWeight;
}

export interface AsmIngressRule {
  readonly name?: string;
  readonly online?: boolean;
  readonly hosts?: readonly string[];
  readonly match?: AsmRequestMatch;
  /** Without a destination the rule makes no route. */
  readonly route?: { readonly destination?: AsmDestination };
}

/** The lane's part of what the group's `weightedRoutingRule` takes. */
export interface AsmIngressWeight {
  readonly destination?: AsmDestination;
  /** In percent; 0 when absent. */
  readonly weight?: number;
}

export interface AsmSwimLane extends Resource {
  readonly spec: AsmSwimLaneSpec;
}

const rule = Type.Object({
  name: Type.Optional(Type.String()),
  online: Type.Optional(Type.Boolean()),
  hosts: Type.Optional(asmHostsSchema()),
  match: Type.Optional(asmRequestMatchSchema()),
  route: Type.Optional(Type.Object({ destination: Type.Optional(asmDestinationSchema()) })),
});

const spec = Type.Object({
  labelSelector: labels(),
  services: Type.Optional(
    Type.Array(clusterServiceRefSchema(), { uniqueBy: ["name", "namespace"] }),
  ),
  ingressRules: Type.Optional(Type.Array(rule)),
  ingressWeight: Type.Optional(
    Type.Object({
      destination: Type.Optional(asmDestinationSchema()),
      weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    }),
  ),
});

export const ASM_SWIM_LANE: KindInfo = defineKind({
  kind: "ASMSwimLane",
  plural: "asmswimlanes",
  singular: "asmswimlane",
  group: "istio.alibabacloud.com",
  versions: ["v1", "v1beta1"],
  namespaced: false,
  schema: Type.Object({ spec: described<AsmSwimLaneSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("GROUP", (object) => object.metadata.labels?.[SWIM_LANE_GROUP_LABEL] ?? ""),
    column("SELECTOR", (object) =>
      Object.entries((object as AsmSwimLane).spec.labelSelector)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
    ),
  ],
  check: checkLane,
});

function checkLane(object: JsonObject, report: Report): void {
  if (member(object, "metadata", "labels", SWIM_LANE_GROUP_LABEL) !== undefined) return;
  report({
    code: "GL0104",
    path: ["metadata", "labels", SWIM_LANE_GROUP_LABEL],
    says: "is required: it names the lane's group",
    remedy: `Add the label ${SWIM_LANE_GROUP_LABEL} with the name of the ASMSwimLaneGroup.`,
  });
}
