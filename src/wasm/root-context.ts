//! The context of one plug-in (module plus configuration) in one VM: configuration, ticks, end.

import type { Timer } from "../base/clock.ts";
import { visible } from "../base/visible.ts";
import { ConnectionContext } from "./connection-context.ts";
import type { DeclaredProperties } from "./declared-properties.ts";
import type { ExpressionTable } from "./expression-table.ts";
import { LoadFault } from "./fault.ts";
import { FixedHeaderMap } from "./fixed-header-map.ts";
import type { HeaderPair } from "./header-pairs.ts";
import { CallAnswer, CallTable } from "./http-calls.ts";
import type { HttpCallResponse } from "./http-calls.ts";
import { PluginUsage } from "./plugin-usage.ts";
import { RedisTable } from "./redis-calls.ts";
import { DnsTable } from "./dns-calls.ts";
import { StreamContext } from "./stream-context.ts";
import type { HeaderMap, StreamHost } from "./stream-host.ts";
import { TICK_PERIOD_MS_MIN } from "./tick-throttle.ts";
import type { Vm } from "./vm.ts";

/** Higress' status of a Redis call. */
const REDIS_OK = 0;
const REDIS_FAILED = 1;
/** Items of queues that the plug-in has yet to be told of; more are not told. */
const QUEUE_NEWS_MAX = 10_000;
/** Of what it logged when it refused, in characters. */
const COMPLAINT_MAX = 300;

/** What a plug-in is made with, apart from its VM. */
export interface PluginSettings {
  /** What tells it from all others, whatever they are called; absent: its name. */
  readonly key?: string;
  /** Shown in logs and as the property `plugin_name`. */
  readonly name: string;
  /** Of the code, for crash reports: a digest or a tag. */
  readonly version?: string;
  readonly rootId: string;
  /** Handed to `proxy_on_configure` as it is; our plug-ins want JSON. */
  readonly configuration: Uint8Array;
  /** Stopped at the headers it still gets the body, as in 0.2.100 always. */
  readonly stopsHeadersAlone?: boolean;
}

export class RootContext {
  readonly id: number;
  readonly plugin: PluginSettings;
  /** What this plug-in costs, with all its contexts before this one. */
  readonly usage: PluginUsage;
  /** True while `proxy_on_configure` runs: buffer 7 exists only then. */
  isConfiguring = false;
  /** True when the guest answered false to on_done and has not yet called `proxy_done`. */
  isAwaitingDone = false;
  /** Called when the last stream has ended. */
  onIdle: () => void = () => undefined;
  /** Called when the plug-in asks for a new VM (Higress). */
  onRebuildAsked: () => void = () => undefined;
  /** Called when the context has left its VM for good. */
  onDeleted: () => void = () => undefined;

  /** HTTP calls that are under way. */
  readonly calls: CallTable;
  /** The answer whose callback is running. */
  answer: CallAnswer | null = null;
  /** Servers of Redis, and calls to them that are under way. */
  readonly redis: RedisTable;
  /** The reply whose callback is running. */
  redisReply: Uint8Array | null = null;
  /** Names that are looked up. */
  readonly names: DnsTable;
  /** What was found, while its callback is running. */
  callData: Uint8Array | null = null;
  /** What a callback of gRPC that is running can read. */
  grpcInitialMetadata: HeaderMap | null = null;
  grpcTrailingMetadata: HeaderMap | null = null;
  grpcMessage: Uint8Array | null = null;
  /** Of the last gRPC call that was closed; the text only in that callback. */
  grpcStatus: { readonly code: number; readonly text: string } = { code: 0, text: "" };

  /** Null: nothing has been declared. */
  declared: DeclaredProperties | null = null;
  /** Null: none has been made. */
  expressions: ExpressionTable | null = null;

  #streamCount = 0;
  readonly #vm: Vm;
  #tickPeriodMs = 0;
  #tick: Timer | null = null;
  /** Tokens, one for each item. */
  readonly #queueNews: number[] = [];
  #queueTimer: Timer | null = null;

  private constructor(vm: Vm, plugin: PluginSettings) {
    this.#vm = vm;
    this.plugin = plugin;
    this.calls = new CallTable(vm);
    this.redis = new RedisTable(vm);
    this.names = new DnsTable(vm);
    this.usage = vm.services.usage?.of(plugin.name) ?? new PluginUsage();
    this.id = vm.nextContextId();
  }

  /**
   * Creates the context, starts the VM for it and configures it, in Envoy's order. In a VM that
   * others use too, a context that could not be made leaves nothing behind.
   */
  static create(vm: Vm, plugin: PluginSettings): RootContext | LoadFault {
    const root = new RootContext(vm, plugin);
    vm.roots.set(root.id, root);
    vm.complaint = "";
    const fault = root.#start();
    vm.complaint = null;
    if (fault === null) return root;
    root.abandon();
    vm.roots.delete(root.id);
    return fault;
  }

  #start(): LoadFault | null {
    const { guest, settings, budgets } = this.#vm;
    const call = (name: string, run: () => unknown): number | undefined =>
      this.#call(name, run, budgets.startMs);
    call("proxy_on_context_create", () => guest.contextCreate?.(this.id, 0, 0));
    const vmBytes = settings.vmConfiguration.length;
    const hasStarted = call("proxy_on_vm_start", () => guest.vmStart?.(this.id, vmBytes, 0));
    if (hasStarted === 0) {
      return this.#fault("vm_start_refused", "The plug-in refused to start (on_vm_start)");
    }
    this.isConfiguring = true;
    const bytes = this.plugin.configuration.length;
    const isReady = call("proxy_on_configure", () => guest.configure?.(this.id, bytes, 0));
    this.isConfiguring = false;
    if (isReady === 0) {
      return this.#fault("configure_refused", "The plug-in refused its configuration");
    }
    const { trap } = this.#vm;
    if (trap === null) return null;
    const message = `The plug-in trapped in ${trap.callback}: ${trap.message}`;
    return new LoadFault(this.plugin.name, "start_trapped", message);
  }

  /** A context for one exchange. */
  createStream(host: StreamHost): StreamContext {
    this.#streamCount += 1;
    return new StreamContext(this.#vm, this, host);
  }

  /** A context for one connection whose bytes the plug-in filters. */
  createConnection(host: StreamHost): ConnectionContext {
    this.#streamCount += 1;
    return new ConnectionContext(this.#vm, this, host);
  }

  get memoryBytes(): number {
    return this.#vm.memory.bytes.length;
  }

  get streamCount(): number {
    return this.#streamCount;
  }

  /** Told by a stream context when it is deleted. */
  streamEnded(): void {
    this.#streamCount -= 1;
    if (this.#streamCount === 0) this.onIdle();
  }

  /**
   * Sets the period of `proxy_on_tick`, at least `TICK_PERIOD_MS_MIN`; 0 stops it, a new period
   * starts afresh.
   */
  setTickPeriod(periodMs: number): void {
    this.cancelTick();
    this.#tickPeriodMs = periodMs === 0 ? 0 : Math.max(periodMs, TICK_PERIOD_MS_MIN);
    this.#armTick();
  }

  /** Its VM is no longer entered: nothing is waited for. */
  abandon(): void {
    this.cancelTick();
    this.#letGo();
  }

  cancelTick(): void {
    this.#tick?.cancel();
    this.#tick = null;
    this.#tickPeriodMs = 0;
  }

  /** Null: the call was broken off, and there is nothing to read. */
  onHttpCallResponse(token: number, response: HttpCallResponse | null): void {
    const { guest } = this.#vm;
    const { length: headers } = response?.headers ?? [];
    const { length: trailers } = response?.trailers ?? [];
    const size = response?.body.length ?? 0;
    this.answer = response === null ? null : new CallAnswer(response);
    this.#call("proxy_on_http_call_response", () =>
      guest.httpCallResponse?.(this.id, token, headers, size, trailers),
    );
    this.answer = null;
  }

  /** Null: no reply came, and there is nothing to read. */
  onRedisReply(token: number, reply: Uint8Array | null): void {
    const status = reply === null ? REDIS_FAILED : REDIS_OK;
    const size = reply?.length ?? 0;
    this.redisReply = reply;
    this.#call("proxy_on_redis_call_response", () =>
      this.#vm.guest.redisCallResponse?.(this.id, token, status, size),
    );
    this.redisReply = null;
  }

  /** Null: nobody could tell. */
  onResolveDns(token: number, records: Uint8Array | null): void {
    this.callData = records;
    this.#call("envoy_on_resolve_dns", () =>
      this.#vm.guest.resolveDns?.(this.id, token, records?.length ?? 0),
    );
    this.callData = null;
  }

  onGrpcInitialMetadata(token: number, pairs: readonly HeaderPair[]): void {
    this.grpcInitialMetadata = new FixedHeaderMap(pairs);
    this.#call("proxy_on_grpc_receive_initial_metadata", () =>
      this.#vm.guest.grpcInitialMetadata?.(this.id, token, pairs.length),
    );
    this.grpcInitialMetadata = null;
  }

  onGrpcMessage(token: number, message: Uint8Array): void {
    this.grpcMessage = message;
    this.#call("proxy_on_grpc_receive", () =>
      this.#vm.guest.grpcMessage?.(this.id, token, message.length),
    );
    this.grpcMessage = null;
  }

  onGrpcTrailingMetadata(token: number, pairs: readonly HeaderPair[]): void {
    this.grpcTrailingMetadata = new FixedHeaderMap(pairs);
    this.#call("proxy_on_grpc_receive_trailing_metadata", () =>
      this.#vm.guest.grpcTrailingMetadata?.(this.id, token, pairs.length),
    );
    this.grpcTrailingMetadata = null;
  }

  onGrpcClose(token: number, code: number, text: string): void {
    this.grpcStatus = { code, text };
    this.#call("proxy_on_grpc_close", () => this.#vm.guest.grpcClose?.(this.id, token, code));
    this.grpcStatus = { code, text: "" };
  }

  /** Something is in a queue that this context has registered last. */
  onQueueReady(token: number): void {
    const news = this.#queueNews;
    if (news.length >= QUEUE_NEWS_MAX || news.push(token) > 1) return;
    this.#tellQueueNews();
  }

  #tellQueueNews(): void {
    const { clock, queueNews: throttle } = this.#vm.services;
    for (;;) {
      const [token] = this.#queueNews;
      if (token === undefined) return;
      const waitMs = throttle?.waitMs() ?? 0;
      if (waitMs > 0) {
        this.#queueTimer = clock.after(waitMs, () => {
          this.#tellQueueNews();
        });
        return;
      }
      const startMs = clock.monotonicMs();
      this.#call("proxy_on_queue_ready", () => this.#vm.guest.queueReady?.(this.id, token, 0));
      throttle?.ran(clock.monotonicMs() - startMs);
      this.#queueNews.shift();
    }
  }

  /** Asks the guest to end. A guest that answers false lives on until it calls `proxy_done`. */
  shutDown(): void {
    this.cancelTick();
    const isDone = this.#call("proxy_on_done", () => this.#vm.guest.done?.(this.id, 0, 0));
    if (isDone === 0) this.isAwaitingDone = true;
    else this.delete();
  }

  delete(): void {
    this.isAwaitingDone = false;
    this.#letGo();
    this.#call("proxy_on_delete", () => this.#vm.guest.delete?.(this.id, 0, 0));
    this.#vm.roots.delete(this.id);
    this.onDeleted();
  }

  /** Nothing that it has asked for comes back to it. */
  #letGo(): void {
    this.calls.cancelAll();
    this.redis.closeAll();
    this.names.cancelAll();
    this.#vm.grpc.cancelAllOf(this);
    this.#vm.services.sharedQueues?.forget(this);
    this.#queueTimer?.cancel();
    this.#queueNews.length = 0;
  }

  #armTick(): void {
    if (this.#tickPeriodMs === 0) return;
    this.#armTickAfter(this.#tickPeriodMs);
  }

  #armTickAfter(delayMs: number): void {
    const { clock } = this.#vm.services;
    this.#tick = clock.after(
      delayMs,
      () => {
        this.#runTick();
      },
      { unref: true },
    );
  }

  #runTick(): void {
    const { clock, ticks } = this.#vm.services;
    const waitMs = ticks?.waitMs() ?? 0;
    if (waitMs > 0) {
      this.#armTickAfter(waitMs);
      return;
    }
    const timer = this.#tick;
    const startMs = clock.monotonicMs();
    this.#call("proxy_on_tick", () => this.#vm.guest.tick?.(this.id, 0, 0));
    ticks?.ran(clock.monotonicMs() - startMs);
    // The guest may have set another period from within the callback.
    if (this.#tick === timer && this.#vm.trap === null) this.#armTick();
  }

  /** The callback's answer; undefined when it is not exported, has no result, or trapped. */
  #call(name: string, run: () => unknown, budgetMs?: number): number | undefined {
    if (this.#vm.trap !== null) return undefined;
    this.#vm.enter(this, null, budgetMs);
    let result: unknown;
    try {
      result = run();
    } catch (error) {
      this.#vm.fail(name, error);
      return undefined;
    }
    this.#vm.leave();
    return typeof result === "number" ? result : undefined;
  }

  #fault(kind: "vm_start_refused" | "configure_refused", message: string): LoadFault {
    const said = visible((this.#vm.complaint ?? "").trim().slice(0, COMPLAINT_MAX));
    const remedy = said === "" ? "Its reason is in the log." : `It logged: ${said}`;
    return new LoadFault(this.plugin.name, kind, message, remedy);
  }
}
