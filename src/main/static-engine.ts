//! Gateway workers that run one snapshot from their start to their end: no store, no API.

import { systemClock } from "../base/clock.ts";
import type { ConfigNode } from "../controlplane/publish/config-node.ts";
import type { WorkerOptions } from "../dataplane/worker/protocol.ts";
import type { Fault } from "../resources/fault.ts";
import { diffSnapshots } from "../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Logger, LogLevel } from "../telemetry/logger.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";
import type { Handles } from "./succession.ts";
import { WorkerFleet } from "./worker-fleet.ts";

export interface StaticEngineOptions {
  readonly snapshot: Snapshot;
  /** What one more worker runs, alone, and before the others. Null or absent: there is none. */
  readonly singletons?: Snapshot | null;
  readonly workerCount: number;
  readonly worker: Omit<WorkerOptions, "role" | "id">;
  readonly logger: Logger;
  /** Sockets that a process before this one has opened, by `host:port`. */
  readonly inherited?: Handles;
}

export class StaticEngine {
  readonly #fleet: WorkerFleet;
  #snapshot: Snapshot;
  #singletons: Snapshot | null;
  /** The worker that has them. */
  #singletonNode: ConfigNode | null = null;
  #singletonsTried: Promise<unknown> = Promise.resolve();
  readonly #workerCount: number;
  readonly #logger: Logger;
  readonly #configured: Promise<readonly Fault[]>[] = [];
  isReady = false;

  constructor({ snapshot, singletons = null, workerCount, ...rest }: StaticEngineOptions) {
    const { worker, logger, inherited } = rest;
    this.#snapshot = snapshot;
    this.#singletons = singletons;
    this.#workerCount = workerCount;
    this.#logger = logger;
    this.#fleet = new WorkerFleet({
      gatewayCount: singletons === null ? workerCount : workerCount + 1,
      sidecarCount: 0,
      ...(inherited === undefined ? {} : { inherited }),
      worker,
      clock: systemClock,
      logger,
      onUp: (node) => {
        this.#onUp(node);
      },
      onDown: (node) => {
        if (this.#singletonNode === node) this.#singletonNode = null;
      },
    });
  }

  /** Before its start: what it runs, as it has become known since it was made. */
  revise(change: (snapshot: Snapshot) => Snapshot): void {
    this.#snapshot = change(this.#snapshot);
    this.#singletons = this.#singletons === null ? null : change(this.#singletons);
  }

  /**
   * Resolves to null when it is ready, else to the first fault of a plug-in for which it must not
   * be. Rejects when a worker cannot run the snapshot.
   */
  async start(isRefusal: (fault: Fault) => boolean): Promise<Fault | null> {
    await this.#fleet.start();
    const faults = await Promise.all(this.#configured);
    const refusal = faults.flat().find(isRefusal) ?? null;
    this.isReady = refusal === null;
    return refusal;
  }

  get workerCount(): number {
    return this.#workerCount;
  }

  metrics(): Promise<MetricsSnapshot> {
    return this.#fleet.metrics();
  }

  /** `address:port` of the endpoints that some worker has ejected. */
  ejected(): Promise<ReadonlySet<string>> {
    return this.#fleet.ejected();
  }

  setLogLevel(level: LogLevel): Promise<void> {
    return this.#fleet.setLogLevel(level);
  }

  get isDrained(): boolean {
    return this.#fleet.isDrained;
  }

  drainListeners(): Promise<void> {
    return this.#fleet.drainListeners();
  }

  stop(): Promise<void> {
    return this.#fleet.stop();
  }

  /** As `WorkerFleet.listeners`. */
  listeners(): Promise<Handles> {
    return this.#fleet.listeners();
  }

  /** As `WorkerFleet.leavePorts`. */
  leavePorts(): Promise<void> {
    return this.#fleet.leavePorts();
  }

  /** As `WorkerFleet.retire`. */
  retire(graceMs: number): Promise<void> {
    return this.#fleet.retire(graceMs);
  }

  #onUp(node: ConfigNode): void {
    const configured = this.#configure(node);
    // Who starts the engine waits for the first ones; a worker that came in place of another logs.
    configured.catch((error: unknown) => {
      this.#logger.error(error instanceof Error ? error.message : String(error));
    });
    if (!this.isReady) this.#configured.push(configured);
  }

  #configure(node: ConfigNode): Promise<readonly Fault[]> {
    const singletons = this.#singletons;
    if (singletons === null || this.#singletonNode !== null) {
      // Filters look for the queues of services as they start.
      return this.#singletonsTried.then(() => push(node, this.#snapshot));
    }
    // Also when a worker died: who takes its place, and comes first, takes them over.
    this.#singletonNode = node;
    const configured = push(node, singletons);
    this.#singletonsTried = configured.catch(() => undefined);
    return configured;
  }
}

async function push(node: ConfigNode, snapshot: Snapshot): Promise<readonly Fault[]> {
  const answer = await node.push(diffSnapshots(EMPTY_SNAPSHOT, snapshot));
  if (!answer.ok) throw new Error(answer.error);
  return answer.faults ?? [];
}
