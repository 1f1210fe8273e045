//! DestinationRules to the subsets of services and the policies of their clusters.

import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { Cluster, Subset } from "../snapshot/snapshot.ts";
import type { ClusterPolicy } from "../snapshot/routing.ts";
import type { MessageList } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";
import { serviceKeyOf } from "./service.ts";
import type { ServiceMap } from "./service.ts";
import { compileTrafficPolicy, overlaid, upgradesToHttp2 } from "./traffic-policy.ts";

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

/** Rules by `namespace/name` of the Service. Of several rules for one host the first counts. */
export function rulesByService(
  rules: readonly DestinationRule[],
): ReadonlyMap<string, DestinationRule> {
  const byService = new Map<string, DestinationRule>();
  for (const rule of rules) {
    const key = serviceKeyOf(rule.spec.host, namespaceOf(rule));
    if (key !== null && !byService.has(key)) byService.set(key, rule);
  }
  return byService;
}

/** The cluster with what the rule says of its endpoints' use. */
export function withPolicy(cluster: Cluster, rule: DestinationRule | undefined): Cluster {
  if (rule === undefined) return cluster;
  const { trafficPolicy, subsets = [] } = rule.spec;
  const policy = compileTrafficPolicy(trafficPolicy, cluster.port);
  const subsetPolicies: Record<string, ClusterPolicy> = {};
  for (const subset of subsets) {
    const own = compileTrafficPolicy(subset.trafficPolicy, cluster.port);
    const whole = own === undefined ? undefined : overlaid(policy, own);
    if (whole !== undefined) subsetPolicies[subset.name] = whole;
  }
  return {
    ...cluster,
    ...(upgradesToHttp2(trafficPolicy, cluster.port) ? { protocol: "h2" as const } : {}),
    ...(policy === undefined ? {} : { policy }),
    ...(Object.keys(subsetPolicies).length === 0 ? {} : { subsetPolicies }),
  };
}
