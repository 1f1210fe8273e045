//! The status of a Deployment, as `kubectl get deployments` and `rollout status` read it.

import type { Deployment } from "./manifest.ts";
import type { ObservedPod } from "./plan.ts";

export function deploymentStatus(
  deployment: Deployment,
  pods: readonly ObservedPod[],
  limit: { readonly podsMax: number | null },
): object {
  const ready = pods.filter((pod) => pod.isReady).length;
  const updated = pods.filter((pod) => pod.templateHash === deployment.templateHash).length;
  const isAvailable = ready >= deployment.replicas;
  return {
    observedGeneration: deployment.generation,
    replicas: pods.length,
    readyReplicas: ready,
    availableReplicas: ready,
    updatedReplicas: updated,
    unavailableReplicas: Math.max(0, deployment.replicas - ready),
    conditions: [
      {
        type: "Available",
        status: isAvailable ? "True" : "False",
        reason: isAvailable ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
      },
      ...(limit.podsMax === null ? [] : [replicaFailure(limit.podsMax)]),
    ],
  };
}

function replicaFailure(podsMax: number): object {
  return {
    type: "ReplicaFailure",
    status: "True",
    reason: "PodsMax",
    message: `GL0508: no more than ${podsMax} pods run at one time`,
  };
}
