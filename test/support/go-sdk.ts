//! The end-to-end tests of proxy-wasm-go-sdk as published: their folder of the module, compiled once
//! into `${GRAYLANE_CACHE:-~/.cache/graylane}/go-sdk-<version>`.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { cacheFolder, execute } from "./go-component.ts";

const MODULE = "github.com/proxy-wasm/proxy-wasm-go-sdk";
/** Its plug-ins are built with the same version. */
const PLUGINS = resolve("test/components/plugins/go-sdk-e2e");
const BUILD_MS_MAX = 300_000;
// No sum database is asked: the module's own go.sum has all of them.
const ENV = { ...process.env, GONOSUMDB: "*", GOFLAGS: "-buildvcs=false -mod=readonly" };

/** The program of the tests. Throws with what the compiler said when it cannot be built. */
export async function goSdkTests(): Promise<string> {
  const version = /proxy-wasm-go-sdk (v\S+)/.exec(
    readFileSync(join(PLUGINS, "go.mod"), "utf8"),
  )?.[1];
  const folder = cacheFolder(`go-sdk-${version ?? ""}`);
  const path = join(folder, "e2e.test");
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  // Made aside and moved, so that another run never sees half of it.
  const made = mkdtempSync(join(folder, "made-"));
  try {
    const found = await go(PLUGINS, ["mod", "download", "-json", `${MODULE}@${version ?? ""}`]);
    const { Dir: published } = JSON.parse(found) as { readonly Dir: string };
    // The module's cache is read-only; what is tested is its go.mod, go.sum and e2e.
    for (const name of ["go.mod", "go.sum", "e2e"]) {
      cpSync(join(published, name), join(made, name), { recursive: true });
    }
    await go(made, ["test", "-trimpath", "-c", "-o", join(made, "e2e.test"), "./e2e"]);
    renameSync(join(made, "e2e.test"), path);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return path;
}

async function go(cwd: string, words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await execute("nice", ["go", ...words], {
    ...{ cwd, env: ENV, timeout: BUILD_MS_MAX },
  });
  if (exitCode !== 0) throw new Error(`go ${words.join(" ")}: ${stderr || stdout}`);
  return stdout;
}
