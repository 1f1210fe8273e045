//! What a delete does to an object: it goes at once, or when nobody holds it any more.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/>

import { timestamp, type Clock } from "../../base/clock.ts";
import {
  NAMESPACE_FINALIZER,
  specFinalizersOf,
  withSpecFinalizers,
} from "../../resources/kinds/namespace.ts";
import type { Resource } from "../../resources/object.ts";
import type { ConditionalOptions, ResourceStore, StoreKey, WriteResult } from "./store.ts";

/** How often it is tried again when another write came between. */
const TRIES_MAX = 5;

/** What becomes of the objects whose owner is deleted. */
export type Propagation = "Background" | "Foreground" | "Orphan";

export const PROPAGATIONS: readonly Propagation[] = ["Foreground", "Background", "Orphan"];

/** They hold an owner until its dependents have gone, or have been let go. */
export const FOREGROUND_FINALIZER = "foregroundDeletion";
export const ORPHAN_FINALIZER = "orphan";

export interface DeleteObjectOptions extends ConditionalOptions {
  /** Absent: as its finalizers say, else in the background. */
  readonly propagation?: Propagation | undefined;
}

/** Who must have done something before the object goes. Of a Namespace its contents are one. */
export function finalizersOf(resource: Resource): readonly string[] {
  const { finalizers } = resource.metadata;
  const own = Array.isArray(finalizers) ? (finalizers as readonly string[]) : [];
  return resource.kind === "Namespace" ? [...own, ...specFinalizersOf(resource)] : own;
}

/** Is to be deleted, and waits for its finalizers. */
export function isPending(resource: Resource): boolean {
  return isMarked(resource) && finalizersOf(resource).length > 0;
}

export function isMarked({ metadata }: Resource): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** The object as it was last, when it has gone; else as it is, waiting for its finalizers. */
export async function deleteObjectIn(
  store: Pick<ResourceStore, "get" | "update" | "delete">,
  clock: Clock,
  key: StoreKey,
  { propagation, ...options }: DeleteObjectOptions,
): Promise<WriteResult> {
  for (let tries = 1; ; tries += 1) {
    const found = store.get(key);
    const live = found === undefined ? found : propagating(found, propagation);
    // Nobody may have added a finalizer meanwhile. A damaged record has none, and can be deleted.
    const ifRevision = options.ifRevision ?? live?.metadata.resourceVersion;
    const guarded = { ...options, ...(ifRevision === undefined ? {} : { ifRevision }) };
    const result = await (live !== undefined && waits(live)
      ? store.update(marked(live, timestamp(clock.nowMs())), { ...guarded, withStatus: true })
      : store.delete(key, guarded));
    const isOvertaken = !result.ok && result.reason === "conflict";
    if (!isOvertaken || options.ifRevision !== undefined || tries === TRIES_MAX) return result;
  }
}

/** As a Kubernetes API server: a policy takes the place of another one's finalizer. */
function propagating(live: Resource, propagation: Propagation | undefined): Resource {
  if (propagation === undefined) return live;
  const own = { Background: [], Foreground: [FOREGROUND_FINALIZER], Orphan: [ORPHAN_FINALIZER] };
  const { finalizers } = live.metadata;
  const all = Array.isArray(finalizers) ? (finalizers as readonly string[]) : [];
  const kept = all.filter((one) => one !== FOREGROUND_FINALIZER && one !== ORPHAN_FINALIZER);
  const wanted = [...kept, ...own[propagation]];
  const isSame = wanted.length === all.length && wanted.every((one) => all.includes(one));
  return isSame ? live : { ...live, metadata: { ...live.metadata, finalizers: wanted } };
}

function waits(live: Resource): boolean {
  return finalizersOf(live).length > 0 || (live.kind === "Namespace" && !isMarked(live));
}

/** Says since when it is to be deleted; a second delete changes nothing. */
function marked(resource: Resource, now: string): Resource {
  if (isMarked(resource)) return resource;
  const deletion = { deletionTimestamp: now, deletionGracePeriodSeconds: 0 };
  if (resource.kind !== "Namespace") {
    return { ...resource, metadata: { ...resource.metadata, ...deletion } };
  }
  const { deletionTimestamp } = deletion;
  const finalizers = [...new Set([NAMESPACE_FINALIZER, ...specFinalizersOf(resource)])];
  return {
    ...withSpecFinalizers(resource, finalizers),
    metadata: { ...resource.metadata, deletionTimestamp },
    status: { ...(resource.status as object | undefined), phase: "Terminating" },
  };
}
