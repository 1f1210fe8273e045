//! A plug-in's life: started, serving, failed and rebuilt with back-off, stopped.

import type { Timer } from "../base/clock.ts";
import { runInTurns, runNow } from "../base/steps.ts";
import type { Steps } from "../base/steps.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { LogLevel } from "./enums.ts";
import { LoadFault } from "./fault.ts";
import type { PluginTrap } from "./fault.ts";
import { DEFAULT_BUDGETS, systemGuestTime } from "./fuel/gauge.ts";
import type { PluginModule } from "./module.ts";
import { RootContext } from "./root-context.ts";
import type { PluginSettings } from "./root-context.ts";
import { LONG_START_MS, timedSteps, trialSteps } from "./start-trial.ts";
import type { StreamContext } from "./stream-context.ts";
import type { StreamHost } from "./stream-host.ts";
import { startVm } from "./vm.ts";
import type { PluginServices, Vm, VmSettings } from "./vm.ts";
import { keyOf, vmKey } from "./vm-pool.ts";

/** The first rebuild waits this long; each failure soon after doubles it. */
const BACK_OFF_MS_MIN = 1_000;
const BACK_OFF_MS_MAX = 60_000;
/** A VM that lived this long has earned a short back-off again. */
const HEALTHY_AFTER_MS = 60_000;
/**
 * What a start has at least when it is tried again, in which nobody is served: a plug-in that does
 * not come to an end there would otherwise stop a worker for its whole budget again and again.
 */
const RETRY_MS_MIN = 1_000;
/** Of the processor time that its start took before. */
const RETRY_FACTOR = 4;
/** A plug-in that asks for a new VM gets none before it has had the old one for so long. */
const RENEWED_AFTER_MS_MIN = 10_000;

export class Plugin {
  readonly module: PluginModule;
  readonly settings: PluginSettings & VmSettings;
  readonly #services: PluginServices;
  /** Null while failed or stopped. */
  #root: RootContext | null = null;
  #isStopped = false;
  #hasServed = false;
  #startedAtMs = 0;
  /** The longest of its starts that came to an end, in processor time. */
  #startTookMs = 0;
  /** Of the parts of its starts, that one which held up this process for longest. */
  #longestPartMs = 0;
  /**
   * Asked in place of a start that would hold up who serves: a process that does not may take over.
   * Until then the plug-in stays as it is, and asks again with back-off; `startHere` ends that.
   */
  onLongRestart: (() => void) | null = null;
  /** It has asked for that while it serves. */
  #wantsRenewal = false;
  #backOffMs = BACK_OFF_MS_MIN;
  #rebuild: Timer | null = null;
  #lastTrap: PluginTrap | null = null;
  #rebuildCount = 0;
  readonly #vmKey: string;

  private constructor(
    module: PluginModule,
    settings: PluginSettings & VmSettings,
    services: PluginServices,
  ) {
    this.module = module;
    this.settings = settings;
    this.#services = services;
    this.#vmKey = services.vms === undefined ? "" : vmKey(module, settings);
  }

  /**
   * Makes a VM, or joins the one that plug-ins with the same VM key share, and configures it there:
   * synchronous, so do it while preparing.
   */
  static start(
    module: PluginModule,
    settings: PluginSettings & VmSettings,
    services: PluginServices,
  ): Plugin | LoadFault {
    const plugin = new Plugin(module, settings, services);
    return runNow(plugin.#startRoot({ isRebuild: false })) ?? plugin;
  }

  /** The same while others are served: the event loop runs between the steps of it. */
  static async startInTurns(
    module: PluginModule,
    settings: PluginSettings & VmSettings,
    services: PluginServices,
  ): Promise<Plugin | LoadFault> {
    const plugin = new Plugin(module, settings, services);
    return (await runInTurns(plugin.#startRoot({ isRebuild: false }))) ?? plugin;
  }

  /** A plug-in that could not be started: not ready, and tried again with back-off. */
  static quarantined(
    module: PluginModule,
    settings: PluginSettings & VmSettings,
    services: PluginServices,
    longestMs = 0,
  ): Plugin {
    const plugin = new Plugin(module, settings, services);
    plugin.#longestPartMs = longestMs;
    plugin.#scheduleRebuild();
    return plugin;
  }

  /** False while a failed VM waits to be rebuilt, and after `stop`. */
  get isReady(): boolean {
    return this.#root !== null;
  }

  /** True when it has once been started and configured, whatever became of it. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  /** The latest trap, also after a rebuild. */
  get lastTrap(): PluginTrap | null {
    return this.#lastTrap;
  }

  /** How often the VM was rebuilt after a trap. */
  get rebuildCount(): number {
    return this.#rebuildCount;
  }

  /** Size of the guest's memory; 0 while there is none. */
  get memoryBytes(): number {
    return this.#root?.memoryBytes ?? 0;
  }

  /** A context for one exchange; null when the plug-in is not ready: follow the fail mode. */
  createStream(host: StreamHost): StreamContext | null {
    const root = this.#root;
    if (root === null) return null;
    const stream = root.createStream(host);
    // The guest may have trapped in context_create, and that has emptied #root.
    return this.#root === root ? stream : null;
  }

  /** As `createStream`, for a connection whose bytes are filtered. */
  createConnection(host: StreamHost): ConnectionContext | null {
    const root = this.#root;
    if (root === null) return null;
    const connection = root.createConnection(host);
    return this.#root === root ? connection : null;
  }

  /** No new exchanges. The guest is told (on_done, on_delete) when the last one has ended. */
  stop(): void {
    this.#isStopped = true;
    this.#rebuild?.cancel();
    const root = this.#root;
    this.#root = null;
    if (root === null) return;
    retire(root);
  }

  *#startRoot(options: StartOptions): Steps<LoadFault | null> {
    const time = this.#services.guestTime ?? systemGuestTime;
    let longestMs = 0;
    const fault = yield* timedSteps(this.#startSteps(options), time, (tookMs) => {
      longestMs = Math.max(longestMs, tookMs);
    });
    this.#longestPartMs = Math.max(this.#longestPartMs, longestMs);
    if (fault !== null) fault.longestMs = longestMs;
    return fault;
  }

  *#startSteps({ isRebuild, isRenewal = false }: StartOptions): Steps<LoadFault | null> {
    let shared = isRenewal ? null : this.#joinable();
    if (shared !== null && !isRebuild) {
      // As Envoy's canary: a trap in configure would end a VM in which others serve.
      const fault = yield* trialSteps(this.module, this.settings, this.#services);
      if (fault !== null) return fault;
      // It may have trapped meanwhile.
      shared = this.#joinable();
    }
    const time = this.#services.guestTime ?? systemGuestTime;
    const fromMs = time.cpuMs();
    const services = isRebuild ? this.#retryServices() : this.#services;
    const vm = shared ?? (yield* startVm(this.module, this.settings, services));
    if (vm instanceof LoadFault) return vm;
    if (shared === null) yield;
    const root = RootContext.create(vm, this.settings);
    const wasStopped = root instanceof LoadFault && root.kind === "start_trapped";
    if (!wasStopped) this.#startTookMs = Math.max(this.#startTookMs, time.cpuMs() - fromMs);
    if (root instanceof LoadFault) return root;
    if (shared === null) this.#services.vms?.offer(this.#vmKey, vm);
    this.#adopt(vm, root);
    return null;
  }

  #retryServices(): PluginServices {
    const budgets = this.#services.budgets ?? DEFAULT_BUDGETS;
    const wantedMs = Math.max(RETRY_MS_MIN, this.#startTookMs * RETRY_FACTOR);
    const startMs = Math.min(budgets.startMs, wantedMs);
    return { ...this.#services, budgets: { ...budgets, startMs } };
  }

  #joinable(): Vm | null {
    return this.#services.vms?.joinable(this.#vmKey, keyOf(this.settings)) ?? null;
  }

  #adopt(vm: Vm, root: RootContext): void {
    const onTrap = (trap: PluginTrap): void => {
      this.#onTrap(root, trap);
    };
    vm.trapListeners.add(onTrap);
    root.onDeleted = () => {
      vm.trapListeners.delete(onTrap);
      if (vm.roots.size === 0) this.#services.vms?.withdraw(this.#vmKey, vm);
    };
    root.onRebuildAsked = () => {
      this.#services.clock.after(
        0,
        () => {
          this.#renew(root);
        },
        { unref: true },
      );
    };
    this.#root = root;
    this.#hasServed = true;
    this.#startedAtMs = this.#services.clock.monotonicMs();
  }

  /** A new VM for new exchanges; those that have begun end in the old one. */
  #renew(old: RootContext): void {
    const livedMs = this.#services.clock.monotonicMs() - this.#startedAtMs;
    if (this.#root !== old || this.#isStopped || livedMs < RENEWED_AFTER_MS_MIN) return;
    if (this.#asksForLongRestart()) this.#wantsRenewal = true;
    else this.#renewNow(old);
  }

  #renewNow(old: RootContext): void {
    const fault = runNow(this.#startRoot({ isRebuild: true, isRenewal: true }));
    if (fault === null) retire(old);
    else this.#log(`asked for a new VM and goes on in the old one: ${fault.message}`);
  }

  #onTrap(root: RootContext, trap: PluginTrap): void {
    this.#lastTrap = trap;
    // In a shared VM each plug-in says that it is down; the one that trapped has the whole report.
    this.#log(
      trap.plugin === this.settings.name
        ? trap.report()
        : `went down with plug-in ${trap.plugin}, which shares its VM`,
    );
    if (this.#isStopped || this.#root !== root) return;
    this.#root = null;
    const livedMs = this.#services.clock.monotonicMs() - this.#startedAtMs;
    if (livedMs >= HEALTHY_AFTER_MS) this.#backOffMs = BACK_OFF_MS_MIN;
    this.#scheduleRebuild();
  }

  #scheduleRebuild(): void {
    const delayMs = this.#backOffMs;
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS_MAX);
    const rebuild = (): void => {
      if (this.#asksForLongRestart()) this.#scheduleRebuild();
      else this.#rebuildNow();
    };
    this.#rebuild = this.#services.clock.after(delayMs, rebuild, { unref: true });
  }

  #rebuildNow(): void {
    this.#rebuildCount += 1;
    const fault = runNow(this.#startRoot({ isRebuild: true }));
    if (fault === null) return;
    this.#log(`could not be rebuilt: ${fault.message}`);
    this.#scheduleRebuild();
  }

  #asksForLongRestart(): boolean {
    if (this.onLongRestart === null || this.#longestPartMs <= LONG_START_MS) return false;
    this.onLongRestart();
    return true;
  }

  /** Nobody can take over: what waits to be made anew is, however long that takes. */
  startHere(): void {
    if (this.#isStopped) return;
    const wantsRenewal = this.#wantsRenewal;
    this.#wantsRenewal = false;
    if (this.#root !== null) {
      if (wantsRenewal) this.#renewNow(this.#root);
      return;
    }
    this.#rebuild?.cancel();
    this.#rebuildNow();
  }

  #log(message: string): void {
    this.#services.log({
      level: LogLevel.error,
      message,
      plugin: this.settings.name,
      rootId: this.settings.rootId,
      vmId: this.settings.vmId,
    });
  }
}

interface StartOptions {
  readonly isRebuild: boolean;
  /** Of its own wish: in no VM that is there. */
  readonly isRenewal?: boolean;
}

/** The guest is told (on_done, on_delete) when the last exchange in it has ended. */
function retire(root: RootContext): void {
  root.cancelTick();
  if (root.streamCount === 0) root.shutDown();
  else {
    root.onIdle = () => {
      root.shutDown();
    };
  }
}
