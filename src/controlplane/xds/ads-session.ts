//! One Envoy's stream: brings it from what it runs to what it should run, in an order that breaks
//! nothing (make before break), and learns what it refused.
//!
//! Clusters and endpoints first; when Envoy has taken them, listeners and routes; what only the
//! routes before needed goes in a further stage. Envoy answers a message of clusters only when they
//! are warm, for which it needs their endpoints: those are sent while that answer is awaited.
//! Secrets go whenever they are asked for. Plug-ins go as routes do, before the listeners.

import type { DumpedResource } from "../../compile-envoy/config-dump.ts";
import { RESOURCE_TYPES, TYPE_URLS, byType } from "../../compile-envoy/envoy-config.ts";
import type {
  EnvoyResource,
  EnvoyResources,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import { DeltaState } from "./delta-state.ts";
import type { MissPolicy } from "./misses.ts";
import type { ModuleWaits } from "./module-waits.ts";
import type { Refused } from "./refused.ts";
import { versionOf } from "./type-channel.ts";
import type { AdsRequest, TypeChannel } from "./type-channel.ts";
import { TypeState } from "./type-state.ts";

/** Which of the two protocols of xDS an Envoy speaks. */
export type XdsMode = "delta" | "sotw";

export interface AdsResponse {
  readonly type: ResourceType;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly EnvoyResource[];
  /** Deltas only: the names of what is no more. */
  readonly removed: readonly string[];
}

/** What Envoy should run at a time; a change goes through one or two of them. */
export interface Stage {
  readonly version: string;
  readonly resources: Readonly<Record<ResourceType, EnvoyResources>>;
}

/** - NOT SENT: Envoy has not asked for it. - STALE: sent, not taken (yet). */
export type SyncState = "SYNCED" | "STALE" | "NOT SENT";

export type TypeStates = Readonly<
  Record<Exclude<ResourceType, "extensions">, SyncState> & { extensions?: SyncState }
>;

export class AdsSession {
  readonly #send: (response: AdsResponse) => void;
  readonly #states: Readonly<Record<ResourceType, TypeChannel>>;
  #stages: readonly Stage[] = [];
  #nonces = 0;
  #settled: (() => void) | null = null;

  /** `sizeOf`: how many bytes a resource takes in a message. */
  constructor(
    send: (response: AdsResponse) => void,
    mode: XdsMode = "sotw",
    sizeOf: (type: ResourceType, resource: EnvoyResource) => number = () => 0,
    waits: ModuleWaits | null = null,
  ) {
    this.#send = send;
    const policy = waits === null ? null : this.#missPolicy(waits);
    const of = (type: ResourceType): TypeChannel =>
      mode === "delta"
        ? new DeltaState(type, (resource) => sizeOf(type, resource), policy)
        : new TypeState(type, policy);
    this.#states = byType(of);
  }

  #missPolicy(waits: ModuleWaits): MissPolicy {
    const again = (run: () => void) => (): void => {
      run();
      this.#advance();
    };
    return {
      mayBeMissing: (resource, error, run) => waits.mayBeMissing(resource, error, again(run)),
      taken: (resource) => {
        waits.taken(resource);
      },
    };
  }

  /** Resolves when Envoy has answered everything: what it runs then is what it did not refuse. */
  bring(stages: readonly Stage[]): Promise<void> {
    return new Promise((resolve) => {
      this.#stages = stages;
      this.#settled = resolve;
      this.#advance();
    });
  }

  onRequest(request: AdsRequest): void {
    const type = RESOURCE_TYPES.find((one) => TYPE_URLS[one] === request.typeUrl);
    // Types that we do not serve are never answered: Envoy goes on without them.
    if (type === undefined || !this.#states[type].take(request)) return;
    this.#advance();
  }

  refused(): readonly Refused[] {
    return RESOURCE_TYPES.flatMap((type) => this.#states[type].refused);
  }

  /** Of plug-ins only where it is to have any. */
  status(): TypeStates {
    const stage = this.#stages.at(-1);
    const of = (type: ResourceType): SyncState => {
      const state = this.#states[type];
      if (!state.wasSent) return "NOT SENT";
      const isDue = stage !== undefined && state.due(stage.resources[type]) !== null;
      return state.isPending || isDue || state.refused.length > 0 ? "STALE" : "SYNCED";
    };
    const { extensions, ...states } = byType(of);
    const hasPlugins = Object.keys(stage?.resources.extensions ?? {}).length > 0;
    return hasPlugins ? { ...states, extensions } : states;
  }

  /** What it is to run at last, with what became of each resource; by name. */
  dump(): Readonly<Record<ResourceType, readonly DumpedResource[]>> {
    const wanted = this.#stages.at(-1)?.resources;
    const of = (type: ResourceType): DumpedResource[] =>
      Object.values(wanted?.[type] ?? {}).map((one) => dumpedOf(one, this.#states[type]));
    return byType(of);
  }

  #advance(): void {
    for (let [stage] = this.#stages; stage !== undefined; [stage] = this.#stages) {
      this.#sendDue(stage);
      if (!this.#hasArrived()) return;
      // The last stage stays: Envoy may ask for a part of it again.
      if (this.#stages.length === 1) break;
      this.#stages = this.#stages.slice(1);
    }
    const settled = this.#settled;
    this.#settled = null;
    if (this.#stages.length > 0) settled?.();
  }

  #sendDue(stage: Stage): void {
    const { clusters, endpoints, extensions, listeners, routes } = this.#states;
    const changed = this.#sendType(clusters, stage);
    endpoints.sendAgain(changed);
    this.#sendType(endpoints, stage, clusters);
    this.#sendType(this.#states.secrets, stage);
    if (!this.#areClustersReady()) return;
    this.#sendType(extensions, stage);
    if (extensions.isPending) return;
    this.#sendType(listeners, stage);
    this.#sendType(routes, stage, listeners);
  }

  /**
   * The names of what was new in the message; none when nothing was sent. What `askers` have just
   * been told to drop, Envoy will ask for no more: until it has said so, that is not removed.
   */
  #sendType(state: TypeChannel, { version, resources }: Stage, askers?: TypeChannel): string[] {
    const due = state.due(resources[state.type]);
    if (due === null) return [];
    const isEarly = askers?.isPending === true && due.removed.length > 0;
    if (isEarly && due.resources.size === 0) return [];
    const message = isEarly ? { ...due, removed: [] } : due;
    const changed = state.changedIn(message.resources);
    this.#nonces += 1;
    const nonce = String(this.#nonces);
    state.sent(nonce, message);
    const { resources: sent, removed } = message;
    this.#send({ type: state.type, version, nonce, resources: [...sent.values()], removed });
    return changed;
  }

  #areClustersReady(): boolean {
    const { clusters, endpoints, secrets } = this.#states;
    const isIdle = clusters.isSubscribed && !clusters.isPending && !endpoints.isPending;
    return isIdle && clusters.hasNeeds([endpoints], secrets);
  }

  #hasArrived(): boolean {
    const { listeners, routes, secrets, extensions } = this.#states;
    const isIdle = listeners.isSubscribed && !listeners.isPending && !routes.isPending;
    const isReady = this.#areClustersReady() && isIdle;
    if (!isReady || secrets.isPending || extensions.isPending) return false;
    return listeners.hasNeeds([routes, extensions], secrets);
  }
}

function dumpedOf(resource: EnvoyResource, state: TypeChannel): DumpedResource {
  const { name, json } = resource;
  const version = versionOf(resource);
  const held = state.held(name);
  const refused = state.refused.find((one) => one.name === name && one.version === version);
  if (refused !== undefined) {
    const error = { details: refused.error, json };
    return { name, json: held?.json ?? null, status: "NACKED", error };
  }
  const isHeld = held !== null && versionOf(held) === version;
  return { name, json, status: isHeld ? "ACKED" : "REQUESTED" };
}
