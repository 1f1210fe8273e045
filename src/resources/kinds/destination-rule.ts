//! networking.istio.io DestinationRule: the subsets of a host, and how they are used.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { labels, notHonouredFields, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { checkLocalities } from "./locality-check.ts";
import { anyStatus } from "./pod-template.ts";
import { trafficPolicy } from "./traffic-policy.ts";
import type { TrafficPolicy } from "./traffic-policy.ts";

export interface DestinationRuleSpec {
  readonly host: string;
  readonly trafficPolicy?: TrafficPolicy;
  readonly subsets?: readonly DestinationSubset[];
  /** Namespaces whose callers it is for; absent: all. */
  readonly exportTo?: readonly string[];
}

export interface DestinationSubset {
  readonly name: string;
  /** Absent: every endpoint of the host. */
  readonly labels?: Labels;
  /** What it does not say is the host's. */
  readonly trafficPolicy?: TrafficPolicy;
}

export interface DestinationRule extends Resource {
  readonly spec: DestinationRuleSpec;
}

const subset = Type.Object({
  name: text(),
  labels: Type.Optional(labels()),
  trafficPolicy: trafficPolicy(),
});

const spec = Type.Object({
  host: text("virtual-service-host"),
  subsets: Type.Optional(Type.Array(subset, { uniqueBy: ["name"] })),
  trafficPolicy: trafficPolicy(),
  exportTo: Type.Optional(Type.Array(text("export-to"))),
  ...notHonouredFields("workloadSelector"),
});

export const DESTINATION_RULE: KindInfo = defineKind({
  kind: "DestinationRule",
  plural: "destinationrules",
  singular: "destinationrule",
  shortNames: ["dr"],
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  schema: Type.Object({
    spec: described<DestinationRuleSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [column("HOST", (object) => (object as DestinationRule).spec.host)],
  check: checkLocalities,
});
