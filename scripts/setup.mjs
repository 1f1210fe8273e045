// Installs what building and testing need: npm packages and, as root on Debian, missing tools.
//
// What cannot be installed is said; the tests that need it say so again when they are skipped.

import { spawnSync } from "node:child_process";
import { checkNodeVersion, installIfNeeded } from "./tools.mjs";

/** Debian's package and how to see that it is there. */
const TOOLS = [
  { debian: "curl", probe: ["curl", "--version"] },
  { debian: "python3", probe: ["python3", "--version"] },
  { debian: "python3-venv", probe: ["python3", "-c", "import venv, ensurepip"] },
  { debian: "wrk", probe: ["sh", "-c", "command -v wrk"] },
  { debian: "util-linux", probe: ["taskset", "--version"] },
];
const APT_TIMEOUT_MS = 300_000;

checkNodeVersion();
installIfNeeded();
installTools();

export function installTools() {
  if (process.platform !== "linux") return;
  const missing = TOOLS.filter(({ probe }) => !succeeds(probe)).map(({ debian }) => debian);
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0 && succeeds(["apt-get", "--version"]);
  if (isRoot) {
    process.stdout.write(`Installing ${missing.join(", ")} (apt-get) ...\n`);
    apt(["update", "-qq"]);
    apt(["install", "-y", "-qq", "--no-install-recommends", ...missing]);
  }
  const still = TOOLS.filter(({ probe }) => !succeeds(probe)).map(({ debian }) => debian);
  if (still.length > 0) {
    process.stdout.write(`Not there: ${still.join(", ")}; what needs them is skipped.\n`);
  }
}

function succeeds([command, ...words]) {
  return spawnSync(command, words, { stdio: "ignore" }).status === 0;
}

function apt(words) {
  spawnSync("apt-get", words, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout: APT_TIMEOUT_MS,
  });
}
