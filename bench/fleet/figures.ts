//! What the benchmarks of fleets print, and how they know that all Envoys are in sync.

import { readFileSync } from "node:fs";
import { delay, systemClock } from "../../src/base/clock.ts";
import { isInSync } from "../../examples/walkthrough/settled.ts";
import type { Graylane } from "../../test/support/graylane.ts";
import type { FleetReport } from "./clients-process.ts";

const MIB = 1 << 20;
const TICKS_PER_SECOND = 100;
/** To tell the status of a thousand Envoys is work, too. */
const STATUS_POLL_MS = 200;
const WAIT_MS_MAX = 300_000;

export const now = (): number => performance.timeOrigin + performance.now();

export async function allInSync(graylane: Graylane, count: number): Promise<void> {
  const endMs = now() + WAIT_MS_MAX;
  for (;;) {
    const { envoys, snapshot } = await graylane.client.runtimeStatus();
    const isIn = envoys.filter((one) => one.snapshotVersion === snapshot?.version && isInSync(one));
    if (isIn.length === count) return;
    if (now() > endMs) throw new Error(`${isIn.length} of ${count} Envoys are in sync`);
    await delay(systemClock, STATUS_POLL_MS);
  }
}

export function memoryOf(pid: number): string {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [rss, peak] = ["VmRSS", "VmHWM"].map((name) =>
    (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024).toFixed(0),
  );
  return `${rss ?? ""} MiB now, ${peak ?? ""} at most`;
}

/** Of the control plane, since its start: that does not count what else the machine does. */
export function cpuOf(pid: number): string {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return `${((Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND).toFixed(1)} s`;
}

export function print(what: string, text: string): void {
  process.stdout.write(`${what.padEnd(34)} ${text}\n`);
}

export function traffic({ messages, bytes }: FleetReport): string {
  return `${messages} messages, ${(bytes / MIB).toFixed(1)} MiB`;
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
