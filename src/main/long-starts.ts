//! A plug-in's start is one entry of the guest, and while it lasts its worker answers nobody. So a
//! change that brings plug-ins to a gateway that serves is tried first in the spare worker; where a
//! start takes long, a fresh worker is given the whole configuration and takes the place of the one
//! that serves. A start that takes long and fails is told to the one that serves, which does not
//! begin it, and is tried again, elsewhere, with back-off. One that must be made anew after a
//! trap is a reason for a fresh worker as well.

import type { Clock } from "../base/clock.ts";
import { contentHash } from "../base/canonical-json.ts";
import type { ConfigNode, PushAnswer } from "../controlplane/publish/config-node.ts";
import type { FailedStarts, StartFault } from "../dataplane/runtime/prepare.ts";
import type { Fault } from "../resources/fault.ts";
import { applyDelta, fullDelta } from "../snapshot/delta.ts";
import type { SnapshotDelta } from "../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Plugin, Snapshot } from "../snapshot/snapshot.ts";
import { LONG_START_MS } from "../wasm/start-trial.ts";
import type { StartAnswer, WorkerLink } from "./worker-link.ts";

/** A long start that failed is tried again after this, doubling up to the maximum. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** A worker that took over and went well for so long may be followed by the next one at once. */
const HEALTHY_AFTER_MS = 60_000;
/** Long starts that failed and are to be tried again; who serves begins what comes beyond. */
export const FAILURES_MAX = 256;
/** Starts of which it is known how long they take; the oldest is forgotten. */
const KNOWN_MAX = 256;

/** The fleet, as far as it is needed here. */
export interface FreshWorkers {
  readonly clock: Clock;
  gateways(): readonly WorkerLink[];
  /** Runs `use` with a worker that serves nobody and stays what it was; null: there is none. */
  borrow<Result>(use: (worker: WorkerLink) => Promise<Result>): Promise<Result | null>;
  /** A worker that serves nobody, and is the caller's from now on; null: there is none. */
  take(): Promise<WorkerLink | null>;
  /** `fresh` runs what `old` should, and has its place from now on. False: `old` has gone. */
  replace(old: WorkerLink, fresh: WorkerLink): boolean;
}

interface LongFailure {
  readonly plugin: Plugin;
  readonly fault: StartFault;
  readonly delayMs: number;
}

/** Why a worker has its place: a plug-in of the one before it had to be made anew. */
interface Restart {
  readonly atMs: number;
  /** What the next one waits if it is soon. */
  readonly delayMs: number;
}

export class LongStarts {
  readonly #workers: FreshWorkers;
  readonly #known = new Map<string, Promise<StartAnswer | null>>();
  /** By `startKey`. */
  readonly #failures = new Map<string, LongFailure>();
  readonly #restarts = new WeakMap<WorkerLink, Restart>();
  /** Workers of which a plug-in is to be made anew elsewhere. */
  readonly #restarting = new Set<WorkerLink>();
  #restarted: Promise<unknown> = Promise.resolve();
  /** One worker is replaced at a time: there is one spare, and the others go on accepting. */
  #replaced: Promise<unknown> = Promise.resolve();

  constructor(workers: FreshWorkers) {
    this.#workers = workers;
  }

  /** A gateway worker as the publisher sees it, with what it holds by now. */
  node(link: WorkerLink): ConfigNode {
    return {
      id: link.id,
      role: link.role,
      get heldVersion() {
        return link.heldVersion;
      },
      joinsWith: { snapshot: link.held, faults: link.faults },
      hosts: () => link.hosts(),
      push: (delta) => this.#push(link, delta),
    };
  }

  /**
   * Of a worker that serves a plug-in must be made anew, which takes long: a fresh worker takes its
   * place. Asked again and again, as the worker does, only one is under way. A plug-in that traps
   * at once in every fresh worker gets the next one with back-off, as it would have within one.
   */
  async restart(link: WorkerLink, name: string): Promise<void> {
    if (this.#restarting.has(link)) return;
    this.#restarting.add(link);
    const delayMs = this.#restartDelayMs(link);
    // The first second it has waited before it asked.
    await this.#pause(delayMs - RETRY_MS_MIN);
    // One after the other: there is one spare to try it in.
    const restarted = this.#restarted.then(() => this.#restartNow(link, name, delayMs));
    this.#restarted = restarted.catch(() => undefined);
    await restarted.finally(() => this.#restarting.delete(link));
  }

  async #restartNow(link: WorkerLink, name: string, delayMs: number): Promise<void> {
    const plugin = link.held.plugins[name];
    if (plugin === undefined || !this.#workers.gateways().includes(link)) return;
    const start = await this.#try(plugin);
    // It asks again.
    if (start !== null && start.fault !== null) return;
    this.#restarts.set(link, { atMs: this.#workers.clock.monotonicMs(), delayMs: delayMs * 2 });
    const replaced = start === null ? null : await this.#replace(link, link.held);
    if (replaced === null) link.startHere(name);
  }

  #restartDelayMs(link: WorkerLink): number {
    const last = this.#restarts.get(link);
    const isSoon =
      last !== undefined && this.#workers.clock.monotonicMs() - last.atMs < HEALTHY_AFTER_MS;
    return isSoon ? Math.min(last.delayMs, RETRY_MS_MAX) : RETRY_MS_MIN;
  }

  #pause(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#workers.clock.after(ms, resolve, { unref: true });
    });
  }

  async #push(link: WorkerLink, delta: SnapshotDelta): Promise<PushAnswer> {
    const plugins = Object.values(delta.changed.plugins ?? {}) as readonly Plugin[];
    const isServing = link.heldVersion !== EMPTY_SNAPSHOT.version;
    const isLong = isServing && (await this.#areLong(plugins));
    const failed = this.#failedOf(plugins);
    if (!isLong || failed !== undefined) return await link.push(delta, failed);

    const base = delta.fromVersion === EMPTY_SNAPSHOT.version ? EMPTY_SNAPSHOT : link.held;
    const next = applyDelta(base, delta);
    const replacing = next === null ? null : await this.#replace(link, next);
    return replacing ?? (await link.push(delta));
  }

  /** Whether some start takes long. What fails and takes long is among the failures then. */
  async #areLong(plugins: readonly Plugin[]): Promise<boolean> {
    let isAnyLong = false;
    for (const plugin of plugins) {
      const key = startKey(plugin);
      const start = this.#failures.has(key) ? null : await this.#startOf(plugin);
      if (start === null || start.longestMs <= LONG_START_MS) continue;
      isAnyLong = true;
      if (start.fault === null || this.#failures.has(key)) continue;
      this.#remember(key, { plugin, fault: start.fault, delayMs: RETRY_MS_MIN });
    }
    return isAnyLong;
  }

  /** Null: nobody could try. */
  #startOf(plugin: Plugin): Promise<StartAnswer | null> {
    const key = startKey(plugin);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const trial = this.#try(plugin);
    this.#known.set(key, trial);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_MAX) break;
      this.#known.delete(oldest);
    }
    void trial.then((start) => {
      // It may have been bad luck: who asks later has it tried again.
      if (start === null || start.fault !== null) this.#known.delete(key);
    });
    return trial;
  }

  #try(plugin: Plugin): Promise<StartAnswer | null> {
    return this.#workers.borrow(async (worker) => {
      try {
        return await worker.tryStart(plugin);
      } catch (cause) {
        const why = `the process that tried it ended (${String(cause)})`;
        const message = `The plug-in failed to start: ${why}`;
        return { longestMs: Infinity, fault: { kind: "start_trapped", message, remedy: "" } };
      }
    });
  }

  #failedOf(plugins: readonly Plugin[]): FailedStarts | undefined {
    const failed = plugins.flatMap((plugin) => {
      const failure = this.#failures.get(startKey(plugin));
      return failure === undefined ? [] : [[plugin.name, failure.fault] as const];
    });
    return failed.length === 0 ? undefined : Object.fromEntries(failed);
  }

  /** Null: it could not be done, and `old` serves as before. */
  #replace(old: WorkerLink, next: Snapshot): Promise<PushAnswer | null> {
    const replaced = this.#replaced.then(() => this.#replaceNow(old, next));
    this.#replaced = replaced.catch(() => undefined);
    return replaced;
  }

  async #replaceNow(old: WorkerLink, next: Snapshot): Promise<PushAnswer | null> {
    const fresh = await this.#workers.take();
    if (fresh === null) return null;
    const answer = await fresh.push(fullDelta(next)).catch(() => null);
    const isGood = answer?.ok === true && hasNoOtherFaults(answer.faults ?? [], old.faults);
    if (isGood && this.#workers.replace(old, fresh)) {
      const restart = this.#restarts.get(old);
      if (restart !== undefined) this.#restarts.set(fresh, restart);
      return answer;
    }
    await fresh.stop(0);
    return null;
  }

  #remember(key: string, failure: LongFailure): void {
    if (this.#failures.size >= FAILURES_MAX && !this.#failures.has(key)) return;
    this.#failures.set(key, failure);
    const retry = (): void => {
      void this.#retry(key, failure);
    };
    this.#workers.clock.after(failure.delayMs, retry, { unref: true });
  }

  async #retry(key: string, failure: LongFailure): Promise<void> {
    const { plugin, delayMs } = failure;
    const wanting = (): readonly WorkerLink[] =>
      this.#workers.gateways().filter(({ held }) => {
        const now = held.plugins[plugin.name];
        return now !== undefined && startKey(now) === key;
      });
    if (wanting().length === 0) {
      this.#failures.delete(key);
      return;
    }
    const start = await this.#try(plugin);
    const isStarting = start?.fault === null;
    if (isStarting) {
      this.#failures.delete(key);
      const answers = await Promise.all(wanting().map((link) => this.#replace(link, link.held)));
      if (!answers.includes(null)) return;
    }
    const fault = start?.fault ?? failure.fault;
    this.#remember(key, { plugin, fault, delayMs: Math.min(delayMs * 2, RETRY_MS_MAX) });
  }
}

/** What goes on only in `old`, such as the last good version of a plug-in, would be lost. */
function hasNoOtherFaults(faults: readonly Fault[], old: readonly Fault[]): boolean {
  const known = new Set(old.map((fault) => JSON.stringify(fault)));
  return faults.every((fault) => known.has(JSON.stringify(fault)));
}

/** Equal for plug-ins that start alike. */
function startKey(plugin: Plugin): string {
  const { module, rootId, vmId, configuration, vmConfiguration, env, hostEnv } = plugin;
  const started = { sha256: module.sha256, rootId, vmId, configuration, env };
  return contentHash([started, vmConfiguration ?? "", hostEnv ?? []]);
}
