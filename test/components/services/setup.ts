//! Makes the services of other languages, once on a machine: a jar by Maven, a Python environment,
//! a program by Go.
//!
//! Everything lies in the cache under the hash of what it is made from, made aside and moved into
//! place. What the machine lacks is installed where that is possible (root, apt-get).

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

const CACHE = process.env["GRAYLANE_CACHE"] ?? join(homedir(), ".cache", "graylane");
const SOURCES = resolve("test/components/services");
const STEP_TIMEOUT_MS = 600_000;
const HASH_CHARS = 16;

export interface JavaService {
  readonly jar: string;
  readonly agent: string;
}

/** Why the services cannot be made here; null when they can. */
export function prepareMachine(): string | null {
  const lacks: string[] = [];
  if (!succeeds("java", ["-version"])) lacks.push("openjdk-17-jdk-headless");
  if (!succeeds("mvn", ["-v"])) lacks.push("maven");
  if (!succeeds("python3", ["-c", "import ensurepip, venv"])) lacks.push("python3-venv");
  if (!succeeds("go", ["version"])) lacks.push("golang");
  if (lacks.length === 0) return null;
  if (process.getuid?.() !== 0) return `${lacks.join(", ")}: not installed, and this is not root`;
  spawnSync("apt-get", ["update", "-qq"], { stdio: "ignore", timeout: STEP_TIMEOUT_MS });
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...lacks];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const done = spawnSync("apt-get", install, { env, timeout: STEP_TIMEOUT_MS });
  return done.status === 0 ? null : `apt-get cannot install ${lacks.join(", ")}`;
}

function succeeds(program: string, words: readonly string[]): boolean {
  return spawnSync(program, words, { stdio: "ignore" }).status === 0;
}

/** The Spring Boot service and the OpenTelemetry agent. Throws with Maven's last words. */
export function makeJavaService(): JavaService {
  const sources = join(SOURCES, "java");
  const folder = made(`java-service-${hashOf(sources)}`, (aside) => {
    cpSync(sources, aside, { recursive: true });
    const repository = `-Dmaven.repo.local=${join(CACHE, "maven")}`;
    run("mvn", ["-q", "-B", repository, "package"], aside);
  });
  const target = join(folder, "target");
  return { jar: join(target, "service.jar"), agent: join(target, "opentelemetry-javaagent.jar") };
}

/** The program of the Go service. Throws with the compiler's last words. */
export function makeGoService(): string {
  const sources = join(SOURCES, "go");
  const folder = made(`go-service-${hashOf(sources)}`, (aside) => {
    cpSync(sources, aside, { recursive: true });
    run("go", ["build", "-trimpath", "-o", "service", "."], aside);
  });
  return join(folder, "service");
}

/** The folder with `bin/opentelemetry-instrument`. Throws with pip's last words. */
export function makePythonEnvironment(): string {
  const requirements = join(SOURCES, "python", "requirements.txt");
  const name = `python-otel-${hashOf(requirements)}`;
  const folder = join(CACHE, name);
  const ready = join(folder, "ready");
  if (existsSync(ready)) return folder;
  // Its scripts hold their own path, so it is made where it stays, and marked at the end.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  run("python3", ["-m", "venv", folder], CACHE);
  const pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements];
  run(join(folder, "bin", "python"), pip, CACHE);
  writeFileSync(ready, "");
  return folder;
}

function made(name: string, make: (aside: string) => void): string {
  const folder = join(CACHE, name);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const aside = mkdtempSync(join(CACHE, "making-"));
  try {
    make(aside);
    renameSync(aside, folder);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  return folder;
}

function run(program: string, words: readonly string[], cwd: string): void {
  const options = { cwd, encoding: "utf8", timeout: STEP_TIMEOUT_MS } as const;
  const { status, stdout, stderr } = spawnSync(program, words, options);
  if (status === 0) return;
  throw new Error(`${program} failed\n${`${stdout}${stderr}`.slice(-2_000)}`);
}

/** Of a file, or of every file of a folder with its name. */
function hashOf(path: string): string {
  const hash = createHash("sha256");
  const add = (each: string): void => {
    if (statSync(each).isDirectory()) {
      for (const name of readdirSync(each).sort()) {
        hash.update(name);
        add(join(each, name));
      }
    } else {
      hash.update(readFileSync(each));
    }
  };
  add(path);
  return hash.digest("hex").slice(0, HASH_CHARS);
}
