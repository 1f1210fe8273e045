//! What a DestinationRule asks for where it cannot be had: a protocol of one subset, and
//! connections that a sidecar of ours cannot read.

import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { TrafficPolicy } from "../resources/kinds/traffic-policy.ts";
import type { EndpointSet } from "../snapshot/snapshot.ts";
import type { MessageList } from "./messages.ts";
import { hasSidecar } from "./pod.ts";
import { keyOf, listNames } from "./resource-index.ts";

/** By `namespace/name`: the pods that have a sidecar of ours. */
export function sidecarPods(pods: readonly Pod[]): ReadonlySet<string> {
  return new Set(pods.filter(hasSidecar).map(keyOf));
}

/** `sets`: the endpoints of the rule's host. */
export function reportUnmet(
  rule: DestinationRule,
  sets: readonly (EndpointSet | undefined)[],
  {
    sidecars,
    messages,
  }: { readonly sidecars: ReadonlySet<string>; readonly messages: MessageList },
): void {
  reportSubsetProtocols(rule, messages);
  const pods = sets.flatMap((set) => set?.endpoints.map(({ pod }) => pod) ?? []);
  const found = [...new Set(pods)].filter((pod) => sidecars.has(pod)).sort();
  if (found.length === 0) return;
  for (const { path, what } of wrappingsOf(rule)) {
    messages.add(rule, {
      severity: "warning",
      code: "GL0292",
      path,
      message: `${what} cannot be read by the sidecars of ${listNames(found)}: calls fail there`,
      remedy: "Take it away: to pods with sidecars of ours calls go in clear.",
    });
  }
}

function reportSubsetProtocols(rule: DestinationRule, messages: MessageList): void {
  for (const { policy, path } of policiesOf(rule)) {
    if (!path.startsWith("spec.subsets")) continue;
    const { useClientProtocol, h2UpgradePolicy } = policy.connectionPool?.http ?? {};
    const asked = {
      useClientProtocol: useClientProtocol === true,
      h2UpgradePolicy: h2UpgradePolicy !== undefined && h2UpgradePolicy !== "DEFAULT",
    };
    for (const [name, isAsked] of Object.entries(asked)) {
      if (!isAsked) continue;
      messages.add(rule, {
        severity: "warning",
        code: "GL0291",
        path: `${path}.connectionPool.http.${name}`,
        message: "has no effect in a subset: all of a host's endpoints share one protocol",
        remedy: "Write it under spec.trafficPolicy.",
      });
    }
  }
}

interface Placed {
  readonly policy: Omit<TrafficPolicy, "portLevelSettings">;
  readonly path: string;
}

/** Each settings object of the rule, where it stands. */
function policiesOf({ spec }: DestinationRule): Placed[] {
  const { trafficPolicy, subsets = [] } = spec;
  const whole = { policy: trafficPolicy, path: "spec.trafficPolicy" };
  const ofSubsets = subsets.map((subset, index) => ({
    policy: subset.trafficPolicy,
    path: `spec.subsets[${index}].trafficPolicy`,
  }));
  return [whole, ...ofSubsets].flatMap(({ policy, path }) => {
    if (policy === undefined) return [];
    const atPorts = (policy.portLevelSettings ?? []).map((settings, index) => ({
      policy: settings,
      path: `${path}.portLevelSettings[${index}]`,
    }));
    return [{ policy, path }, ...atPorts];
  });
}

function wrappingsOf(rule: DestinationRule): { readonly path: string; readonly what: string }[] {
  return policiesOf(rule).flatMap(({ policy: { tls, proxyProtocol }, path }) => [
    ...(tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL"
      ? [{ path: `${path}.tls`, what: "TLS" }]
      : []),
    ...(proxyProtocol === undefined
      ? []
      : [{ path: `${path}.proxyProtocol`, what: "a PROXY header" }]),
  ]);
}
