//! With what a worker process is started.

import { fileURLToPath } from "node:url";

/**
 * Node 20's default. Later versions let V8's nursery grow to three times 32 MiB and keep it:
 * a worker's resident memory would rise by them under load, whatever it keeps.
 */
const NURSERY_FLAG = "--max-semi-space-size=16";

export function workerFlags(): string[] {
  return [...process.execArgv, NURSERY_FLAG];
}

/** Beside this file; `.ts` when the sources run directly. */
export function workerFile(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`./worker.${extension}`, import.meta.url));
}
