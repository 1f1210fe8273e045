//! The real kubectl for tests: `$GRAYLANE_KUBECTL`, or built from its published Go modules into
//! `${GRAYLANE_CACHE:-~/.cache/graylane}/kubectl` on first use.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

const BUILD_MS_MAX = 1_200_000;
const RUN_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 16 << 20;
const SOURCE = resolve("test/components/kubectl");
const VERSION = ["1", "34", "2"];
const VERSION_PACKAGE = "k8s.io/component-base/version";

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Its path. Throws with what the compiler said when it cannot be built. */
export async function findKubectl(): Promise<string> {
  const named = process.env["GRAYLANE_KUBECTL"];
  if (named !== undefined && named !== "") return named;
  const cache = process.env["GRAYLANE_CACHE"] ?? join(homedir(), ".cache", "graylane");
  const folder = join(cache, "kubectl");
  const path = join(folder, "kubectl");
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  // Made aside and moved, so that another run never sees half of it.
  const made = mkdtempSync(join(folder, "made-"));
  const [major, minor] = VERSION;
  const flags = [
    "-s -w",
    `-X ${VERSION_PACKAGE}.gitVersion=v${VERSION.join(".")}`,
    `-X ${VERSION_PACKAGE}.gitMajor=${major} -X ${VERSION_PACKAGE}.gitMinor=${minor}`,
  ].join(" ");
  const words = ["build", "-trimpath", "-ldflags", flags, "-o", join(made, "kubectl"), "."];
  const built = await execute("go", words, { cwd: SOURCE, timeout: BUILD_MS_MAX });
  if (built.exitCode !== 0) {
    rmSync(made, { recursive: true, force: true });
    throw new Error(`kubectl cannot be built: ${built.stderr}`);
  }
  renameSync(join(made, "kubectl"), path);
  rmSync(made, { recursive: true, force: true });
  return path;
}

export class Kubectl {
  readonly #path: string;
  readonly #stateDirectory: string;

  constructor(path: string, stateDirectory: string) {
    this.#path = path;
    this.#stateDirectory = stateDirectory;
  }

  /** Runs it to its end, whatever it says. */
  run(...words: readonly string[]): Promise<Ran> {
    return this.runWith({}, ...words);
  }

  /** The same with more variables in its environment. */
  runWith(variables: Readonly<Record<string, string>>, ...words: readonly string[]): Promise<Ran> {
    const own = [
      ...["--kubeconfig", join(this.#stateDirectory, "kubeconfig")],
      ...["--cache-dir", join(this.#stateDirectory, "kubectl-cache")],
    ];
    const env = { ...process.env, ...variables };
    return execute(this.#path, [...own, ...words], { timeout: RUN_MS_MAX, env });
  }

  /** Its standard output. Throws when it fails. */
  async demand(...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(...words);
    if (exitCode === 0) return stdout;
    throw new Error(`kubectl ${words.join(" ")} ended with ${exitCode}: ${stdout}${stderr}`);
  }
}

function execute(
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
