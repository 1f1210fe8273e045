//! One instance of a module: its memory, its callbacks, and which context is running in it.
//!
//! Callbacks do not nest: a guest is entered only when nobody is inside it (the allocator, called
//! by host functions, is the one exception and touches no context). What a host function may only
//! do after the callback is put off with `defer`.

import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Steps } from "../base/steps.ts";
import { createImports } from "./abi/imports.ts";
import { ByteCache } from "./byte-cache.ts";
import { CallsUnderWay } from "./calls-under-way.ts";
import type { Caller } from "./calls-under-way.ts";
import { LogLevel } from "./enums.ts";
import { BudgetSpent, LoadFault, PluginTrap } from "./fault.ts";
import { fieldName, fieldValue, latin1, utf8 } from "./field-text.ts";
import {
  DEFAULT_BUDGETS,
  FuelGauge,
  REFILL_UNITS,
  startFunctionOf,
  systemGuestTime,
} from "./fuel/gauge.ts";
import type { Budgets, GuestTime } from "./fuel/gauge.ts";
import { GuestMemory } from "./guest-memory.ts";
import { probedImports } from "./guest-probe.ts";
import type { GuestFunction, GuestProbe } from "./guest-probe.ts";
import type { MetricStore } from "./metric-store.ts";
import type { PluginModule } from "./module.ts";
import { ENTRIES_PER_SAMPLE } from "./plugin-usage.ts";
import type { UsageTable } from "./plugin-usage.ts";
import type { RootContext } from "./root-context.ts";
import { GrpcTable } from "./grpc-calls.ts";
import type { GrpcCaller } from "./grpc-calls.ts";
import type { HttpCaller } from "./http-calls.ts";
import type { RedisOpener } from "./redis-calls.ts";
import type { DnsLookUp } from "./dns-calls.ts";
import type { SharedDataStore } from "./shared-data-store.ts";
import type { SharedQueueStore } from "./shared-queues.ts";
import type { StreamContext } from "./stream-context.ts";
import { StreamTable } from "./stream-table.ts";
import type { TickThrottle } from "./tick-throttle.ts";
import type { VmPool } from "./vm-pool.ts";

/** What a VM is made with, apart from its code. Equal VM settings and code may share a VM. */
export interface VmSettings {
  readonly vmId: string;
  readonly vmConfiguration: Uint8Array;
  /** Environment variables of the guest; it sees no others. */
  readonly env: Readonly<Record<string, string>>;
  /** Host functions that may be called, and callbacks that are; absent: all. */
  readonly capabilities?: ReadonlySet<string>;
}

/** One line that a plug-in, or the host on its behalf, wants in the log. */
export interface PluginLog {
  readonly level: LogLevel;
  readonly message: string;
  readonly plugin: string;
  readonly rootId: string;
  readonly vmId: string;
}

/** What the embedder lends to all plug-ins of one worker. */
export interface PluginServices {
  readonly clock: Clock;
  readonly log: (entry: PluginLog) => void;
  /** The level that is written now: guests ask for it. */
  readonly logLevel: () => LogLevel;
  readonly metrics: MetricStore;
  readonly sharedData: SharedDataStore;
  /** Where it is counted what each plug-in costs; without it nobody can read that. */
  readonly usage?: UsageTable;
  /** Without it every queue is refused. */
  readonly sharedQueues?: SharedQueueStore;
  /** Without it every cluster is unknown. */
  readonly httpCall?: HttpCaller;
  /** The same for gRPC. */
  readonly grpcCall?: GrpcCaller;
  /** The same for Redis. */
  readonly redis?: RedisOpener;
  /** Without it no name is looked up. */
  readonly dns?: DnsLookUp;
  /** Where plug-ins find a VM that they may share; without it each has a VM of its own. */
  readonly vms?: VmPool;
  /** Bounds the ticks of all plug-ins together; without it only their period is bounded. */
  readonly ticks?: TickThrottle;
  /** The same for what plug-ins are told of queues. */
  readonly queueNews?: TickThrottle;
  /** Told of each crash, once for each VM. */
  readonly onTrap?: (trap: PluginTrap) => void;
  /** How long one entry may last; 50 ms, and 5 s to start and to configure, by default. */
  readonly budgets?: Budgets;
  /** The clocks of those budgets: real ones by default, whatever `clock` is. */
  readonly guestTime?: GuestTime;
  /** Measures every call in and out; without it nothing is measured. */
  readonly probe?: GuestProbe;
  /** Properties that are there without an exchange; without it none is. */
  readonly rootProperty?: (path: readonly string[]) => Uint8Array | null;
}

type Three = [first: number, second: number, third: number];
type Four = [first: number, second: number, third: number, fourth: number];
type HttpCallEnd = [root: number, token: number, headers: number, body: number, trailers: number];

/** An exported function. A missing one is null: the host then does without the call. */
export type Callback<Result, Parameters extends number[] = Three> =
  ((...parameters: Parameters) => Result) | null;

export interface GuestCallbacks {
  readonly contextCreate: Callback<void>;
  readonly vmStart: Callback<number>;
  readonly configure: Callback<number>;
  readonly tick: Callback<void>;
  readonly newConnection: Callback<number>;
  readonly downstreamData: Callback<number>;
  readonly upstreamData: Callback<number>;
  readonly downstreamClose: Callback<void>;
  readonly upstreamClose: Callback<void>;
  readonly requestHeaders: Callback<number>;
  readonly requestBody: Callback<number>;
  readonly requestTrailers: Callback<number>;
  readonly responseHeaders: Callback<number>;
  readonly responseBody: Callback<number>;
  readonly responseTrailers: Callback<number>;
  readonly httpCallResponse: Callback<void, HttpCallEnd>;
  readonly grpcInitialMetadata: Callback<void>;
  readonly grpcMessage: Callback<void>;
  readonly grpcTrailingMetadata: Callback<void>;
  readonly grpcClose: Callback<void>;
  readonly redisCallResponse: Callback<void, Four>;
  readonly resolveDns: Callback<void>;
  readonly queueReady: Callback<void>;
  readonly done: Callback<number>;
  readonly log: Callback<void>;
  readonly delete: Callback<void>;
  /** Ours: the reasons of this exchange are wanted (1), or no longer (0). */
  readonly explain: Callback<void>;
}

/** What a guest sees and changes: of a root context, or of one exchange and its root. */
export interface EffectiveContexts {
  readonly root: RootContext;
  readonly stream: StreamContext | null;
}

/** Ids are u32 and count up; the one after the last is 1 again. */
const CONTEXT_ID_MAX = 0xffff_ffff;
/** Of a request's id that is put into a crash report. */
const REQUEST_ID_BYTES_MAX = 128;
/** Answers that wait for the end of one callback; a guest that asks for more gets an error. */
const DEFERRED_MAX = 64;

export class Vm {
  readonly module: PluginModule;
  readonly settings: VmSettings;
  readonly services: PluginServices;
  readonly budgets: Budgets;
  readonly gauge: FuelGauge;
  readonly memory: GuestMemory;
  readonly guest: GuestCallbacks;
  readonly roots: Map<number, RootContext> = new Map();
  readonly streams: StreamTable<StreamContext> = new StreamTable();
  readonly callsOut: CallsUnderWay;
  readonly grpc: GrpcTable;
  readonly names: ByteCache<string | null> = new ByteCache(fieldName);
  readonly values: ByteCache<string | null> = new ByteCache(fieldValue);
  readonly paths: ByteCache<readonly string[]> = new ByteCache((bytes) => utf8(bytes).split("\0"));

  /** The contexts whose callback is running. */
  enteredStream: StreamContext | null = null;
  enteredRoot: RootContext | null = null;
  /** Whose contexts are in effect until the callback returns, once the guest has switched. */
  #switched: EffectiveContexts | null = null;

  /** Set for good by the first trap: nothing enters this VM any more. */
  trap: PluginTrap | null = null;
  /** Called once, at the first trap: what the plug-ins of this VM do then. */
  readonly trapListeners: Set<(trap: PluginTrap) => void> = new Set();

  /** While a root context starts: its last warning or error. Null: nobody wants it. */
  complaint: string | null = null;

  readonly #deferred: (() => void)[] = [];
  readonly #exports: Record<string, unknown>;
  #isEntered = false;
  /** When the running callback began, if it is one of those that are measured; else 0. */
  #sampledFromMs = 0;
  #countedRefills = 0;
  #lastContextId = 0;
  #hasIdsAgain = false;

  /** Instantiates. Throws what the engine throws; `startVm` turns that into a fault. */
  constructor(module: PluginModule, settings: VmSettings, services: PluginServices) {
    this.module = module;
    this.settings = settings;
    this.services = services;
    this.callsOut = new CallsUnderWay(services.clock);
    this.grpc = new GrpcTable(this);
    this.budgets = services.budgets ?? DEFAULT_BUDGETS;
    this.gauge = new FuelGauge(services.guestTime ?? systemGuestTime);
    this.memory = new GuestMemory(this.gauge);
    const { probe } = services;
    const imports = createImports(this);
    const instance = new WebAssembly.Instance(
      module.compiled,
      probe === undefined ? imports : probedImports(imports, probe),
    );
    this.#exports = instance.exports;
    this.gauge.attach(instance.exports);
    this.memory.attach(
      instance.exports["memory"] as WebAssembly.Memory,
      instance.exports[module.allocator] as (size: number) => number,
    );
    this.guest = callbacksOf(instance.exports, { probe, allowed: settings.capabilities });
  }

  /** Runs the start section, then the language runtime's own start: `_initialize`, or `_start`. */
  start(): void {
    this.gauge.begin(this.budgets.startMs);
    startFunctionOf(this.#exports)?.();
    const run = (name: string, ...parameters: number[]): boolean => {
      const callback = this.#exports[name];
      if (typeof callback !== "function") return false;
      (callback as (...parameters: number[]) => unknown)(...parameters);
      return true;
    };
    if (run("_initialize")) {
      if (!run("main", 0, 0)) run("__main_void");
    } else run("_start");
  }

  /** Whose calls out those are that are made now: the guest cannot shift them to another. */
  get caller(): Caller | null {
    return this.enteredStream ?? this.stream;
  }

  /** The effective contexts: the entered ones unless the guest has switched. */
  get stream(): StreamContext | null {
    return this.#switched === null ? this.enteredStream : this.#switched.stream;
  }

  get root(): RootContext | null {
    return this.#switched === null ? this.enteredRoot : this.#switched.root;
  }

  /** Lasts until the callback returns; null goes back to the entered contexts. */
  switchTo(contexts: EffectiveContexts | null): void {
    this.#switched = contexts;
  }

  nextContextId(): number {
    if (this.#lastContextId === CONTEXT_ID_MAX) {
      this.#hasIdsAgain = true;
      this.#lastContextId = 0;
    }
    const id = ++this.#lastContextId;
    // On the hot path: nothing is looked up before ids come round again.
    if (!this.#hasIdsAgain) return id;
    const isTaken = this.roots.has(id) || this.streams.get(id) !== undefined;
    return isTaken ? this.nextContextId() : id;
  }

  /**
   * Every entry into the guest is between `enter` and `leave`, or `enter` and `fail`. It may last
   * `budgetMs`; what it calls the host for counts too.
   */
  enter(
    root: RootContext,
    stream: StreamContext | null,
    budgetMs: number = this.budgets.callbackMs,
  ): void {
    assert(!this.#isEntered, "a guest is entered only when nobody is inside it");
    this.#isEntered = true;
    this.gauge.begin(budgetMs);
    if (++root.usage.entries % ENTRIES_PER_SAMPLE === 0) this.#sampledFromMs = this.gauge.wallMs();
    this.enteredRoot = root;
    this.enteredStream = stream;
  }

  leave(): void {
    this.#isEntered = false;
    if (this.gauge.isTiming || this.#sampledFromMs !== 0) this.#countUsage();
    this.#switched = null;
    this.enteredRoot = null;
    this.enteredStream = null;
    if (this.#deferred.length > 0) this.#runDeferred();
  }

  /** The callback threw: the instance may be in any state and is never entered again. */
  fail(callback: string, cause: unknown): PluginTrap {
    this.#deferred.length = 0;
    const place = {
      plugin: this.root?.plugin.name ?? this.module.name,
      version: this.root?.plugin.version ?? "",
      callback,
      requestId: requestIdOf(this.enteredStream),
    };
    const trap = new PluginTrap(place, this.explainCause(cause));
    this.trap = trap;
    const entered = this.enteredStream;
    this.leave();
    for (const root of this.roots.values()) root.abandon();
    this.services.onTrap?.(trap);
    for (const listener of this.trapListeners) listener(trap);
    // The one that was entered learns it by its callback's answer.
    for (const stream of this.streams.all()) {
      if (stream !== entered) stream.host.onVmTrap?.();
    }
    return trap;
  }

  /** Says that time was up where the guest itself can only say `unreachable`. */
  explainCause(cause: unknown): unknown {
    if (!this.gauge.isSpent) return cause;
    return new BudgetSpent(this.gauge.budgetMs, cause instanceof Error ? (cause.stack ?? "") : "");
  }

  /** Runs `task` when the callback has returned. False: too many wait already. */
  defer(task: () => void): boolean {
    if (this.#deferred.length === DEFERRED_MAX) return false;
    this.#deferred.push(task);
    return true;
  }

  log(level: LogLevel, message: string): void {
    if (this.complaint !== null && level >= LogLevel.warn && message.trim() !== "") {
      this.complaint = message;
    }
    const plugin = this.root?.plugin;
    this.services.log({
      level,
      message,
      plugin: plugin?.name ?? this.module.name,
      rootId: plugin?.rootId ?? "",
      vmId: this.settings.vmId,
    });
  }

  #countUsage(): void {
    const { gauge, enteredRoot: root } = this;
    const fromMs = this.#sampledFromMs;
    this.#sampledFromMs = 0;
    if (root === null) return;
    const nowMs = gauge.wallMs();
    const timedFromMs = gauge.isTiming ? gauge.timedFromMs : nowMs;
    root.usage.ms += nowMs - timedFromMs;
    if (fromMs !== 0) root.usage.ms += (timedFromMs - fromMs) * ENTRIES_PER_SAMPLE;
    root.usage.fuel += (gauge.refillCount - this.#countedRefills) * REFILL_UNITS;
    this.#countedRefills = gauge.refillCount;
  }

  #runDeferred(): void {
    for (const task of this.#deferred.splice(0)) task();
  }
}

/** Makes a VM and runs its start functions: two steps, as each takes long in a large module. */
export function* startVm(
  module: PluginModule,
  settings: VmSettings,
  services: PluginServices,
): Steps<Vm | LoadFault> {
  let vm: Vm | null = null;
  try {
    vm = new Vm(module, settings, services);
    yield;
    vm.start();
    return vm;
  } catch (error) {
    const cause = vm === null ? error : vm.explainCause(error);
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new LoadFault(module.name, "start_trapped", `The plug-in failed to start: ${reason}`);
  }
}

function requestIdOf(stream: StreamContext | null): string {
  const id = stream?.host.property(["request", "id"]) ?? null;
  return id === null ? "" : latin1(id.subarray(0, REQUEST_ID_BYTES_MAX));
}

/** What is not allowed is as if the guest had none. */
function callbacksOf(
  exports: Record<string, unknown>,
  options: {
    readonly probe: GuestProbe | undefined;
    readonly allowed?: ReadonlySet<string> | undefined;
  },
): GuestCallbacks {
  const { probe, allowed } = options;
  const find = <Result, Parameters extends number[] = Three>(
    name: string,
  ): Callback<Result, Parameters> => {
    const value = exports[name];
    if (typeof value !== "function") return null;
    if (allowed?.has(name) === false && name.startsWith("proxy_on_")) return null;
    const run = probe?.callback(name, value as GuestFunction) ?? value;
    return run as Callback<Result, Parameters>;
  };
  return {
    contextCreate: find("proxy_on_context_create"),
    vmStart: find("proxy_on_vm_start"),
    configure: find("proxy_on_configure"),
    tick: find("proxy_on_tick"),
    newConnection: find("proxy_on_new_connection"),
    downstreamData: find("proxy_on_downstream_data"),
    upstreamData: find("proxy_on_upstream_data"),
    downstreamClose: find("proxy_on_downstream_connection_close"),
    upstreamClose: find("proxy_on_upstream_connection_close"),
    requestHeaders: find("proxy_on_request_headers"),
    requestBody: find("proxy_on_request_body"),
    requestTrailers: find("proxy_on_request_trailers"),
    responseHeaders: find("proxy_on_response_headers"),
    responseBody: find("proxy_on_response_body"),
    responseTrailers: find("proxy_on_response_trailers"),
    httpCallResponse: find("proxy_on_http_call_response"),
    grpcInitialMetadata: find("proxy_on_grpc_receive_initial_metadata"),
    grpcMessage: find("proxy_on_grpc_receive"),
    grpcTrailingMetadata: find("proxy_on_grpc_receive_trailing_metadata"),
    grpcClose: find("proxy_on_grpc_close"),
    redisCallResponse: find("proxy_on_redis_call_response"),
    resolveDns: find("envoy_on_resolve_dns"),
    queueReady: find("proxy_on_queue_ready"),
    done: find("proxy_on_done"),
    log: find("proxy_on_log"),
    delete: find("proxy_on_delete"),
    explain: find("graylane_on_explain"),
  };
}
