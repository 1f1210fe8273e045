//! The life of a worker process: takes deltas from the main process, answers its questions, and
//! ends when told or when the main process has gone.

import { applyDelta } from "../../snapshot/delta.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { LogLevel } from "../../telemetry/logger.ts";
import type { MetricsSnapshot } from "../../telemetry/metrics.ts";
import type { ExplainAnswer } from "../filter/explain.ts";
import type { PluginLine } from "../plugin-lines.ts";
import type { RecentAnswer, RecentQuery } from "../recent-decisions.ts";
import type { HopIds, RecentHop } from "../recent-hops.ts";
import type { EvenShare } from "../listener/even-share.ts";
import type { InheritedPorts } from "../listener/inherited-ports.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import type { FailedStarts } from "../runtime/prepare.ts";
import type { WorkerRole } from "./role.ts";

/** The IPC channel to the main process. */
export interface Channel {
  /** `failed`: the handle has been closed before it could be sent, and nothing has been. */
  send(message: FromWorker, handle?: object, failed?: () => void): void;
  /** Some messages bring a handle. */
  onMessage(listener: (message: ToWorker, handle?: unknown) => void): void;
  onDisconnect(listener: () => void): void;
}

export interface WorkerHooks {
  metrics(): MetricsSnapshot;
  /** `count` items of other workers are in a shared queue whose owner is here. */
  queueReady(token: number, count: number): void;
  /** `address:port` of the endpoints that are ejected. */
  ejected(): readonly string[];
  setLogLevel(level: LogLevel): void;
  recent(query: RecentQuery): RecentAnswer;
  hops(ids: HopIds): readonly RecentHop[];
  /** What the plug-in logged, behind the line of that number. */
  pluginLines(plugin: string, after: number): readonly PluginLine[];
  /** A belief of ours was wrong. */
  onAssertion(error: unknown): void;
  /** Present: other workers accept at the same ports. */
  readonly share?: Pick<EvenShare, "onPeers" | "onHandle">;
  /** Present: some sockets are another process's. */
  readonly inherited?: Pick<InheritedPorts, "onHandle">;
  /** Ends the process. */
  exit(): void;
}

export class WorkerProcess {
  readonly #channel: Channel;
  readonly #role: WorkerRole;
  readonly #hooks: WorkerHooks;
  /** What runs; a delta is made against it. */
  #held: Snapshot = EMPTY_SNAPSHOT;
  /** Configurations are prepared one at a time, in the order in which they came. */
  #configured: Promise<void> = Promise.resolve();

  constructor(channel: Channel, role: WorkerRole, hooks: WorkerHooks) {
    this.#channel = channel;
    this.#role = role;
    this.#hooks = hooks;
  }

  start(): void {
    this.#channel.onMessage((message, handle) => {
      if (message.type === "peers") this.#hooks.share?.onPeers(message.counts);
      else if (message.type === "handle") this.#hooks.share?.onHandle(message.port, handle);
      else if (message.type === "inherited") {
        this.#hooks.inherited?.onHandle(message.address, handle);
      } else if (message.type === "startHere") this.#role.startHere?.(message.plugin);
      else void this.#answer(message);
    });
    // Without its main process a worker would serve old configuration for ever.
    this.#channel.onDisconnect(() => {
      this.#hooks.exit();
    });
    this.#channel.send({ type: "ready" });
  }

  // eslint-disable-next-line complexity -- a flat list of the questions
  async #answer(
    message: Exclude<ToWorker, { type: "peers" | "handle" | "inherited" | "startHere" }>,
  ): Promise<void> {
    switch (message.type) {
      case "config":
        this.#configureNext(message);
        return;
      case "load":
        await this.#role.load?.(message.modules);
        this.#channel.send({ type: "loaded", id: message.id });
        return;
      case "tryStart":
        await this.#tryStart(message);
        return;
      case "explain":
        await this.#explain(message);
        return;
      case "recent": {
        const answer = this.#hooks.recent(message.query);
        this.#channel.send({ type: "recent", id: message.id, answer });
        return;
      }
      case "hops":
        this.#channel.send({ type: "hops", id: message.id, hops: this.#hooks.hops(message.ids) });
        return;
      case "pluginLines": {
        const lines = this.#hooks.pluginLines(message.plugin, message.after);
        this.#channel.send({ type: "pluginLines", id: message.id, lines });
        return;
      }
      case "metrics":
        this.#channel.send({ type: "metrics", id: message.id, metrics: this.#hooks.metrics() });
        return;
      case "ejected":
        this.#channel.send({ type: "ejected", id: message.id, endpoints: this.#hooks.ejected() });
        return;
      case "logLevel":
        this.#hooks.setLogLevel(message.level);
        this.#channel.send({ type: "logLevel", id: message.id });
        return;
      case "drainListeners":
        this.#role.drainListeners?.(message.isPatient);
        this.#channel.send({ type: "listenersDrained", id: message.id });
        return;
      case "shareTraces":
      case "listening":
      case "listener":
        this.#answerSuccession(message);
        return;
      case "awaitDrain":
        await this.#role.oldRuntimesDrained();
        this.#channel.send({ type: "drained", id: message.id });
        return;
      case "podState": {
        const error = this.#role.podFailure(message.pod);
        this.#channel.send({ type: "podState", id: message.id, error });
        return;
      }
      case "drainPod":
        await this.#role.drainPod(message.pod, message.timeoutMs);
        this.#channel.send({ type: "podDrained", id: message.id });
        return;
      case "queuesReady":
        for (const [token, count] of message.queues) this.#hooks.queueReady(token, count);
        return;
      case "stop":
        await this.#role.stop();
        this.#hooks.exit();
    }
  }

  /** What goes over to another process. */
  #answerSuccession(
    message: Extract<ToWorker, { type: "shareTraces" | "listening" | "listener" }>,
  ): void {
    const { id } = message;
    if (message.type === "shareTraces") {
      this.#role.shareTraces?.(message.folder);
      this.#channel.send({ type: "tracesShared", id });
      return;
    }
    if (message.type === "listening") {
      const addresses = this.#role.listening?.() ?? [];
      this.#channel.send({ type: "listening", id, addresses });
      return;
    }
    const handle = (): object | undefined =>
      this.#role.listenerHandle?.(message.address) ?? undefined;
    const answer = { type: "listener", id } as const;
    // One that has left its port for a moment has another handle then.
    this.#channel.send(answer, handle(), () => {
      this.#channel.send(answer, handle(), () => {
        this.#channel.send(answer);
      });
    });
  }

  async #tryStart({ id, plugin }: Extract<ToWorker, { type: "tryStart" }>): Promise<void> {
    const trial = (await this.#role.tryStart?.(plugin)) ?? { longestMs: 0, fault: null };
    const { longestMs, fault } = trial;
    const told =
      fault === null ? null : { kind: fault.kind, message: fault.message, remedy: fault.remedy };
    this.#channel.send({ type: "startTried", id, longestMs, fault: told });
  }

  #configureNext({ id, delta, failed }: Extract<ToWorker, { type: "config" }>): void {
    this.#configured = this.#configured.then(async () => {
      const error = await this.#configure(delta, failed);
      const faults = [
        ...(this.#role.pluginFaults?.() ?? []),
        ...(this.#role.sourceFaults?.() ?? []),
      ];
      this.#channel.send({ type: "configured", id, error, ...(faults[0] && { faults }) });
    });
  }

  /** A fault of ours in explain costs the explanation, not the traffic of this worker. */
  async #explain({ id, question }: Extract<ToWorker, { type: "explain" }>): Promise<void> {
    let answer: ExplainAnswer | null = null;
    try {
      answer = await this.#role.explain(question);
    } catch (error) {
      this.#hooks.onAssertion(error);
    }
    this.#channel.send({ type: "explained", id, answer });
  }

  async #configure(delta: SnapshotDelta, failed?: FailedStarts): Promise<string | null> {
    const isFull = delta.fromVersion === EMPTY_SNAPSHOT.version;
    const next = applyDelta(isFull ? EMPTY_SNAPSHOT : this.#held, delta);
    if (next === null) {
      return `the delta is for ${delta.fromVersion}, but ${this.#held.version} runs here`;
    }
    let error: string | null;
    try {
      error = await this.#role.configure(next, failed);
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
    if (error === null) this.#held = next;
    return error;
  }
}
