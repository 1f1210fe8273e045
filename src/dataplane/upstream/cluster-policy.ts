//! The policy that is for a target: its subset's, else the whole cluster's.

import type { ClusterPolicy } from "../../snapshot/routing.ts";
import type { Cluster, Subset } from "../../snapshot/snapshot.ts";

/** Of a DestinationRule, which knows a lane by its name. */
export function subsetName(subset: Subset | null): string {
  if (subset === null) return "";
  return subset.kind === "lane" ? subset.lane : subset.name;
}

/** In which protocol an endpoint is asked what came in as `head`. */
export function speaksHttp2(
  cluster: Cluster | undefined,
  { isHttp2 = false }: { readonly isHttp2?: boolean },
): boolean {
  const protocol = cluster?.protocol;
  return protocol === "h2" || (protocol === "client" && isHttp2);
}

export function policyOf(
  { policy, subsetPolicies }: Cluster,
  subset: Subset | null,
): ClusterPolicy | undefined {
  return subsetPolicies?.[subsetName(subset)] ?? policy;
}
