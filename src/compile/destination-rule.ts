//! DestinationRules to the subsets of services.

import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { Subset } from "../snapshot/snapshot.ts";
import type { MessageList } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";
import { serviceKeyOf } from "./service.ts";
import type { ServiceMap } from "./service.ts";

/** Subsets by `namespace/name` of the Service, then by name. The first rule of a host counts. */
export type SubsetMap = ReadonlyMap<string, ReadonlyMap<string, Subset>>;

export function collectSubsets(
  rules: readonly DestinationRule[],
  services: ServiceMap,
  messages: MessageList,
): SubsetMap {
  const subsets = new Map<string, Map<string, Subset>>();
  for (const rule of rules) {
    const key = serviceKeyOf(rule.spec.host, namespaceOf(rule));
    if (key === null || !services.has(key)) {
      messages.add(rule, {
        severity: "warning",
        code: "GL0210",
        path: "spec.host",
        message: `no Service is the host ${rule.spec.host}, so its subsets are not used`,
        remedy: "Correct the host, or apply the Service.",
      });
      continue;
    }
    const byName = subsets.get(key) ?? new Map<string, Subset>();
    subsets.set(key, byName);
    for (const { name, labels = {} } of rule.spec.subsets ?? []) {
      if (!byName.has(name)) byName.set(name, { kind: "labels", name, labels });
    }
  }
  return subsets;
}
