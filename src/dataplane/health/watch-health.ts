//! Lets lanes fall back from endpoints that are out, where anything tells who is.

import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { HealthChecks } from "./health-checks.ts";

/** A lane whose endpoints have all been ejected falls back, as if it had none. */
export function watchHealth(
  { lanes }: Pick<Runtime, "lanes">,
  snapshot: Snapshot,
  { checks, context }: { readonly checks: HealthChecks; readonly context: TrafficContext },
): void {
  const { pools, sweeper } = context;
  checks.update(snapshot);
  const { clusters } = snapshot;
  pools.clusters.retain((name) => Object.hasOwn(clusters, name));
  const policies = Object.values(clusters).flatMap(({ policy, subsetPolicies = {} }) => [
    policy,
    ...Object.values(subsetPolicies),
  ]);
  const isWatched = policies.some(
    (policy) => policy?.outliers !== undefined || policy?.healthCheck !== undefined,
  );
  if (!isWatched) return;
  lanes.isHealthy = (endpoint) => pools.clusters.isHealthy(endpoint, sweeper.nowMs);
}
