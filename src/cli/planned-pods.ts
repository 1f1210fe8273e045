//! Pods that a Deployment of the files would have, so that a gateway without a cluster has somebody
//! to send to.

import type { Deployment } from "../resources/kinds/deployment.ts";
import type { Resource } from "../resources/object.ts";

/** Of TEST-NET-1 (RFC 5737): nobody is sent to. */
const PLANNED_ADDRESS = "192.0.2.1";

/** Adds a ready pod for each Deployment with replicas, unless there are pods already. */
export function withPlannedPods(resources: readonly Resource[]): Resource[] {
  if (resources.some(({ kind }) => kind === "Pod")) return [...resources];
  const planned = resources.flatMap((resource) =>
    resource.kind === "Deployment" ? plannedPod(resource as Deployment) : [],
  );
  return [...resources, ...planned];
}

function plannedPod({ metadata, spec }: Deployment): Resource[] {
  if (spec.replicas === 0) return [];
  const { namespace } = metadata;
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${metadata.name}-planned`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: spec.template.metadata?.labels ?? {},
    },
    spec: spec.template.spec,
    status: {
      podIP: PLANNED_ADDRESS,
      phase: "Running",
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
  return [pod];
}
