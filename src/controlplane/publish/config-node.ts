//! A node: a process that runs snapshots, as a gateway worker or as the worker of the sidecars.

import type { Fault } from "../../resources/fault.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

export type NodeRole = "gateway" | "sidecar";

export type PushAnswer =
  /** The node runs it; `faults` are of single objects that it could not do justice to. */
  | { readonly ok: true; readonly faults?: readonly Fault[] }
  /** The node refused it and keeps what it had; `error` says why. */
  | { readonly ok: false; readonly error: string };

export interface ConfigNode {
  /** Unique among the nodes that are joined; a restarted process is another node. */
  readonly id: string;
  readonly role: NodeRole;
  /** What the node runs: the `toVersion` of the last delta it accepted, else EMPTY_SNAPSHOT's. */
  readonly heldVersion: string;
  /** What it holds already when it joins; absent: nothing. */
  readonly joinsWith?: { readonly snapshot: Snapshot; readonly faults: readonly Fault[] };
  /**
   * Serves nobody before its first answer, or goes on with what it has: no change waits for that.
   * What it may be running meanwhile is kept at the sidecars. Absent: it is waited for.
   */
  readonly mayComeLate?: boolean;
  /** Whether the sidecar of that pod (`<namespace>/<name>`) runs on this node. */
  hosts(pod: string): boolean;
  /**
   * Resolves when the node runs the result, or refuses it. `delta.fromVersion` is `heldVersion`,
   * or EMPTY_SNAPSHOT's version: such a delta replaces everything that the node holds. Never called
   * again before the answer. A rejection means that the channel failed: it is tried again.
   */
  push(delta: SnapshotDelta): Promise<PushAnswer>;
  /** In place of `push`, of a node in this process: nothing has to travel. */
  run?(snapshot: Snapshot): Promise<PushAnswer>;
}

/**
 * - PENDING: told, and within the time that a change waits for it.
 * - SYNCED: runs what it should.
 * - STALE: did not answer in time; the change went on without it.
 * - NACK: refused what it should run; keeps its last good one.
 */
export type NodeState = "PENDING" | "SYNCED" | "STALE" | "NACK";

export interface NodeStatus {
  readonly id: string;
  readonly role: NodeRole;
  readonly state: NodeState;
  readonly heldVersion: string;
  /** `""` before anything was published. */
  readonly targetVersion: string;
  /** Why it is STALE or NACK, else `""`. */
  readonly error: string;
}
