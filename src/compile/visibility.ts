//! `exportTo`: the namespaces whose callers an object is for. A gateway's namespaces are those of
//! its Gateway resources, a sidecar's is its pod's.

import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { Resource } from "../resources/object.ts";
import type { Gateways } from "./gateway.ts";
import type { MessageList } from "./messages.ts";
import { listNames, namespaceOf } from "./resource-index.ts";

export interface Exported extends Resource {
  readonly spec: { readonly exportTo?: readonly string[] };
}

const EVERYWHERE = "*";
const OWN = ".";
const NOWHERE = "~";

/** Sorted; empty: nowhere; null: everywhere, as also without `exportTo`. */
export function exportedTo(resource: Exported): readonly string[] | null {
  const { exportTo = [] } = resource.spec;
  if (exportTo.length === 0 || exportTo.includes(EVERYWHERE)) return null;
  const own = namespaceOf(resource);
  const names = exportTo.filter((name) => name !== NOWHERE);
  return [...new Set(names.map((name) => (name === OWN ? own : name)))].sort();
}

export function isVisible(resource: Exported, namespace: string): boolean {
  return exportedTo(resource)?.includes(namespace) ?? true;
}

/** Where there are gateways and pods. */
export function callerNamespaces({ logical }: Gateways, pods: readonly Pod[]): string[] {
  const gateways = logical.flatMap(({ resources }) => resources);
  return [...new Set([...gateways, ...pods].map(namespaceOf))].sort();
}

/**
 * The rules that some caller sees. Clusters are the same for all callers, so a rule that some of
 * them do not see counts for them, too, and says so.
 */
export function visibleRules(
  rules: readonly DestinationRule[],
  callers: readonly string[],
  messages: MessageList,
): DestinationRule[] {
  return rules.filter((rule) => {
    const others = callers.filter((namespace) => !isVisible(rule, namespace));
    if (others.length === 0) return true;
    const isUsed = others.length < callers.length;
    messages.add(rule, {
      severity: "warning",
      code: "GL0285",
      path: "spec.exportTo",
      message: isUsed
        ? `counts for the callers of ${listNames(others)} as well, to whom it is not exported`
        : `exported to none of ${listNames(callers)}, where gateways and pods are: it is not used`,
      remedy: isUsed
        ? `Write exportTo: ['*'], so that it says what it does.`
        : "Export it to the namespaces of its callers, or to '*'.",
    });
    return isUsed;
  });
}
