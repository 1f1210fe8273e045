//! A gateway worker's part: listeners of the gateways, and one runtime that is swapped whole.

import type { Prng } from "../../base/prng.ts";
import type { Listener, Plugin, Snapshot } from "../../snapshot/snapshot.ts";
import type { StartTrial } from "../../wasm/start-trial.ts";
import type { TrafficContext } from "../context.ts";
import { HealthChecks } from "../health/health-checks.ts";
import { watchHealth } from "../health/watch-health.ts";
import type { ExchangeHandler } from "../exchange/handler.ts";
import { GatewayExchange } from "../exchange/gateway.ts";
import { NotReadyExchange } from "../exchange/not-ready.ts";
import { OVERLOADED } from "../exchange/overloaded.ts";
import { explainQuestion } from "../filter/explain-question.ts";
import type { ExplainAnswer, ExplainQuestion } from "../filter/explain.ts";
import type { PluginFault, PluginSlot } from "../filter/plugin-slot.ts";
import { TrafficListener } from "../listener/listener.ts";
import { TlsContexts } from "../listener/tls-contexts.ts";
import { openPortOf } from "../listener/open-port.ts";
import type { ListenFailure } from "../listener/listener.ts";
import type { ModuleFile } from "../runtime/module-cache.ts";
import { stopUnused } from "../runtime/prepare.ts";
import type { FailedStarts, Preparer } from "../runtime/prepare.ts";
import type { ListenerRuntime, Runtime } from "../runtime/runtime.ts";
import { RuntimeUses } from "../runtime/runtime-uses.ts";
import type { WorkerOptions } from "./protocol.ts";
import type { WorkerRole } from "./role.ts";
import { trialServices } from "./trial-services.ts";

export class GatewayRole implements WorkerRole {
  readonly #options: WorkerOptions;
  readonly #context: TrafficContext;
  readonly #preparer: Preparer;
  readonly #prng: Prng;
  #runtime: Runtime | null = null;
  /** Of listeners that are open already while others of it are still being opened. */
  #opening: Runtime | null = null;
  readonly #uses = new RuntimeUses();
  /** As `#uses`, but only until the request filters have run. */
  readonly #deciding = new RuntimeUses();
  readonly #listeners = new Map<number, TrafficListener>();
  readonly #checks: HealthChecks;
  #isDrained: boolean;
  /** Closed, while something runs at them. */
  readonly #draining = new Set<TrafficListener>();
  /** Resolves when what ran at the drained listeners has ended. */
  #drained: Promise<unknown> = Promise.resolve();

  constructor(options: WorkerOptions, context: TrafficContext, preparer: Preparer) {
    this.#options = options;
    this.#context = context;
    this.#preparer = preparer;
    this.#prng = context.prng;
    this.#checks = new HealthChecks(context);
    this.#isDrained = options.isDrained === true;
  }

  async configure(snapshot: Snapshot, failed?: FailedStarts): Promise<string | null> {
    const runtime = await this.#preparer.prepareGateway(snapshot, this.#runtime, failed);
    this.#opening = runtime;
    const failure = this.#isDrained ? null : await this.#openListeners(runtime);
    this.#opening = null;
    if (failure !== null) {
      stopUnused(runtime.plugins, this.#runtime?.plugins ?? new Map());
      return failure;
    }
    const old = this.#runtime;
    watchHealth(runtime, snapshot, { checks: this.#checks, context: this.#context });
    this.#runtime = runtime;
    this.#preparer.serves(runtime);
    this.#context.pools.retainSecure(snapshot.clusters);
    this.#uses.swap();
    this.#deciding.swap();
    if (old !== null) {
      // A request that a plug-in holds up goes on through the old chain: its plug-ins must run.
      void this.#deciding.drained().then(() => {
        stopUnused(old.plugins, runtime.plugins);
      });
    }
    this.#renewCertificates(runtime, old);
    this.#closeUnused(runtime);
    return null;
  }

  async load(files: readonly ModuleFile[]): Promise<void> {
    // What runs has its own, and more of it.
    if (this.#runtime === null) await this.#preparer.load(files);
  }

  tryStart(plugin: Plugin): Promise<StartTrial> {
    return this.#preparer.tryStart(plugin, trialServices(this.#context.clock, this.#context.node));
  }

  startHere(plugin: string): void {
    this.#runtime?.plugins.get(plugin)?.instance?.startHere();
  }

  /** The plug-ins that serve, or would. */
  pluginSlots(): readonly PluginSlot[] {
    return [...(this.#runtime?.plugins.values() ?? [])];
  }

  pluginFaults(): readonly PluginFault[] {
    return this.pluginSlots().flatMap(({ fault }) => fault ?? []);
  }

  sourceFaults(): readonly PluginFault[] {
    return this.#preparer.sourceFaults;
  }

  async explain(question: ExplainQuestion): Promise<ExplainAnswer | null> {
    if (this.#runtime === null) return null;
    const { clock } = this.#context;
    return await explainQuestion(this.#runtime, question, { prng: this.#prng, clock });
  }

  oldRuntimesDrained(): Promise<void> {
    return this.#uses.drained();
  }

  podFailure(pod: string): string {
    return `pod ${pod} has no sidecar in a gateway worker`;
  }

  drainPod(): Promise<void> {
    return Promise.resolve();
  }

  drainListeners(isPatient = false): void {
    this.#isDrained = true;
    for (const listener of this.#draining) void listener.drain(isPatient);
    this.#shutListeners(isPatient);
  }

  listening(): readonly string[] {
    return [...this.#listeners.values()].map(addressOf);
  }

  listenerHandle(address: string): object | null {
    const listener = [...this.#listeners.values()].find((one) => addressOf(one) === address);
    return listener?.handle ?? null;
  }

  async stop(): Promise<void> {
    this.#checks.stop();
    await this.#drained;
    await Promise.all([...this.#listeners.values()].map((listener) => listener.drain()));
  }

  /** Opens what is new. Returns in words which address could not be had, and what to do. */
  async #openListeners(runtime: Runtime): Promise<string | null> {
    const opened = new Map<number, TrafficListener>();
    for (const [port, { gateway, listener: wanted }] of runtime.listeners) {
      const tls = wanted.tls === undefined ? null : new TlsContexts(wanted.tls);
      const open = this.#listeners.get(port);
      if (open !== undefined && open.kind === TrafficListener.kindOf(tls)) continue;
      if (open !== undefined) {
        // Plain, TLS, or TLS that asks for certificates: another listener must take the port.
        this.#listeners.delete(port);
        void open.drain();
      }
      const address = this.#addressOf(port, wanted);
      const handler = (): ExchangeHandler => this.#handler(port);
      const listener = new TrafficListener(address, this.#context, handler, tls);
      listener.setNetwork(() => this.#runtimeOf(port)?.listeners.get(port)?.network ?? null);
      listener.setCodec(() => this.#runtimeOf(port)?.listeners.get(port)?.listener.codec);
      listener.setProxyProtocol(
        () =>
          this.#runtimeOf(port)?.listeners.get(port)?.gateway.edge?.proxyProtocol ??
          gateway.edge?.proxyProtocol,
      );
      const inherited = await this.#context.inherited?.take(addressOf(listener));
      const failure = await listener.open(inherited ?? null);
      if (failure !== null) {
        // All or nothing: a listener without a runtime would answer 503 to everybody.
        for (const other of opened.values()) other.close();
        return describeListenFailure(failure, gateway.name, port);
      }
      opened.set(port, listener);
    }
    for (const [port, listener] of opened) this.#listeners.set(port, listener);
    // Drained while these were being opened.
    if (this.#isDrained) this.#shutListeners();
    return null;
  }

  #addressOf(port: number, wanted: Listener): { readonly host: string; readonly port: number } {
    const { gatewayHost, portMap } = this.#options;
    return { host: wanted.host ?? gatewayHost, port: openPortOf(port, portMap) };
  }

  /** Asked again, it may be less patient. */
  #shutListeners(isPatient = false): void {
    for (const listener of this.#listeners.values()) {
      this.#draining.add(listener);
      const drained = listener.drain(isPatient).then(() => this.#draining.delete(listener));
      this.#drained = Promise.all([this.#drained, drained]);
    }
    this.#listeners.clear();
  }

  /** New certificates for new connections; those that are open keep what they have. */
  #renewCertificates(runtime: Runtime, old: Runtime | null): void {
    for (const [port, { listener }] of runtime.listeners) {
      if (listener.tls === undefined || listener === old?.listeners.get(port)?.listener) continue;
      this.#listeners.get(port)?.setTls(new TlsContexts(listener.tls));
    }
  }

  #closeUnused(runtime: Runtime): void {
    for (const [port, listener] of this.#listeners) {
      if (runtime.listeners.has(port)) continue;
      this.#listeners.delete(port);
      void listener.drain();
    }
  }

  /** From the moment in which the port accepts. */
  #runtimeOf(port: number): Runtime | null {
    return this.#runtime?.listeners.has(port) === true ? this.#runtime : this.#opening;
  }

  #handler(port: number): ExchangeHandler {
    const { overload } = this.#context;
    if (overload !== undefined) {
      overload.requestCount += 1;
      if (overload.isShedding && !overload.takesRequest()) return OVERLOADED;
    }
    const runtime = this.#runtimeOf(port);
    const listener: ListenerRuntime | undefined = runtime?.listeners.get(port);
    if (runtime === null || listener === undefined) return new NotReadyExchange();
    const uses = { whole: this.#uses.current, deciding: this.#deciding.current };
    return new GatewayExchange(runtime, listener, uses);
  }
}

function addressOf({ address }: TrafficListener): string {
  return `${address.host}:${address.port}`;
}

function describeListenFailure(failure: ListenFailure, gateway: string, port: number): string {
  const { host, port: wanted } = failure.address;
  const where = `${host}:${wanted} for port ${port} of gateway ${gateway}`;
  if (failure.code === "EADDRINUSE") {
    const remedy = `free it, or map: --map-port ${port}=PORT`;
    return `GL0601: ${where} is in use by another program; ${remedy}`;
  }
  if (failure.code === "EACCES") {
    return `GL0602: no permission to listen on ${where}; map it: --map-port ${port}=PORT`;
  }
  return `GL0603: cannot listen on ${where}: ${failure.code}`;
}
