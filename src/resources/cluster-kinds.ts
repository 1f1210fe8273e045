//! Which kinds are read of a Kubernetes cluster, and whose status there is ours to write.

import type { KindInfo } from "./kinds/kind.ts";
import { KINDS } from "./registry.ts";

/** Kinds that every Kubernetes API server has; all others are there when their CRD is. */
const BUILT_IN: ReadonlySet<string> = new Set([
  "",
  "apps",
  "discovery.k8s.io",
  "networking.k8s.io",
]);
/** Nothing that is compiled comes from them. */
const UNREAD: ReadonlySet<string> = new Set([
  "ConfigMap",
  "ServiceAccount",
  ...["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"],
]);

export const CLUSTER_KINDS: readonly KindInfo[] = KINDS.filter(({ kind }) => !UNREAD.has(kind));

export function isBuiltIn({ group }: KindInfo): boolean {
  return BUILT_IN.has(group);
}

/** Others own the status of what every cluster has. */
export function mayWriteStatus(info: KindInfo): boolean {
  return !isBuiltIn(info);
}

/** Of the kind's CRD. */
export function definitionName({ group, plural }: KindInfo): string {
  return `${plural}.${group}`;
}
