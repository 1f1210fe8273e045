//! The sidecars of every pod on this machine, in one process: each with its own listeners and its
//! own trace tables, all with one runtime.

import { delay } from "../../base/clock.ts";
import type { Snapshot, Workload } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import type { ExchangeHandler } from "../exchange/handler.ts";
import { NotReadyExchange } from "../exchange/not-ready.ts";
import { SidecarInbound } from "../exchange/sidecar-inbound.ts";
import { SidecarOutbound } from "../exchange/sidecar-outbound.ts";
import { TrafficListener } from "../listener/listener.ts";
import { PodState } from "../runtime/pod-state.ts";
import type { Preparer } from "../runtime/prepare.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { WorkerRole } from "./role.ts";

const DRAIN_POLL_INTERVAL_MS = 20;

interface Sidecar {
  readonly workload: Workload;
  readonly pod: PodState;
  readonly listeners: readonly TrafficListener[];
}

export class SidecarRole implements WorkerRole {
  readonly #context: TrafficContext;
  readonly #preparer: Preparer;
  #runtime: Runtime | null = null;
  readonly #sidecars = new Map<string, Sidecar>();
  /** Pods whose listeners could not be opened, and why. */
  readonly #failures = new Map<string, string>();

  constructor(context: TrafficContext, preparer: Preparer) {
    this.#context = context;
    this.#preparer = preparer;
  }

  get pods(): ReadonlyMap<string, PodState> {
    return new Map([...this.#sidecars].map(([name, { pod }]) => [name, pod]));
  }

  async configure(snapshot: Snapshot): Promise<string | null> {
    const runtime = this.#preparer.prepareSidecar(snapshot, this.#runtime);
    // The runtime first: a new sidecar's first request must find its own workload.
    this.#runtime = runtime;
    this.#context.pools.retainSecure(snapshot.clusters);
    this.#failures.clear();
    const own = Object.entries(snapshot.workloads).filter(([, one]) => one.sidecar !== "envoy");
    for (const [name, workload] of own) {
      const failure = await this.#place(name, workload);
      // One pod's busy port is that pod's trouble: the others get their configuration.
      if (failure !== null) this.#failures.set(name, failure);
    }
    for (const [name, sidecar] of this.#sidecars) {
      if (name in snapshot.workloads && snapshot.workloads[name]?.sidecar !== "envoy") continue;
      this.#sidecars.delete(name);
      for (const listener of sidecar.listeners) void listener.drain();
    }
    return null;
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

  async stop(): Promise<void> {
    const all = [...this.#sidecars.values()].flatMap(({ listeners }) => listeners);
    await Promise.all(all.map((listener) => listener.drain()));
  }

  /** Opens a pod's listeners, unless they are open already at the same addresses. */
  async #place(name: string, workload: Workload): Promise<string | null> {
    const old = this.#sidecars.get(name);
    if (old !== undefined && isSamePlace(old.workload, workload)) {
      this.#sidecars.set(name, { ...old, workload });
      return null;
    }
    // Gone until it is open again: a pod that cannot be placed must not look placed.
    this.#sidecars.delete(name);
    for (const listener of old?.listeners ?? []) listener.close();
    const pod = old?.pod ?? new PodState();
    const listeners: TrafficListener[] = [];
    for (const { port, appAddress, appPort } of workload.inbound) {
      const app = { address: appAddress, port: appPort, pod: name, labels: {} };
      const address = { host: workload.address, port };
      listeners.push(
        this.#listener(name, "inbound", address, (runtime, current) => {
          return new SidecarInbound(runtime, current.workload, current.pod, app);
        }),
      );
    }
    const { address: host, port } = workload.outbound;
    listeners.push(
      this.#listener(name, "outbound", { host, port }, (runtime, current) => {
        return new SidecarOutbound(runtime, current.workload, current.pod);
      }),
    );
    for (const listener of listeners) {
      const failure = await listener.open();
      if (failure === null) continue;
      for (const opened of listeners) opened.close();
      const where = `${failure.address.host}:${failure.address.port}`;
      return `the sidecar of pod ${name} cannot listen on ${where}: ${failure.code}`;
    }
    this.#sidecars.set(name, { workload, pod, listeners });
    return null;
  }

  #listener(
    name: string,
    role: "inbound" | "outbound",
    address: { readonly host: string; readonly port: number },
    make: (runtime: Runtime, sidecar: Sidecar) => ExchangeHandler,
  ): TrafficListener {
    return new TrafficListener(address, this.#context, () => {
      const sidecar = this.#sidecars.get(name);
      const runtime = this.#runtime;
      if (sidecar === undefined || runtime === null) return new NotReadyExchange(role);
      return make(runtime, sidecar);
    });
  }
}

function isSamePlace(a: Workload, b: Workload): boolean {
  return (
    a.address === b.address &&
    JSON.stringify([a.inbound, a.outbound]) === JSON.stringify([b.inbound, b.outbound])
  );
}
