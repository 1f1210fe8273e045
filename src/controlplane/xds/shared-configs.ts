//! What Envoys are to run, made once for all that are alike: those with the same view that go from
//! the same snapshot to the same next one. What did not change keeps its identity, so that nobody
//! compares, hashes or encodes it again.

import { keepEqual } from "../../base/equal.ts";
import { compileForEnvoy } from "../../compile-envoy/compile-envoy.ts";
import { withRulesOf } from "../../compile-envoy/filter-program.ts";
import { NO_RESOURCES, byType } from "../../compile-envoy/envoy-config.ts";
import type {
  EnvoyResources,
  EnvoyView,
  ModuleFile,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import { MODULES_LISTENER } from "../../compile-envoy/modules-listener.ts";
import type { Fault } from "../../resources/fault.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { mergeForMakeBeforeBreak } from "../publish/make-before-break.ts";
import type { Stage } from "./ads-session.ts";

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

  readonly #onModule: (module: ModuleFile) => void;

  /** `onModule` is called with each module that some Envoy is told to fetch. */
  constructor(onModule: (module: ModuleFile) => void = () => undefined) {
    this.#onModule = onModule;
  }

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
    if (view.modules !== undefined) this.#offer(change);
    return change;
  }

  #offer({ stages }: Change): void {
    for (const { resources } of stages) {
      for (const { fetches = [] } of Object.values(resources.extensions)) {
        for (const module of fetches) this.#onModule(module);
      }
    }
  }
}

function makeChange(view: EnvoyView, before: Applied, next: Snapshot): Change {
  const { refusals, ...compiled } = compileForEnvoy(next, view);
  const resources = keepSame(before.resources, compiled);
  const applied = { snapshot: next, resources };
  const last = { version: next.version, resources };
  const hasOthers = hasOtherRoutes(before.resources, resources);
  const stages = hasOthers ? [making(view, before, applied), last] : [last];
  return { stages: [...fetching(before.resources, stages), ...stages], applied, refusals };
}

/** What else there is to fetch is fetched, and judged, before a listener needs it. */
function fetching({ listeners, routes }: Resources, [first]: readonly Stage[]): Stage[] {
  const modules = first?.resources.listeners[MODULES_LISTENER];
  if (first === undefined || modules === undefined) return [];
  if (modules === listeners[MODULES_LISTENER]) return [];
  const before = { ...listeners, [MODULES_LISTENER]: modules };
  return [{ ...first, resources: { ...first.resources, listeners: before, routes } }];
}

/** Without other routes nothing is to be kept for old ones: each update is whole by itself. */
function hasOtherRoutes(before: Resources, after: Resources): boolean {
  const had = Object.keys(before.listeners).length > 0;
  return had && (before.routes !== after.routes || before.listeners !== after.listeners);
}

/** The new routes, with clusters, endpoints and rules that serve the old ones as well. */
function making(view: EnvoyView, before: Applied, { snapshot, resources }: Applied): Stage {
  const union = mergeForMakeBeforeBreak(before.snapshot, snapshot);
  const compiled = compileForEnvoy(union, view, [before.snapshot]);
  const merged = keepSame(resources, keepSame(before.resources, compiled));
  const both = (type: ResourceType): EnvoyResources =>
    keepEqual(resources[type], { ...before.resources[type], ...merged[type] });
  const version = snapshot.version;
  const made = byType(both);
  const { extensions: news, listeners, routes } = resources;
  const olds = before.resources.extensions;
  const extensions = keepEqual(news, { ...olds, ...withRulesOf(olds, news) });
  return { version, resources: { ...made, extensions, listeners, routes } };
}

function keepSame(before: Resources, after: Resources): Resources {
  return byType((type) => keepEqual(before[type], after[type]));
}
