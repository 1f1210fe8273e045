// Builds r-nacos, a registry that speaks Nacos' protocols, into the cache, once: some eight minutes
// of processor time. It is only for tests, so it is built without optimisation.
//
// Two at one time wait for each other: `.ci/run` begins it early, and the test that needs it asks,
// too.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fail } from "./tools.mjs";

const VERSION = "0.8.8";
const LOCKED = "GRAYLANE_RNACOS_LOCKED";

const cache = process.env.GRAYLANE_CACHE ?? join(homedir(), ".cache", "graylane");
const folder = join(cache, `rnacos-${VERSION}`);
const path = join(folder, "rnacos");

if (existsSync(path)) process.stdout.write(`${path}\n`);
else if (process.env[LOCKED] === undefined) waitForTurn();
else build();

function waitForTurn() {
  mkdirSync(folder, { recursive: true });
  const words = [join(folder, "lock"), process.execPath, fileURLToPath(import.meta.url)];
  const env = { ...process.env, [LOCKED]: "true" };
  const { status, error } = spawnSync("flock", words, { stdio: "inherit", env });
  if (error) fail(`cannot run flock: ${error.message}`);
  process.exit(status ?? 1);
}

function build() {
  // What a run that was ended has left is of no use.
  for (const name of readdirSync(folder).filter((each) => each.startsWith("made-"))) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
  // Made aside and moved, so that another run never sees half of it.
  const made = mkdtempSync(join(folder, "made-"));
  const words = ["install", "rnacos", "--version", VERSION, "--locked", "--quiet", "--root", made];
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: join(made, "target"),
    CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
    CARGO_PROFILE_RELEASE_LTO: "off",
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "256",
    CARGO_PROFILE_RELEASE_STRIP: "symbols",
  };
  const { status, error } = spawnSync("cargo", words, { stdio: ["ignore", 2, 2], env });
  const isBuilt = status === 0;
  if (isBuilt) renameSync(join(made, "bin", "rnacos"), path);
  rmSync(made, { recursive: true, force: true });
  if (error) fail(`cannot run cargo: ${error.message}`);
  if (!isBuilt) fail(`cargo could not build r-nacos ${VERSION} (status ${status})`);
  process.stdout.write(`${path}\n`);
}
