//! Programs for tests that are built from published Go modules, once, into
//! `${GRAYLANE_CACHE:-~/.cache/graylane}/<name>`.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** A Kubernetes API server takes three to eight minutes on two cores. */
const BUILD_MS_MAX = 1_180_000;
const OUTPUT_BYTES_MAX = 16 << 20;
const VERSION_PACKAGE = "k8s.io/component-base/version";

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface GoComponent {
  /** Of the program, and of its folder in test/components. */
  readonly name: string;
  /** Environment variable that names one that is there already. */
  readonly variable: string;
  /** Of Kubernetes: what it says of itself. */
  readonly version: readonly [major: string, minor: string, patch: string];
  /** The folder in the cache; absent: the name. */
  readonly folder?: string;
}

export function cacheFolder(name: string): string {
  const cache = process.env["GRAYLANE_CACHE"] ?? join(homedir(), ".cache", "graylane");
  return join(cache, name);
}

/** Its path. Throws with what the compiler said when it cannot be built. */
export async function findGoComponent(component: GoComponent): Promise<string> {
  const { name, variable, version, folder: folderName = name } = component;
  const named = process.env[variable];
  if (named !== undefined && named !== "") return named;
  const folder = cacheFolder(folderName);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  // Made aside and moved, so that another run never sees half of it.
  const made = mkdtempSync(join(folder, "made-"));
  const [major, minor] = version;
  const flags = [
    "-s -w",
    `-X ${VERSION_PACKAGE}.gitVersion=v${version.join(".")}`,
    `-X ${VERSION_PACKAGE}.gitMajor=${major} -X ${VERSION_PACKAGE}.gitMinor=${minor}`,
  ].join(" ");
  const words = ["build", "-trimpath", "-ldflags", flags, "-o", join(made, name), "."];
  const cwd = resolve("test/components", name);
  const built = await execute("go", words, { cwd, timeout: BUILD_MS_MAX });
  if (built.exitCode !== 0) {
    rmSync(made, { recursive: true, force: true });
    throw new Error(`${name} cannot be built: ${built.stderr}`);
  }
  renameSync(join(made, name), path);
  rmSync(made, { recursive: true, force: true });
  return path;
}

/** Runs it to its end, whatever it says. */
export function execute(
  command: string,
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeout: number },
): Promise<Ran> {
  return new Promise((done) => {
    const limits = { maxBuffer: OUTPUT_BYTES_MAX, encoding: "utf8" } as const;
    execFile(command, words, { ...options, ...limits }, (error, stdout, stderr) => {
      const code = typeof error?.code === "number" ? error.code : 1;
      const why = error !== null && stderr === "" ? error.message : stderr;
      done({ exitCode: error === null ? 0 : code, stdout, stderr: why });
    });
  });
}
