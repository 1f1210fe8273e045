//! The local cluster: brings the processes of this machine to what the Deployments in the store
//! say.
//!
//! Level-based: each reconcile reads the whole state and takes the next steps; events only say that
//! it is time to look. One reconcile runs at a time, and changes meanwhile make one more.

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson } from "../base/canonical-json.ts";
import type { Resource } from "../resources/object.ts";
import { AddressPool } from "./address-pool.ts";
import { AppKeeper } from "./app-keeper.ts";
import type { AppHost } from "./app-keeper.ts";
import { Coalesced } from "./coalesced.ts";
import { deploymentStatus } from "./deployment-status.ts";
import type { DataLookup } from "./environment.ts";
import { pathOf } from "./environment.ts";
import { LogFile } from "./log-file.ts";
import type { ReadLogOptions } from "./log-file.ts";
import { readDeployment } from "./manifest.ts";
import type { Deployment } from "./manifest.ts";
import { planPods } from "./plan.ts";
import { Pod } from "./pod.ts";
import type { PodHandover } from "./pod.ts";
import { DEPLOYMENT_ANNOTATION } from "./pod-object.ts";
import { LOCAL_LIMITS, endpointFileOf } from "./seam.ts";
import type { LocalClusterOptions, LocalLimits } from "./seam.ts";

const RETRY_DELAY_MS = 1_000;
/** As in Kubernetes: no vowels, so that no word is spelled, and nothing easily confused. */
const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH = 5;
const DEFAULT_ADDRESSES = { podPrefix: "127.10", appPrefix: "127.20" };

export class LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #limits: LocalLimits;
  readonly #addresses: AddressPool;
  readonly #reconciler: Coalesced;
  /** By `<namespace>/<name>` of the pod. */
  readonly #pods = new Map<string, Pod>();
  readonly #writtenStatus = new Map<string, string>();
  #unwatch: () => void = () => undefined;
  readonly #apps: AppHost;
  #ordinal = 0;
  #isClosed = false;

  constructor(options: LocalClusterOptions) {
    this.#options = options;
    this.#limits = { ...LOCAL_LIMITS, ...options.limits };
    this.#apps = options.apps ?? new AppKeeper();
    this.#addresses = new AddressPool({
      ...(options.addresses ?? DEFAULT_ADDRESSES),
      portOffset: options.prng.below(1_000) / 1_000,
    });
    this.#reconciler = new Coalesced(() => this.#reconcileOnce());
  }

  /** Removes what an earlier run left, then runs the Deployments. Resolves after the first look. */
  async start(): Promise<void> {
    await removeLogs(this.#logDir, new Set([...this.#pods.values()].map(logNameOf)));
    this.#unwatch = this.#options.store.watch(["Deployment", "Pod"], () => {
      void this.reconcile();
    });
    await this.reconcile();
  }

  /** Before `start`: goes on with the pods that another cluster, or this one, has let go. */
  async adopt(pods: readonly PodHandover[]): Promise<void> {
    this.#isClosed = false;
    for (const handed of pods) {
      const pod = this.#makePod(handed, { resumesLog: true });
      this.#ordinal = Math.max(this.#ordinal, handed.ordinal + 1);
      await pod.adopt(handed);
    }
  }

  /**
   * In place of `close`: the apps go on, and another cluster may adopt their pods. Resolves when
   * this one writes nothing more; pods that were being removed have gone by then.
   */
  async letGo(): Promise<readonly PodHandover[]> {
    this.#isClosed = true;
    this.#unwatch();
    await this.#reconciler.request();
    const pods = await Promise.all([...this.#pods.values()].map((pod) => pod.letGo()));
    this.#pods.clear();
    this.#writtenStatus.clear();
    return pods.flatMap((pod) => pod ?? []);
  }

  /** Stops every app and removes its Pod object; nothing is drained. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unwatch();
    await this.#reconciler.request();
    await Promise.all([...this.#pods.values()].map((pod) => pod.remove({ drain: false })));
  }

  /** Resolves when a reconcile that began after this call has ended. */
  reconcile(): Promise<void> {
    return this.#reconciler.request();
  }

  /** Output of a pod's apps; null when there is no such pod. */
  readLog(
    namespace: string,
    pod: string,
    options: ReadLogOptions = {},
  ): AsyncIterable<string> | null {
    return this.#pods.get(`${namespace}/${pod}`)?.log.read(options) ?? null;
  }

  /** Whether a pod has no sidecar, so that agents read the list of endpoints. */
  hasPodsWithoutSidecar(): boolean {
    for (const pod of this.#pods.values()) if (!pod.hasSidecar) return true;
    return false;
  }

  get #logDir(): string {
    return join(this.#options.stateDir, "logs");
  }

  async #reconcileOnce(): Promise<void> {
    if (this.#isClosed) return;
    try {
      // Before the list: a pod created after it would be missing in it for no fault of its own.
      const created = [...this.#pods.values()].filter((pod) => pod.isCreated);
      const { store } = this.#options;
      const [deployments, objects] = await Promise.all([
        store.list("Deployment"),
        store.list("Pod"),
      ]);
      this.#forgetGone();
      await this.#removeLeftovers(objects);
      this.#removeDeleted(created, objects);
      const desired = deployments
        .filter((each) => each.metadata.deletionTimestamp === undefined)
        .map((each) => readDeployment(each, this.#options.usualSidecar));
      this.#removeOrphans(desired);
      for (const deployment of desired) await this.#reconcileDeployment(deployment);
    } catch (cause) {
      this.#retry(cause);
    }
  }

  #retry(cause: unknown): void {
    const message = `the local cluster was not reconciled: ${String(cause)}`;
    this.#options.report({ severity: "warning", code: "", message, object: "" });
    this.#options.clock.after(
      RETRY_DELAY_MS,
      () => {
        void this.reconcile();
      },
      { unref: true },
    );
  }

  #forgetGone(): void {
    for (const [key, pod] of this.#pods) if (pod.stage === "gone") this.#pods.delete(key);
  }

  /** Pods of ours without a process: an earlier run was killed. */
  async #removeLeftovers(objects: readonly Resource[]): Promise<void> {
    for (const { metadata } of objects) {
      const namespace = metadata.namespace ?? "default";
      const isOurs = metadata.annotations?.[DEPLOYMENT_ANNOTATION] !== undefined;
      if (!isOurs || this.#pods.has(`${namespace}/${metadata.name}`)) continue;
      await this.#options.store.deletePod(namespace, metadata.name);
    }
  }

  /** Pods whose object somebody deleted, or marked to be. */
  #removeDeleted(created: readonly Pod[], objects: readonly Resource[]): void {
    const living = new Set(
      objects
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map(({ metadata }) => `${metadata.namespace ?? "default"}/${metadata.name}`),
    );
    for (const pod of created) if (!living.has(pod.key)) this.#remove(pod);
  }

  #removeOrphans(desired: readonly Deployment[]): void {
    const names = new Set(desired.map(({ namespace, name }) => `${namespace}/${name}`));
    for (const pod of this.#pods.values()) {
      const isOrphan = !names.has(`${pod.namespace}/${pod.deployment}`);
      if (isOrphan || pod.stage === "failed") this.#remove(pod);
    }
    for (const key of this.#writtenStatus.keys()) {
      if (!names.has(key)) this.#writtenStatus.delete(key);
    }
  }

  async #reconcileDeployment(deployment: Deployment): Promise<void> {
    const plan = planPods(deployment, this.#podsOf(deployment));
    for (const name of plan.remove) {
      const pod = this.#pods.get(`${deployment.namespace}/${name}`);
      if (pod !== undefined) this.#remove(pod);
    }
    const room = this.#limits.podsMax - this.#pods.size;
    const startsRoom = this.#limits.startsMax - this.#countStarting();
    const startCount = Math.max(0, Math.min(plan.startCount, room, startsRoom));
    for (let count = 0; count < startCount; count++) this.#startPod(deployment);
    await this.#writeStatus(deployment, plan.startCount > room);
  }

  #podsOf(deployment: Deployment): readonly Pod[] {
    return [...this.#pods.values()].filter(
      (pod) =>
        pod.namespace === deployment.namespace &&
        pod.deployment === deployment.name &&
        pod.stage !== "removing" &&
        pod.stage !== "gone",
    );
  }

  #countStarting(): number {
    let count = 0;
    for (const pod of this.#pods.values()) if (pod.stage === "starting") count++;
    return count;
  }

  #remove(pod: Pod): void {
    void pod.remove({ drain: true });
  }

  #startPod(deployment: Deployment): void {
    const name = `${deployment.name}-${deployment.templateHash}-${this.#suffix()}`;
    this.#makePod({ name, ordinal: this.#ordinal++, deployment }).start();
  }

  #makePod(
    { name, ordinal, deployment }: Pick<PodHandover, "name" | "ordinal" | "deployment">,
    { resumesLog = false } = {},
  ): Pod {
    const { namespace } = deployment;
    const { store, sidecars, clock, images, baseDir, hostEnv, report } = this.#options;
    const { agentUrl, stateDir } = this.#options;
    const logPath = join(this.#logDir, logNameOf({ namespace, name }));
    const pod = new Pod(
      { name, ordinal, deployment },
      {
        store,
        sidecars,
        clock,
        hostEnv,
        agentUrl,
        endpointFile: endpointFileOf(stateDir),
        report,
        addresses: this.#addresses,
        commands: { images, baseDir, path: pathOf(hostEnv) },
        apps: this.#apps,
        lookup: this.#lookupIn(namespace),
        log: new LogFile(logPath, this.#limits.logBytesMax, { resumes: resumesLog }),
        limits: this.#limits,
        onChange: () => {
          void this.reconcile();
        },
      },
    );
    this.#pods.set(pod.key, pod);
    return pod;
  }

  #suffix(): string {
    let suffix = "";
    for (let count = 0; count < SUFFIX_LENGTH; count++) {
      suffix += SUFFIX_ALPHABET[this.#options.prng.below(SUFFIX_ALPHABET.length)] ?? "x";
    }
    return suffix;
  }

  #lookupIn(namespace: string): DataLookup {
    return async (kind, name) => {
      const object = await this.#options.store.find(kind, namespace, name);
      return object === null ? null : dataOf(object);
    };
  }

  async #writeStatus(deployment: Deployment, isFull: boolean): Promise<void> {
    const { namespace, name } = deployment;
    const key = `${namespace}/${name}`;
    const status = deploymentStatus(deployment, this.#podsOf(deployment), {
      podsMax: isFull ? this.#limits.podsMax : null,
    });
    const text = canonicalJson(status);
    if (this.#writtenStatus.get(key) === text) return;
    if (isFull) {
      const message = `no more than ${this.#limits.podsMax} pods run at one time (podsMax)`;
      this.#options.report({ severity: "error", code: "GL0508", message, object: key });
    }
    await this.#options.store.updateDeploymentStatus(namespace, name, status);
    this.#writtenStatus.set(key, text);
  }
}

/** ConfigMap: `data`; Secret: `data` in base64, over it `stringData`. */
function dataOf(object: Resource): Readonly<Record<string, string>> {
  const strings = (value: unknown): readonly (readonly [string, string])[] =>
    Object.entries((value ?? {}) as Record<string, unknown>).flatMap(([key, each]) =>
      typeof each === "string" ? [[key, each] as const] : [],
    );
  const data = strings(object["data"]);
  if (object.kind !== "Secret") return Object.fromEntries(data);
  const decoded = data.map(([key, each]) => [key, Buffer.from(each, "base64").toString()] as const);
  return Object.fromEntries([...decoded, ...strings(object["stringData"])]);
}

function logNameOf(pod: { readonly namespace: string; readonly name: string }): string {
  return `${encodeURIComponent(pod.namespace)}_${encodeURIComponent(pod.name)}.log`;
}

/** Logs of pods that are no more: an earlier run was killed. */
async function removeLogs(directory: string, kept: ReadonlySet<string>): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    if (kept.has(name.replace(/\.1$/, ""))) continue;
    if (/\.log(\.1)?$/.test(name)) await rm(join(directory, name), { force: true });
  }
}
