//! Runs wrk on the load core and reads what it prints.

import { spawnSync } from "node:child_process";
import { LOAD_CORE } from "./contender.ts";

export interface WrkResult {
  readonly requestsPerSecond: number;
  readonly requests: number;
  /** Latencies of a closed loop under full load: not the latency of the proxy. */
  readonly p99Ms: number;
  /** Answers that were not 2xx or 3xx, and socket errors; `""` without any. */
  readonly errors: string;
}

export interface WrkOptions {
  readonly port: number;
  readonly seconds: number;
  readonly connections: number;
  /** A Lua file, or `""`. */
  readonly script: string;
  readonly path?: string;
  readonly isSecure?: boolean;
}

/** The load generators, each with the package of Debian that has it. */
const LOAD_TOOLS = [
  ["wrk", "wrk"],
  ["h2load", "nghttp2-client"],
] as const;

/** Says what is missing, with the remedy; `""` when all is there. */
export function missingTools(): string {
  const has = (tool: string): boolean => spawnSync("which", [tool]).status === 0;
  if (!has("taskset")) return "taskset is missing: install util-linux";
  for (const [tool, debian] of LOAD_TOOLS) {
    if (has(tool)) continue;
    if (process.getuid?.() === 0) {
      const install = ["install", "-y", "--no-install-recommends", debian];
      spawnSync("apt-get", install, { stdio: "ignore" });
    }
    if (!has(tool)) return `${tool} is missing: apt-get install ${debian}`;
  }
  return "";
}

export function runWrk(options: WrkOptions): Promise<WrkResult> {
  const { port, seconds, connections, script, path = "/" } = options;
  const command = ["-c", String(LOAD_CORE), "wrk", "-t1", `-c${connections}`, `-d${seconds}s`];
  const flags = ["--latency", "--timeout", "5s", ...(script === "" ? [] : ["-s", script])];
  const url = `${options.isSecure === true ? "https" : "http"}://127.0.0.1:${port}${path}`;
  const { status, stdout, stderr } = spawnSync("taskset", [...command, ...flags, url], {
    encoding: "utf8",
  });
  if (status !== 0) return Promise.reject(new Error(`wrk failed: ${stdout}${stderr}`));
  return Promise.resolve(parseWrk(stdout));
}

export function parseWrk(text: string): WrkResult {
  const errors = text.match(/(Socket errors|Non-2xx).*/g) ?? [];
  const percentile = /99%\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 0.001, ms: 1, s: 1_000 }[percentile?.[2] ?? "ms"] ?? 1;
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    requests: Number(/(\d+) requests in/.exec(text)?.[1] ?? 0),
    p99Ms: Number(percentile?.[1] ?? 0) * unit,
    errors: errors.join("; "),
  };
}
