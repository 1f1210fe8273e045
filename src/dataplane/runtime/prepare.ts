//! Snapshot to runtime, off to the side: compiles what must be compiled and takes over from the
//! previous runtime whatever has not changed. A plug-in that cannot run holds nothing else up: the
//! version before it goes on, or its fail mode applies.

import type { Clock } from "../../base/clock.ts";
import { systemClock } from "../../base/clock.ts";
import { strippedContext } from "../../lane/client-context.ts";
import { traceHeaderOf } from "../../lane/context.ts";
import { operandKindsOf } from "../../lane/operand-kinds.ts";
import { prepareLanes } from "../../lane/prepare-lanes.ts";
import { prepareRouteTable } from "../../route/route.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type {
  Gateway,
  Listener,
  Plugin as PluginResource,
  Snapshot,
} from "../../snapshot/snapshot.ts";
import { LoadFault } from "../../wasm/fault.ts";
import type { LoadFaultKind } from "../../wasm/fault.ts";
import { LATENCY_NAME, LOCAL_CERTIFICATE_NAME } from "../../wasm/module.ts";
import type { PluginModule } from "../../wasm/module.ts";
import { hooksOf } from "../../wasm/module-hooks.ts";
import { Plugin } from "../../wasm/plugin.ts";
import { tryStart } from "../../wasm/start-trial.ts";
import type { StartTrial } from "../../wasm/start-trial.ts";
import type { PluginServices } from "../../wasm/vm.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { TRACEPARENT_HEADER, carriedHeaders } from "../filter/lane-context.ts";
import { prepareSigned } from "../filter/signed-context.ts";
import type { PluginFault, PluginSlot } from "../filter/plugin-slot.ts";
import { prepareNetwork } from "./prepare-network.ts";
import { HostIndex } from "../../lane/host-index.ts";
import { isMeshTable } from "../../lane/mesh-routes.ts";
import { MeshRoutes } from "./mesh-routes.ts";
import { keyFetcher } from "./fetch-keys.ts";
import { ModuleCache } from "./module-cache.ts";
import type { ModuleFile } from "./module-cache.ts";
import { KnownPods } from "./known-pods.ts";
import { operandSourcesOf } from "./operand-sources.ts";
import type { OpenedSources } from "./operand-sources.ts";
import { SourceOpener } from "./source-opener.ts";
import type { ListenerRuntime, Runtime } from "./runtime.ts";

/** What is known of the start of a plug-in before it is begun. */
export type StartFault = Pick<LoadFault, "kind" | "message" | "remedy">;
/** By the names of plug-ins that need not be started: why they would not. */
export type FailedStarts = Readonly<Record<string, StartFault>>;

export interface PrepareServices {
  readonly plugins: PluginServices;
  readonly logger: Logger;
  /** Absent: the system's. */
  readonly clock?: Clock;
  /** A plug-in that does not start is told to who prepares, alone; see `WorkerOptions`. */
  readonly isTrial?: boolean;
  /** Where other than the host's defaults. */
  readonly moduleLimits?: { readonly memoryGrowthBytesMax: number };
  /** Where plug-ins' own calls go; without it nowhere. */
  readonly clusters?: { prepares(snapshot: Snapshot): void; use(runtime: Runtime): void };
  /** Has another process start the plug-in, and take over; without it all starts are made here. */
  readonly restartElsewhere?: (plugin: string) => void;
  /** What plug-ins share among workers; without it nothing. */
  readonly shared?: {
    prepareFor(module: PluginModule): Promise<void>;
    retain(vmIds: ReadonlySet<string>): void;
  };
}

const START_FAULTS: ReadonlySet<LoadFaultKind> = new Set([
  "start_trapped",
  "vm_start_refused",
  "configure_refused",
]);
/** Digits of a module's digest that a crash report shows. */
const VERSION_DIGITS = 12;

export class Preparer {
  readonly #services: PrepareServices;
  readonly #opener: SourceOpener;
  readonly #modules: ModuleCache;

  constructor(services: PrepareServices) {
    this.#services = services;
    this.#modules = new ModuleCache(services.moduleLimits);
    const { clock = systemClock, logger } = services;
    this.#opener = new SourceOpener({ clock, logger, fetchKeys: keyFetcher(clock) });
  }

  /** Of the snapshot that was last prepared: what its rules read and cannot be opened. */
  get sourceFaults(): readonly PluginFault[] {
    return this.#opener.faults;
  }

  /** Of a worker that runs nothing yet: this code is ready when it is to run. */
  load(files: readonly ModuleFile[]): Promise<void> {
    return this.#modules.hold(files);
  }

  /** Of a worker that runs nothing yet: starts it with `services`, and stops it. */
  async tryStart(plugin: PluginResource, services: PluginServices): Promise<StartTrial> {
    const module = await this.#modules.get(plugin.module, plugin.name);
    if (module instanceof LoadFault) return { longestMs: 0, fault: module };
    return await tryStart(module, settingsOf(plugin), services);
  }

  /** The runtime serves from now on: plug-ins call out to its clusters. */
  serves(runtime: Runtime): void {
    this.#services.clusters?.use(runtime);
    const { plugins } = runtime.snapshot;
    this.#services.shared?.retain(new Set(Object.values(plugins).map(({ vmId }) => vmId)));
  }

  /**
   * Builds the runtime of `snapshot`. Plug-ins that `previous` runs unchanged are taken over; the
   * caller stops those that the new runtime does not hold (`stopUnused`).
   */
  async prepareGateway(
    snapshot: Snapshot,
    previous: Runtime | null,
    failed: FailedStarts = {},
  ): Promise<Runtime> {
    this.#services.clusters?.prepares(snapshot);
    const plugins = await this.#startPlugins(snapshot, previous?.plugins ?? new Map(), failed);
    const lanes = prepareLanes(snapshot, previous?.lanes);
    const signed = prepareSigned(lanes.groups.values(), previous?.signed);
    const unused = { hosts: NO_HOSTS, mesh: null, carriedHeaders: "", readsCallers: false };
    const base = { snapshot, lanes, signed, plugins, ...unused };
    const tables = prepareTables(snapshot, previous);
    const sources = await this.#opener.open(snapshot);
    const pods = new KnownPods(snapshot);
    const listeners = new Map<number, ListenerRuntime>();
    for (const gateway of Object.values(snapshot.gateways)) {
      for (const listener of gateway.listeners) {
        const routes = tables.get(listener.routeTable);
        if (routes === undefined || listeners.has(listener.port)) continue;
        listeners.set(
          listener.port,
          makeListener({ ...base, sources, pods }, { gateway, listener, routes }),
        );
      }
    }
    return { ...base, listeners };
  }

  async #startPlugins(
    snapshot: Snapshot,
    previous: ReadonlyMap<string, PluginSlot>,
    failed: FailedStarts,
  ): Promise<Map<string, PluginSlot>> {
    const plugins = new Map<string, PluginSlot>();
    for (const plugin of Object.values(snapshot.plugins)) {
      const old = previous.get(plugin.name);
      const fault = failed[plugin.name];
      if (old?.plugin === plugin) plugins.set(plugin.name, old);
      else if (fault !== undefined) {
        plugins.set(plugin.name, this.#withFault(plugin, fault, servingOf(old)));
      } else plugins.set(plugin.name, await this.#startPlugin(plugin, old));
    }
    return plugins;
  }

  prepareSidecar(snapshot: Snapshot, previous: Runtime | null): Runtime {
    const lanes = prepareLanes(snapshot, previous?.lanes);
    const groups = [...lanes.groups.values()];
    return {
      snapshot,
      lanes,
      signed: prepareSigned(lanes.groups.values(), previous?.signed),
      carriedHeaders: carriedHeaders(lanes.groups.values()),
      plugins: new Map(),
      listeners: new Map(),
      hosts: new HostIndex(snapshot),
      mesh: MeshRoutes.of(snapshot, previous?.mesh ?? null),
      readsCallers: groups.some(({ group }) => operandKindsOf(group).has("workload")),
    };
  }

  async #startPlugin(plugin: PluginResource, old: PluginSlot | undefined): Promise<PluginSlot> {
    const module = await this.#modules.get(plugin.module, plugin.name);
    if (module instanceof LoadFault) return this.#withFault(plugin, module, old?.instance ?? null);
    await this.#services.shared?.prepareFor(module);
    const settings = settingsOf(plugin);
    const started = await Plugin.startInTurns(module, settings, this.#services.plugins);
    if (!(started instanceof LoadFault)) return this.#restartable({ plugin, instance: started });
    const last = servingOf(old);
    if (last !== null) return this.#withFault(plugin, started, last);
    // It may have been bad luck (a token service that was away): it is tried again with back-off.
    const { longestMs } = started;
    const waiting = Plugin.quarantined(module, settings, this.#services.plugins, longestMs);
    return this.#restartable(this.#withFault(plugin, started, waiting));
  }

  #restartable(slot: PluginSlot): PluginSlot {
    const { restartElsewhere } = this.#services;
    const { plugin, instance } = slot;
    if (instance !== null && restartElsewhere !== undefined) {
      instance.onLongRestart = () => {
        restartElsewhere(plugin.name);
      };
    }
    return slot;
  }

  /** `instance`: what runs in its place, or waits to; null when its code cannot be run at all. */
  #withFault(
    plugin: PluginResource,
    { kind, message, remedy }: StartFault,
    instance: Plugin | null,
  ): PluginSlot {
    // Another process would not have what goes on here in its place.
    if (instance?.hasServed === true) instance.onLongRestart = null;
    const outcome =
      instance?.hasServed === true
        ? "the version and configuration that ran before go on serving"
        : plugin.failMode === "open"
          ? "requests are served without it (FAIL_OPEN)"
          : "requests that it should see get 503 (FAIL_CLOSE)";
    const { isTrial = false, logger } = this.#services;
    const fault = {
      source: plugin.source,
      code: START_FAULTS.has(kind) ? "GL0418" : "GL0417",
      message: isTrial ? message : `${message}; ${outcome}`,
      remedy,
    };
    if (!isTrial) logger.error(`plug-in ${plugin.name}: ${fault.message}`, { remedy });
    return { plugin, instance, fault };
  }
}

/** What goes on in place of a version that does not start. */
function servingOf(old: PluginSlot | undefined): Plugin | null {
  return old?.instance?.hasServed === true ? old.instance : null;
}

const NO_HOSTS = new HostIndex({ clusters: {}, endpoints: {} });

/** Stops the plug-ins of `old` that `kept` does not hold; running exchanges end with them first. */
export function stopUnused(
  old: ReadonlyMap<string, PluginSlot>,
  kept: ReadonlyMap<string, PluginSlot>,
): void {
  for (const [name, { instance }] of old) {
    if (kept.get(name)?.instance !== instance) instance?.stop();
  }
}

/** As Envoy's `host_env_keys`: a variable that this process does not have is left out. */
export function environmentOf({ env, hostEnv }: PluginResource): Readonly<Record<string, string>> {
  if (hostEnv === undefined) return env;
  const own = hostEnv.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...env, ...Object.fromEntries(own) };
}

function settingsOf(plugin: PluginResource): Parameters<typeof Plugin.start>[1] {
  return {
    key: plugin.name,
    name: plugin.pluginName ?? plugin.name,
    version: `sha256:${plugin.module.sha256.slice(0, VERSION_DIGITS)}`,
    rootId: plugin.rootId,
    vmId: plugin.vmId,
    configuration: Buffer.from(plugin.configuration),
    vmConfiguration: Buffer.from(plugin.vmConfiguration ?? ""),
    env: environmentOf(plugin),
    ...(plugin.capabilities !== undefined && { capabilities: new Set(plugin.capabilities) }),
    ...(plugin.stopsHeadersAlone === true && { stopsHeadersAlone: true }),
  };
}

function prepareTables(
  snapshot: Snapshot,
  previous: Runtime | null,
): Map<string, PreparedRouteTable> {
  const old = new Map<object, PreparedRouteTable>();
  for (const { routes } of previous?.listeners.values() ?? []) old.set(routes.table, routes);
  const tables = new Map<string, PreparedRouteTable>();
  for (const [name, table] of Object.entries(snapshot.routeTables)) {
    if (isMeshTable(name)) continue;
    tables.set(name, old.get(table) ?? prepareRouteTable(table));
  }
  return tables;
}

/** As far as can be told: it is named in its code, or in what it is configured with. */
function readsLatency({ plugin, instance }: PluginSlot): boolean {
  return instance?.module.namesLatency === true || plugin.configuration.includes(LATENCY_NAME);
}

function readsLocalCertificate({ plugin, instance }: PluginSlot): boolean {
  const isConfigured = plugin.configuration.includes(LOCAL_CERTIFICATE_NAME);
  return isConfigured || instance?.module.namesLocalCertificate === true;
}

function makeListener(
  base: Pick<Runtime, "snapshot" | "lanes" | "signed" | "plugins"> & {
    readonly sources: OpenedSources;
    readonly pods: KnownPods;
  },
  parts: { gateway: Gateway; listener: Listener; routes: PreparedRouteTable },
): ListenerRuntime {
  const groups = base.lanes.byGateway.get(parts.gateway.name) ?? [];
  const plugins = parts.gateway.plugins.flatMap((name) => base.plugins.get(name) ?? []);
  const hooks = plugins.flatMap(({ instance }) =>
    instance === null ? [] : hooksOf(instance.module),
  );
  return {
    ...parts,
    groups,
    signed: groups.flatMap(({ name }) => base.signed.get(name) ?? []),
    stripped: strippedContext(parts.gateway, base.snapshot),
    needsTraceparent: groups.some((group) => traceHeaderOf(group) === TRACEPARENT_HEADER),
    readsRequestBody: hooks.some(({ requestBody }) => requestBody),
    readsResponseBody: hooks.some(({ responseBody }) => responseBody),
    readsLatency: plugins.some(readsLatency),
    readsLocalCertificate: plugins.some(readsLocalCertificate),
    operandSources: operandSourcesOf(groups, { opened: base.sources, pods: base.pods }),
    plugins,
    network: prepareNetwork(parts.listener, base),
  };
}
