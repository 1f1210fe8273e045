//! The code of plug-ins, ready to be started: read, checked, given fuel and compiled.

import { readFile } from "node:fs/promises";
import type { Plugin } from "../../snapshot/snapshot.ts";
import { LoadFault } from "../../wasm/fault.ts";
import { loadModule } from "../../wasm/module.ts";
import type { PluginModule } from "../../wasm/module.ts";
import { moduleDigest } from "../../wasm/module-digest.ts";

/** Compiled modules kept for plug-ins to come; the least recently used one goes. */
const MODULES_CACHED_MAX = 32;
/** Such code is fetched once, before the start. */
const MISSING_REMEDY = "Put that right, then start again: code is fetched at the start alone.";

export type ModuleFile = Plugin["module"];

export class ModuleCache {
  readonly #limits: { readonly memoryGrowthBytesMax: number } | undefined;
  readonly #modules = new Map<string, PluginModule>();
  /** What is being loaded is not loaded twice. */
  readonly #loading = new Map<string, Promise<PluginModule | LoadFault>>();

  constructor(limits?: { readonly memoryGrowthBytesMax: number }) {
    this.#limits = limits;
  }

  /** `name` is the plug-in's, for messages. */
  async get(file: ModuleFile, name: string): Promise<PluginModule | LoadFault> {
    const { sha256, missing } = file;
    if (missing !== undefined) return new LoadFault(name, "not_wasm", missing, MISSING_REMEDY);
    const cached = this.#modules.get(sha256);
    if (cached !== undefined) {
      this.#modules.delete(sha256);
      this.#modules.set(sha256, cached);
      return cached;
    }
    const loading = this.#loading.get(sha256) ?? this.#load(file, name);
    this.#loading.set(sha256, loading);
    try {
      return await loading;
    } finally {
      this.#loading.delete(sha256);
    }
  }

  /** Holds these and no others from now on; what cannot be loaded is told when it is asked for. */
  async hold(files: readonly ModuleFile[]): Promise<void> {
    const held = files.slice(0, MODULES_CACHED_MAX);
    const wanted = new Set(held.map(({ sha256 }) => sha256));
    for (const sha256 of this.#modules.keys()) {
      if (!wanted.has(sha256)) this.#modules.delete(sha256);
    }
    // One after the other: others serve on the same processors.
    for (const file of held) await this.get(file, file.path);
  }

  async #load({ sha256, path }: ModuleFile, name: string): Promise<PluginModule | LoadFault> {
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      return new LoadFault(name, "not_wasm", `cannot read ${path}: ${String(error)}`);
    }
    const digest = await moduleDigest(bytes);
    if (digest !== sha256) {
      return new LoadFault(name, "not_wasm", `${path} has the digest ${digest}`);
    }
    const module = await loadModule(bytes, { name, digest, ...this.#limits });
    if (module instanceof LoadFault) return module;
    this.#modules.set(sha256, module);
    for (const oldest of this.#modules.keys()) {
      if (this.#modules.size <= MODULES_CACHED_MAX) break;
      this.#modules.delete(oldest);
    }
    return module;
  }
}
