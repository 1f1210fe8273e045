//! The loop store -> compile -> snapshot -> nodes.
//!
//! Level-based: a pass looks at the store as it is now, never at single events, so a burst of
//! writes is one compilation and the newest wins. One pass at a time, in four steps:
//!
//! 1. sidecars run the union of the new snapshot and of whatever a gateway may still be running;
//! 2. gateways run the new snapshot, without lane endpoints whose sidecar lags behind;
//! 3. what gateways ran before is kept in the sidecars' union until its exchanges have drained;
//! 4. sidecars run the union again, which is the new snapshot alone when nothing is left to keep.
//!
//! Draining does not hold up the next change: a retired snapshot is one more part of the union.

import type { Clock, Timer } from "../../base/clock.ts";
import type { RegistryAnswers } from "../../compile/registry.ts";
import type { KeySetMap } from "../../compile/key-sets.ts";
import type { NameMap } from "../../compile/service-entry.ts";
import type { Fault } from "../../resources/fault.ts";
import type { Resource } from "../../resources/object.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ModuleMap } from "../plugins/resolve-modules.ts";
import { GROUP_WRITES_MAX } from "../store/store.ts";
import type { Listing, Watch } from "../store/store.ts";
import { allocationWrites } from "./allocation-write.ts";
import type { ConfigNode, NodeStatus } from "./config-node.ts";
import { Fleet } from "./fleet.ts";
import { InputFingerprint } from "./inputs.ts";
import { ANSWER_TIMEOUT_MS } from "./node-track.ts";
import { mergeForMakeBeforeBreak } from "./make-before-break.ts";
import { statusWrites } from "./object-status.ts";
import type { StatusWrite } from "./object-status.ts";
import { withholdLagging } from "./withhold.ts";

/** How long the first write of a burst waits for the others. */
export const COALESCE_MS = 10;
/** While a change waits for nodes, what others say of it is in the status after so long. */
export const EARLY_STATUS_MS = 500;
/** How long sidecars keep what gateways ran before, when its exchanges do not end. */
export const DRAIN_MAX_MS = 5_000;
/** How many retired snapshots sidecars keep at one time; the oldest goes first. */
const RETIRED_MAX = 16;
/** The longest single wait for the expiry of a lane: how late it is seen when wall time jumps. */
const EXPIRY_WAIT_MAX_MS = 60_000;
/** How many callers may wait for a revision. */
const WAITERS_MAX = 10_000;

const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();

export interface CompileOutcome {
  readonly snapshot: Snapshot;
  readonly messages: readonly Fault[];
  /** By `namespace/name` of LaneGroups: what `status.allocation` must say from now on. */
  readonly allocations?: ReadonlyMap<string, unknown>;
  /** By `refText` of lanes and lane groups: what their status says beside the messages. */
  readonly findings?: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** By `refText` of objects of the Gateway API: what their status must say. */
  readonly gatewayApi?: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Wall time from which the same objects mean something else (a lane expires); null: never. */
  readonly nextExpiryMs?: number | null;
}

/** What is published: the store, or what is known of a Kubernetes cluster. */
export interface PublishedObjects {
  all(): Listing;
  /** Calls on each change from now on. */
  watch(filter: null, fromRevision: null, listener: () => void): Watch | "expired";
}

export interface PublisherOptions {
  readonly store: PublishedObjects;
  /** Never rejects: a plug-in that cannot be had is an entry of the map. */
  readonly resolveModules: (resources: readonly Resource[]) => Promise<ModuleMap>;
  /** What DNS says of the objects' names. Absent: nobody is asked. Never rejects. */
  readonly resolveNames?: (resources: readonly Resource[]) => Promise<NameMap>;
  /** What the objects' registries say. Absent: nobody is asked. Never rejects. */
  readonly resolveRegistries?: (resources: readonly Resource[]) => Promise<RegistryAnswers>;
  /** What is at the addresses of key sets. Absent: nobody is asked. Never rejects. */
  readonly resolveKeys?: (resources: readonly Resource[]) => Promise<KeySetMap>;
  readonly compile: (
    resources: readonly Resource[],
    modules: ModuleMap,
    ...answers: Answers
  ) => CompileOutcome;
  /** Writes a status. False: the object has changed since, which causes a new pass. */
  readonly writeStatus: (write: StatusWrite) => Promise<boolean>;
  /** Resolves when no exchange runs on a runtime that gateways have swapped out by now. */
  readonly drained: () => Promise<void>;
  /** Whether a gateway whose place another has taken still serves somebody. Absent: none does. */
  readonly areLeaving?: () => boolean;
  /**
   * How long nodes are waited for when something is published first. Absent: as ever. While another
   * process serves there is no hurry, and who goes on without a sidecar serves without its lanes.
   */
  readonly firstAnswerMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RuntimeStatus {
  /** Store revision that the last finished pass saw. */
  readonly revision: number;
  /** All that was written up to this revision is everywhere, and what it replaced has drained. */
  readonly settledRevision: number;
  /** Version of the last compiled snapshot. */
  readonly version: string;
  /** Wall time at which it was compiled; 0 before the first. */
  readonly compiledAtMs: number;
  readonly nodes: readonly NodeStatus[];
  /** Everything the compiler says about the objects. */
  readonly messages: readonly Fault[];
  /** A failure of the compiler itself, else `""`: the last good snapshot is kept. */
  readonly failure: string;
}

/** A snapshot that gateways ran before, until its exchanges have ended. */
interface Retired {
  readonly snapshot: Snapshot;
  /** Revision whose publication retired it. */
  readonly revision: number;
}

type Answers = readonly [
  names?: NameMap | undefined,
  registries?: RegistryAnswers | undefined,
  keySets?: KeySetMap | undefined,
];

/** What others than the store say of the objects. */
interface Asked {
  readonly modules: ModuleMap;
  readonly answers: Answers;
  readonly found: string;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #fleet: Fleet;
  readonly #fingerprint = new InputFingerprint();
  readonly #retired = new Set<Retired>();
  #waiters: Waiter[] = [];
  #watch: Watch | null = null;
  #timer: Timer | null = null;
  #expiryTimer: Timer | null = null;
  #expiryMs = Infinity;
  #isPassing = false;
  /** What is being published; null: nothing. */
  #publishing: readonly Resource[] | null = null;
  #earlyTimer: Timer | null = null;
  /** Counts reasons for a pass. */
  #wakes = 0;
  #isStopped = false;
  #input = "";
  #compiled: CompileOutcome = { snapshot: EMPTY_SNAPSHOT, messages: [] };
  #compiledAtMs = 0;
  #failure = "";
  #revision = -1;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { clock, logger, firstAnswerMs = ANSWER_TIMEOUT_MS } = options;
    this.#fleet = new Fleet({
      answerTimeoutMs: () => (this.#revision === -1 ? firstAnswerMs : ANSWER_TIMEOUT_MS),
      clock,
      logger,
      reportsChanged: () => {
        this.#wake();
        this.#tellEarly();
      },
    });
  }

  /** Publishes what the store holds now, and from then on each change. */
  start(): void {
    const watch = this.#options.store.watch(null, null, () => {
      this.#wake();
    });
    // "expired" cannot be: a watch from now on has no past.
    this.#watch = watch === "expired" ? null : watch;
    this.#wake();
  }

  /** Looks again: something that is not in the store has changed, such as a fetched module. */
  refresh(): void {
    this.#wake();
  }

  /** Nodes keep what they run. Callers of `settled` are refused. */
  stop(): void {
    this.#isStopped = true;
    this.#watch?.cancel();
    this.#timer?.cancel();
    this.#earlyTimer?.cancel();
    this.#expiryTimer?.cancel();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(new Error("the publisher was stopped"));
  }

  /** Adds a node: it is sent the whole current snapshot. A restarted process is a new node. */
  join(node: ConfigNode): void {
    this.#fleet.join(node);
  }

  leave(node: ConfigNode): void {
    this.#fleet.leave(node);
  }

  /** The last compiled snapshot. */
  get snapshot(): Snapshot {
    return this.#compiled.snapshot;
  }

  /**
   * Resolves when what was compiled from at least that store revision runs on every node that
   * answers, and what it replaced has drained. A node that is STALE or NACK is not waited for: see
   * `status`. Rejects when the publisher stops, or when too many wait.
   */
  settled(revision: number): Promise<void> {
    if (this.#isStopped) return Promise.reject(new Error("the publisher was stopped"));
    if (this.#settledRevision() >= revision) return Promise.resolve();
    if (this.#waiters.length === WAITERS_MAX) {
      return Promise.reject(new Error(`${WAITERS_MAX} callers wait already`));
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ revision, resolve, reject });
    });
  }

  status(): RuntimeStatus {
    return {
      revision: this.#revision,
      settledRevision: this.#settledRevision(),
      version: this.#compiled.snapshot.version,
      compiledAtMs: this.#compiledAtMs,
      nodes: this.#fleet.status(),
      messages: this.#messages(),
      failure: this.#failure,
    };
  }

  /** The compiler's, and what nodes found when they ran the result. */
  #messages(): readonly Fault[] {
    return [...this.#compiled.messages, ...this.#fleet.faults()];
  }

  #wake(): void {
    if (this.#isStopped) return;
    this.#wakes += 1;
    if (this.#isPassing || this.#timer !== null) return;
    this.#timer = this.#options.clock.after(COALESCE_MS, () => {
      this.#timer = null;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isPassing = true;
    const seen = this.#wakes;
    try {
      await this.#pass();
    } catch (cause) {
      // A pass fails as a whole only by a mistake of ours: say so and keep what runs.
      this.#failure = cause instanceof Error ? cause.message : String(cause);
      this.#options.logger.error("publishing failed", { error: this.#failure });
    }
    this.#isPassing = false;
    if (this.#wakes !== seen) this.#wake();
  }

  async #pass(): Promise<void> {
    const { items, revision } = this.#options.store.all();
    await this.#compile(items);
    if (!(await this.#writeAllocations(items))) return;
    this.#publishing = items;
    try {
      await this.#publish(revision);
    } finally {
      this.#publishing = null;
    }
    this.#revision = revision;
    this.#answerWaiters();
    await this.#writeStatuses(items);
  }

  /** One node that does not answer keeps nobody from reading what another has refused. */
  #tellEarly(): void {
    if (this.#isStopped || this.#publishing === null || this.#earlyTimer !== null) return;
    this.#earlyTimer = this.#options.clock.after(EARLY_STATUS_MS, () => {
      this.#earlyTimer = null;
      // Else the pass has ended, and has told it.
      if (this.#publishing !== null) void this.#writeStatuses(this.#publishing);
    });
  }

  /** Wakes when the next lane expires. Wall time may jump, so the wait is cut into minutes. */
  #awaitExpiry(expiryMs: number): void {
    this.#expiryMs = expiryMs;
    this.#expiryTimer?.cancel();
    this.#expiryTimer = null;
    if (expiryMs === Infinity || this.#isStopped) return;
    const { clock } = this.#options;
    const delayMs = Math.min(Math.max(expiryMs - clock.nowMs(), 0), EXPIRY_WAIT_MAX_MS);
    const wake = (): void => {
      if (clock.nowMs() < expiryMs) this.#awaitExpiry(expiryMs);
      else this.#wake();
    };
    this.#expiryTimer = clock.after(delayMs, wake, { unref: true });
  }

  async #compile(resources: readonly Resource[]): Promise<void> {
    const { compile, logger } = this.#options;
    try {
      const { modules, answers, found } = await this.#ask(resources);
      const input = `${this.#fingerprint.of(resources)} ${found}`;
      if (input === this.#input && this.#options.clock.nowMs() < this.#expiryMs) return;
      this.#compiled = compile(resources, modules, ...answers);
      this.#input = input;
      this.#compiledAtMs = this.#options.clock.nowMs();
      this.#awaitExpiry(this.#compiled.nextExpiryMs ?? Infinity);
      this.#failure = "";
    } catch (cause) {
      this.#failure = cause instanceof Error ? cause.message : String(cause);
      logger.error("compiling failed, the last good configuration stays", { error: this.#failure });
    }
  }

  /** A module file or an answer of DNS may have changed although no object has: `found` tells. */
  async #ask(resources: readonly Resource[]): Promise<Asked> {
    const { resolveModules, resolveNames, resolveRegistries, resolveKeys } = this.#options;
    const modules = await resolveModules(resources);
    const names = await resolveNames?.(resources);
    const registries = await resolveRegistries?.(resources);
    const keySets = await resolveKeys?.(resources);
    const maps = [modules, names ?? NOTHING, keySets ?? NOTHING].map((map) => [...map]);
    const found = JSON.stringify([...maps, registries?.version ?? ""]);
    return { modules, answers: [names, registries, keySets], found };
  }

  /**
   * Who is in which share is written down before it is used: the next change builds on it. False:
   * the objects have changed meanwhile, and the pass that this causes begins with them.
   */
  async #writeAllocations(resources: readonly Resource[]): Promise<boolean> {
    const { writeStatus, logger } = this.#options;
    for (const write of allocationWrites(resources, this.#compiled.allocations)) {
      try {
        if (!(await writeStatus(write))) return false;
      } catch (cause) {
        // A full disk must not stop a way back; the same ratios give the same shares again.
        logger.warn("the shares of lanes could not be kept", { error: String(cause) });
      }
    }
    return true;
  }

  async #publish(revision: number): Promise<void> {
    const next = this.#compiled.snapshot;
    await this.#fleet.settle("sidecar", this.#forSidecars(next));

    const before = this.#fleet.runByGateways();
    await this.#fleet.settle("gateway", withholdLagging(next, this.#fleet.laggingSidecars()));
    this.#retire(before, revision);

    await this.#fleet.settle("sidecar", this.#forSidecars(next));
  }

  /** The union of `next` with what gateways may be running and with what has not drained. */
  #forSidecars(next: Snapshot): Snapshot {
    const kept = [...this.#fleet.runByGateways(), ...[...this.#retired].map((one) => one.snapshot)];
    return kept.reduce((union, old) => mergeForMakeBeforeBreak(old, union), next);
  }

  #retire(before: readonly Snapshot[], revision: number): void {
    const next = this.#compiled.snapshot;
    const running = new Set(this.#fleet.runByGateways().map((snapshot) => snapshot.version));
    const areLeaving = this.#options.areLeaving?.() === true;
    const gone = before.filter(
      (snapshot) =>
        !running.has(snapshot.version) &&
        (areLeaving || mergeForMakeBeforeBreak(snapshot, next) !== next),
    );
    if (gone.length === 0) return;
    const retired = gone.map((snapshot) => ({ snapshot, revision }));
    for (const one of retired) this.#retired.add(one);
    for (const one of [...this.#retired].slice(0, -RETIRED_MAX)) this.#retired.delete(one);
    this.#afterDrain(() => {
      for (const one of retired) this.#retired.delete(one);
      this.#wake();
    });
  }

  /** Calls `run` once: when the exchanges have ended, or after the time that they are given. */
  #afterDrain(run: () => void): void {
    let isDone = false;
    const finish = (): void => {
      if (isDone) return;
      isDone = true;
      timer.cancel();
      run();
    };
    const timer = this.#options.clock.after(DRAIN_MAX_MS, finish);
    this.#options.drained().then(finish, (cause: unknown) => {
      this.#options.logger.warn("draining is unknown, waiting the full time", {
        error: String(cause),
      });
    });
  }

  #settledRevision(): number {
    const undrained = [...this.#retired].map((one) => one.revision - 1);
    return Math.min(this.#revision, ...undrained);
  }

  #answerWaiters(): void {
    const settled = this.#settledRevision();
    const ready = this.#waiters.filter((waiter) => waiter.revision <= settled);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > settled);
    for (const waiter of ready) waiter.resolve();
  }

  async #writeStatuses(resources: readonly Resource[]): Promise<void> {
    if (this.#failure !== "") return;
    const { writeStatus, clock, logger } = this.#options;
    const { findings = NOTHING, gatewayApi = NOTHING } = this.#compiled;
    const said = { faults: this.#messages(), findings, gatewayApi };
    const writes = statusWrites(resources, said, clock.nowMs());
    while (writes.length > 0) {
      const group = writes.splice(0, GROUP_WRITES_MAX).map((write) => writeStatus(write));
      for (const result of await Promise.allSettled(group)) {
        if (result.status === "fulfilled") continue;
        logger.warn("a status could not be written", { error: String(result.reason) });
      }
    }
  }
}
