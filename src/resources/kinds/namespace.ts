//! v1 Namespace.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields } from "./fields.ts";
import { column, defineKind } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { anyStatus } from "./pod-template.ts";

export type Namespace = Resource;

export const NAMESPACE: KindInfo = defineKind({
  kind: "Namespace",
  plural: "namespaces",
  singular: "namespace",
  shortNames: ["ns"],
  group: "",
  versions: ["v1"],
  namespaced: false,
  nameFormat: "dns-1123-label",
  schema: Type.Object({
    spec: Type.Optional(Type.Object({ ...acceptedFields("finalizers") })),
    status: anyStatus(),
  }),
  columns: [
    column("STATUS", (object) =>
      object.metadata.deletionTimestamp === undefined ? "Active" : "Terminating",
    ),
  ],
});
