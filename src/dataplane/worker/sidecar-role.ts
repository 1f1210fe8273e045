//! The sidecars of every pod on this machine, in one process: each with its own listeners and its
//! own trace tables, all with one runtime.

import { assert } from "../../base/assert.ts";
import { delay } from "../../base/clock.ts";
import type { Endpoint, Snapshot, Workload } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import type { ExchangeHandler } from "../exchange/handler.ts";
import { HealthChecks } from "../health/health-checks.ts";
import { watchHealth } from "../health/watch-health.ts";
import { SidecarInbound } from "../exchange/sidecar-inbound.ts";
import { SidecarOutbound } from "../exchange/sidecar-outbound.ts";
import { TrafficListener } from "../listener/listener.ts";
import type { ListenAddress, ListenFailure } from "../listener/listener.ts";
import { PodState } from "../runtime/pod-state.ts";
import type { Preparer } from "../runtime/prepare.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { WorkerRole } from "./role.ts";
import { TraceLinks } from "./trace-links.ts";

const DRAIN_POLL_INTERVAL_MS = 20;

type Inbound = Workload["inbound"][number];
/** How each listener is made that a pod is to have, by its key in `Sidecar.listeners`. */
type Wanted = ReadonlyMap<string, () => TrafficListener>;

interface Sidecar {
  readonly name: string;
  /** The newest. */
  workload: Workload;
  readonly pod: PodState;
  /** By what they are, `in` or `out`, and their `host:port`. */
  readonly listeners: Map<string, TrafficListener>;
}

export class SidecarRole implements WorkerRole {
  readonly #context: TrafficContext;
  readonly #preparer: Preparer;
  readonly #checks: HealthChecks;
  #runtime: Runtime | null = null;
  readonly #sidecars = new Map<string, Sidecar>();
  /** Pods whose listeners could not be opened, and why. */
  readonly #failures = new Map<string, string>();
  /** Null: no other worker has sidecars of these pods. */
  #links: TraceLinks | null = null;
  #isDrained = false;
  #drained: Promise<unknown> = Promise.resolve();

  constructor(context: TrafficContext, preparer: Preparer) {
    this.#context = context;
    this.#preparer = preparer;
    this.#checks = new HealthChecks(context);
  }

  get pods(): ReadonlyMap<string, PodState> {
    return new Map([...this.#sidecars].map(([name, { pod }]) => [name, pod]));
  }

  async configure(snapshot: Snapshot): Promise<string | null> {
    const runtime = this.#preparer.prepareSidecar(snapshot, this.#runtime);
    watchHealth(runtime, snapshot, { checks: this.#checks, context: this.#context });
    // The runtime first: a new sidecar's first request must find one.
    this.#runtime = runtime;
    this.#context.pools.retainSecure(snapshot.clusters);
    this.#failures.clear();
    if (this.#isDrained) return null;
    const own = Object.entries(snapshot.workloads).filter(([, one]) => one.sidecar !== "envoy");
    for (const [name, workload] of own) {
      const failure = await this.#place(name, workload);
      // One pod's busy port is that pod's trouble: the others get their configuration.
      if (failure !== null) this.#failures.set(name, failure);
    }
    for (const [name, sidecar] of this.#sidecars) {
      if (name in snapshot.workloads && snapshot.workloads[name]?.sidecar !== "envoy") continue;
      this.#sidecars.delete(name);
      for (const listener of sidecar.listeners.values()) void listener.drain();
    }
    return null;
  }

  /** `folder`: where another worker finds what this one keeps by trace ids, and tells its own. */
  shareTraces(folder: string | null): void {
    const links = folder === null ? null : new TraceLinks(folder);
    this.#links?.close();
    this.#links = links;
    for (const [name, { pod }] of this.#sidecars) shareAs(name, pod, links);
  }

  explain(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Sidecars keep what gateways may still use; nothing waits for their own old exchanges. */
  oldRuntimesDrained(): Promise<void> {
    return Promise.resolve();
  }

  podFailure(name: string): string | null {
    if (this.#sidecars.has(name)) return null;
    return this.#failures.get(name) ?? `pod ${name} is not in this worker's snapshot`;
  }

  async drainPod(name: string, timeoutMs: number): Promise<void> {
    const { clock } = this.#context;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const pod = this.#sidecars.get(name)?.pod;
      if (pod === undefined || pod.inFlightCount === 0) return;
      if (clock.monotonicMs() >= deadlineMs) return;
      await delay(clock, DRAIN_POLL_INTERVAL_MS);
    }
  }

  /** The pods have other sidecars: here only what has begun goes on. */
  drainListeners(isPatient = false): void {
    this.#isDrained = true;
    this.#drained = Promise.all(this.#listeners().map((listener) => listener.drain(isPatient)));
  }

  listening(): readonly string[] {
    return this.#listeners().map(addressOf);
  }

  listenerHandle(address: string): object | null {
    return this.#listeners().find((one) => addressOf(one) === address)?.handle ?? null;
  }

  async stop(): Promise<void> {
    this.#checks.stop();
    if (!this.#isDrained) this.drainListeners();
    await this.#drained;
  }

  #listeners(): readonly TrafficListener[] {
    return [...this.#sidecars.values()].flatMap(({ listeners }) => [...listeners.values()]);
  }

  /**
   * Opens those of a pod's listeners that are not open yet. One that is wanted no more ends when
   * what runs on it has ended; one that stays is not touched.
   */
  async #place(name: string, workload: Workload): Promise<string | null> {
    const old = this.#sidecars.get(name);
    const isSame = old !== undefined && isSamePlace(old.workload, workload);
    const pod = old?.pod ?? new PodState();
    const sidecar: Sidecar = old ?? { name, workload, pod, listeners: new Map() };
    sidecar.workload = workload;
    if (isSame) return null;
    if (old === undefined) shareAs(name, pod, this.#links);
    const wanted = this.#listenersOf(sidecar);
    // Gone until all are open: a pod that cannot be placed must not look placed. First what ends:
    // its port may be wanted.
    this.#sidecars.delete(name);
    for (const [key, listener] of sidecar.listeners) {
      if (wanted.has(key)) continue;
      sidecar.listeners.delete(key);
      void listener.drain();
    }
    const failure = await this.#openMissing(sidecar, wanted);
    if (failure === null) {
      this.#sidecars.set(name, sidecar);
      return null;
    }
    for (const opened of sidecar.listeners.values()) void opened.drain();
    const where = `${failure.address.host}:${failure.address.port}`;
    return `the sidecar of pod ${name} cannot listen on ${where}: ${failure.code}`;
  }

  async #openMissing({ listeners }: Sidecar, wanted: Wanted): Promise<ListenFailure | null> {
    for (const [key, make] of wanted) {
      if (listeners.has(key)) continue;
      const listener = make();
      const failure = await this.#open(listener);
      if (failure !== null) return failure;
      listeners.set(key, listener);
    }
    return null;
  }

  async #open(listener: TrafficListener): Promise<ListenFailure | null> {
    const inherited = await this.#context.inherited?.take(addressOf(listener));
    return await listener.open(inherited ?? null);
  }

  /**
   * How each is made. What it answers depends on no other listener of the pod: the first accepts
   * while others are still being opened, at a socket that another process may have served a moment
   * ago.
   */
  #listenersOf(sidecar: Sidecar): Wanted {
    const { workload } = sidecar;
    const wanted = new Map<string, () => TrafficListener>();
    for (const inbound of workload.inbound) {
      const address = { host: workload.address, port: inbound.port };
      wanted.set(`in ${address.host}:${address.port}`, () => {
        return this.#inbound(sidecar, address, inbound);
      });
    }
    const { address: host, port } = workload.outbound;
    wanted.set(`out ${host}:${port}`, () => {
      return this.#listener({ host, port }, "outbound", (runtime) => {
        return new SidecarOutbound(runtime, sidecar.workload, sidecar.pod);
      });
    });
    return wanted;
  }

  #inbound(sidecar: Sidecar, address: ListenAddress, first: Inbound): TrafficListener {
    const { name: pod } = sidecar;
    const appOf = ({ appAddress, appPort }: Inbound): Endpoint => {
      return { address: appAddress, port: appPort, pod, labels: {} };
    };
    let known = sidecar.workload;
    let app = appOf(first);
    return this.#listener(address, "inbound", (runtime) => {
      const { workload } = sidecar;
      if (workload !== known) {
        known = workload;
        // What still runs when the port is wanted no more keeps the app that it had.
        const inbound = workload.inbound.find(({ port }) => port === address.port);
        if (inbound !== undefined) app = appOf(inbound);
      }
      return new SidecarInbound(runtime, workload, sidecar.pod, app);
    });
  }

  #listener(
    address: ListenAddress,
    role: "inbound" | "outbound",
    make: (runtime: Runtime) => ExchangeHandler,
  ): TrafficListener {
    return new TrafficListener(address, { ...this.#context, role }, () => {
      assert(this.#runtime !== null, "listeners are opened for a runtime");
      return make(this.#runtime);
    });
  }
}

function shareAs(name: string, pod: PodState, links: TraceLinks | null): void {
  pod.share(links === null ? null : (group) => links.table(name, group));
}

function addressOf({ address }: TrafficListener): string {
  return `${address.host}:${address.port}`;
}

function isSamePlace(a: Workload, b: Workload): boolean {
  return (
    a.address === b.address &&
    JSON.stringify([a.inbound, a.outbound]) === JSON.stringify([b.inbound, b.outbound])
  );
}
