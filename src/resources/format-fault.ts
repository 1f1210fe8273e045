//! Faults as text: one style everywhere.

import type { Fault, Severity } from "./fault.ts";
import type { ObjectRef } from "./object.ts";

/**
 * `vs.yaml:12:9: error GL0103: spec… must be … (VirtualService istio-system/x)`, and the remedy in
 * a line of its own.
 */
export function formatFault(fault: Fault): string {
  const { position, object, remedy } = fault;
  const place = position === null ? "" : `${position.file}:${position.line}:${position.column}: `;
  const whose = object === null ? "" : ` (${refText(object)})`;
  const fix = remedy === "" ? "" : `\n  fix: ${remedy}`;
  return `${place}${fault.severity} ${fault.code}: ${fault.message}${whose}${fix}`;
}

/** `VirtualService istio-system/x`; a cluster-scoped object has no namespace. */
export function refText(object: ObjectRef): string {
  const namespace = object.namespace === "" ? "" : `${object.namespace}/`;
  return `${object.kind} ${namespace}${object.name}`;
}

/** The gravest severity among the faults, or null when there are none. */
export function worstSeverity(faults: readonly Fault[]): Severity | null {
  const order: readonly Severity[] = ["error", "warning", "info"];
  return order.find((severity) => faults.some((fault) => fault.severity === severity)) ?? null;
}
