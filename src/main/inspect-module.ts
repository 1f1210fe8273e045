//! Says of a module, before it is published to any worker, why every worker would refuse it.

import { LoadFault, loadModule } from "../wasm/wasm.ts";
import type { LoadFaultKind } from "../wasm/wasm.ts";

/** Codes of what can be told from the module alone; any other reason is an invalid module. */
const CODES: Partial<Record<LoadFaultKind, string>> = {
  not_wasm: "GL0403",
  abi_version: "GL0414",
  missing_import: "GL0415",
  import_type: "GL0416",
  callback_type: "GL0416",
};
const INVALID = "GL0417";

/** Null: nothing is wrong with it. Compiles on another thread, and runs none of its code. */
export async function inspectModule(
  bytes: Uint8Array,
): Promise<{ readonly code: string; readonly error: string; readonly remedy: string } | null> {
  const module = await loadModule(bytes, { name: "plug-in", fuel: false });
  if (!(module instanceof LoadFault)) return null;
  const { kind, message, remedy } = module;
  return { code: CODES[kind] ?? INVALID, error: message, remedy };
}
