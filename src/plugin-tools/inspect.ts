//! What a module is, what it asks for, and whether a host would take it: here, and in Envoy.

import { createHash } from "node:crypto";
import {
  CALLBACKS,
  callbackSignature,
  importSignature,
  RESULT_IS_OPTIONAL,
} from "../wasm/abi/signatures.ts";
import { ABI_VERSIONS } from "../wasm/enums.ts";
import type { AbiVersion } from "../wasm/enums.ts";
import { LoadFault } from "../wasm/fault.ts";
import { loadModule } from "../wasm/module.ts";
import { describeSignature, readSections } from "../wasm/module-sections.ts";
import type { ModuleSections } from "../wasm/module-sections.ts";
import { readModuleFacts } from "./module-facts.ts";
import type { ModuleFacts } from "./module-facts.ts";

/** Envoy 1.40 does not know this version: it is Higress' own. */
const HIGRESS_ABI = "0.2.100";
const VERSION_EXPORT = /^proxy_abi_version_(\d+)_(\d+)_(\d+)$/;

export interface ImportReport {
  /** `env.proxy_log`. */
  readonly name: string;
  /** As Envoy prints it: `i32 i32 i32 -> i32`; `""` for what is no function. */
  readonly signature: string;
  /** Why a host cannot link it; `""` when it can. */
  readonly problem: string;
}

export interface ExportReport {
  readonly name: string;
  readonly signature: string;
  /** `callback`: the host calls it. `version`: it names an ABI. */
  readonly kind: "callback" | "version" | "other";
  readonly problem: string;
}

/** Whether a host takes the module; `reason` and `remedy` are `""` when it does. */
export interface Verdict {
  readonly accepted: boolean;
  readonly reason: string;
  readonly remedy: string;
}

export interface ModuleReport {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Null: the module names none that is known. */
  readonly abiVersion: string | null;
  readonly language: string;
  /** Null when the file is no module that can be read. */
  readonly facts: Omit<ModuleFacts, "language"> | null;
  readonly imports: readonly ImportReport[];
  readonly exports: readonly ExportReport[];
  readonly graylane: Verdict;
  readonly envoy: Verdict;
}

/** Runs none of the module's code. */
export async function inspectModule(bytes: Uint8Array, file: string): Promise<ModuleReport> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const base = { file, bytes: bytes.length, sha256 };
  const fueled = await loadModule(bytes, { name: file });
  const plain = fueled instanceof LoadFault ? await withoutFuel(bytes, file) : fueled;
  const graylane = verdictOf(fueled instanceof LoadFault ? fueled : null);
  const sections = tryRead(bytes, plain);
  if (sections === null) {
    const envoy = verdictOf(plain instanceof LoadFault ? plain : null);
    const unread = { abiVersion: null, language: "", facts: null, imports: [], exports: [] };
    return { ...base, ...unread, graylane, envoy };
  }
  const abiVersion = versionOf(sections);
  const known = plain instanceof LoadFault ? knownVersion(abiVersion) : plain.abiVersion;
  const imports = importsOf(sections, known);
  const { language, ...facts } = readModuleFacts(bytes, {
    exports: new Set(sections.functionExports.keys()),
    imports: new Set(imports.map(({ name }) => name)),
  });
  const exports = exportsOf(sections, known);
  const envoy = envoyVerdict(plain, abiVersion);
  return { ...base, abiVersion, language, facts, imports, exports, graylane, envoy };
}

/** What our limit of time would refuse, Envoy runs: it has none. */
async function withoutFuel(bytes: Uint8Array, file: string): ReturnType<typeof loadModule> {
  return loadModule(bytes, { name: file, fuel: false });
}

function verdictOf(fault: LoadFault | null): Verdict {
  if (fault === null) return { accepted: true, reason: "", remedy: "" };
  return { accepted: false, reason: fault.message, remedy: fault.remedy };
}

function envoyVerdict(
  plain: Awaited<ReturnType<typeof loadModule>>,
  abiVersion: string | null,
): Verdict {
  if (plain instanceof LoadFault) return verdictOf(plain);
  if (abiVersion !== HIGRESS_ABI) return verdictOf(null);
  return {
    accepted: false,
    reason: "Missing or unknown Proxy-Wasm ABI version",
    remedy: `ABI ${HIGRESS_ABI} is Higress' own: run it there or here, or build it for 0.2.1.`,
  };
}

/** Null when the bytes are no module: its sections mean nothing then. */
function tryRead(
  bytes: Uint8Array,
  loaded: Awaited<ReturnType<typeof loadModule>>,
): ModuleSections | null {
  const isUnread =
    loaded instanceof LoadFault && (loaded.kind === "not_wasm" || loaded.kind === "invalid_module");
  return isUnread ? null : readSections(bytes);
}

/** The first in the order of the file, as hosts take it; also one that nobody knows. */
function versionOf({ functionExports }: ModuleSections): string | null {
  for (const name of functionExports.keys()) {
    const parts = VERSION_EXPORT.exec(name);
    if (parts !== null) return parts.slice(1).join(".");
  }
  return null;
}

/** The version to judge by, where the module was refused for another reason than its version. */
function knownVersion(version: string | null): AbiVersion {
  return ABI_VERSIONS.find((known) => known === version) ?? "0.2.1";
}

function importsOf(sections: ModuleSections, version: AbiVersion): ImportReport[] {
  const functions = sections.functionImports.map(({ module, name, signature }) => {
    const wanted = importSignature(module, name, version);
    const isSame = signature === wanted || (RESULT_IS_OPTIONAL.has(name) && signature === ":");
    let problem = "";
    if (wanted === undefined) problem = `ABI ${version} has no such host function`;
    else if (!isSame) problem = `the host's is ${describeSignature(wanted)}`;
    return { name: `${module}.${name}`, signature: describeSignature(signature), problem };
  });
  const others = sections.otherImports.map(({ module, name }) => ({
    name: `${module}.${name}`,
    signature: "",
    problem: "only functions can be imported",
  }));
  return [...functions, ...others];
}

function exportsOf(sections: ModuleSections, version: AbiVersion): ExportReport[] {
  return [...sections.functionExports].map(([name, signature]) => {
    const wanted = callbackSignature(name, version);
    const problem =
      wanted === undefined || wanted === signature
        ? ""
        : `the host calls it as ${describeSignature(wanted)}`;
    return { name, signature: describeSignature(signature), kind: kindOf(name), problem };
  });
}

function kindOf(name: string): ExportReport["kind"] {
  if (VERSION_EXPORT.test(name)) return "version";
  return Object.hasOwn(CALLBACKS, name) ? "callback" : "other";
}
