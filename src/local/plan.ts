//! Which pods of one Deployment to start and which to remove: a pure step from desired to observed.
//!
//! Make before break: an old pod goes only when a new one is ready in its place, so the number of
//! ready pods never falls below `replicas` because of a roll.

export interface ObservedPod {
  readonly name: string;
  readonly templateHash: string;
  readonly isReady: boolean;
  /** Rises with each pod started: a larger number is a younger pod. */
  readonly ordinal: number;
}

export interface Plan {
  readonly startCount: number;
  /** Names, in the order in which to remove them. */
  readonly remove: readonly string[];
}

/** `pods` are those that are not being removed already. */
export function planPods(
  desired: { readonly replicas: number; readonly templateHash: string },
  pods: readonly ObservedPod[],
): Plan {
  const current = pods.filter((pod) => pod.templateHash === desired.templateHash);
  const old = pods.filter((pod) => pod.templateHash !== desired.templateHash);

  const surplus = byUsefulness(current).slice(desired.replicas);
  const kept = current.length - surplus.length;
  const currentReady = current.filter((pod) => pod.isReady && !surplus.includes(pod)).length;
  // Old pods that are not ready serve nobody: nothing is lost with them.
  const oldReady = byUsefulness(old.filter((pod) => pod.isReady));
  const oldKept = Math.max(0, desired.replicas - currentReady);

  const oldGone = old.filter((pod) => !pod.isReady).concat(oldReady.slice(oldKept));
  return {
    startCount: desired.replicas - kept,
    remove: [...oldGone, ...surplus].map((pod) => pod.name),
  };
}

/** Ready before not ready, then the older first. */
function byUsefulness(pods: readonly ObservedPod[]): readonly ObservedPod[] {
  return [...pods].sort((a, b) => Number(b.isReady) - Number(a.isReady) || a.ordinal - b.ordinal);
}
