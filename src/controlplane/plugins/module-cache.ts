//! Modules on the disk, named by their digest: what was published once can be loaded again by any
//! worker, whatever has become of its source.

import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";

/** `\0asm`, then version 1 (WebAssembly core specification, 5.5.16). */
const WASM_HEADER = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
/** What the cache may take before modules that nobody uses are deleted, the oldest first. */
export const CACHE_BYTES_MAX: number = 1024 * 1024 * 1024;
/** How many urls are remembered across restarts. */
const PULLED_MAX = 1_000;

export interface ResolvedModule {
  readonly sha256: string;
  /** Absolute, in the cache; its content never changes. */
  readonly path: string;
}

export interface ModuleCacheOptions {
  /** Modules go to `<directory>/<sha256>.wasm`. */
  readonly directory: string;
  /** Digests that must stay: what runs. */
  readonly inUse: () => Iterable<string>;
  readonly bytesMax?: number;
}

export function isWasm(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, WASM_HEADER.length)).equals(WASM_HEADER);
}

export class ModuleCache {
  readonly #directory: string;
  readonly #options: ModuleCacheOptions;
  /** By url: the digest of what was pulled last. Read at the first use. */
  #pulled: Map<string, string> | null = null;

  constructor(options: ModuleCacheOptions) {
    this.#options = options;
    this.#directory = resolve(options.directory);
  }

  /** Writes the bytes under their digest: whole or not at all. */
  async keep(bytes: Uint8Array): Promise<ResolvedModule> {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const path = join(this.#directory, `${sha256}.wasm`);
    if (await exists(path)) return { sha256, path };
    await mkdir(this.#directory, { recursive: true });
    await writeWhole(path, bytes);
    await this.#evict(sha256);
    return { sha256, path };
  }

  /** The module of that digest, when it is here. */
  async find(sha256: string): Promise<ResolvedModule | null> {
    const path = join(this.#directory, `${sha256}.wasm`);
    return (await exists(path)) ? { sha256, path } : null;
  }

  /** What the url stood for when it was pulled last. */
  async pulledFrom(url: string): Promise<ResolvedModule | null> {
    const sha256 = (await this.#readPulled()).get(url);
    return sha256 === undefined ? null : this.find(sha256);
  }

  async notePulled(url: string, sha256: string): Promise<void> {
    const pulled = await this.#readPulled();
    if (pulled.get(url) === sha256) return;
    pulled.delete(url);
    pulled.set(url, sha256);
    for (const oldest of pulled.keys()) {
      if (pulled.size <= PULLED_MAX) break;
      pulled.delete(oldest);
    }
    await writeWhole(this.#pulledFile(), Buffer.from(JSON.stringify([...pulled])));
  }

  async #readPulled(): Promise<Map<string, string>> {
    if (this.#pulled !== null) return this.#pulled;
    let entries: unknown = [];
    try {
      entries = JSON.parse(await readFile(this.#pulledFile(), "utf8"));
    } catch {
      // Missing or damaged: everything is pulled again.
    }
    const pulled = new Map<string, string>();
    for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
      const [url, sha256] = Array.isArray(entry) ? (entry as unknown[]) : [];
      if (typeof url === "string" && typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256)) {
        pulled.set(url, sha256);
      }
    }
    this.#pulled ??= pulled;
    return this.#pulled;
  }

  #pulledFile(): string {
    return join(this.#directory, "pulled.json");
  }

  /** Deletes what nobody uses, the oldest first, until the cache is within its size. */
  async #evict(newest: string): Promise<void> {
    const files = await this.#files();
    let bytes = files.reduce((sum, { size }) => sum + size, 0);
    const bytesMax = this.#options.bytesMax ?? CACHE_BYTES_MAX;
    if (bytes <= bytesMax) return;
    const used = new Set([newest, ...this.#options.inUse()]);
    for (const { name, size } of files.sort((a, b) => a.modifiedMs - b.modifiedMs)) {
      if (bytes <= bytesMax) return;
      if (used.has(name.replace(/\.wasm$/, ""))) continue;
      await unlink(join(this.#directory, name)).catch(() => undefined);
      bytes -= size;
    }
  }

  async #files(): Promise<{ name: string; size: number; modifiedMs: number }[]> {
    const files = [];
    for (const name of await readdir(this.#directory)) {
      if (!name.endsWith(".wasm")) continue;
      const found = await stat(join(this.#directory, name)).catch(() => null);
      if (found !== null) files.push({ name, size: found.size, modifiedMs: found.mtimeMs });
    }
    return files;
  }
}

let draftCount = 0;

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  // The same may be written twice at once: for a change that is looked at, and for one that is in.
  const draft = `${path}.${process.pid}-${(draftCount += 1)}.tmp`;
  try {
    const handle = await open(draft, "w", 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } catch (cause) {
    await unlink(draft).catch(() => undefined);
    throw cause;
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
