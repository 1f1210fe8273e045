//! Which cluster of the snapshot a plug-in means by a name, and which endpoint its own call takes.

import type { Prng } from "../../base/prng.ts";
import { drawIndex } from "../../lane/endpoint-weights.ts";
import { HostIndex } from "../../lane/host-index.ts";
import { chooseEndpoints } from "../../lane/fallback.ts";
import type { Cluster, Endpoint, Snapshot } from "../../snapshot/snapshot.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** `outbound|8000||host`, as Istio names clusters; the third part, a subset, is not chosen by. */
const OUTBOUND = /^outbound\|(\d{1,5})\|[^|]*\|([^|]+)$/;
/** Where a plain name without a namespace is looked for. */
const NAMESPACE = "default";

export class PluginClusters {
  readonly #prng: Prng;
  /** Counts the runtimes that have served. */
  generation = 0;
  #runtime: Runtime | null = null;
  #hosts: HostIndex | null = null;
  /** Of the snapshot whose plug-ins are being started: it does not serve yet. */
  #next: Snapshot | null = null;
  #nextHosts: HostIndex | null = null;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Plug-ins that are now configured name clusters of this snapshot. */
  prepares(snapshot: Snapshot): void {
    this.#next = snapshot;
    this.#nextHosts = null;
  }

  /** From now on calls go where this runtime says. */
  use(runtime: Runtime): void {
    this.#next = null;
    this.#nextHosts = null;
    if (runtime === this.#runtime) return;
    this.generation += 1;
    this.#runtime = runtime;
    this.#hosts = null;
  }

  /** Whether there is such a cluster, or will be. */
  knows(name: string): boolean {
    return this.find(name) !== null || this.#findNext(name) !== null;
  }

  #findNext(name: string): Cluster | null {
    if (this.#next === null) return null;
    this.#nextHosts ??= new HostIndex(this.#next);
    return findIn(this.#next, this.#nextHosts, name);
  }

  /** While nothing serves yet, of the snapshot that will: plug-ins may tick before they serve. */
  find(name: string): Cluster | null {
    const { snapshot } = this.#runtime ?? {};
    if (snapshot === undefined) return this.#findNext(name);
    this.#hosts ??= new HostIndex(snapshot);
    return findIn(snapshot, this.#hosts, name);
  }

  /** The baseline's: a plug-in's own call travels in no lane. */
  endpointsOf(cluster: Cluster): readonly Endpoint[] {
    const runtime = this.#runtime;
    if (runtime === null) return this.#next?.endpoints[cluster.name]?.endpoints ?? [];
    const target = { kind: "cluster", cluster: cluster.name, subset: null } as const;
    const wanted = { target, fallback: null, group: null, lane: null };
    return chooseEndpoints(runtime.lanes, wanted).endpoints;
  }

  pick(cluster: Cluster): Endpoint | null {
    const endpoints = this.endpointsOf(cluster);
    return endpoints[drawIndex(endpoints, this.#prng)] ?? null;
  }
}

function findIn(snapshot: Snapshot, hosts: HostIndex, name: string): Cluster | null {
  const exact = Object.hasOwn(snapshot.clusters, name) ? snapshot.clusters[name] : undefined;
  if (exact !== undefined) return exact;
  const [, port, host] = OUTBOUND.exec(name) ?? [];
  const authority = port === undefined || host === undefined ? name : `${host}:${port}`;
  return hosts.find(authority, NAMESPACE)?.cluster ?? null;
}
