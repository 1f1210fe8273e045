//! All nodes that are joined: gives each role its target and waits until the role has settled.

import type { Clock } from "../../base/clock.ts";
import type { Fault } from "../../resources/fault.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConfigNode, NodeRole, NodeStatus } from "./config-node.ts";
import { NodeTrack } from "./node-track.ts";
import type { LaggingNode } from "./withhold.ts";

/** How many nodes may be joined at one time. */
export const NODES_MAX = 2_048;

export interface FleetOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a node is waited for now. Absent: as `NodeTrack` has it. */
  readonly answerTimeoutMs?: () => number;
  /** A node begins to lag, has caught up, came late, or says other things of single objects. */
  readonly reportsChanged: () => void;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #tracks = new Map<string, NodeTrack>();
  readonly #targets: Record<NodeRole, Snapshot | null> = { gateway: null, sidecar: null };
  #wakers: (() => void)[] = [];
  /** What each node says that matters to others, by its id; none: nothing. */
  readonly #reports = new Map<string, string>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** The node is sent what it does not hold, when there is anything. */
  join(node: ConfigNode): void {
    if (this.#tracks.size === NODES_MAX) {
      throw new Error(`no more than ${NODES_MAX} nodes can be joined: ${node.id} is refused`);
    }
    this.#tracks.get(node.id)?.close();
    const track: NodeTrack = new NodeTrack(node, {
      ...this.#options,
      changed: () => {
        this.#changed(track);
      },
      cameLate: this.#options.reportsChanged,
    });
    this.#tracks.set(node.id, track);
    const target = this.#targets[node.role];
    if (target !== null) track.aim(target);
  }

  leave(node: ConfigNode): void {
    const track = this.#tracks.get(node.id);
    if (track?.node !== node) return;
    this.#tracks.delete(node.id);
    track.close();
  }

  /** Makes `target` what that role should run; resolves when no node of it is awaited. */
  async settle(role: NodeRole, target: Snapshot): Promise<void> {
    this.#targets[role] = target;
    for (const track of this.#of(role)) track.aim(target);
    while (this.#of(role).some((track) => track.isAwaited)) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
      });
    }
  }

  /** Distinct snapshots that gateways may be running, or that a gateway which joins would run. */
  runByGateways(): readonly Snapshot[] {
    const byVersion = new Map<string, Snapshot>();
    const target = this.#targets.gateway;
    if (target !== null) byVersion.set(target.version, target);
    for (const track of this.#of("gateway")) {
      for (const snapshot of track.mayRun()) byVersion.set(snapshot.version, snapshot);
    }
    return [...byVersion.values()];
  }

  laggingSidecars(): readonly LaggingNode[] {
    return this.#of("sidecar")
      .filter((track) => track.isLagging)
      .map((track) => ({ hosts: (pod) => track.node.hosts(pod), held: track.held }));
  }

  /** What nodes say of single objects, each thing once. */
  faults(): readonly Fault[] {
    const distinct = new Map<string, Fault>();
    for (const track of this.#tracks.values()) {
      for (const fault of track.faults) {
        distinct.set(JSON.stringify([fault.object, fault.code, fault.message]), fault);
      }
    }
    return [...distinct.values()];
  }

  status(): readonly NodeStatus[] {
    return [...this.#tracks.values()].map((track) => track.status());
  }

  #of(role: NodeRole): NodeTrack[] {
    return [...this.#tracks.values()].filter((track) => track.node.role === role);
  }

  #changed(track: NodeTrack): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();

    const { id } = track.node;
    const current = this.#tracks.get(id);
    // The one before it under the same id has gone.
    if (current !== undefined && current !== track) return;
    const report = current === undefined ? "" : reportOf(current);
    if (report === (this.#reports.get(id) ?? "")) return;
    if (report === "") this.#reports.delete(id);
    else this.#reports.set(id, report);
    this.#options.reportsChanged();
  }
}

function reportOf({ held, isLagging, faults }: NodeTrack): string {
  if (!isLagging && faults.length === 0) return "";
  return JSON.stringify([isLagging ? held.version : "", faults]);
}
