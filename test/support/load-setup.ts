//! What the tests under load share: a running system from objects, and a client that checks.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { OpenLoopResult } from "../../bench/support/open-loop.ts";
import type { RuntimeStatus } from "../../src/api/types.ts";
import type { Resource } from "../../src/resources/object.ts";
import { Graylane } from "./graylane.ts";
import type { MemoryReport } from "./memory-agent.ts";

export const MEMORY_AGENT: string = resolve("dist/test/support/memory-agent.js");
/** Generous: the machine may be busy with other tests. */
const DEADLINE_MS = 60_000;
const POLL_MS = 10;

export interface Running {
  readonly graylane: Graylane;
  status(): Promise<RuntimeStatus>;
  /** Resolves with the first status for which `isTrue` holds. */
  until(what: string, isTrue: (status: RuntimeStatus) => boolean): Promise<RuntimeStatus>;
  /** Of one of our processes, after a forced collection. */
  memory(pid: number): Promise<MemoryReport>;
  stop(): Promise<void>;
}

export async function startWith(
  resources: readonly Resource[],
  words: readonly string[] = [],
): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), "graylane-load-"));
  const manifest = join(directory, "objects.yaml");
  // JSON is YAML.
  writeFileSync(manifest, resources.map((resource) => JSON.stringify(resource)).join("\n---\n"));
  // Our processes inherit these; apps do not inherit NODE_OPTIONS.
  const inherited = process.env["NODE_OPTIONS"] ?? "";
  process.env["NODE_OPTIONS"] = `${inherited} --import=${pathToFileURL(MEMORY_AGENT).href}`;
  process.env["GRAYLANE_MEMORY_REPORTS"] = directory;
  const graylane = await Graylane.start({ files: [manifest], words });
  const status = (): Promise<RuntimeStatus> => graylane.client.runtimeStatus();
  return {
    graylane,
    status,
    async until(what, isTrue) {
      let last = await status();
      await graylane.until(
        () => `${what}; the last status: ${JSON.stringify(last)}`,
        async () => isTrue((last = await status())),
      );
      return last;
    },
    memory: (pid) => memoryOf(directory, pid),
    async stop() {
      await graylane.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What a process says that has loaded `MEMORY_AGENT`, and writes it to `directory`. */
export async function memoryOf(directory: string, pid: number): Promise<MemoryReport> {
  const file = join(directory, `memory-${pid}.json`);
  rmSync(file, { force: true });
  process.kill(pid, "SIGWINCH");
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    await sleep(POLL_MS);
    try {
      return JSON.parse(readFileSync(file, "utf8")) as MemoryReport;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
  }
}

/** One line of figures; latencies in milliseconds. */
export function figuresOf(result: OpenLoopResult): string {
  const { sent, received, right, failed, seconds, latencyUs } = result;
  const ms = (percentile: number): string => (latencyUs.percentile(percentile) / 1_000).toFixed(1);
  const rate = (sent / seconds).toFixed(0);
  return (
    `${sent} sent (${rate}/s), ${received} received, ${right} right, ${failed} failed; ` +
    `p50 ${ms(50)} ms, p99 ${ms(99)} ms, max ${ms(100)} ms`
  );
}

/** A header's value in the head of an answer, or `""`. */
export function headerOf(head: string, name: string): string {
  const line = head.split("\r\n").find((one) => one.toLowerCase().startsWith(`${name}:`));
  return line === undefined ? "" : line.slice(name.length + 1).trim();
}

/** Pids of the live workers of that role. */
export function pidsOf(status: RuntimeStatus, role: "gateway" | "sidecar"): readonly number[] {
  return status.workers.flatMap((worker) =>
    worker.role === role && worker.pid !== null ? [worker.pid] : [],
  );
}
