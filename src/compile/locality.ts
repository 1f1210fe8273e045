//! Where endpoints are, and what `localityLbSetting` makes of it.

import type { LocalityLbSetting } from "../resources/kinds/traffic-policy.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { ClusterPolicy, LocalityBalance } from "../snapshot/routing.ts";
import type { Cluster, Endpoint, EndpointSet } from "../snapshot/snapshot.ts";
import type { Gateways } from "./gateway.ts";
import type { MessageList } from "./messages.ts";

/** As in Istio: a label cannot have slashes. */
const LABEL = "istio-locality";
const LOCALITY_ANNOTATION = "graylane.io/locality";
const HEALTH_CHECK_ANNOTATION = "graylane.io/health-check";

export function localityOf(
  written: string | undefined,
  labels: Readonly<Record<string, string>>,
): Pick<Endpoint, "locality"> {
  const label = labels[LABEL];
  const locality = written ?? (label?.includes("/") === true ? label : label?.replaceAll(".", "/"));
  return locality === undefined || locality === "" ? {} : { locality };
}

export function compileLocality(setting: LocalityLbSetting | undefined): {
  readonly locality?: LocalityBalance;
} {
  if (setting === undefined) return {};
  if (setting.enabled === false) return { locality: { isOff: true } };
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  const locality = {
    ...(distribute.length === 0 ? {} : { distribute }),
    ...(failover.length === 0 ? {} : { failover }),
    ...(failoverPriority.length === 0 ? {} : { failoverPriority }),
  };
  return Object.keys(locality).length === 0 ? {} : { locality };
}

/** Where weights differ, and no balancer is asked for, it is Istio's own, which goes by them. */
export function withWeights(cluster: Cluster, set: EndpointSet | undefined): Cluster {
  if (!hasWeights(set)) return cluster;
  const { policy = {}, subsetPolicies } = cluster;
  const balanced = { ...cluster, policy: balancedByWeight(policy) };
  if (subsetPolicies === undefined) return balanced;
  const own = Object.entries(subsetPolicies).map(
    ([name, subset]) => [name, balancedByWeight(subset)] as const,
  );
  return { ...balanced, subsetPolicies: Object.fromEntries(own) };
}

function balancedByWeight(policy: ClusterPolicy): ClusterPolicy {
  return policy.loadBalancer === undefined
    ? { ...policy, loadBalancer: { kind: "least-request" } }
    : policy;
}

function hasWeights(set: EndpointSet | undefined): boolean {
  return set?.endpoints.some(({ weight }) => weight !== set.endpoints[0]?.weight) ?? false;
}

interface Known {
  readonly gateways: Gateways;
  readonly messages: MessageList;
}

const PATH = "spec.trafficPolicy.loadBalancer";

/** What is asked for and cannot take effect. */
export function reportNearness(
  rule: DestinationRule,
  sets: readonly (EndpointSet | undefined)[],
  known: Known,
): void {
  const { loadBalancer } = rule.spec.trafficPolicy ?? {};
  if (loadBalancer?.simple === "RANDOM" && sets.some(hasWeights)) {
    known.messages.add(rule, {
      severity: "warning",
      code: "GL0290",
      path: `${PATH}.simple`,
      message: "RANDOM disregards the weights of the host's endpoints",
      remedy: "Write LEAST_REQUEST or ROUND_ROBIN.",
    });
  }
  const setting = loadBalancer?.localityLbSetting;
  if (setting !== undefined && setting.enabled !== false) reportPlaces(rule, setting, known);
}

function reportPlaces(
  rule: DestinationRule,
  { distribute }: LocalityLbSetting,
  { gateways, messages }: Known,
): void {
  const path = `${PATH}.localityLbSetting`;
  const isChecked = HEALTH_CHECK_ANNOTATION in (rule.metadata.annotations ?? {});
  const isWatched = rule.spec.trafficPolicy?.outlierDetection !== undefined || isChecked;
  if (distribute === undefined && !isWatched) {
    messages.add(rule, {
      severity: "warning",
      code: "GL0288",
      path,
      message: "has no effect without outlierDetection: nobody knows when to fail over",
      remedy: "Write outlierDetection beside it.",
    });
  } else if (!knowsPlace(gateways)) {
    messages.add(rule, {
      severity: "warning",
      code: "GL0289",
      path,
      message: "has no effect: no Gateway says where it is",
      remedy: "Write the annotation graylane.io/locality on the Gateway.",
    });
  }
}

function knowsPlace({ logical }: Gateways): boolean {
  const resources = logical.flatMap((gateway) => gateway.resources);
  return resources.some(({ metadata }) => LOCALITY_ANNOTATION in (metadata.annotations ?? {}));
}
