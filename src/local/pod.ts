//! One pod: its addresses, its Pod object, its apps, from the first write to the last.
//!
//! Start: addresses, Pod object, sidecar, app, ready. Removal is the reverse, and nobody's request
//! is lost: the object says it goes, every worker has the snapshot without its endpoint, what is in
//! flight ends, the app is stopped, the object goes.

import { canonicalJson } from "../base/canonical-json.ts";
import { delay } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import type { AddressPool, PodAddress } from "./address-pool.ts";
import type { AppHost } from "./app-keeper.ts";
import { Coalesced } from "./coalesced.ts";
import { resolveCommand } from "./command.ts";
import type { CommandContext, LaunchFault } from "./command.ts";
import { ContainerRunner } from "./container.ts";
import type { ContainerHandover, ContainerRun } from "./container.ts";
import { buildEnvironment } from "./environment.ts";
import type { DataLookup } from "./environment.ts";
import type { LogFile } from "./log-file.ts";
import type { Container, Deployment } from "./manifest.ts";
import { isPodReady, renderPod } from "./pod-object.ts";
import type { ContainerView, PodView } from "./pod-object.ts";
import type { ObservedPod } from "./plan.ts";
import type { LocalLimits, LocalReport, PodStore, SidecarControl } from "./seam.ts";

/** A sidecar that takes longer than this to listen has failed. */
const SIDECAR_TIMEOUT_MS = 30_000;
const WRITE_RETRY_DELAY_MS = 1_000;

export interface PodDeps {
  readonly store: PodStore;
  readonly sidecars: SidecarControl;
  readonly clock: Clock;
  readonly addresses: AddressPool;
  readonly commands: CommandContext;
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  readonly agentUrl: string | null;
  readonly endpointFile: string;
  readonly apps: AppHost;
  readonly lookup: DataLookup;
  readonly log: LogFile;
  readonly limits: LocalLimits;
  readonly report: (report: LocalReport) => void;
  /** After each change that the reconciler may want to act on. */
  readonly onChange: () => void;
}

/** What whoever looks after the pod next must know of it. */
export interface PodHandover {
  readonly name: string;
  readonly ordinal: number;
  /** As it was when the pod was made. */
  readonly deployment: Deployment;
  readonly createdAtMs: number;
  readonly address: PodAddress;
  readonly uid: string;
  readonly revision: string | null;
  readonly readySinceMs: number | null;
  /** None: it had not come to that. */
  readonly containers: readonly ContainerHandover[];
}

interface Runner {
  readonly container: Container;
  readonly runner: ContainerRunner;
  reported: string;
}

/** `waiting`: for somebody to start its Envoy. */
type Stage = "starting" | "waiting" | "running" | "failed" | "removing" | "gone";

export class Pod implements ObservedPod {
  readonly namespace: string;
  readonly name: string;
  readonly deployment: string;
  readonly templateHash: string;
  readonly #deploymentUid: string | null;
  readonly ordinal: number;
  readonly #identity: Pick<PodHandover, "name" | "ordinal" | "deployment">;
  readonly #template: Deployment["template"];
  readonly #deps: PodDeps;
  #createdAtMs: number;
  readonly #writer: Coalesced;
  #stage: Stage = "starting";
  #address: PodAddress | null = null;
  #uid = "";
  #revision: string | null = null;
  #written = "";
  #isReadyWritten = false;
  #isCreated = false;
  #deletedAtMs: number | null = null;
  #waiting: PodView["waiting"] = { reason: "ContainerCreating", message: "" };
  #runners: readonly Runner[] = [];
  #readySinceMs: number | null = null;
  #creation: Promise<void> = Promise.resolve();
  #removal: Promise<void> | null = null;
  #cutDrain: () => void = () => undefined;
  readonly #leaving = new AbortController();

  constructor(identity: Pick<PodHandover, "name" | "ordinal" | "deployment">, deps: PodDeps) {
    this.#identity = identity;
    this.namespace = identity.deployment.namespace;
    this.name = identity.name;
    this.deployment = identity.deployment.name;
    this.templateHash = identity.deployment.templateHash;
    this.#deploymentUid = identity.deployment.uid ?? null;
    this.ordinal = identity.ordinal;
    this.#template = identity.deployment.template;
    this.#deps = deps;
    this.#createdAtMs = deps.clock.nowMs();
    this.#writer = new Coalesced(() => this.#write());
  }

  /** `<namespace>/<name>`, as in `Snapshot.workloads`. */
  get key(): string {
    return `${this.namespace}/${this.name}`;
  }

  get stage(): Stage {
    return this.#stage;
  }

  /**
   * Ready, and its object says so: an old pod that went on the strength of an unwritten readiness
   * could leave a snapshot between the two writes without any endpoint.
   */
  get isReady(): boolean {
    return this.#isReadyWritten && this.#isReadyNow();
  }

  #isReadyNow(): boolean {
    return this.#deletedAtMs === null && isPodReady(this.#view());
  }

  get hasSidecar(): boolean {
    return this.#template.sidecar !== "none";
  }

  /** Its object is in the store, or was. */
  get isCreated(): boolean {
    return this.#isCreated;
  }

  get log(): LogFile {
    return this.#deps.log;
  }

  start(): void {
    void this.#start();
  }

  /** In place of `start`: goes on with a pod that another one has let go. */
  async adopt(handed: PodHandover): Promise<void> {
    const { address, containers } = handed;
    this.#createdAtMs = handed.createdAtMs;
    this.#address = address;
    this.#uid = handed.uid;
    this.#revision = handed.revision;
    this.#isCreated = true;
    await this.#deps.addresses.adopt(address);
    if (containers.length === 0) {
      void this.#start();
      return;
    }
    this.#waiting = null;
    this.#stage = "running";
    this.#readySinceMs = handed.readySinceMs;
    this.#runners = this.#template.containers.map((each) => this.#runnerOf(each, address));
    this.#runners.forEach(({ runner }, at) => {
      const container = containers[at];
      if (container === undefined) runner.start();
      else runner.adopt(container);
    });
    // The object says so already; what it does not say yet is written.
    this.#isReadyWritten = this.#isReadyNow();
    void this.#writer.request();
  }

  /**
   * Ends looking after the pod, whose apps go on. Null: there is nothing to look after, and it has
   * been removed.
   */
  async letGo(): Promise<PodHandover | null> {
    if (this.#stage === "removing" || this.#stage === "gone") {
      await this.#removal;
      return null;
    }
    await this.#creation.catch(() => undefined);
    const address = this.#address;
    if (address === null || !this.#isCreated || this.#stage === "failed") {
      await this.remove({ drain: false });
      return null;
    }
    const readySinceMs = this.#readySinceMs;
    const containers = await Promise.all(this.#runners.map(({ runner }) => runner.letGo()));
    await this.#writer.request();
    // Nothing of this is done any more.
    this.#stage = "gone";
    this.#leaving.abort();
    await this.#deps.log.close({ remove: false }).catch(() => undefined);
    this.#deps.addresses.release(address);
    const { uid, revision } = { uid: this.#uid, revision: this.#revision };
    const createdAtMs = this.#createdAtMs;
    return { ...this.#identity, createdAtMs, address, uid, revision, readySinceMs, containers };
  }

  /**
   * With `drain`, no request is lost; without, the app is stopped at once, also when it is being
   * drained already. Resolves when all is gone.
   */
  remove(options: { readonly drain: boolean }): Promise<void> {
    this.#removal ??= this.#remove(options.drain);
    if (!options.drain) this.#cutDrain();
    return this.#removal;
  }

  async #start(): Promise<void> {
    try {
      if (!this.#isCreated) this.#creation = this.#create();
      await this.#creation;
      if (this.#address === null || this.#isLeaving()) return;
      await this.#awaitSidecar();
    } catch (cause) {
      this.#fail("SidecarNotReady", `no sidecar: ${messageOf(cause)}`);
      return;
    }
    if (this.#isLeaving()) return;
    const address = this.#address;
    this.#runners = this.#template.containers.map((each) => this.#runnerOf(each, address));
    this.#waiting = null;
    this.#stage = "running";
    for (const { runner } of this.#runners) runner.start();
    this.#changed();
  }

  async #awaitSidecar(): Promise<void> {
    const { sidecars } = this.#deps;
    if (this.#template.sidecar === "embedded") {
      await this.#within(sidecars.sidecarReady(this.key), SIDECAR_TIMEOUT_MS);
    }
    if (this.#template.sidecar !== "envoy") return;
    const how = `graylane envoy-bootstrap --role sidecar --pod ${this.name}.${this.namespace}`;
    const message = `waits for its sidecar: ${how}`;
    this.#waiting = { reason: "WaitingForEnvoy", message };
    this.#stage = "waiting";
    this.#changed();
    await sidecars.envoyReady(this.key, this.#leaving.signal);
  }

  async #create(): Promise<void> {
    const ports = this.#template.containers.flatMap((container) => container.ports);
    try {
      this.#address = await this.#deps.addresses.allocate(ports, this.hasSidecar);
    } catch (cause) {
      this.#fail("NoAddress", messageOf(cause));
    }
    const pod = renderPod(this.#view());
    const created = await this.#deps.store.createPod(pod);
    this.#uid = created.metadata.uid ?? "";
    this.#revision = created.metadata.resourceVersion ?? null;
    this.#isCreated = true;
  }

  /** The reconciler replaces a failed pod. */
  #fail(reason: string, message: string): void {
    if (this.#isLeaving()) return;
    this.#waiting = { reason, message };
    this.#deps.report({ severity: "error", code: "GL0510", message, object: this.key });
    void this.#writer.request();
    this.#deps.clock.after(this.#deps.limits.failedShownMs, () => {
      if (this.#isLeaving()) return;
      this.#stage = "failed";
      this.#deps.onChange();
    });
  }

  // A call, because the compiler takes a field for unchanged across an await.
  #isLeaving(): boolean {
    return this.#deletedAtMs !== null || this.#stage === "gone";
  }

  #runnerOf(container: Container, address: PodAddress): Runner {
    const { clock, apps, log, limits } = this.#deps;
    const { hasSidecar } = this;
    const listens = container.ports.flatMap((port) =>
      address.inbound
        .filter(({ containerPort }) => containerPort === port)
        .map((inbound) => ({ ...inbound, hasSidecar })),
    );
    const runner = new ContainerRunner({
      clock,
      apps,
      log,
      listens,
      stopGraceMs: limits.stopGraceMs,
      resolve: () => this.#resolve(container, address),
      onChange: () => {
        this.#changed();
      },
    });
    return { container, runner, reported: "" };
  }

  async #resolve(container: Container, address: PodAddress): Promise<ContainerRun | LaunchFault> {
    const { commands, hostEnv, agentUrl, endpointFile, lookup } = this.#deps;
    const command = resolveCommand(this.#template, container, commands);
    if (command.kind === "fault") return command;
    const { labels, annotations } = this.#template;
    const pod = { namespace: this.namespace, name: this.name, uid: this.#uid, labels, annotations };
    const context = { pod, address, hostEnv, agentUrl, endpointFile, lookup };
    const environment = await buildEnvironment(container, command.env, context);
    if (environment.kind === "fault") return environment;
    const { env } = environment;
    const argv = command.argv.map((part) => environment.expand(part));
    return { kind: "run", argv, env, workingDir: command.workingDir };
  }

  #changed(): void {
    const isReady = this.#isReadyNow();
    if (isReady !== (this.#readySinceMs !== null)) {
      this.#readySinceMs = isReady ? this.#deps.clock.nowMs() : null;
    }
    for (const each of this.#runners) this.#reportFault(each);
    void this.#writer.request();
    this.#deps.onChange();
  }

  #reportFault(each: Runner): void {
    const { state } = each.runner;
    const code = state.kind === "waiting" ? state.code : "";
    const text = state.kind === "waiting" ? state.message : "";
    if (code === "" || text === each.reported) return;
    each.reported = text;
    const message = `container ${each.container.name}: ${text}`;
    this.#deps.report({ severity: "error", code, message, object: this.key });
  }

  async #write(): Promise<void> {
    if (!this.#isCreated || this.#stage === "gone") return;
    const isReady = this.#isReadyNow();
    const pod = renderPod(this.#view());
    const text = canonicalJson(pod);
    if (text === this.#written) return;
    try {
      const updated = await this.#deps.store.updatePod(pod);
      this.#written = text;
      this.#revision = updated.metadata.resourceVersion ?? null;
      if (isReady === this.#isReadyWritten) return;
      this.#isReadyWritten = isReady;
      this.#deps.onChange();
    } catch (cause) {
      if (this.#stage === "removing") return;
      const message = `the Pod object was not written: ${messageOf(cause)}`;
      this.#deps.report({ severity: "warning", code: "", message, object: this.key });
      this.#deps.clock.after(
        WRITE_RETRY_DELAY_MS,
        () => {
          void this.#writer.request();
        },
        { unref: true },
      );
    }
  }

  async #remove(drain: boolean): Promise<void> {
    const wasReady = this.#isReadyNow();
    this.#deletedAtMs = this.#deps.clock.nowMs();
    this.#stage = "removing";
    this.#leaving.abort();
    const cut = new Promise<void>((resolve) => (this.#cutDrain = resolve));
    await this.#creation.catch(() => undefined);
    if (drain && wasReady) await Promise.race([this.#drain(), cut]);
    await Promise.all(this.#runners.map(({ runner }) => runner.stop()));
    await this.#deps.log.close({ remove: true }).catch(() => undefined);
    await this.#deletePod();
    if (this.#address !== null) this.#deps.addresses.release(this.#address);
    this.#stage = "gone";
    this.#deps.onChange();
  }

  async #drain(): Promise<void> {
    const { sidecars, limits } = this.#deps;
    try {
      await this.#writer.request();
      if (this.#revision !== null) {
        await this.#within(sidecars.settled(this.#revision), limits.settleTimeoutMs);
      }
      if (this.#template.sidecar === "envoy") await delay(this.#deps.clock, limits.envoyDrainMs);
      if (this.#template.sidecar !== "embedded") return;
      const drained = sidecars.drained(this.key, limits.drainTimeoutMs);
      await this.#within(drained, limits.drainTimeoutMs);
    } catch (cause) {
      const message = `stopped before it was drained: ${messageOf(cause)}`;
      this.#deps.report({ severity: "warning", code: "", message, object: this.key });
    }
  }

  async #deletePod(): Promise<void> {
    try {
      if (this.#isCreated) await this.#deps.store.deletePod(this.namespace, this.name);
    } catch (cause) {
      // Left over: the next reconcile finds a Pod without a process and deletes it.
      const message = `the Pod object was not deleted: ${messageOf(cause)}`;
      this.#deps.report({ severity: "warning", code: "", message, object: this.key });
    }
  }

  #within(promise: Promise<void>, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        reject(new Error(`no answer within ${timeoutMs} ms`));
      };
      const timer = this.#deps.clock.after(timeoutMs, fail, { unref: true });
      promise.then(resolve, reject).finally(() => {
        timer.cancel();
      });
    });
  }

  #view(): PodView {
    const { namespace, name, deployment, templateHash } = this;
    return {
      namespace,
      name,
      deployment,
      deploymentUid: this.#deploymentUid,
      templateHash,
      template: this.#template,
      createdAtMs: this.#createdAtMs,
      address: this.#address,
      deletedAtMs: this.#deletedAtMs,
      waiting: this.#waiting,
      containers: this.#containerViews(),
      readySinceMs: this.#readySinceMs,
    };
  }

  #containerViews(): readonly ContainerView[] {
    if (this.#runners.length > 0) {
      return this.#runners.map(({ container, runner }) => {
        const { state, restartCount, lastExit } = runner;
        return { container, state, restartCount, lastExit };
      });
    }
    return this.#template.containers.map((container) => ({
      container,
      state: { kind: "waiting", code: "", reason: "ContainerCreating", message: "" },
      restartCount: 0,
      lastExit: null,
    }));
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
