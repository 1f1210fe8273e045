//! v1 Namespace.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields } from "./fields.ts";
import { column, defineKind } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

export type Namespace = Resource;

/** It holds a Namespace until its contents have gone. */
export const NAMESPACE_FINALIZER = "kubernetes";
const NAME_LABEL = "kubernetes.io/metadata.name";

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

/** Its own, beside those of every object. */
export function specFinalizersOf({ spec }: Namespace): readonly string[] {
  const finalizers = member(spec, "finalizers");
  const all: readonly unknown[] = Array.isArray(finalizers) ? finalizers : [];
  return all.filter((one) => typeof one === "string");
}

export function withSpecFinalizers(namespace: Namespace, finalizers: readonly string[]): Namespace {
  return { ...namespace, spec: { ...(namespace["spec"] as object | undefined), finalizers } };
}

/** A Namespace with what every one has, whoever writes it; anything else as it is. */
export function completedNamespace(resource: Resource, existing: Resource | null): Resource {
  if (resource.kind !== "Namespace") return resource;
  const { metadata } = resource;
  const labels = { ...metadata.labels, [NAME_LABEL]: metadata.name };
  const named = { ...resource, metadata: { ...metadata, labels } };
  if (existing !== null) return withSpecFinalizers(named, specFinalizersOf(existing));
  const finalizers = [...new Set([NAMESPACE_FINALIZER, ...specFinalizersOf(resource)])];
  return { ...withSpecFinalizers(named, finalizers), status: { phase: "Active" } };
}
