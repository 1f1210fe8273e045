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
import { WorkerFleet } from "./worker-fleet.ts";

export interface StaticEngineOptions {
  readonly snapshot: Snapshot;
  readonly workerCount: number;
  readonly worker: Omit<WorkerOptions, "role" | "id">;
  readonly logger: Logger;
}

export class StaticEngine {
  readonly #fleet: WorkerFleet;
  readonly #snapshot: Snapshot;
  readonly #logger: Logger;
  readonly #configured: Promise<readonly Fault[]>[] = [];
  isReady = false;

  constructor({ snapshot, workerCount, worker, logger }: StaticEngineOptions) {
    this.#snapshot = snapshot;
    this.#logger = logger;
    this.#fleet = new WorkerFleet({
      gatewayCount: workerCount,
      sidecarCount: 0,
      worker,
      clock: systemClock,
      logger,
      onUp: (node) => {
        this.#onUp(node);
      },
      onDown: () => undefined,
    });
  }

  /**
   * Resolves to null when it is ready, else to the first fault of a plug-in for which it must not
   * be. Rejects when a worker cannot run the snapshot.
   */
  async start(isRefusal: (fault: Fault) => boolean): Promise<Fault | null> {
    await this.#fleet.start();
    const [faults = []] = await Promise.all(this.#configured);
    const refusal = faults.find(isRefusal) ?? null;
    this.isReady = refusal === null;
    return refusal;
  }

  get workerCount(): number {
    return this.#fleet.gateways.length;
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

  #onUp(node: ConfigNode): void {
    const configured = this.#configure(node);
    // Who starts the engine waits for the first ones; a worker that came in place of another logs.
    configured.catch((error: unknown) => {
      this.#logger.error(error instanceof Error ? error.message : String(error));
    });
    if (!this.isReady) this.#configured.push(configured);
  }

  async #configure(node: ConfigNode): Promise<readonly Fault[]> {
    const answer = await node.push(diffSnapshots(EMPTY_SNAPSHOT, this.#snapshot));
    if (!answer.ok) throw new Error(answer.error);
    return answer.faults ?? [];
  }
}
