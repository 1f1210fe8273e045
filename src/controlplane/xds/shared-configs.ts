//! What Envoys are to run, made once for all that are alike: those with the same view that go from
//! the same snapshot to the same next one. What did not change keeps its identity, so that nobody
//! compares, hashes or encodes it again.

import { compileForEnvoy } from "../../compile-envoy/compile-envoy.ts";
import { NO_RESOURCES, RESOURCE_TYPES } from "../../compile-envoy/envoy-config.ts";
import type {
  EnvoyResource,
  EnvoyResources,
  EnvoyView,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import type { Fault } from "../../resources/fault.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { mergeForMakeBeforeBreak } from "../publish/make-before-break.ts";
import type { Stage } from "./ads-session.ts";
import { versionOf } from "./type-channel.ts";

type Resources = Readonly<Record<ResourceType, EnvoyResources>>;

/** What an Envoy runs, but for what it refused. */
export interface Applied {
  readonly snapshot: Snapshot;
  readonly resources: Resources;
}

export interface Change {
  readonly stages: readonly Stage[];
  readonly applied: Applied;
  /** What Envoy cannot do, by object. */
  readonly refusals: readonly Fault[];
}

export const NOTHING_APPLIED: Applied = { snapshot: EMPTY_SNAPSHOT, resources: NO_RESOURCES };
/** Of one beginning; the oldest goes first. Sidecars are all different, gateways of few kinds. */
const CHANGES_MAX = 16;

export class SharedConfigs {
  readonly #changes = new WeakMap<Applied, Map<string, Change>>();

  change(view: EnvoyView, before: Applied, next: Snapshot): Change {
    const known = this.#changes.get(before) ?? new Map<string, Change>();
    this.#changes.set(before, known);
    const key = `${next.version} ${JSON.stringify(view)}`;
    let change = known.get(key);
    if (change === undefined) {
      change = makeChange(view, before, next);
      for (const oldest of [...known.keys()].slice(0, -(CHANGES_MAX - 1))) known.delete(oldest);
      known.set(key, change);
    }
    return change;
  }
}

function makeChange(view: EnvoyView, before: Applied, next: Snapshot): Change {
  const { refusals, ...compiled } = compileForEnvoy(next, view);
  const resources = keepSame(before.resources, compiled);
  const applied = { snapshot: next, resources };
  const last = { version: next.version, resources };
  if (before === NOTHING_APPLIED) return { stages: [last], applied, refusals };
  return { stages: [making(view, before, applied), last], applied, refusals };
}

/** The new routes, with clusters and endpoints that serve the old ones as well. */
function making(view: EnvoyView, before: Applied, { snapshot, resources }: Applied): Stage {
  const merged = mergeForMakeBeforeBreak(before.snapshot, snapshot);
  const compiled = compileForEnvoy(merged, view, [before.snapshot]);
  const made = keepSame(resources, keepSame(before.resources, compiled));
  const both = (type: ResourceType): EnvoyResources =>
    kept(resources[type], { ...before.resources[type], ...made[type] });
  const version = snapshot.version;
  const { listeners, routes } = resources;
  const all = { clusters: both("clusters"), endpoints: both("endpoints"), listeners, routes };
  return { version, resources: all };
}

function keepSame(before: Resources, after: Resources): Resources {
  const types = RESOURCE_TYPES.map((type) => [type, kept(before[type], after[type])] as const);
  return Object.fromEntries(types) as Resources;
}

/** `after` with the resources of `before` that say the same; `before` itself if all do. */
function kept(before: EnvoyResources, after: EnvoyResources): EnvoyResources {
  let isSame = Object.keys(before).length === Object.keys(after).length;
  const resources: Record<string, EnvoyResource> = {};
  for (const [name, resource] of Object.entries(after)) {
    const old = Object.hasOwn(before, name) ? before[name] : undefined;
    const isKept = old !== undefined && saysSame(old, resource);
    resources[name] = isKept ? old : resource;
    if (!isKept) isSame = false;
  }
  return isSame ? before : resources;
}

function saysSame(one: EnvoyResource, other: EnvoyResource): boolean {
  if (one === other) return true;
  if (versionOf(one) !== versionOf(other) || one.parts.length !== other.parts.length) return false;
  return one.parts.every(({ source: { kind, namespace, name } }, index) => {
    const source = other.parts[index]?.source;
    return source?.name === name && source.namespace === namespace && source.kind === kind;
  });
}
