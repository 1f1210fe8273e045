//! istio.alibabacloud.com TrafficLabel: what ASM's sidecars write into a header of outgoing calls.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { accepted, labels, notHonoured, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { anyStatus } from "./pod-template.ts";

export interface TrafficLabelSpec {
  /** Absent: every workload of the namespace. */
  readonly workloadSelector?: { readonly labels?: Labels };
  readonly rules?: readonly TrafficLabelRule[];
}

export interface TrafficLabelRule {
  readonly labels?: readonly {
    /** The header. */
    readonly name: string;
    /** Expressions such as `$getLabel(KEY)`; the first that gives a value counts. */
    readonly valueFrom?: readonly string[];
  }[];
}

export interface TrafficLabel extends Resource {
  readonly spec: TrafficLabelSpec;
}

const spec = Type.Object({
  workloadSelector: Type.Optional(Type.Object({ labels: Type.Optional(labels()) })),
  rules: Type.Optional(
    Type.Array(
      Type.Object({
        labels: Type.Optional(
          Type.Array(
            Type.Object({
              name: text("header-name"),
              valueFrom: Type.Optional(Type.Array(text())),
              overwrite: accepted(),
            }),
          ),
        ),
        attachTo: accepted(),
        protocols: accepted(),
        http: notHonoured(),
      }),
    ),
  ),
  hosts: notHonoured(),
});

export const TRAFFIC_LABEL: KindInfo = defineKind({
  kind: "TrafficLabel",
  plural: "trafficlabels",
  singular: "trafficlabel",
  group: "istio.alibabacloud.com",
  versions: ["v1", "v1beta1"],
  schema: Type.Object({
    spec: described<TrafficLabelSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
});
