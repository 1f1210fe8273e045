//! The real kubectl for tests: `$GRAYLANE_KUBECTL`, or built from its published Go modules into
//! `${GRAYLANE_CACHE:-~/.cache/graylane}/kubectl` on first use.

import { join } from "node:path";
import { execute, findGoComponent } from "./go-component.ts";
import type { Ran } from "./go-component.ts";

const RUN_MS_MAX = 120_000;

/** Its path. Throws with what the compiler said when it cannot be built. */
export function findKubectl(): Promise<string> {
  const version = ["1", "34", "2"] as const;
  return findGoComponent({ name: "kubectl", variable: "GRAYLANE_KUBECTL", version });
}

export class Kubectl {
  readonly #path: string;
  readonly #stateDirectory: string;

  /** The directory holds the file `kubeconfig`. */
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
