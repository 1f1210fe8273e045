//! Builds the plug-ins of test/components/plugins with their compilers, once for each state of
//! their sources, into ${GRAYLANE_CACHE:-~/.cache/graylane}/plugins.
//!
//! What cannot be built is a reason to skip; with CI=true it is a failure.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, relative, resolve } from "node:path";

const BUILD_MS_MAX = 240_000;
const SOURCES = resolve("test/components/plugins");
export const CACHE: string = process.env["GRAYLANE_CACHE"] ?? join(homedir(), ".cache", "graylane");
const FOLDER = join(CACHE, "plugins");

export type Built =
  | { readonly kind: "built"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

type Command = readonly [command: string, ...words: string[]];

interface Recipe {
  /** Relative to `test/components/plugins`. */
  readonly folder: string;
  /** Debian packages that bring the compiler, when it is not there. */
  readonly packages: readonly string[];
  readonly compiler: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly build: (out: string) => readonly Command[];
  /** Where the last command leaves the module, when not at `out`. */
  readonly leaves?: string;
}

const GO_ENV = { GOOS: "wasip1", GOARCH: "wasm", GOFLAGS: "-buildvcs=false -mod=readonly" };
const ASSEMBLYSCRIPT = join(CACHE, "assemblyscript");
const CARGO_TARGET = join(CACHE, "cargo-target");
const RUST_TARGET = "wasm32-wasip1";

function go(folder: string, version = ""): Recipe {
  const flags = version === "" ? "-s" : `-s -X main.version=${version}`;
  return {
    folder,
    packages: ["golang"],
    compiler: "go",
    // The sums are committed: nothing is asked of a sum database.
    env: { ...GO_ENV, GONOSUMDB: "*" },
    build: (out) => [
      ["go", "build", "-trimpath", "-buildmode=c-shared", `-ldflags=${flags}`, "-o", out, "."],
    ],
  };
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  go: go("go"),
  "go-sdk-e2e": go("go-sdk-e2e"),
  "envoy-token-filter": go("../../../examples/envoy-token-filter"),
  "higress-calls": go("higress-calls"),
  "higress-mock-response": go("higress", "v1"),
  "higress-mock-response-v2": go("higress", "v2"),
  rust: {
    folder: "rust",
    packages: ["cargo", "lld"],
    compiler: "cargo",
    env: { CARGO_TARGET_DIR: CARGO_TARGET },
    build: () => [
      ["rustup", "target", "add", RUST_TARGET],
      ["cargo", "build", "--release", "--locked", "--target", RUST_TARGET],
    ],
    leaves: join(CARGO_TARGET, RUST_TARGET, "release", "graylane_test_rust.wasm"),
  },
  assemblyscript: {
    folder: "assemblyscript",
    packages: ["npm"],
    compiler: "npm",
    // Beside the sources its packages would be linted, and be part of their digest.
    build: (out) => [
      ["mkdir", "-p", ASSEMBLYSCRIPT],
      ["cp", "-R", ".", ASSEMBLYSCRIPT],
      ["npm", "ci", "--prefix", ASSEMBLYSCRIPT],
      [
        "sh",
        "-c",
        'cd "$1" && npx --no-install asc assembly/index.ts -o "$2"',
        "sh",
        ASSEMBLYSCRIPT,
        out,
      ],
    ],
  },
  c: {
    folder: "c",
    packages: ["clang", "lld"],
    compiler: "wasm-ld",
    build: (out) => [
      [
        ...(["clang", "--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-Wall"] as const),
        ...["-Wl,--no-entry", "-o", out, "plugin.c"],
      ],
    ],
  },
};

/** Builds the plug-in unless it is there already, built of the same sources. */
export function sdkPlugin(name: string): Built {
  const recipe = RECIPES[name];
  if (recipe === undefined) throw new Error(`no recipe for the plug-in ${name}`);
  const folder = join(SOURCES, recipe.folder);
  const path = join(FOLDER, `${name}.wasm`);
  const stamp = `${path}.sources`;
  const sources = `${digestOf(folder)} ${JSON.stringify(recipe.build("OUT"))}`;
  if (existsSync(path) && existsSync(stamp) && readFileSync(stamp, "utf8") === sources) {
    return { kind: "built", path };
  }
  const missing = ensureCompiler(recipe);
  if (missing !== null) return unavailable(name, missing);
  mkdirSync(FOLDER, { recursive: true });
  const draft = `${path}.${process.pid}.draft`;
  for (const [command, ...words] of recipe.build(draft)) {
    const failure = run(command, words, { cwd: folder, env: recipe.env ?? {} });
    if (failure !== null) return unavailable(name, `${command} failed: ${failure}`);
  }
  if (recipe.leaves !== undefined) writeFileSync(draft, readFileSync(recipe.leaves));
  renameSync(draft, path);
  writeFileSync(stamp, sources);
  return { kind: "built", path };
}

/** Installs Debian packages when this is root on Debian. Null: the command is there. */
export function ensureCommand(command: string, packages: readonly string[]): string | null {
  if (isThere(command)) return null;
  if (process.getuid?.() !== 0 || !isThere("apt-get"))
    return `no ${command}, and no apt-get as root`;
  const words = ["-o", "DPkg::Lock::Timeout=200", "install", "-y", "-qq"];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], { env });
  const failure = run("apt-get", [...words, "--no-install-recommends", ...packages], { env });
  return isThere(command) ? null : `no ${command}: ${failure ?? "not in its package"}`;
}

function ensureCompiler({ compiler, packages }: Recipe): string | null {
  return ensureCommand(compiler, packages);
}

function isThere(command: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" }).status === 0;
}

function unavailable(name: string, reason: string): Built {
  if (process.env["CI"] === "true") throw new Error(`the plug-in ${name} is needed: ${reason}`);
  return { kind: "missing", reason: `plug-in ${name}: ${reason}` };
}

/** Null when it succeeded, else what it said. */
function run(
  command: string,
  words: readonly string[],
  { cwd, env }: { readonly cwd?: string; readonly env: Readonly<Record<string, string>> },
): string | null {
  const { status, stderr, error } = spawnSync(command, words, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: BUILD_MS_MAX,
  });
  if (status === 0) return null;
  return error?.message ?? stderr.trim().slice(-800);
}

function digestOf(folder: string): string {
  const hash = createHash("sha256");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.sort()) {
    hash.update(`${relative(folder, path)}\0`).update(readFileSync(path));
  }
  return hash.digest("hex");
}
