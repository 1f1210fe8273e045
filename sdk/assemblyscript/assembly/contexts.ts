//! The settings of a plug-in's contexts: a VM may have several configurations, each with a root
//! context of its own, and each stream belongs to one of them.

import { LogLevel } from "./enums";
import { log } from "./log";

export class Contexts<Settings> {
  private readonly settingsOf: Map<u32, Settings> = new Map();
  private readonly rootOf: Map<u32, u32> = new Map();

  /** Of `proxy_on_context_create`. */
  create(context: u32, root: u32): void {
    if (root != 0) this.rootOf.set(context, root);
  }

  /** What `proxy_on_configure` returns: 0 refuses the configuration, and the log says why. */
  configure(plugin: string, root: u32, settings: Settings, errors: string[]): u32 {
    for (let index = 0; index < errors.length; index++) {
      log(LogLevel.error, plugin + ": " + errors[index]);
    }
    if (errors.length > 0) return 0;
    this.settingsOf.set(root, settings);
    return 1;
  }

  /** Null: nothing was configured. */
  find(stream: u32): Settings | null {
    if (!this.rootOf.has(stream)) return null;
    const root = this.rootOf.get(stream);
    return this.settingsOf.has(root) ? this.settingsOf.get(root) : null;
  }

  /** Of `proxy_on_delete`. */
  remove(context: u32): void {
    this.rootOf.delete(context);
    if (this.settingsOf.has(context)) this.settingsOf.delete(context);
  }
}
