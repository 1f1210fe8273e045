//! An Envoy as a node of the publisher: snapshots in, resources out, answers back.

import { omissionsOf } from "../../compile-envoy/config-dump.ts";
import type { DumpedNode } from "../../compile-envoy/config-dump.ts";
import type { EnvoyView } from "../../compile-envoy/envoy-config.ts";
import type { Fault } from "../../resources/fault.ts";
import { applyDelta } from "../../snapshot/delta.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { ConfigNode, NodeRole, PushAnswer } from "../publish/config-node.ts";
import type { AdsSession, Stage, TypeStates } from "./ads-session.ts";
import { faultsOf } from "./refused.ts";
import { NOTHING_APPLIED } from "./shared-configs.ts";
import type { SharedConfigs } from "./shared-configs.ts";

export interface EnvoyStatus {
  readonly id: string;
  readonly role: NodeRole;
  /** What it runs, but for what it refused. */
  readonly snapshotVersion: string;
  readonly types: TypeStates;
  /** What it refused, in its own words; `""` for nothing. */
  readonly error: string;
}

export interface EnvoyNodeParts {
  readonly session: AdsSession;
  readonly configs: SharedConfigs;
  /** It has answered about a whole snapshot. */
  readonly onTaken: () => void;
  /** A sidecar is told nothing, since its pod is not known; called once. */
  readonly onUnknown?: (pod: string) => void;
}

export class EnvoyNode implements ConfigNode {
  readonly id: string;
  readonly role: NodeRole;
  /** Of a sidecar it must be known what it runs: its pod may be called by now. */
  readonly mayComeLate: boolean;
  readonly #name: string;
  readonly #view: EnvoyView;
  readonly #parts: EnvoyNodeParts;
  #applied = NOTHING_APPLIED;
  /** What Envoy cannot do of what it is to run. */
  #omitted: readonly Fault[] = [];
  /** The pod that nothing is known of: a sidecar without one keeps what it has. */
  #unknownPod = "";
  #wasTold = false;

  constructor(name: string, view: EnvoyView, parts: EnvoyNodeParts) {
    this.id = `envoy/${name}`;
    this.role = view.role;
    this.mayComeLate = view.role === "gateway";
    this.#name = name;
    this.#view = view;
    this.#parts = parts;
  }

  get heldVersion(): string {
    return this.#applied.snapshot.version;
  }

  hosts(pod: string): boolean {
    return this.#view.role === "sidecar" && this.#view.pod === pod;
  }

  /** Whether its listeners are those of that pod. */
  serves(pod: string): boolean {
    if (!this.hosts(pod) || this.#applied.snapshot.workloads[pod] === undefined) return false;
    return !this.#parts.session.refused().some(({ type }) => type === "listeners");
  }

  push(delta: SnapshotDelta): Promise<PushAnswer> {
    const isNext = delta.fromVersion === this.heldVersion;
    const next = applyDelta(isNext ? this.#applied.snapshot : EMPTY_SNAPSHOT, delta);
    if (next !== null) return this.run(next);
    return Promise.resolve({ ok: false, error: "the change was made for another version" });
  }

  async run(next: Snapshot): Promise<PushAnswer> {
    const { session, configs, onTaken } = this.#parts;
    const { stages, applied, refusals } = configs.change(this.#view, this.#applied, next);
    if (this.#waitsForPod(next)) this.#unknown();
    else await this.#bring(stages);
    this.#applied = applied;
    this.#omitted = refusals;
    onTaken();
    return { ok: true, faults: [...refusals, ...faultsOf(this.#name, session.refused())] };
  }

  /** Whether nothing is known of its pod, and never was since it came. */
  #waitsForPod({ workloads }: Snapshot): boolean {
    const view = this.#view;
    if (this.#wasTold || view.role !== "sidecar") return false;
    return workloads[view.pod]?.sidecar !== "envoy";
  }

  #unknown(): void {
    if (this.#unknownPod !== "" || this.#view.role !== "sidecar") return;
    this.#unknownPod = this.#view.pod;
    this.#parts.onUnknown?.(this.#view.pod);
  }

  #bring(stages: readonly Stage[]): Promise<void> {
    this.#unknownPod = "";
    this.#wasTold = true;
    return this.#parts.session.bring(stages);
  }

  /** `updatedAt`: RFC 3339. */
  dump(updatedAt: string): DumpedNode {
    const omitted = omissionsOf(this.#omitted);
    return { id: this.#name, resources: this.#parts.session.dump(), updatedAt, omitted };
  }

  status(): EnvoyStatus {
    const refused = this.#parts.session.refused().map(({ error: words }) => words.trim());
    const waits = this.#unknownPod === "" ? [] : [unknownText(this.#unknownPod)];
    const error = [...waits, ...refused];
    const { id, role } = this;
    const types = this.#parts.session.status();
    return { id, role, snapshotVersion: this.heldVersion, types, error: error.join("; ") };
  }
}

/** Why a sidecar is told nothing. */
export function unknownText(pod: string): string {
  return `no Pod ${pod} with an address and an Envoy for its sidecar is known: it is told nothing`;
}

/** Of several Envoys, by id. */
export function sortedStatus(nodes: Iterable<EnvoyNode>): EnvoyStatus[] {
  return [...nodes].map((node) => node.status()).sort((a, b) => (a.id < b.id ? -1 : 1));
}
