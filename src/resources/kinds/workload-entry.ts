//! networking.istio.io WorkloadEntry: one endpoint that no Pod stands for, and the same as it is
//! written into a ServiceEntry.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { acceptedFields, labels, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { anyStatus } from "./pod-template.ts";

export interface WorkloadEntrySpec {
  /** An IP address, a name for DNS, or `unix://` and a path. */
  readonly address?: string;
  /** By the name of the ServiceEntry's port: where this endpoint listens instead. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly labels?: Labels;
  /** Relative to the other endpoints; 0 and absent: 1. */
  readonly weight?: number;
  /** `region/zone/sub-zone`, or the first of these. */
  readonly locality?: string;
}

export interface WorkloadEntry extends Resource {
  readonly spec: WorkloadEntrySpec;
}

const WEIGHT_MAX = 4_294_967_295;

const spec = Type.Object({
  address: Type.Optional(text("endpoint-address")),
  ports: Type.Optional(
    Type.Unsafe<Readonly<Record<string, number>>>({
      type: "object",
      additionalProperties: { type: "integer", minimum: 1, maximum: 65_535 },
    }),
  ),
  labels: Type.Optional(labels()),
  ...acceptedFields("serviceAccount", "network"),
  weight: Type.Optional(Type.Unsafe<number>({ type: "integer", minimum: 0, maximum: WEIGHT_MAX })),
  locality: Type.Optional(text("locality")),
});

/** An endpoint within a ServiceEntry. */
export function workloadEntrySpec(): TUnsafe<WorkloadEntrySpec> {
  return described<WorkloadEntrySpec, typeof spec>(spec);
}

export const WORKLOAD_ENTRY: KindInfo = defineKind({
  kind: "WorkloadEntry",
  plural: "workloadentries",
  singular: "workloadentry",
  shortNames: ["we"],
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  schema: Type.Object({ spec: workloadEntrySpec(), status: anyStatus() }),
  columns: [column("ADDRESS", (object) => (object as WorkloadEntry).spec.address ?? "")],
});
