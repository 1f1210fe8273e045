//! Starts an official plug-in in our host, for tests and measurements.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { loadModule } from "../../src/wasm/module.ts";
import type { LoadOptions } from "../../src/wasm/module.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { LogLevel } from "../../src/wasm/enums.ts";
import { MetricStore } from "../../src/wasm/metric-store.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { InProcessSharedData } from "../../src/wasm/shared-data-store.ts";
import type { PluginServices } from "../../src/wasm/vm.ts";

/** The path of `plugins/<name>/<name>.wasm` in the source tree; built when it is not there. */
export function builtPlugin(name: string): string {
  const path = join("plugins", name, `${name}.wasm`);
  if (!existsSync(path)) execFileSync(process.execPath, [join("scripts", "build-plugins.mjs")]);
  return path;
}

export interface TestServices extends PluginServices {
  readonly clock: FakeClock;
  /** `error: message` and so on, in order. */
  readonly lines: string[];
}

export function testServices(): TestServices {
  const lines: string[] = [];
  const names = Object.keys(LogLevel);
  return {
    clock: new FakeClock(),
    lines,
    log: ({ level, message }) => {
      lines.push(`${names[level] ?? ""}: ${message}`);
    },
    logLevel: () => LogLevel.info,
    metrics: new MetricStore(),
    sharedData: new InProcessSharedData(),
  };
}

/** Loads and starts a plug-in with a JSON configuration. */
export async function startPlugin(
  name: string,
  configuration: string,
  services: PluginServices,
  options: Omit<LoadOptions, "name"> = {},
): Promise<Plugin | LoadFault> {
  const module = await loadModule(readFileSync(builtPlugin(name)), { name, ...options });
  if (module instanceof LoadFault) return module;
  const encoder = new TextEncoder();
  const settings = {
    name,
    rootId: "",
    configuration: encoder.encode(configuration),
    vmId: "",
    vmConfiguration: new Uint8Array(0),
    env: {},
  };
  return Plugin.start(module, settings, services);
}
