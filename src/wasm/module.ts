//! Loads a module: compiles it off the hot path, finds its ABI version, checks that everything that
//! would be linked has the right type, so that instantiating it later cannot fail on types, and
//! puts fuel into its code, so that no callback runs without end.

import { nextTurn } from "../base/steps.ts";
import { callbackSignature, importSignature, RESULT_IS_OPTIONAL } from "./abi/signatures.ts";
import { compileWhole } from "./compile-whole.ts";
import type { AbiVersion } from "./enums.ts";
import { LoadFault } from "./fault.ts";
import { addFuel } from "./fuel/rewrite.ts";
import { moduleDigest } from "./module-digest.ts";
import { describeSignature, readSections } from "./module-sections.ts";
import type { ModuleSections } from "./module-sections.ts";

/** Properties that cost something to know: an embedder may want to know who reads them. */
export const LATENCY_NAME = "backend_latency";
export const LOCAL_CERTIFICATE_NAME = "local_certificate";

/** A module that has passed every check. Many VMs may be made of it. */
export class PluginModule {
  readonly name: string;
  readonly abiVersion: AbiVersion;
  readonly compiled: WebAssembly.Module;
  /** `malloc`, or `proxy_on_memory_allocate` when there is no malloc. */
  readonly allocator: string;
  /** SHA-256 of the module as it was given, in hexadecimal. */
  readonly digest: string;
  /** Whether the name of the property `response.backend_latency` is in its code or data. */
  readonly namesLatency: boolean;
  /** The same of those of our own certificate. */
  readonly namesLocalCertificate: boolean;

  constructor(name: string, parts: Omit<PluginModule, "name">) {
    this.name = name;
    this.abiVersion = parts.abiVersion;
    this.compiled = parts.compiled;
    this.allocator = parts.allocator;
    this.digest = parts.digest;
    this.namesLatency = parts.namesLatency;
    this.namesLocalCertificate = parts.namesLocalCertificate;
  }
}

export interface LoadOptions {
  /** The plug-in's, for messages. */
  readonly name: string;
  /** SHA-256 of the bytes in hexadecimal, where it is known. */
  readonly digest?: string;
  /** How far a VM's memory may grow beyond its initial size; 256 MiB by default. */
  readonly memoryGrowthBytesMax?: number;
  /** False runs the code as it is, without any limit of time or memory: for comparisons only. */
  readonly fuel?: boolean;
}

const MEMORY_GROWTH_BYTES_DEFAULT = 256 * 1024 * 1024;
/** A larger file is refused before it is looked into. */
const MODULE_BYTES_MAX = 64 * 1024 * 1024;

const MAGIC = [0x00, 0x61, 0x73, 0x6d] as const;

const VERSION_EXPORTS: ReadonlyMap<string, AbiVersion> = new Map([
  ["proxy_abi_version_0_1_0", "0.1.0"],
  ["proxy_abi_version_0_2_0", "0.2.0"],
  ["proxy_abi_version_0_2_1", "0.2.1"],
  ["proxy_abi_version_0_2_100", "0.2.100"],
]);

/**
 * Compiles and checks a module. Compiling happens on another thread; putting fuel in takes about
 * 3 ms for each megabyte, in slices between which the event loop runs.
 */
export async function loadModule(
  bytes: Uint8Array,
  options: LoadOptions,
): Promise<PluginModule | LoadFault> {
  const { name } = options;
  if (bytes.length > MODULE_BYTES_MAX) {
    const message = `The module has ${bytes.length} bytes, more than ${MODULE_BYTES_MAX}`;
    const remedy = "Build it without debug information (wasm-opt --strip-debug takes it out).";
    return new LoadFault(name, "invalid_module", message, remedy);
  }
  const notWasm = checkMagic(name, bytes);
  if (notWasm !== null) return notWasm;
  let compiled: WebAssembly.Module;
  let sections: ModuleSections;
  try {
    compiled = await WebAssembly.compile(bytes);
    await nextTurn();
    sections = readSections(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return new LoadFault(name, "invalid_module", `Failed to load Wasm code: ${reason}`);
  }
  const version = findVersion(sections);
  if (version === undefined) {
    return new LoadFault(
      name,
      "abi_version",
      "Missing or unknown Proxy-Wasm ABI version",
      `Export one of ${[...VERSION_EXPORTS.keys()].join(", ")}.`,
    );
  }
  const fault =
    checkImports(name, sections, version) ??
    checkCallbacks(name, sections, version) ??
    checkMemory(name, sections);
  if (fault !== null) return fault;
  if (options.fuel !== false) {
    await nextTurn();
    const fueled = await compileWithFuel(bytes, options);
    if (fueled instanceof LoadFault) return fueled;
    compiled = fueled;
  }
  return new PluginModule(name, {
    abiVersion: version,
    compiled,
    allocator: sections.functionExports.has("malloc") ? "malloc" : "proxy_on_memory_allocate",
    digest: options.digest ?? (await moduleDigest(bytes)),
    namesLatency: names(bytes, LATENCY_NAME),
    namesLocalCertificate: names(bytes, LOCAL_CERTIFICATE_NAME),
  });
}

/** AssemblyScript keeps its texts in UTF-16, which may begin at any byte of a file. */
function names(bytes: Uint8Array, name: string): boolean {
  const view = viewOf(bytes);
  return view.includes(name) || view.includes(Buffer.from(name, "utf16le"));
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}

/** `bytes` have been compiled as they are: an index that is only now added was not valid there. */
async function compileWithFuel(
  bytes: Uint8Array,
  { name, memoryGrowthBytesMax = MEMORY_GROWTH_BYTES_DEFAULT }: LoadOptions,
): Promise<WebAssembly.Module | LoadFault> {
  const refused = (reason: string): LoadFault =>
    new LoadFault(
      name,
      "unsupported_code",
      `The module cannot be given a limit of time: ${reason}`,
      "Build it without the feature that is named.",
    );
  const fueled = await addFuel(bytes, { memoryGrowthBytesMax });
  if (fueled instanceof Error) return refused(fueled.message);
  // Millions of bytes have just been copied, and are copied again.
  await nextTurn();
  try {
    return await compileWhole(fueled);
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

function checkMagic(name: string, bytes: Uint8Array): LoadFault | null {
  if (MAGIC.every((byte, index) => bytes[index] === byte)) return checkLayer(name, bytes);
  const start = bytes.length === 0 ? "is empty" : `begins with ${quoteStart(bytes)}`;
  const remedy = "Give a WebAssembly binary (.wasm), not its text form or an archive of it.";
  return new LoadFault(name, "not_wasm", `The file is not a Wasm module: it ${start}`, remedy);
}

/** After magic and version, 16 bits each: 0 for a module, 1 for what is made for WASI 0.2. */
function checkLayer(name: string, bytes: Uint8Array): LoadFault | null {
  if (bytes[6] !== 1 || bytes[7] !== 0) return null;
  const message = "The file is a WebAssembly component, not a module";
  return new LoadFault(name, "invalid_module", message, "Build it for WASI preview 1 (wasip1).");
}

function quoteStart(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  return /^[\x20-\x7e]+$/.test(text)
    ? JSON.stringify(text)
    : `bytes ${Buffer.from(bytes.subarray(0, 8)).toString("hex")}`;
}

/** The first function export in the order of the file, as Envoy does; it is never called. */
function findVersion(sections: ModuleSections): AbiVersion | undefined {
  for (const name of sections.functionExports.keys()) {
    const version = VERSION_EXPORTS.get(name);
    if (version !== undefined) return version;
  }
  return undefined;
}

function checkImports(
  plugin: string,
  sections: ModuleSections,
  version: AbiVersion,
): LoadFault | null {
  for (const { module, name, signature } of sections.functionImports) {
    const wanted = importSignature(module, name, version);
    if (wanted === undefined) return missingImport(plugin, `${module}.${name}`, version);
    const isSame = signature === wanted || (RESULT_IS_OPTIONAL.has(name) && signature === ":");
    if (isSame) continue;
    const message =
      `Failed to load Wasm module due to an import type mismatch: ${module}.${name}, ` +
      `want: ${describeSignature(signature)}, ` +
      `but host exports: ${describeSignature(wanted)}`;
    return new LoadFault(plugin, "import_type", message);
  }
  const other = sections.otherImports[0];
  if (other === undefined) return null;
  return missingImport(plugin, `${other.module}.${other.name}`, version);
}

function missingImport(plugin: string, what: string, version: AbiVersion): LoadFault {
  const message = `Failed to load Wasm module due to a missing import: ${what}`;
  const remedy = `ABI ${version}, which the module names, has no such host function.`;
  return new LoadFault(plugin, "missing_import", message, remedy);
}

function checkCallbacks(
  plugin: string,
  sections: ModuleSections,
  version: AbiVersion,
): LoadFault | null {
  for (const [name, signature] of sections.functionExports) {
    const wanted = callbackSignature(name, version);
    if (wanted === undefined || wanted === signature) continue;
    const message =
      `Bad function signature for: ${name}, want: ${describeSignature(wanted)}, ` +
      `but the module exports: ${describeSignature(signature)}`;
    return new LoadFault(plugin, "callback_type", message);
  }
  return null;
}

function checkMemory(plugin: string, sections: ModuleSections): LoadFault | null {
  if (!sections.exportsMemory) {
    return new LoadFault(plugin, "missing_export", "Wasm module is missing its exported memory");
  }
  const { functionExports } = sections;
  if (functionExports.has("malloc") || functionExports.has("proxy_on_memory_allocate")) return null;
  const message = "Wasm module is missing malloc function";
  return new LoadFault(plugin, "missing_export", message, "Export malloc(size) from the plug-in.");
}
