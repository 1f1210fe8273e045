//! An Envoy as a node of the publisher: snapshots in, resources out, answers back.

import { compileForEnvoy } from "../../compile-envoy/compile-envoy.ts";
import { NO_RESOURCES, RESOURCE_TYPES } from "../../compile-envoy/envoy-config.ts";
import type {
  EnvoyConfig,
  EnvoyResources,
  EnvoyView,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import { applyDelta } from "../../snapshot/delta.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { ConfigNode, NodeRole, PushAnswer } from "../publish/config-node.ts";
import { mergeForMakeBeforeBreak } from "../publish/make-before-break.ts";
import type { AdsSession, Stage, SyncState } from "./ads-session.ts";
import { faultsOf } from "./refused.ts";

export interface EnvoyStatus {
  readonly id: string;
  readonly role: NodeRole;
  /** What it runs, but for what it refused. */
  readonly snapshotVersion: string;
  readonly types: Readonly<Record<ResourceType, SyncState>>;
  /** What it refused, in its own words; `""` for nothing. */
  readonly error: string;
}

type Resources = Readonly<Record<ResourceType, EnvoyResources>>;

export class EnvoyNode implements ConfigNode {
  readonly id: string;
  readonly role: NodeRole;
  readonly #name: string;
  readonly #view: EnvoyView;
  readonly #session: AdsSession;
  readonly #onTaken: () => void;
  #snapshot: Snapshot = EMPTY_SNAPSHOT;
  #resources: Resources = NO_RESOURCES;

  /** `onTaken`: it has answered about a whole snapshot. */
  constructor(
    name: string,
    view: EnvoyView,
    session: AdsSession,
    onTaken: () => void = () => undefined,
  ) {
    this.id = `envoy/${name}`;
    this.role = view.role;
    this.#name = name;
    this.#view = view;
    this.#session = session;
    this.#onTaken = onTaken;
  }

  get heldVersion(): string {
    return this.#snapshot.version;
  }

  hosts(pod: string): boolean {
    return this.#view.role === "sidecar" && this.#view.pod === pod;
  }

  /** Whether its listeners are those of that pod. */
  serves(pod: string): boolean {
    if (!this.hosts(pod) || this.#snapshot.workloads[pod] === undefined) return false;
    return !this.#session.refused().some(({ type }) => type === "listeners");
  }

  async push(delta: SnapshotDelta): Promise<PushAnswer> {
    const base = delta.fromVersion === this.heldVersion ? this.#snapshot : EMPTY_SNAPSHOT;
    const next = applyDelta(base, delta);
    if (next === null) return { ok: false, error: "the change was made for another version" };
    const config = compileForEnvoy(next, this.#view);
    await this.#session.bring([
      this.#making(next, config),
      { version: next.version, resources: config },
    ]);
    this.#snapshot = next;
    this.#resources = config;
    this.#onTaken();
    const refused = faultsOf(this.#name, this.#session.refused());
    return { ok: true, faults: [...config.refusals, ...refused] };
  }

  status(): EnvoyStatus {
    const error = this.#session.refused().map(({ error: words }) => words.trim());
    const { id, role } = this;
    const types = this.#session.status();
    return { id, role, snapshotVersion: this.heldVersion, types, error: error.join("; ") };
  }

  /** The new routes, with clusters and endpoints that serve the old ones as well. */
  #making(next: Snapshot, config: EnvoyConfig): Stage {
    const before = this.#snapshot;
    const merged = mergeForMakeBeforeBreak(before, next);
    const made = compileForEnvoy(merged, this.#view, [before]);
    return {
      version: next.version,
      resources: {
        clusters: { ...this.#resources.clusters, ...made.clusters },
        endpoints: { ...this.#resources.endpoints, ...made.endpoints },
        listeners: config.listeners,
        routes: config.routes,
      },
    };
  }
}

/** Of several Envoys, by id. */
export function sortedStatus(nodes: Iterable<EnvoyNode>): EnvoyStatus[] {
  return [...nodes].map((node) => node.status()).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** In the order in which Envoy learns of them. */
export const STATUS_TYPES: readonly ResourceType[] = RESOURCE_TYPES;
