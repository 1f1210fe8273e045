//! The program as it is built.

import { statSync } from "node:fs";
import { resolve } from "node:path";

/** `tsc` alone makes no bundle: then the compiled modules are younger, and are run. */
export function programFile(name: "graylane.js" | "worker.js"): string {
  const bundled = resolve("dist/bin", name);
  const compiledMs = changedMs(resolve("dist/.tsbuildinfo"));
  return changedMs(bundled) >= compiledMs ? bundled : resolve("dist/src/main", name);
}

/** 0: it is not there. */
function changedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
