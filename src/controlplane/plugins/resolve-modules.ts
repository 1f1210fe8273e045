//! Turns the `url` of each plug-in into a file that workers can load.
//!
//! A file is copied once into a cache named by digest, so that editing it later changes nothing
//! that runs, and a worker that restarts loads the very bytes that were published.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../base/clock.ts";
import { asIstioPlugin, bringsPlugin, pluginKey } from "../../compile/plugin-kinds.ts";
import type { ModuleResult } from "../../compile/wasm-plugin.ts";
import type { ImageMap } from "../../resources/image-map.ts";
import type { WasmPlugin } from "../../resources/kinds/wasm-plugin.ts";
import { member } from "../../resources/kinds/member.ts";
import type { Resource } from "../../resources/object.ts";
import { fetchModule } from "./fetch-module.ts";
import { parseImageReference } from "./image-reference.ts";
import { exists, isWasm, ModuleCache } from "./module-cache.ts";
import type { ResolvedModule } from "./module-cache.ts";
import { cachedState, firstBytes, ModulePuller } from "./module-puller.ts";
import type { PullRequest } from "./module-puller.ts";
import type { PullFault } from "./pull-fault.ts";

/** The largest module. A 16 MB firewall is the largest plug-in in use that we know. */
export const MODULE_BYTES_MAX: number = 64 * 1024 * 1024;
/** How many source files are remembered by size and time, and how many inspections by digest. */
const REMEMBERED_MAX = 1_000;
const DOCKER_CONFIG = ".dockerconfigjson";

/** Keyed by `pluginKey` of the resource. */
export type ModuleMap = ReadonlyMap<string, ModuleResult>;

export type ModuleFault = Omit<PullFault, "isTemporary"> & { readonly isPending?: boolean };

export interface ModuleResolverOptions {
  /** Modules go to `<stateDir>/modules/<sha256>.wasm`. */
  readonly stateDir: string;
  readonly images: Pick<ImageMap, "resolvePlugin">;
  /** Built-in plug-ins are `<packageRoot>/plugins/<name>/<name>.wasm`. */
  readonly packageRoot: string;
  /** Null: nothing is asked of a network; what is not in the cache is not known. */
  readonly network: {
    readonly clock: Clock;
    /** `host` or `host:port` of registries that speak plain HTTP. */
    readonly insecureRegistries: ReadonlySet<string>;
    /** A module has come, or has failed to. */
    readonly onChange: () => void;
  } | null;
  /** Why a host would refuse the module, or null. Called once for each digest. */
  readonly inspect?: (bytes: Uint8Array) => Promise<ModuleFault | null>;
  /** Digests of what runs. */
  readonly inUse?: () => Iterable<string>;
  /** What the cache may take; absent: what is usual. */
  readonly cacheBytesMax?: number;
}

interface Remembered {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly module: ResolvedModule;
}

export class ModuleResolver {
  readonly #options: ModuleResolverOptions;
  readonly #cache: ModuleCache;
  readonly #puller: ModulePuller | null;
  /** By source file: what it was when it was read last. */
  readonly #remembered = new Map<string, Remembered>();
  /** By digest. */
  readonly #inspected = new Map<string, ModuleFault | null>();

  constructor(options: ModuleResolverOptions) {
    this.#options = options;
    const { network, cacheBytesMax: bytesMax } = options;
    this.#cache = new ModuleCache({
      directory: join(options.stateDir, "modules"),
      inUse: options.inUse ?? (() => []),
      ...(bytesMax === undefined ? {} : { bytesMax }),
    });
    this.#puller =
      network === null
        ? null
        : new ModulePuller({
            cache: this.#cache,
            clock: network.clock,
            onChange: network.onChange,
            fetch: (source, signal) =>
              fetchModule(source, { ...network, bytesMax: MODULE_BYTES_MAX, signal }),
          });
  }

  /**
   * The modules of all plug-ins among the resources; Secrets among them are pull secrets. Never
   * rejects. With `peek` nothing is pulled that is not being pulled already.
   */
  async resolve(
    resources: readonly Resource[],
    options: { readonly peek?: boolean } = {},
  ): Promise<ModuleMap> {
    const plugins = resources.flatMap((resource) =>
      bringsPlugin(resource) ? (asIstioPlugin(resource) ?? []) : [],
    );
    const requests: PullRequest[] = [];
    const entries = await Promise.all(
      plugins.map(async (plugin) => {
        const source = this.#locate(plugin.spec.url);
        if (typeof source !== "object")
          return [pluginKey(plugin), await this.#file(plugin, source)];
        if ("error" in source) return [pluginKey(plugin), source];
        const request = requestOf(plugin, resources);
        if ("error" in request) return [pluginKey(plugin), request];
        requests.push(request);
        return [pluginKey(plugin), await this.#remote(request, options.peek === true)];
      }),
    );
    if (options.peek !== true) this.#puller?.keepOnly(requests);
    return new Map(entries as [string, ModuleResult][]);
  }

  /** Ends pulls and retries. */
  stop(): void {
    this.#puller?.stop();
  }

  async #remote(request: PullRequest, isPeek: boolean): Promise<ModuleResult> {
    try {
      return await this.#pulled(request, isPeek);
    } catch (cause) {
      return {
        code: "GL0402",
        error: `${request.url}: the state directory cannot be used: ${messageOf(cause)}`,
        remedy: "Check its permissions, and whether the disk is full.",
      };
    }
  }

  async #pulled(request: PullRequest, isPeek: boolean): Promise<ModuleResult> {
    const puller = this.#puller;
    const state =
      puller === null
        ? await cachedState(this.#cache, request)
        : await (isPeek ? puller.peek(request) : puller.state(request));
    if (state.kind === "failed") return state.fault;
    if (state.kind === "pulling") {
      return {
        code: "GL0411",
        error: `${request.url} ${puller === null ? "is not fetched here" : "is being fetched"}`,
        remedy: "",
        isPending: true,
      };
    }
    const refused = await this.#inspect(state.module, request.url);
    if (refused !== null) return refused;
    if (state.fault === null) return state.module;
    const error = `${state.fault.error}; the module that was fetched before is used`;
    return { ...state.module, warning: { ...state.fault, error } };
  }

  async #file(plugin: WasmPlugin, file: string): Promise<ModuleResult> {
    try {
      const module = await this.#load(file);
      if ("error" in module) return module;
      const wanted = (plugin.spec.sha256 ?? "").toLowerCase();
      if (wanted === "" || wanted === module.sha256) {
        return (await this.#inspect(module, `plug-in file ${file}`)) ?? module;
      }
      return {
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

  async #inspect({ sha256, path }: ResolvedModule, what: string): Promise<ModuleFault | null> {
    const { inspect } = this.#options;
    if (inspect === undefined) return null;
    let fault = this.#inspected.get(sha256);
    if (fault === undefined) {
      fault = await inspect(await readFile(path));
      if (this.#inspected.size >= REMEMBERED_MAX) this.#inspected.clear();
      this.#inspected.set(sha256, fault);
    }
    return fault === null ? null : { ...fault, error: `${what}: ${fault.error}` };
  }

  /** The source file of `url`, or that it is not a file. */
  #locate(url: string): string | ModuleFault | typeof REMOTE {
    if (url.startsWith("file://")) return fileOf(url);
    const mapped = this.#options.images.resolvePlugin(url);
    if (mapped?.kind === "file") return mapped.path;
    if (mapped?.kind === "builtin") {
      return join(this.#options.packageRoot, "plugins", mapped.name, `${mapped.name}.wasm`);
    }
    return REMOTE;
  }

  async #load(file: string): Promise<ResolvedModule | ModuleFault> {
    const found = await stat(file);
    // A device or a pipe may have no end.
    if (!found.isFile()) throw new Error("it is no regular file");
    const { size, mtimeMs } = found;
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
    if (!isWasm(bytes)) {
      return {
        code: "GL0403",
        error: `plug-in file ${file} is not a WebAssembly module: ${firstBytes(bytes)}`,
        remedy:
          "Name the .wasm file that the compiler wrote, not its source, text form or archive.",
      };
    }
    const module = await this.#cache.keep(bytes);
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(file, { sizeBytes: size, modifiedMs: mtimeMs, module });
    return module;
  }
}

/** Not a file here. */
const REMOTE = { isRemote: true } as const;

function requestOf(plugin: WasmPlugin, resources: readonly Resource[]): PullRequest | ModuleFault {
  const { url, sha256 = "", imagePullPolicy, imagePullSecret } = plugin.spec;
  const isWeb = /^https?:\/\//i.test(url);
  const dockerConfig =
    isWeb || imagePullSecret === undefined
      ? null
      : dockerConfigOf(plugin, imagePullSecret, resources);
  if (dockerConfig !== null && typeof dockerConfig !== "string") return dockerConfig;
  const mayUseCached = !pullsAlways(url, imagePullPolicy, isWeb);
  return {
    url,
    sha256: sha256.toLowerCase(),
    dockerConfig,
    mayUseCached,
    revision: mayUseCached ? "" : revisionOf(plugin),
  };
}

/** A digest names one content for ever; the tag `latest` is what changes by its purpose. */
function pullsAlways(
  url: string,
  policy: WasmPlugin["spec"]["imagePullPolicy"],
  isWeb: boolean,
): boolean {
  const image = isWeb ? null : parseImageReference(url);
  if (image !== null && image.digest !== "") return false;
  if (policy === undefined || policy === "UNSPECIFIED_POLICY") return image?.tag === "latest";
  return policy === "Always";
}

/** Changes with the object's spec, and only then. */
function revisionOf({ metadata }: Resource): string {
  return `${metadata.uid ?? ""} ${metadata.generation ?? 0}`;
}

function dockerConfigOf(
  plugin: WasmPlugin,
  name: string,
  resources: readonly Resource[],
): string | ModuleFault {
  const namespace = plugin.metadata.namespace ?? "default";
  const secret = resources.find(
    ({ kind, metadata }) =>
      kind === "Secret" &&
      metadata.name === name &&
      (metadata.namespace ?? "default") === namespace,
  );
  const remedy = `Make it with: kubectl create secret docker-registry ${name} -n ${namespace} …`;
  if (secret === undefined) {
    const error = `the imagePullSecret ${namespace}/${name} does not exist`;
    return { code: "GL0412", error, remedy };
  }
  const plain = member(secret["stringData"], DOCKER_CONFIG);
  const packed = member(secret["data"], DOCKER_CONFIG);
  if (typeof plain === "string") return plain;
  if (typeof packed === "string") return Buffer.from(packed, "base64").toString("utf8");
  const error = `the imagePullSecret ${namespace}/${name} has no key ${DOCKER_CONFIG}`;
  return { code: "GL0412", error, remedy };
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

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
