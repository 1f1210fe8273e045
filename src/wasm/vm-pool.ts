//! The VMs of one worker that plug-ins may share. As in Envoy the key is vm_id, VM configuration
//! and code; the environment is ours, because a guest reads it once, at its start.

import { createHash } from "node:crypto";
import type { PluginModule } from "./module.ts";
import type { Vm, VmSettings } from "./vm.ts";

export class VmPool {
  readonly #vms = new Map<string, Vm>();

  /**
   * The VM to join, or null: then the plug-in starts its own. A VM that only older versions of the
   * same plug-in (`keyOf`) use is not joined, so that an update cannot hurt what serves now.
   */
  joinable(key: string, plugin: string): Vm | null {
    const vm = this.#vms.get(key);
    if (vm?.trap !== null) return null;
    for (const root of vm.roots.values()) {
      if (keyOf(root.plugin) !== plugin) return vm;
    }
    return null;
  }

  /** Later plug-ins with this key join `vm`. */
  offer(key: string, vm: Vm): void {
    this.#vms.set(key, vm);
  }

  /** Nobody joins `vm` any more. */
  withdraw(key: string, vm: Vm): void {
    if (this.#vms.get(key) === vm) this.#vms.delete(key);
  }

  get size(): number {
    return this.#vms.size;
  }
}

export function keyOf({ key, name }: { readonly key?: string; readonly name: string }): string {
  return key ?? name;
}

export function vmKey(module: PluginModule, settings: VmSettings): string {
  const environment = Object.entries(settings.env).sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash("sha256");
  const capabilities = settings.capabilities === undefined ? "" : [...settings.capabilities].join();
  const parts = [settings.vmId, JSON.stringify(environment), capabilities, module.digest];
  for (const part of parts) {
    hash.update(`${part.length}:${part}`);
  }
  return hash.update(settings.vmConfiguration).digest("hex");
}
