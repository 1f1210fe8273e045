//! Starts what answers behind the proxies, on the load core: nginx, or our own when there is none.
//!
//! nginx costs a quarter of what the smallest server in Node costs, and it shares the core with wrk.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { LOAD_CORE, Pinned } from "./contender.ts";
import type { BenchContext } from "./contender.ts";
import { LARGE_BODY } from "./large-body.ts";

export interface Upstream {
  readonly kind: "nginx" | "node";
  stop(): Promise<void>;
}

/** Answers `v1` and `v2` on the two ports, and `LARGE_BODY` at its path. */
export async function startUpstream(context: BenchContext): Promise<Upstream> {
  const nginx = nginxBinary();
  const kind = nginx === null ? "node" : "nginx";
  const command = nginx === null ? nodeCommand(context) : nginxCommand(nginx, context);
  const started = new Pinned(LOAD_CORE, command);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  if (started.hasExited) throw new Error(`the upstream (${kind}) did not start: ${started.output}`);
  return { kind, stop: () => started.stop() };
}

function nodeCommand({ root, ports }: BenchContext): string[] {
  const entry = join(root, "dist", "bench", "end-to-end", "upstream.js");
  return [process.execPath, entry, `v1=${ports.v1}`, `v2=${ports.v2}`];
}

function nginxCommand(binary: string, { root, directory, ports }: BenchContext): string[] {
  const values: Record<string, string> = {
    DIRECTORY: directory,
    V1_PORT: String(ports.v1),
    V2_PORT: String(ports.v2),
  };
  const template = readFileSync(join(root, "bench", "end-to-end", "nginx.conf"), "utf8");
  const text = template.replace(/\$\{([A-Z0-9_]+)\}/g, (_all, key: string) => values[key] ?? "");
  writeFileSync(join(directory, "mebibyte"), LARGE_BODY);
  const file = join(directory, "nginx.conf");
  writeFileSync(file, text);
  return [binary, "-p", directory, "-c", file];
}

/** The installed one, else Debian's package unpacked into the cache: no root, and no service. */
function nginxBinary(): string | null {
  const cache = join(homedir(), ".cache", "graylane", "nginx");
  const unpacked = join(cache, "usr", "sbin", "nginx");
  const found = ["/usr/sbin/nginx", unpacked].find((path) => existsSync(path));
  if (found !== undefined) return found;
  mkdirSync(cache, { recursive: true });
  spawnSync("apt-get", ["download", "nginx"], { cwd: cache, stdio: "ignore" });
  const archive = readdirSync(cache).find((name) => name.endsWith(".deb"));
  if (archive === undefined) return null;
  spawnSync("dpkg", ["-x", archive, "."], { cwd: cache, stdio: "ignore" });
  const isUsable = spawnSync(unpacked, ["-v"]).status === 0;
  return isUsable ? unpacked : null;
}
