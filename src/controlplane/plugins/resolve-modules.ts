//! Turns the `url` of each WasmPlugin into a file that workers can load.
//!
//! A file is copied once into a cache named by digest, so that editing it later changes nothing
//! that runs, and a worker that restarts loads the very bytes that were published.

import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ImageMap } from "../../resources/image-map.ts";
import type { Resource } from "../../resources/object.ts";

/** The largest module. A 16 MB firewall is the largest plug-in in use that we know. */
export const MODULE_BYTES_MAX: number = 64 * 1024 * 1024;
/** How many source files are remembered by size and time. */
const REMEMBERED_MAX = 1_000;

/** `\0asm`, then version 1 (WebAssembly core specification, 5.5.16). */
const WASM_HEADER = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

export interface ResolvedModule {
  readonly sha256: string;
  /** Absolute, in the cache; its content never changes. */
  readonly path: string;
}

export interface ModuleFault {
  readonly code: "GL0401" | "GL0402" | "GL0403" | "GL0404" | "GL0405" | "GL0406";
  /** What is wrong: one sentence without a full stop. */
  readonly error: string;
  readonly remedy: string;
}

/** Keyed by `<namespace>/<name>` of the WasmPlugin. */
export type ModuleMap = ReadonlyMap<string, ResolvedModule | ModuleFault>;

export interface ModuleResolverOptions {
  /** Modules go to `<stateDir>/modules/<sha256>.wasm`. */
  readonly stateDir: string;
  readonly images: Pick<ImageMap, "resolvePlugin">;
  /** Built-in plug-ins are `<packageRoot>/plugins/<name>/<name>.wasm`. */
  readonly packageRoot: string;
}

interface Remembered {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly module: ResolvedModule;
}

export class ModuleResolver {
  readonly #options: ModuleResolverOptions;
  readonly #directory: string;
  /** By source file: what it was when it was read last. */
  readonly #remembered = new Map<string, Remembered>();

  constructor(options: ModuleResolverOptions) {
    this.#options = options;
    this.#directory = resolve(options.stateDir, "modules");
  }

  /** Never rejects. Plug-ins without a `url` are reported as faults too. */
  async resolve(plugins: readonly Resource[]): Promise<ModuleMap> {
    const modules = new Map<string, ResolvedModule | ModuleFault>();
    for (const plugin of plugins) {
      const { namespace, name } = plugin.metadata;
      modules.set(`${namespace ?? ""}/${name}`, await this.#resolveOne(plugin));
    }
    return modules;
  }

  async #resolveOne(plugin: Resource): Promise<ResolvedModule | ModuleFault> {
    const url = field(plugin, "url");
    const file = this.#locate(url);
    if (typeof file !== "string") return file;
    try {
      const module = await this.#load(file);
      if ("error" in module) return module;
      const wanted = field(plugin, "sha256").toLowerCase();
      return wanted === "" || wanted === module.sha256
        ? module
        : {
            code: "GL0404",
            error: `plug-in file ${file} has the SHA-256 ${module.sha256}, not ${wanted}`,
            remedy: "Correct spec.sha256, or put back the file that it was written for.",
          };
    } catch (cause) {
      return {
        code: "GL0402",
        error: `plug-in file ${file} cannot be read: ${messageOf(cause)}`,
        remedy: "Check the path and its permissions; a relative path is not possible in file://.",
      };
    }
  }

  /** The source file of `url`. */
  #locate(url: string): string | ModuleFault {
    if (url.startsWith("file://")) return fileOf(url);
    const mapped = this.#options.images.resolvePlugin(url);
    if (mapped?.kind === "file") return mapped.path;
    if (mapped?.kind === "builtin") {
      return join(this.#options.packageRoot, "plugins", mapped.name, `${mapped.name}.wasm`);
    }
    if (/^https?:\/\//.test(url)) {
      return {
        code: "GL0405",
        error: `plug-in url ${url} names a web address, which is not supported yet`,
        remedy: "Download the file and name it as file:///absolute/path.wasm.",
      };
    }
    return {
      code: "GL0401",
      error: `no mapping for the plug-in image ${url === "" ? '""' : url}`,
      remedy: "Images are not pulled: add it to the image map, or use file:///absolute/path.wasm.",
    };
  }

  async #load(file: string): Promise<ResolvedModule | ModuleFault> {
    const { size, mtimeMs } = await stat(file);
    const old = this.#remembered.get(file);
    if (old?.sizeBytes === size && old.modifiedMs === mtimeMs && (await exists(old.module.path))) {
      return old.module;
    }
    if (size > MODULE_BYTES_MAX) {
      return {
        code: "GL0406",
        error: `plug-in file ${file} has ${size} bytes, the limit is ${MODULE_BYTES_MAX}`,
        remedy: "Build it with optimisation for size and without debug sections.",
      };
    }
    const bytes = await readFile(file);
    if (!bytes.subarray(0, WASM_HEADER.length).equals(WASM_HEADER)) {
      return {
        code: "GL0403",
        error: `plug-in file ${file} is not a WebAssembly module: ${firstBytes(bytes)}`,
        remedy:
          "Name the .wasm file that the compiler wrote, not its source, text form or archive.",
      };
    }
    const module = await this.#keep(bytes);
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(file, { sizeBytes: size, modifiedMs: mtimeMs, module });
    return module;
  }

  /** Writes the bytes under their digest: whole or not at all. */
  async #keep(bytes: Uint8Array): Promise<ResolvedModule> {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const path = join(this.#directory, `${sha256}.wasm`);
    if (await exists(path)) return { sha256, path };
    await mkdir(this.#directory, { recursive: true });
    const draft = `${path}.${process.pid}.tmp`;
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
    return { sha256, path };
  }
}

function field(plugin: Resource, name: string): string {
  const spec = plugin.spec as Readonly<Record<string, unknown>> | undefined;
  const value = spec?.[name];
  return typeof value === "string" ? value : "";
}

function fileOf(url: string): string | ModuleFault {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    return {
      code: "GL0402",
      error: `plug-in url ${url} does not name a file here: ${messageOf(cause)}`,
      remedy: "Write an absolute path: file:///absolute/path.wasm.",
    };
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function firstBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return "it is empty";
  return `it begins with ${Buffer.from(bytes.subarray(0, 8)).toString("hex")}`;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
