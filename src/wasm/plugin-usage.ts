//! What each plug-in costs: entries into the guest, fuel, and time. Callbacks that ask for fuel are
//! all measured; of the short ones one in 61 is, since reading the clock twice for each would cost
//! more than most of them.

/** A prime, so that plug-ins with a fixed number of callbacks a request are not measured at one. */
export const ENTRIES_PER_SAMPLE = 61;
/** Plug-ins that are counted apart; further ones share one record. */
const PLUGINS_MAX = 2_000;
const OTHERS = "overflow";

export class PluginUsage {
  /** Callbacks that were entered. */
  entries = 0;
  /** Units of fuel: about one for each entry of a function and each turn of a loop. */
  fuel = 0;
  ms = 0;
}

/** By the plug-ins' names. Kept outside the VMs: a rebuilt plug-in goes on counting. */
export class UsageTable {
  readonly #usages = new Map<string, PluginUsage>();

  of(plugin: string): PluginUsage {
    const known = this.#usages.get(plugin);
    if (known !== undefined) return known;
    if (this.#usages.size >= PLUGINS_MAX && plugin !== OTHERS) return this.of(OTHERS);
    const usage = new PluginUsage();
    this.#usages.set(plugin, usage);
    return usage;
  }

  [Symbol.iterator](): IterableIterator<[plugin: string, usage: PluginUsage]> {
    return this.#usages.entries();
  }
}
