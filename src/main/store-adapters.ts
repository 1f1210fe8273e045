//! Fits the resource store to what the local cluster and the publisher ask of it.

import type { StatusWrite } from "../controlplane/publish/object-status.ts";
import { storeKeyOf } from "../controlplane/store/open-store.ts";
import type { ResourceStore, StoreKey, WriteResult } from "../controlplane/store/store.ts";
import { DEPLOYMENT_ANNOTATION } from "../local/pod-object.ts";
import type { LocalKind, PodStore } from "../local/seam.ts";
import type { Resource } from "../resources/object.ts";

const LOCAL_TABLES: Readonly<Record<LocalKind, { group: string; plural: string }>> = {
  Deployment: { group: "apps", plural: "deployments" },
  Pod: { group: "", plural: "pods" },
  ConfigMap: { group: "", plural: "configmaps" },
  Secret: { group: "", plural: "secrets" },
};

/** Fails only where the caller can do nothing but try again later. */
function demand(result: WriteResult): Resource {
  if (result.ok) return result.resource;
  throw new Error(result.message);
}

export function podStore(store: ResourceStore): PodStore {
  const keyOf = (kind: LocalKind, namespace: string, name: string): StoreKey => ({
    ...LOCAL_TABLES[kind],
    namespace,
    name,
  });
  return {
    list: (kind) => Promise.resolve(store.list(LOCAL_TABLES[kind]).items),
    find: (kind, namespace, name) =>
      Promise.resolve(store.get(keyOf(kind, namespace, name)) ?? null),
    createPod: async (pod) => demand(await store.create(pod)),
    async updatePod(pod) {
      const key = storeKeyOf(pod);
      demand(await store.update(pod));
      return demand(await store.updateStatus(key, keepVerdict(store.get(key), pod.status)));
    },
    async deletePod(namespace, name) {
      const result = await store.delete(keyOf("Pod", namespace, name));
      if (!result.ok && result.reason !== "not_found") throw new Error(result.message);
    },
    async updateDeploymentStatus(namespace, name, status) {
      const key = keyOf("Deployment", namespace, name);
      const result = await store.updateStatus(key, keepVerdict(store.get(key), status));
      if (!result.ok && result.reason !== "not_found") throw new Error(result.message);
    },
    watch(kinds, onChange) {
      const watches = kinds.map((kind) => store.watch(LOCAL_TABLES[kind], null, onChange));
      return () => {
        for (const watch of watches) if (watch !== "expired") watch.cancel();
      };
    },
  };
}

/** Pods end with their Deployment, when their requests have ended. */
export function isOfDeployment({ kind, metadata }: Resource): boolean {
  return kind === "Pod" && metadata.annotations?.[DEPLOYMENT_ANNOTATION] !== undefined;
}

/** Writes what the compiler says of an object. A conflict causes another pass anyway. */
export function statusWriter(store: ResourceStore): (write: StatusWrite) => Promise<boolean> {
  return async ({ resource, status }) => {
    const { resourceVersion } = resource.metadata;
    const options = resourceVersion === undefined ? {} : { ifRevision: resourceVersion };
    const result = await store.updateStatus(storeKeyOf(resource), status, options);
    if (result.ok) return true;
    // Whoever changed or deleted the object has caused another pass; the rest is a failure.
    if (result.reason === "conflict" || result.reason === "not_found") return false;
    throw new Error(result.message);
  };
}

/** The publisher's verdict on an object survives when its owner rewrites the status. */
function keepVerdict(existing: Resource | undefined, status: unknown): unknown {
  const old = recordOf(existing?.status);
  const verdict = listOf(old["conditions"]).filter((one) => recordOf(one)["type"] === "Accepted");
  if (verdict.length === 0) return status;
  const next = recordOf(status);
  return {
    ...next,
    conditions: [...listOf(next["conditions"]), ...verdict],
    validationMessages: old["validationMessages"],
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
