//! What the publisher knows of one node, and the one push that may be under way to it.
//!
//! Level-based: a node has a target, and whenever it is idle and not at its target it is sent the
//! newest one. A target that was overtaken while the node was busy is never sent.

import type { Clock, Timer } from "../../base/clock.ts";
import { diffSnapshots } from "../../snapshot/delta.ts";
import type { Fault } from "../../resources/fault.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConfigNode, NodeState, NodeStatus, PushAnswer } from "./config-node.ts";

/** How long a change waits for one node's answer before the node is STALE. */
export const ANSWER_TIMEOUT_MS = 5_000;
/** Time-outs that fire so late: this process was stopped, and has not read what came meanwhile. */
const LATE_MS_MAX = 1_000;
/** When a push failed without an answer: how long until the next try. */
const RETRY_MS = 1_000;

export interface NodeTrackOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent: `ANSWER_TIMEOUT_MS`. */
  readonly answerTimeoutMs?: () => number;
  /** Called whenever the state, or what the node runs, has changed. */
  readonly changed: () => void;
  /** Nobody waited for it, and what it has run in the meantime was overtaken. */
  readonly cameLate: () => void;
}

export class NodeTrack {
  readonly node: ConfigNode;
  readonly #options: NodeTrackOptions;
  #held: Snapshot;
  #target: Snapshot | null = null;
  #sending: Snapshot | null = null;
  #state: NodeState = "PENDING";
  #refusedVersion = "";
  #error = "";
  #faults: readonly Fault[];
  #timer: Timer | null = null;
  #isClosed = false;
  #hasAnswered = false;

  constructor(node: ConfigNode, options: NodeTrackOptions) {
    this.node = node;
    this.#options = options;
    this.#held = node.joinsWith?.snapshot ?? EMPTY_SNAPSHOT;
    this.#faults = node.joinsWith?.faults ?? [];
  }

  /** Waited for: told, and its time is not over. */
  get isAwaited(): boolean {
    if (this.node.mayComeLate === true && !this.#hasAnswered) return false;
    return this.#state === "PENDING" && this.#target !== null && !this.#isClosed;
  }

  /** Does not run what it should, and is not waited for. */
  get isLagging(): boolean {
    return this.#state === "STALE" || this.#state === "NACK";
  }

  /** The last snapshot that it said it runs. */
  get held(): Snapshot {
    return this.#held;
  }

  /** What it said of single objects when it took that snapshot. */
  get faults(): readonly Fault[] {
    return this.#faults;
  }

  /** Every snapshot that it may be running now: an unanswered push may have been carried out. */
  mayRun(): readonly Snapshot[] {
    return this.#sending === null ? [this.#held] : [this.#held, this.#sending];
  }

  status(): NodeStatus {
    return {
      id: this.node.id,
      role: this.node.role,
      state: this.#state,
      heldVersion: this.#held.version,
      targetVersion: this.#target?.version ?? "",
      error: this.isLagging ? this.#error : "",
    };
  }

  /** Makes `target` what the node should run. */
  aim(target: Snapshot): void {
    this.#target = target;
    this.#advance();
  }

  /** The node has left: nothing more is sent and no answer counts. */
  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
    this.#options.changed();
  }

  /** Takes the one step that the target asks for. */
  #advance(): void {
    const target = this.#target;
    if (target === null || this.#isClosed) return;
    if (this.#sending !== null) {
      if (this.#sending.version !== target.version) this.#await();
      return;
    }
    if (this.#held.version === target.version) {
      this.#settle("SYNCED");
    } else if (this.#refusedVersion === target.version) {
      this.#settle("NACK");
    } else {
      this.#await();
      this.#send(target);
    }
  }

  #settle(state: "SYNCED" | "NACK"): void {
    this.#stopTimer();
    if (this.#state === state) return;
    this.#state = state;
    this.#options.changed();
  }

  /** A node that is STALE already is not waited for again until it has caught up. */
  #await(): void {
    if (this.#state === "STALE") return;
    this.#state = "PENDING";
    this.#stopTimer();
    const timeoutMs = this.#options.answerTimeoutMs?.() ?? ANSWER_TIMEOUT_MS;
    const { clock } = this.#options;
    const dueMs = clock.monotonicMs() + timeoutMs;
    this.#timer = clock.after(timeoutMs, () => {
      if (clock.monotonicMs() - dueMs > LATE_MS_MAX) this.#await();
      else this.#giveUp(`no answer in ${timeoutMs / 1000} s`);
    });
  }

  #giveUp(error: string): void {
    this.#stopTimer();
    this.#state = "STALE";
    this.#error = error;
    this.#options.logger.warn("node is stale, the change goes on without it", {
      node: this.node.id,
      error,
    });
    this.#options.changed();
  }

  #send(snapshot: Snapshot): void {
    this.#sending = snapshot;
    this.#deliver(snapshot).then(
      (answer) => {
        this.#answered(snapshot, answer);
      },
      (cause: unknown) => {
        this.#failed(cause);
      },
    );
  }

  #deliver(snapshot: Snapshot): Promise<PushAnswer> {
    const { node } = this;
    if (node.run !== undefined) return node.run(snapshot);
    // A node that lost what it held (or whose answer was lost) is sent everything.
    const base = node.heldVersion === this.#held.version ? this.#held : EMPTY_SNAPSHOT;
    return node.push(diffSnapshots(base, snapshot));
  }

  #answered(snapshot: Snapshot, answer: PushAnswer): void {
    if (this.#isClosed) return;
    this.#sending = null;
    const isLate = !this.#hasAnswered && this.node.mayComeLate === true;
    this.#hasAnswered = true;
    if (answer.ok) {
      this.#held = snapshot;
      this.#faults = answer.faults ?? [];
      this.#refusedVersion = "";
    } else {
      this.#refusedVersion = snapshot.version;
      this.#error = answer.error;
      this.#options.logger.error("node refused a snapshot and keeps its last good one", {
        node: this.node.id,
        version: snapshot.version,
        error: answer.error,
      });
    }
    this.#advance();
    this.#options.changed();
    if (isLate && snapshot.version !== this.#target?.version) this.#options.cameLate();
  }

  #failed(cause: unknown): void {
    if (this.#isClosed) return;
    this.#sending = null;
    this.#giveUp(cause instanceof Error ? cause.message : String(cause));
    this.#timer = this.#options.clock.after(RETRY_MS, () => {
      this.#advance();
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
