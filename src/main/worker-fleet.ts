//! Starts the workers, restarts those that die, and tells the publisher about each.

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import cluster from "node:cluster";
import type { Clock } from "../base/clock.ts";
import type { ConfigNode, NodeRole } from "../controlplane/publish/config-node.ts";
import { WORKER_OPTIONS_VARIABLE } from "../dataplane/worker/protocol.ts";
import type { WorkerOptions } from "../dataplane/worker/protocol.ts";
import { mergeMetrics } from "../telemetry/metrics.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";
import type { Logger, LogLevel } from "../telemetry/logger.ts";
import { ConnectionShares } from "./connection-shares.ts";
import { LeavingWorkers } from "./leaving-workers.ts";
import { LongStarts } from "./long-starts.ts";
import { RestartDelay } from "./restart-delay.ts";
import { closeHandle } from "./succession.ts";
import type { Handles, ListeningHandle } from "./succession.ts";
import { SpareWorkers } from "./spare-workers.ts";
import { workerFile, workerFlags } from "./worker-command.ts";
import { WorkerLink } from "./worker-link.ts";

const STOP_GRACE_MS_DEFAULT = 5_000;
export interface FleetOptions {
  readonly gatewayCount: number;
  /** Absent: one. */
  readonly sidecarCount?: 0 | 1;
  readonly worker: Omit<WorkerOptions, "role" | "id">;
  /** What runs when a worker is to end has this long; absent: 5 s. */
  readonly stopGraceMs?: number;
  /** Sockets that a process before this one has opened, by `host:port`. Absent: none. */
  readonly inherited?: Handles;
  /** Workers that processes before this one have started: no two have one id. Absent: none. */
  readonly launchedBefore?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A worker is up: it holds nothing yet. */
  readonly onUp: (node: ConfigNode) => void;
  readonly onDown: (node: ConfigNode) => void;
}

/** One place in the fleet, filled by one process after the other. */
interface Slot {
  readonly role: NodeRole;
  link: WorkerLink | null;
  /** What the publisher knows it by. */
  node: ConfigNode | null;
  restartCount: number;
  readonly delay: RestartDelay;
  startedAtMs: number;
}

export class WorkerFleet {
  readonly #options: FleetOptions;
  readonly #slots: Slot[];
  readonly #spares: SpareWorkers;
  /** Spares that were given the place of a worker that died, until they serve. */
  readonly #tookOver = new WeakSet<WorkerLink>();
  /** Gateways whose place another worker has taken, until what runs in them has ended. */
  readonly #leaving: LeavingWorkers;
  readonly #longStarts: LongStarts;
  /** What each worker last told. */
  readonly #lastMetrics = new WeakMap<WorkerLink, MetricsSnapshot>();
  /** The counters of workers that have gone, summed. */
  #gone: MetricsSnapshot = { families: [] };
  readonly #shares: ConnectionShares;
  readonly #inherited: Map<string, ListeningHandle>;
  /** Where a worker accepts with them. */
  readonly #taken = new Set<string>();
  #logLevel: LogLevel;
  #launchCount = 0;
  #sharedTraces: string | null;
  #isStopping = false;
  #isDrained = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#logLevel = options.worker.logLevel;
    this.#inherited = new Map(options.inherited);
    this.#launchCount = options.launchedBefore ?? 0;
    this.#sharedTraces = options.worker.sharedTraces ?? null;
    this.#shares = new ConnectionShares(options.clock);
    this.#leaving = new LeavingWorkers(options.clock, options.gatewayCount);
    this.#spares = new SpareWorkers({
      clock: options.clock,
      launch: (role) => this.#launch(role),
      isStopping: () => this.#isStopping,
      modules: () => this.gateways.flatMap(({ modules }) => modules),
    });
    this.#longStarts = new LongStarts({
      clock: options.clock,
      gateways: () => this.gateways,
      borrow: (use) => this.#spares.borrow(use),
      take: () => this.#spares.takeReady(),
      replace: (old, fresh) => this.#replace(old, fresh),
    });
    const slot = (role: NodeRole): Slot => ({
      role,
      link: null,
      node: null,
      restartCount: 0,
      delay: new RestartDelay(),
      startedAtMs: 0,
    });
    const gateways = Array.from({ length: options.gatewayCount }, () => slot("gateway"));
    const sidecars = options.sidecarCount === 0 ? [] : [slot("sidecar")];
    this.#slots = [...sidecars, ...gateways];
    // The workers accept by themselves: with a primary that hands connections out, a killed worker
    // leaves new connections hanging.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: workerFile(), execArgv: workerFlags() });
  }

  /** Resolves when every worker has said that it is ready. */
  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#start(slot)));
  }

  get links(): readonly WorkerLink[] {
    return this.#slots.flatMap(({ link }) => link ?? []);
  }

  get gateways(): readonly WorkerLink[] {
    return this.links.filter(({ role }) => role === "gateway");
  }

  /** With those that are leaving: they know what they have done. */
  get everyGateway(): readonly WorkerLink[] {
    return [...this.gateways, ...this.#leaving.links];
  }

  get sidecars(): readonly WorkerLink[] {
    return this.links.filter(({ role }) => role === "sidecar");
  }

  /** Who waits to take another's place. */
  spare(role: NodeRole): WorkerLink | null {
    return this.#spares.get(role);
  }

  get launchCount(): number {
    return this.#launchCount;
  }

  restartCount(id: string): number {
    return this.#slots.find(({ link }) => link?.id === id)?.restartCount ?? 0;
  }

  /**
   * Of all workers, summed; with those that have gone, as they last told, so that no counter falls.
   * What a worker counted between its last answer and its death is lost.
   */
  async metrics(): Promise<MetricsSnapshot> {
    const all = (): readonly WorkerLink[] => [...this.links, ...this.#leaving.links];
    const asked = await Promise.all(
      all().map(async (link) => {
        try {
          this.#lastMetrics.set(link, await link.metrics());
        } catch {
          // It has died just now: its last answer is among those of the gone.
        }
        return link;
      }),
    );
    const running = new Set(all());
    const last = asked.flatMap((link) => (running.has(link) ? link : []));
    return mergeMetrics([...last.flatMap((link) => this.#lastMetrics.get(link) ?? []), this.#gone]);
  }

  /** `address:port` of the endpoints that some gateway worker has ejected. */
  async ejected(): Promise<ReadonlySet<string>> {
    const answers = await Promise.allSettled(this.gateways.map((link) => link.ejected()));
    return new Set(
      answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : [])),
    );
  }

  /** Of all workers that run, and of those that are started from now on. */
  async setLogLevel(logLevel: LogLevel): Promise<void> {
    this.#logLevel = logLevel;
    const running = [...this.links, ...this.#leaving.links, ...this.#spares.links];
    await Promise.allSettled(running.map((link) => link.setLogLevel(logLevel)));
  }

  /** Resolves when no exchange runs on what gateways have swapped out by now. */
  async drained(): Promise<void> {
    // A worker that has gone runs nothing any more.
    await Promise.allSettled([
      ...this.gateways.map((link) => link.awaitDrain()),
      ...this.#leaving.links.map((link) => link.gone),
    ]);
  }

  /** Whether some gateway whose place another has taken still runs. */
  get areLeaving(): boolean {
    return this.#leaving.links.length > 0;
  }

  /** Whether the gateways' ports have been closed for good. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** Of all gateways that run, and of those that are started from now on. */
  drainListeners(): Promise<void> {
    return this.#drainListeners(false);
  }

  async #drainListeners(isPatient: boolean): Promise<void> {
    this.#isDrained = true;
    this.#closeInherited();
    const spare = this.spare("gateway");
    const running = [...this.gateways, ...(spare === null ? [] : [spare])];
    await Promise.allSettled(running.map((link) => link.drainListeners(isPatient)));
  }

  /** As `ToWorker`'s, of sidecars that run and of those that are started from now on. */
  async shareTraces(folder: string | null): Promise<void> {
    this.#sharedTraces = folder;
    const spare = this.spare("sidecar");
    const all = [...this.sidecars, ...(spare === null ? [] : [spare])];
    await Promise.allSettled(all.map((link) => link.shareTraces(folder)));
  }

  /** The sockets that workers accept at, by `host:port`; whoever asks must close the handles. */
  async listeners(): Promise<Handles> {
    const all = new Map<string, ListeningHandle>();
    const answers = await Promise.allSettled(this.links.map((link) => link.listeners()));
    for (const answer of answers) {
      const handles = answer.status === "fulfilled" ? answer.value : [];
      for (const [address, handle] of handles) {
        if (all.has(address)) closeHandle(handle);
        else all.set(address, handle);
      }
    }
    return all;
  }

  /**
   * Another process accepts at the same ports: here only what has begun goes on, and idle
   * connections may be asked once more.
   */
  async leavePorts(): Promise<void> {
    this.#isStopping = true;
    await this.#drainListeners(true);
    await Promise.allSettled(this.sidecars.map((link) => link.drainListeners(true)));
  }

  /** After `leavePorts`: ends with what runs, or after `graceMs`. */
  async retire(graceMs: number): Promise<void> {
    await Promise.all(this.everyGateway.map((link) => link.stop(graceMs)));
    // What a gateway began runs on in sidecars; calls between pods have the same time.
    await Promise.all(this.sidecars.map((link) => link.stop(graceMs)));
    await this.stop();
  }

  /** What comes in first: sidecars and pods are needed until it has ended. */
  async stopGateways(): Promise<void> {
    this.#isStopping = true;
    this.#closeInherited();
    // Who has left the ports has been patient with idle connections.
    if (this.#isDrained) void this.#drainListeners(false);
    await this.#stopAll(this.everyGateway);
  }

  async stop(): Promise<void> {
    await this.stopGateways();
    await this.#stopAll(this.sidecars);
    await this.#stopAll(this.#spares.links);
  }

  /** A port that nobody accepts at must not go on taking connections. */
  #closeInherited(addresses: Iterable<string> = [...this.#inherited.keys()]): void {
    for (const address of addresses) {
      const handle = this.#inherited.get(address);
      if (handle !== undefined) closeHandle(handle);
      this.#inherited.delete(address);
    }
  }

  /** When all that is to be served is: the process before this one accepted there, this one not. */
  closeUntaken(): void {
    this.#closeInherited([...this.#inherited.keys()].filter((one) => !this.#taken.has(one)));
  }

  async #stopAll(links: readonly WorkerLink[]): Promise<void> {
    const { stopGraceMs = STOP_GRACE_MS_DEFAULT } = this.#options;
    await Promise.all(links.map((link) => link.stop(stopGraceMs)));
  }

  async #start(slot: Slot): Promise<void> {
    const spare = this.#spares.take(slot.role);
    const link = spare ?? this.#launch(slot.role);
    if (spare !== null) this.#tookOver.add(spare);
    slot.link = link;
    slot.startedAtMs = this.#options.clock.monotonicMs();
    await link.ready;
    this.#join(slot, link);
    this.#spares.prepare(slot.role);
  }

  #join(slot: Slot, link: WorkerLink): void {
    const node = slot.role === "gateway" ? this.#longStarts.node(link) : link;
    slot.node = node;
    this.#options.onUp(node);
  }

  /** False: `old` has gone meanwhile, and another has its place or will. */
  #replace(old: WorkerLink, fresh: WorkerLink): boolean {
    const slot = this.#slots.find(({ link }) => link === old);
    if (slot === undefined || this.#isStopping || fresh.isGone) return false;
    const { clock, logger } = this.#options;
    const { node } = slot;
    slot.link = fresh;
    slot.startedAtMs = clock.monotonicMs();
    // First, so that a change which waits for the one waits for the other.
    this.#join(slot, fresh);
    if (node !== null) this.#options.onDown(node);
    old.onConnections = () => undefined;
    this.#shares.remove(old);
    this.#leaving.add(old);
    logger.info(`worker ${fresh.id} takes the place of ${old.id}: a plug-in takes long to start`);
    this.#spares.load();
    this.#spares.prepare("gateway");
    return true;
  }

  #launch(role: NodeRole): WorkerLink {
    this.#launchCount += 1;
    const id = `${role}-${this.#launchCount}`;
    const child = this.#spawn(role, id);
    const link = new WorkerLink(id, role, child);
    link.onQueuesReady = (owner, queues) => {
      const workers = [...this.links, ...this.#leaving.links];
      workers.find((one) => one.id === owner)?.queuesReady(queues);
    };
    link.onHeld = () => {
      if (this.#tookOver.delete(link)) this.#spares.prepareNow(role);
      this.#spares.load();
    };
    link.onLongRestart = (plugin) => void this.#longStarts.restart(link, plugin);
    link.onConnections = (count) => {
      this.#shares.set(link, count);
    };
    link.findInherited = (address) => this.#inherited.get(address) ?? null;
    link.onInherited = (address) => {
      this.#taken.add(address);
      // A pod may go, and its address must not go on taking connections then.
      if (role === "sidecar") this.#closeInherited([address]);
    };
    child.once("exit", (code, signal) => {
      this.#shares.remove(link);
      this.#onExit(link, signal ?? `code ${code ?? 0}`);
    });
    return link;
  }

  #spawn(role: NodeRole, id: string): ChildProcess {
    const options: WorkerOptions = {
      ...{ ...this.#options.worker, logLevel: this.#logLevel, isDrained: this.#isDrained },
      ...(this.#sharedTraces === null ? {} : { sharedTraces: this.#sharedTraces }),
      ...(this.#inherited.size === 0 ? {} : { inherited: [...this.#inherited.keys()] }),
      ...{ role, id },
    };
    const env = { [WORKER_OPTIONS_VARIABLE]: JSON.stringify(options) };
    if (role === "gateway") return cluster.fork(env).process;
    return fork(workerFile(), { env: { ...process.env, ...env }, execArgv: workerFlags() });
  }

  #onExit(link: WorkerLink, how: string): void {
    const slot = this.#slots.find((one) => one.link === link);
    if (this.#leaving.remove(link)) this.#keepCounters(link);
    if (slot === undefined) {
      this.#spares.onExit(link);
      return;
    }
    const { node } = slot;
    slot.link = null;
    slot.node = null;
    this.#keepCounters(link);
    // Null while it started.
    if (node !== null) this.#options.onDown(node);
    if (!this.#isStopping) this.#restart(slot, `worker ${link.id} ended (${how})`);
  }

  #keepCounters(link: WorkerLink): void {
    this.#gone = mergeMetrics([this.#gone, withoutGauges(this.#lastMetrics.get(link))]);
  }

  #restart(slot: Slot, why: string): void {
    const { clock, logger } = this.#options;
    const delayMs = slot.delay.after(clock.monotonicMs() - slot.startedAtMs);
    logger.warn(`${why}; another takes its place`, { delayMs });
    slot.restartCount += 1;
    clock.after(delayMs, () => {
      if (this.#isStopping) return;
      this.#start(slot).catch(() => undefined);
    });
  }
}

/** What a worker that has gone leaves behind: nothing of it is open any more. */
function withoutGauges(metrics: MetricsSnapshot | undefined): MetricsSnapshot {
  return { families: (metrics?.families ?? []).filter(({ type }) => type !== "gauge") };
}
