//! The main process's end of one worker: questions with answers, and a node for the publisher.

import type { ChildProcess, SendHandle } from "node:child_process";
import { systemClock } from "../base/clock.ts";
import type { ExplainAnswer, ExplainQuestion } from "../dataplane/filter/explain.ts";
import type { FromWorker, ReadyQueue, ToWorker } from "../dataplane/worker/protocol.ts";
import type { PluginLine } from "../dataplane/plugin-lines.ts";
import { NOTHING_RECENT } from "../dataplane/recent-decisions.ts";
import type { HopIds, RecentHop } from "../dataplane/recent-hops.ts";
import type { RecentAnswer, RecentQuery } from "../dataplane/recent-decisions.ts";
import type { ConfigNode, NodeRole, PushAnswer } from "../controlplane/publish/config-node.ts";
import type { PluginFault } from "../dataplane/filter/plugin-slot.ts";
import type { Fault } from "../resources/fault.ts";
import { applyDelta } from "../snapshot/delta.ts";
import type { SnapshotDelta } from "../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Plugin, Snapshot } from "../snapshot/snapshot.ts";
import type { FailedStarts } from "../dataplane/runtime/prepare.ts";
import type { ModuleFile } from "../dataplane/runtime/module-cache.ts";
import type { LogLevel } from "../telemetry/logger.ts";
import type { Handles, ListeningHandle } from "./succession.ts";
import type { MetricsSnapshot } from "../telemetry/metrics.ts";

/** Questions that may wait for an answer of one worker. */
const PENDING_MAX = 10_000;

type Question = Exclude<
  ToWorker,
  { type: "stop" | "queuesReady" | "peers" | "handle" | "inherited" | "startHere" }
>;
/** A question without its id, which the link gives. */
type Ask = Question extends infer One ? (One extends Question ? Omit<One, "id"> : never) : never;

export type StartAnswer = Pick<Extract<FromWorker, { type: "startTried" }>, "longestMs" | "fault">;

interface Pending {
  readonly resolve: (answer: FromWorker, handle?: SendHandle) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerLink implements ConfigNode {
  readonly id: string;
  readonly role: NodeRole;
  readonly ready: Promise<void>;
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>;
  /** Told of items that this worker has put into queues of another. */
  onQueuesReady: (worker: string, queues: readonly ReadyQueue[]) => void = () => undefined;
  /** Told how many client connections this gateway has. */
  onConnections: (count: number) => void = () => undefined;
  /** Told of a plug-in that it would have to make anew, which takes long. */
  onLongRestart: (plugin: string) => void = () => undefined;
  /** Told when it runs another snapshot. */
  onHeld: () => void = () => undefined;
  /** Digests of the code that it was given with `load`. */
  loaded: readonly string[] = [];
  #held: Snapshot = EMPTY_SNAPSHOT;
  #faults: readonly Fault[] = [];
  /** Told when this worker has been given that socket. */
  onInherited: (address: string) => void = () => undefined;
  /** The other process's socket at an address, for this worker; null: there is none any more. */
  findInherited: (address: string) => ListeningHandle | null = () => null;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #isGone = false;

  constructor(id: string, role: NodeRole, process: ChildProcess) {
    this.id = id;
    this.role = role;
    this.#process = process;
    this.ready = new Promise((resolve, reject) => {
      this.#pending.set(0, {
        resolve: () => {
          resolve();
        },
        reject,
      });
    });
    this.ready.catch(() => undefined);
    this.gone = new Promise((resolve) => {
      process.once("exit", () => {
        resolve();
      });
    });
    process.on("message", (message, handle) => {
      this.#onMessage(message as FromWorker, handle);
    });
    process.on("exit", () => {
      this.#onGone();
    });
    process.on("error", () => {
      this.#onGone();
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get pid(): number | null {
    return this.#process.pid ?? null;
  }

  get heldVersion(): string {
    return this.#held.version;
  }

  /** What it runs. */
  get held(): Snapshot {
    return this.#held;
  }

  /** What it said of single objects when it took that. */
  get faults(): readonly Fault[] {
    return this.#faults;
  }

  /** The code of the plug-ins that it runs. */
  get modules(): readonly ModuleFile[] {
    return Object.values(this.#held.plugins).map(({ module }) => module);
  }

  /** Resolves when the code is ready for a snapshot to come. */
  async load(modules: readonly ModuleFile[]): Promise<void> {
    await this.#ask({ type: "load", modules });
    this.loaded = modules.map(({ sha256 }) => sha256);
  }

  /** Of a worker that runs nothing yet. */
  async tryStart(plugin: Plugin): Promise<StartAnswer> {
    const answer = await this.#ask({ type: "tryStart", plugin });
    if (answer.type !== "startTried") throw new Error(`${answer.type} answers no trial`);
    return answer;
  }

  hosts(): boolean {
    // One process hosts every pod's sidecar.
    return this.role === "sidecar";
  }

  /** As in `ConfigNode`; the plug-ins named in `failed` are not started. */
  async push(delta: SnapshotDelta, failed?: FailedStarts): Promise<PushAnswer> {
    const known = failed === undefined ? {} : { failed };
    const answer = await this.#ask({ type: "config", delta, ...known });
    if (answer.type !== "configured") throw new Error(`${answer.type} answers no config`);
    if (answer.error !== null) return { ok: false, error: answer.error };
    const base = delta.fromVersion === EMPTY_SNAPSHOT.version ? EMPTY_SNAPSHOT : this.#held;
    this.#held = applyDelta(base, delta) ?? this.#held;
    this.#faults = (answer.faults ?? []).map(toFault);
    this.onHeld();
    return { ok: true, faults: this.#faults };
  }

  async explain(question: ExplainQuestion): Promise<ExplainAnswer | null> {
    const answer = await this.#ask({ type: "explain", question });
    return answer.type === "explained" ? answer.answer : null;
  }

  async recent(query: RecentQuery): Promise<RecentAnswer> {
    const answer = await this.#ask({ type: "recent", query });
    return answer.type === "recent" ? answer.answer : NOTHING_RECENT;
  }

  async hops(ids: HopIds): Promise<readonly RecentHop[]> {
    const answer = await this.#ask({ type: "hops", ids });
    return answer.type === "hops" ? answer.hops : [];
  }

  /** What the plug-in logged there, behind the line of that number. */
  async pluginLines(plugin: string, after: number): Promise<readonly PluginLine[]> {
    const answer = await this.#ask({ type: "pluginLines", plugin, after });
    return answer.type === "pluginLines" ? answer.lines : [];
  }

  async metrics(): Promise<MetricsSnapshot> {
    const answer = await this.#ask({ type: "metrics" });
    return answer.type === "metrics" ? answer.metrics : { families: [] };
  }

  /** `address:port` of the endpoints that this worker has ejected. */
  async ejected(): Promise<readonly string[]> {
    const answer = await this.#ask({ type: "ejected" });
    return answer.type === "ejected" ? answer.endpoints : [];
  }

  async setLogLevel(level: LogLevel): Promise<void> {
    await this.#ask({ type: "logLevel", level });
  }

  async drainListeners(isPatient = false): Promise<void> {
    await this.#ask({ type: "drainListeners", isPatient });
  }

  /** `host:port` of each listener, with a handle of its socket, which is the caller's. */
  async listeners(): Promise<Handles> {
    const listening = await this.#ask({ type: "listening" });
    const handles = new Map<string, ListeningHandle>();
    if (listening.type !== "listening") return handles;
    for (const address of listening.addresses) {
      const { handle } = await this.#askWithHandle({ type: "listener", address });
      if (handle !== undefined) handles.set(address, handle);
    }
    return handles;
  }

  async awaitDrain(): Promise<void> {
    await this.#ask({ type: "awaitDrain" });
  }

  async shareTraces(folder: string | null): Promise<void> {
    await this.#ask({ type: "shareTraces", folder });
  }

  async drainPod(pod: string, timeoutMs: number): Promise<void> {
    await this.#ask({ type: "drainPod", pod, timeoutMs });
  }

  /** Null when the pod's sidecar listens. */
  async podFailure(pod: string): Promise<string | null> {
    const answer = await this.#ask({ type: "podState", pod });
    return answer.type === "podState" ? answer.error : null;
  }

  /** Items of other workers are in shared queues whose owner is there. */
  queuesReady(queues: readonly ReadyQueue[]): void {
    if (!this.#isGone) this.#send({ type: "queuesReady", queues });
  }

  /** Nobody takes over: it makes the plug-in anew itself. */
  startHere(plugin: string): void {
    if (!this.#isGone) this.#send({ type: "startHere", plugin });
  }

  /** Lets exchanges end, then ends the process. Resolves when it has gone. */
  async stop(graceMs: number): Promise<void> {
    if (this.#isGone) return;
    this.#send({ type: "stop" });
    const kill = systemClock.after(graceMs, () => this.#process.kill("SIGKILL"));
    await this.gone;
    kill.cancel();
  }

  /** How many connections each of the other gateways has. */
  peers(counts: readonly number[]): void {
    if (!this.#isGone) this.#send({ type: "peers", counts });
  }

  async #ask(ask: Ask): Promise<FromWorker> {
    return (await this.#askWithHandle(ask)).answer;
  }

  #askWithHandle(ask: Ask): Promise<{ readonly answer: FromWorker; readonly handle?: SendHandle }> {
    if (this.#isGone) return Promise.reject(new Error(`worker ${this.id} has gone`));
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(new Error(`worker ${this.id} does not answer`));
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        resolve: (answer, handle) => {
          resolve({ answer, ...(handle === undefined ? {} : { handle }) });
        },
        reject,
      });
      this.#send({ ...ask, id });
    });
  }

  #send(message: ToWorker): void {
    this.#process.send(message, (error) => {
      if (error !== null) this.#onGone();
    });
  }

  #onMessage(message: FromWorker, handle: SendHandle | undefined): void {
    switch (message.type) {
      case "queuesReady":
        this.onQueuesReady(message.worker, message.queues);
        return;
      case "connections":
        this.onConnections(message.count);
        return;
      case "longRestart":
        this.onLongRestart(message.plugin);
        return;
      case "handle":
        this.#sendBack(message.port, handle);
        return;
      case "inherit": {
        const { address } = message;
        const inherited = this.findInherited(address) ?? undefined;
        this.#process.send({ type: "inherited", address } satisfies ToWorker, inherited, () => {
          if (inherited !== undefined) this.onInherited(address);
        });
        return;
      }
      case "ready":
        this.#settle(0, message);
        return;
      default:
        this.#settle(message.id, message, handle);
    }
  }

  /** What has come and gone is another handle of the same socket. */
  #sendBack(port: number, handle: SendHandle | undefined): void {
    const back = { type: "handle", port } satisfies ToWorker;
    this.#process.send(back, handle, () => {
      const close: unknown = handle === undefined ? null : Reflect.get(handle, "close");
      if (typeof close === "function") Reflect.apply(close, handle, []);
    });
  }

  #settle(id: number, message: FromWorker, handle?: SendHandle): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.resolve(message, handle);
  }

  #onGone(): void {
    this.#isGone = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new Error(`worker ${this.id} has gone`));
  }
}

function toFault({ source, code, message, remedy }: PluginFault): Fault {
  return { severity: "error", code, message, remedy, path: "", object: source, position: null };
}
