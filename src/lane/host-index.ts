//! Which cluster a pod means by `http://mockb:8000/`, as Kubernetes' DNS would resolve the name.

import type { Cluster, Snapshot, Target } from "../snapshot/snapshot.ts";

const DEFAULT_PORT = "80";

/** A service in the mesh, ready to be a destination. */
export interface MeshHost {
  readonly cluster: Cluster;
  readonly target: Target;
}

export class HostIndex {
  /** `name:port`; a name without a dot is prefixed by its namespace, `default/mockb:8000`. */
  readonly #byName = new Map<string, MeshHost>();

  constructor(snapshot: Pick<Snapshot, "clusters" | "endpoints">) {
    for (const cluster of Object.values(snapshot.clusters)) this.#add(cluster, snapshot);
  }

  #add(cluster: Cluster, snapshot: Pick<Snapshot, "endpoints">): void {
    const target: Target = { kind: "cluster", cluster: cluster.name, subset: null };
    const host = { cluster, target };
    for (const alias of [cluster.host, ...cluster.aliases]) {
      const name = alias.includes(".") ? alias : `${cluster.namespace}/${alias}`;
      this.#byName.set(`${name}:${cluster.port}`, host);
    }
    // A call dialled to a pod's address counts as a call to its service (registry clients do that).
    for (const endpoint of snapshot.endpoints[cluster.name]?.endpoints ?? []) {
      const key = `${endpoint.address}:${endpoint.port}`;
      if (!this.#byName.has(key)) this.#byName.set(key, host);
    }
  }

  /** Null: the host is outside the mesh, or not for the caller. */
  resolve(authority: string, callerNamespace: string): MeshHost | null {
    const found = this.find(authority, callerNamespace);
    return found === null || !isSeenBy(found.cluster, callerNamespace) ? null : found;
  }

  /** For whom every host is. */
  find(authority: string, callerNamespace: string): MeshHost | null {
    const colon = authority.lastIndexOf(":");
    const hasPort = colon !== -1 && !authority.endsWith("]");
    const host = (hasPort ? authority.slice(0, colon) : authority).toLowerCase();
    const port = hasPort ? authority.slice(colon + 1) : DEFAULT_PORT;
    const full = host.endsWith(".") ? host.slice(0, -1) : host;
    const name = full.includes(".") ? full : `${callerNamespace}/${full}`;
    return this.#byName.get(`${name}:${port}`) ?? null;
  }
}

/** Whether pods of the namespace may call it by its names. */
export function isSeenBy({ exportTo }: Cluster, namespace: string): boolean {
  return exportTo?.includes(namespace) ?? true;
}
