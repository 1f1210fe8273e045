//! One process of an app, with its group: started, signalled, and never left behind.

import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

/**
 * Starts a watcher, then becomes the app, so that pid, signals and exit status are the app's own.
 * The watcher holds the read end of a pipe whose write end only we have: when we are gone, by
 * whatever way, it reads the end of file and kills the group. Forked twice, it is no child of the
 * app, which may wait for its children. `$$` stays the pid of the outer shell, the group's leader.
 */
const WATCHED = `
exec 3<&0 </dev/null
( ( trap '' TERM INT HUP; exec >/dev/null 2>&1; read -r _ <&3; kill -s KILL -- -$$ ) & )
exec 3<&-
exec "$@"
`;

const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface AppCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
}

export interface AppExit {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
}

export interface AppProcess {
  /** Also the id of the process group. */
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<AppExit>;
  /** Signals the whole group; harmless when it is gone. */
  signal(signal: "SIGTERM" | "SIGKILL"): void;
}

export type Launch = (command: AppCommand) => AppProcess;

/** Spawns the app in a session and process group of its own. */
export const launchApp: Launch = (command) => {
  // A shell drops variables whose names it cannot hold (Spring's `spring.cloud.…`): `env` sets
  // them.
  const odd = Object.entries(command.env).filter(([name]) => !SHELL_NAME.test(name));
  const env = Object.fromEntries(
    Object.entries(command.env).filter(([name]) => SHELL_NAME.test(name)),
  );
  const argv =
    odd.length === 0
      ? command.argv
      : ["/usr/bin/env", ...odd.map(([name, value]) => `${name}=${value}`), ...command.argv];
  const child = spawn("/bin/sh", ["-c", WATCHED, "graylane", ...argv], {
    cwd: command.workingDir,
    env,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  // The pipe only has to stay open; that the watcher is gone is no news.
  child.stdin.on("error", () => undefined);
  const pid = child.pid ?? 0;
  const signal = (name: "SIGTERM" | "SIGKILL"): void => {
    signalGroup(pid, name);
  };
  const exited = new Promise<AppExit>((resolve) => {
    child.once("error", () => {
      resolve({ code: 127, signal: null });
    });
    child.once("exit", (code, by) => {
      // The watcher, and whatever the app left running in its group.
      signal("SIGKILL");
      child.stdin.destroy();
      resolve({ code, signal: by });
    });
  });
  return { pid, stdout: child.stdout, stderr: child.stderr, exited, signal };
};

function signalGroup(pid: number, signal: string): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: the group is gone, which is what was wanted.
  }
}
