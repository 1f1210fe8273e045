//! Snapshot to runtime, off to the side: compiles what must be compiled and takes over from the
//! previous runtime whatever has not changed. A failure leaves the previous one serving.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { traceHeaderOf } from "../../lane/context.ts";
import { prepareLanes } from "../../lane/fallback.ts";
import { prepareRouteTable } from "../../route/route.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type {
  Gateway,
  Listener,
  Plugin as PluginResource,
  Snapshot,
} from "../../snapshot/snapshot.ts";
import { LoadFault } from "../../wasm/fault.ts";
import { loadModule } from "../../wasm/module.ts";
import type { PluginModule } from "../../wasm/module.ts";
import { Plugin } from "../../wasm/plugin.ts";
import type { PluginServices } from "../../wasm/vm.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { TRACEPARENT_HEADER, carriedHeaders } from "../filter/lane-context.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import { HostIndex } from "./host-index.ts";
import type { ListenerRuntime, Runtime } from "./runtime.ts";

/** Compiled modules kept for plug-ins to come; the least recently used one goes. */
const MODULES_CACHED_MAX = 32;

export interface PrepareServices {
  readonly plugins: PluginServices;
  readonly logger: Logger;
}

/** Why a snapshot cannot run here. */
export class PrepareFailure {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export class Preparer {
  readonly #services: PrepareServices;
  readonly #modules = new Map<string, PluginModule>();

  constructor(services: PrepareServices) {
    this.#services = services;
  }

  /**
   * Builds the runtime of `snapshot`. Plug-ins that `previous` runs unchanged are taken over; the
   * caller stops those that the new runtime does not hold (`stopUnused`).
   */
  async prepareGateway(
    snapshot: Snapshot,
    previous: Runtime | null,
  ): Promise<Runtime | PrepareFailure> {
    const plugins = await this.#startPlugins(snapshot, previous?.plugins ?? new Map());
    if (plugins instanceof PrepareFailure) return plugins;
    const lanes = prepareLanes(snapshot, previous?.lanes);
    const base = { snapshot, lanes, plugins, hosts: NO_HOSTS, carriedHeaders: "" };
    const tables = prepareTables(snapshot, previous);
    const listeners = new Map<number, ListenerRuntime>();
    for (const gateway of Object.values(snapshot.gateways)) {
      for (const listener of gateway.listeners) {
        const routes = tables.get(listener.routeTable);
        if (routes === undefined || listeners.has(listener.port)) continue;
        listeners.set(listener.port, makeListener(base, { gateway, listener, routes }));
      }
    }
    return { ...base, listeners };
  }

  async #startPlugins(
    snapshot: Snapshot,
    previous: ReadonlyMap<string, PluginSlot>,
  ): Promise<Map<string, PluginSlot> | PrepareFailure> {
    const plugins = new Map<string, PluginSlot>();
    for (const plugin of Object.values(snapshot.plugins)) {
      const old = previous.get(plugin.name);
      const slot = old?.plugin === plugin ? old : await this.#startPlugin(plugin);
      if (slot instanceof PrepareFailure) {
        stopUnused(plugins, previous);
        return slot;
      }
      plugins.set(plugin.name, slot);
    }
    return plugins;
  }

  prepareSidecar(snapshot: Snapshot, previous: Runtime | null): Runtime {
    const lanes = prepareLanes(snapshot, previous?.lanes);
    return {
      snapshot,
      lanes,
      carriedHeaders: carriedHeaders(lanes.groups.values()),
      plugins: new Map(),
      listeners: new Map(),
      hosts: new HostIndex(snapshot),
    };
  }

  async #startPlugin(plugin: PluginResource): Promise<PluginSlot | PrepareFailure> {
    const module = await this.#module(plugin);
    const started =
      module instanceof LoadFault
        ? module
        : Plugin.start(module, settingsOf(plugin), this.#services.plugins);
    if (!(started instanceof LoadFault)) return { plugin, instance: started };
    const remedy = started.remedy === "" ? "" : `. ${started.remedy}`;
    const message = `plug-in ${plugin.name}: ${started.message}${remedy}`;
    if (plugin.failMode === "closed") return new PrepareFailure(message);
    this.#services.logger.error(`${message}; served without it (FAIL_OPEN)`, {});
    return { plugin, instance: null };
  }

  async #module(plugin: PluginResource): Promise<PluginModule | LoadFault> {
    const { sha256, path } = plugin.module;
    const cached = this.#modules.get(sha256);
    if (cached !== undefined) {
      this.#modules.delete(sha256);
      this.#modules.set(sha256, cached);
      return cached;
    }
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      return new LoadFault(plugin.name, "not_wasm", `cannot read ${path}: ${String(error)}`);
    }
    const digest = createHash("sha256").update(bytes).digest("hex");
    if (digest !== sha256) {
      return new LoadFault(plugin.name, "not_wasm", `${path} has the digest ${digest}`);
    }
    const module = await loadModule(bytes, { name: plugin.name });
    if (module instanceof LoadFault) return module;
    this.#modules.set(sha256, module);
    for (const oldest of this.#modules.keys()) {
      if (this.#modules.size <= MODULES_CACHED_MAX) break;
      this.#modules.delete(oldest);
    }
    return module;
  }
}

const NO_HOSTS = new HostIndex({ clusters: {}, endpoints: {} });

/** Stops the plug-ins of `old` that `kept` does not hold; running exchanges end with them first. */
export function stopUnused(
  old: ReadonlyMap<string, PluginSlot>,
  kept: ReadonlyMap<string, PluginSlot>,
): void {
  for (const [name, slot] of old) {
    if (kept.get(name) !== slot) slot.instance?.stop();
  }
}

function settingsOf(plugin: PluginResource): Parameters<typeof Plugin.start>[1] {
  return {
    name: plugin.name,
    rootId: plugin.rootId,
    vmId: plugin.vmId,
    configuration: Buffer.from(plugin.configuration),
    vmConfiguration: new Uint8Array(),
    env: plugin.env,
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
    tables.set(name, old.get(table) ?? prepareRouteTable(table));
  }
  return tables;
}

function makeListener(
  base: Pick<Runtime, "lanes" | "plugins">,
  parts: { gateway: Gateway; listener: Listener; routes: PreparedRouteTable },
): ListenerRuntime {
  const groups = base.lanes.byGateway.get(parts.gateway.name) ?? [];
  const stripped = groups.filter(({ group }) => group.stripFromClients);
  return {
    ...parts,
    groups,
    strippedHeaders: [...new Set(stripped.map(({ routeHeader }) => routeHeader))],
    strippedBaggageKeys: groups.flatMap(({ group: { context } }) =>
      context.mode === "baggage" && context.stripFromClients ? [context.baggageKey] : [],
    ),
    needsTraceparent: groups.some((group) => traceHeaderOf(group) === TRACEPARENT_HEADER),
    plugins: parts.gateway.plugins.flatMap((name) => base.plugins.get(name) ?? []),
  };
}
