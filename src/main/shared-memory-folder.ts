//! The folder in memory in which gateway workers keep what plug-ins share. It lives as long as
//! `graylane up` does; one that a killed `up` has left is removed by the next on the same state.

import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Logger } from "../telemetry/logger.ts";

/** A file system in memory, on Linux; elsewhere the folder is where temporary files are. */
const MEMORY_ROOT = "/dev/shm";
const PREFIX = "graylane-shared-";
/** In the state folder: where the folder is. */
const POINTER = "shared-memory";

export interface SharedMemoryFolder {
  /** "" when it could not be made: then workers share nothing. */
  readonly path: string;
  readonly remove: () => void;
}

/**
 * The name is not to be guessed, and only we may enter: the root is everybody's. `inherited`: the
 * path of the one that a process before this has made, and has used until now; "": there is none.
 */
export function makeSharedMemoryFolder(
  stateDir: string,
  logger: Logger,
  inherited = "",
): SharedMemoryFolder {
  const pointer = join(stateDir, POINTER);
  if (inherited !== "") return { path: inherited, remove: removal(inherited, pointer) };
  try {
    removeLeftOver(pointer);
    const path = mkdtempSync(join(memoryRoot(), PREFIX));
    writeFileSync(pointer, path);
    return { path, remove: removal(path, pointer) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn("plug-ins share nothing among workers: no folder in memory", { reason });
    return { path: "", remove: () => undefined };
  }
}

function removal(path: string, pointer: string): () => void {
  return () => {
    rmSync(path, { recursive: true, force: true });
    rmSync(pointer, { force: true });
  };
}

function memoryRoot(): string {
  return existsSync(MEMORY_ROOT) ? MEMORY_ROOT : tmpdir();
}

function removeLeftOver(pointer: string): void {
  if (!existsSync(pointer)) return;
  const path = readFileSync(pointer, "utf8");
  const isOurs = dirname(path) === memoryRoot() && basename(path).startsWith(PREFIX);
  if (!isOurs || !existsSync(path)) return;
  const found = lstatSync(path);
  if (found.isDirectory() && found.uid === process.getuid?.()) rmSync(path, { recursive: true });
}
