//! One writer process for each state directory: a lock file that names its holder.
//!
//! A process id alone may have been given to another process since, so the lock also carries when
//! its holder started.

import { execFileSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

interface Holder {
  readonly pid: number;
  /** What the system calls the start of that process; `""` where it cannot be asked. */
  readonly startedAt: string;
}

export interface DirectoryLock {
  release(): void;
}

/** Another live process holds the directory. */
export class DirectoryLockedError extends Error {
  override readonly name = "DirectoryLockedError";
  readonly pid: number;
  readonly directory: string;

  constructor(pid: number, directory: string) {
    super(
      `the state directory ${directory} is in use by process ${pid}; ` +
        "stop it with `graylane down`, or choose another directory with --state",
    );
    this.pid = pid;
    this.directory = directory;
  }
}

const LOCK_FILE = "lock";
/** Each try meets a lock that vanished or was stale; more than a few means something is wrong. */
const TRIES_MAX = 5;

/** Throws `DirectoryLockedError`, or the file system's error. */
export function lockDirectory(directory: string): DirectoryLock {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, LOCK_FILE);
  const own = JSON.stringify({ pid: process.pid, startedAt: startOf(process.pid) });
  let holder: Holder | null = null;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    if (place(path, own))
      return {
        release: () => {
          releaseOwn(path, own);
        },
      };
    const text = readOrNull(path);
    if (text === null) continue;
    holder = parseHolder(text);
    if (holder !== null && isAlive(holder)) break;
    removeStale(path, text);
  }
  throw new DirectoryLockedError(holder?.pid ?? 0, directory);
}

/** A link appears whole or not at all: no one ever reads half a lock. */
function place(path: string, text: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

/** Two processes may find one stale lock: who moved a fresh one away by mistake puts it back. */
function removeStale(path: string, staleText: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if (readOrNull(aside) !== staleText) linkSync(aside, path);
  rmSync(aside, { force: true });
}

function releaseOwn(path: string, own: string): void {
  if (readOrNull(path) === own) rmSync(path, { force: true });
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and is someone else's.
    if (codeOf(error) !== "EPERM") return false;
  }
  return holder.startedAt === "" || holder.startedAt === startOf(holder.pid);
}

/** Field 22 of /proc/<pid>/stat (ticks since boot), else what `ps` prints. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command in parentheses may hold anything; the numbers begin after the last one.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return startByPs(pid);
  }
}

function startByPs(pid: number): string {
  if (process.platform === "linux" || process.platform === "win32") return "";
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const value = JSON.parse(text) as Partial<Holder> | null;
    if (typeof value?.pid !== "number" || typeof value.startedAt !== "string") return null;
    return { pid: value.pid, startedAt: value.startedAt };
  } catch {
    return null;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
