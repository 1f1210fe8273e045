//! DestinationRules to the subsets of services and the policies of their clusters.

import type { ClientTlsSettings } from "../resources/kinds/client-tls.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { TrafficPolicy } from "../resources/kinds/traffic-policy.ts";
import type { Cluster, Subset } from "../snapshot/snapshot.ts";
import type { ClusterPolicy, HealthCheck } from "../snapshot/routing.ts";
import type { UpstreamTls } from "../snapshot/tls.ts";
import type { MessageList } from "./messages.ts";
import { namespaceOf } from "./resource-index.ts";
import { findHost } from "./service.ts";
import type { ServiceMap } from "./service.ts";
import { compileTrafficPolicy, overlaid, protocolOf, settled } from "./traffic-policy.ts";
import type { CompiledPolicy } from "./traffic-policy.ts";
import type { UpstreamTlsResolver } from "./upstream-tls.ts";

/** Subsets by `namespace/name` of the Service, then by name. The first rule of a host counts. */
export type SubsetMap = ReadonlyMap<string, ReadonlyMap<string, Subset>>;

export function collectSubsets(
  rules: readonly DestinationRule[],
  services: ServiceMap,
  messages: MessageList,
): SubsetMap {
  const subsets = new Map<string, Map<string, Subset>>();
  for (const rule of rules) {
    const key = findHost(rule.spec.host, namespaceOf(rule), services)?.key;
    if (key === undefined) {
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

/** Rules by the key of the host's clusters. Of several rules for one host the first counts. */
export function rulesByService(
  rules: readonly DestinationRule[],
  services: ServiceMap,
): ReadonlyMap<string, DestinationRule> {
  const byService = new Map<string, DestinationRule>();
  for (const rule of rules) {
    const key = findHost(rule.spec.host, namespaceOf(rule), services)?.key;
    if (key !== undefined && !byService.has(key)) byService.set(key, rule);
  }
  return byService;
}

/** What is read once for all ports of a host. */
export interface HostSettings {
  readonly tls: UpstreamTlsResolver;
  readonly checks: ReadonlyMap<DestinationRule, HealthCheck | null>;
}

/** The cluster with what the rule says of its endpoints' use. */
export function withPolicy(
  cluster: Cluster,
  rule: DestinationRule | undefined,
  { tls, checks }: HostSettings,
): Cluster {
  if (rule === undefined) return cluster;
  const { trafficPolicy, subsets = [] } = rule.spec;
  const compile = (written: TrafficPolicy | undefined, path: string): CompiledPolicy => {
    const found = (settings: ClientTlsSettings, at: string): UpstreamTls | null =>
      tls.resolve(settings, { rule, path: `${path}${at}`, host: cluster.host });
    return compileTrafficPolicy(written, cluster.port, found);
  };
  const healthCheck = checks.get(rule) ?? null;
  const whole = {
    ...compile(trafficPolicy, "spec.trafficPolicy"),
    ...(healthCheck === null ? {} : { healthCheck }),
  };
  const policy = settled(whole);
  const subsetPolicies: Record<string, ClusterPolicy> = {};
  for (const [index, subset] of subsets.entries()) {
    const own = compile(subset.trafficPolicy, `spec.subsets[${index}].trafficPolicy`);
    if (!isEmpty(own)) subsetPolicies[subset.name] = settled(overlaid(whole, own));
  }
  return {
    ...cluster,
    ...protocolOf(trafficPolicy, cluster.port),
    ...(isEmpty(policy) ? {} : { policy }),
    ...(Object.keys(subsetPolicies).length === 0 ? {} : { subsetPolicies }),
  };
}

function isEmpty(policy: CompiledPolicy): boolean {
  return Object.keys(policy).length === 0;
}
