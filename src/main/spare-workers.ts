//! For each role a worker that runs nothing and waits to take another's place; that of gateways has
//! the code of the plug-ins, and plug-ins are started in it for trial.

import type { Clock } from "../base/clock.ts";
import type { NodeRole } from "../controlplane/publish/config-node.ts";
import type { ModuleFile } from "../dataplane/runtime/module-cache.ts";
import type { WorkerLink } from "./worker-link.ts";

/**
 * So long after a worker has started cold the spare one is: the machine is busy until then. After
 * one that was a spare itself it is started as soon as that one serves: another may go as well.
 */
export const SPARE_DELAY_MS = 1_000;

/** The fleet, as far as it is needed here. */
export interface SpareOptions {
  readonly clock: Clock;
  readonly launch: (role: NodeRole) => WorkerLink;
  readonly isStopping: () => boolean;
  /** The code of the plug-ins that gateways run now; a file may stand there more than once. */
  readonly modules: () => readonly ModuleFile[];
}

/**
 * Every call between pods goes through the one sidecar worker, so the time that a process needs to
 * start would be an outage; and a gateway that was killed is to be back at once, however busy the
 * machine is.
 */
export class SpareWorkers {
  readonly #options: SpareOptions;
  readonly #spares = new Map<NodeRole, WorkerLink>();
  /** How many plug-ins are tried in a spare just now: nobody takes it meanwhile. */
  readonly #trials = new Map<WorkerLink, number>();
  /** Digests of the code that each spare has, or is loading; of those that are ready to. */
  readonly #loaded = new WeakMap<WorkerLink, string>();

  constructor(options: SpareOptions) {
    this.#options = options;
  }

  get(role: NodeRole): WorkerLink | null {
    return this.#spares.get(role) ?? null;
  }

  get links(): readonly WorkerLink[] {
    return [...this.#spares.values()];
  }

  /** The spare as it is, also one that is still starting; null: there is none, or it is in use. */
  take(role: NodeRole): WorkerLink | null {
    const spare = this.get(role);
    if (spare === null || this.#trials.has(spare)) return null;
    this.#spares.delete(role);
    return spare;
  }

  /** The gateways' spare when it is ready; null: none can be made, or it is in use. */
  async takeReady(): Promise<WorkerLink | null> {
    const spare = await this.#ready();
    return spare !== null && this.get("gateway") === spare ? this.take("gateway") : null;
  }

  /** Runs `use` with the gateways' spare, which stays what it is; null: there is none. */
  async borrow<Result>(use: (worker: WorkerLink) => Promise<Result>): Promise<Result | null> {
    const spare = await this.#ready();
    if (spare === null) return null;
    this.#trials.set(spare, (this.#trials.get(spare) ?? 0) + 1);
    try {
      return await use(spare);
    } finally {
      const others = (this.#trials.get(spare) ?? 1) - 1;
      if (others === 0) this.#trials.delete(spare);
      else this.#trials.set(spare, others);
    }
  }

  /** Makes one in a while, unless there is one by then. */
  prepare(role: NodeRole): void {
    this.#options.clock.after(
      SPARE_DELAY_MS,
      () => {
        this.prepareNow(role);
      },
      { unref: true },
    );
  }

  /** Makes one unless there is one. */
  prepareNow(role: NodeRole): void {
    if (!this.#options.isStopping() && !this.#spares.has(role)) this.#launch(role);
  }

  /** A worker that has no place has ended; another will be the spare. */
  onExit(link: WorkerLink): void {
    if (this.get(link.role) === link) this.#spares.delete(link.role);
    if (!this.#options.isStopping()) this.prepare(link.role);
  }

  /** Gateways run other code. No plug-in is started: timers and queues would be there twice. */
  load(): void {
    const spare = this.get("gateway");
    const loaded = spare === null ? undefined : this.#loaded.get(spare);
    if (spare === null || loaded === undefined || this.#options.isStopping()) return;
    const bySha = new Map(this.#options.modules().map((file) => [file.sha256, file]));
    const wanted = [...bySha.keys()].sort().join(" ");
    if (wanted === loaded) return;
    this.#loaded.set(spare, wanted);
    // If it dies another one comes.
    spare.load([...bySha.values()]).catch(() => undefined);
  }

  /** The gateways' spare, made now if there is none; null: no worker can be made. */
  async #ready(): Promise<WorkerLink | null> {
    while (!this.#options.isStopping()) {
      const spare = this.get("gateway") ?? this.#launch("gateway");
      try {
        await spare.ready;
      } catch {
        return null;
      }
      // While it started it may have been given a place.
      if (this.get("gateway") === spare) return spare;
    }
    return null;
  }

  #launch(role: NodeRole): WorkerLink {
    const spare = this.#options.launch(role);
    this.#spares.set(role, spare);
    spare.ready.then(
      () => {
        this.#loaded.set(spare, "");
        this.load();
      },
      () => undefined,
    );
    return spare;
  }
}
