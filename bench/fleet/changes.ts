//! Changes of endpoints at a fixed rate, one Service after the other: how long each takes until all
//! Envoys have answered it.

import { createHistogram } from "node:perf_hooks";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { Graylane } from "../../test/support/graylane.ts";
import { KINDS } from "../../test/support/graylane.ts";
import type { Clients } from "./clients.ts";
import { cpuOf, memoryOf, now, print, traffic } from "./figures.ts";
import { clusterOf, moved } from "./world.ts";

/** The octet of an address that tells one change of a Service from the next. */
const ROUNDS_MAX = 255;
/** What has not come then is told as missing. */
const LATE_MS_MAX = 30_000;
const POLL_MS = 500;

export interface ChangesPlan {
  readonly graylane: Graylane;
  readonly clients: Clients;
  /** Services that may be changed. */
  readonly services: number;
  readonly perSecond: number;
  readonly seconds: number;
}

/** When each change was due; the time is counted from then, whatever came before. */
async function write(plan: ChangesPlan): Promise<{ dueMs: Map<string, number[]>; failed: number }> {
  const { graylane, services, perSecond, seconds } = plan;
  const dueMs = new Map<string, number[]>();
  const startMs = now();
  let failed = 0;
  const writes: Promise<void>[] = [];
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const due = startMs + (index * 1_000) / perSecond;
    await delay(systemClock, Math.max(0, due - now()));
    const service = index % services;
    const round = 1 + (Math.floor(index / services) % ROUNDS_MAX);
    const key = `endpoints ${clusterOf(service)}`;
    dueMs.set(key, [...(dueMs.get(key) ?? []), due]);
    const one = graylane.patch(KINDS.ServiceEntry, ["default", `s${service}`], moved(round));
    const counted = one.then(
      () => undefined,
      () => {
        failed += 1;
      },
    );
    writes.push(counted);
  }
  await Promise.all(writes);
  return { dueMs, failed };
}

export async function measureChanges(plan: ChangesPlan): Promise<void> {
  const { graylane, clients, perSecond, seconds } = plan;
  await clients.do({ kind: "reset" });
  const cpuBefore = cpuOf(graylane.pid);
  const { dueMs, failed } = await write(plan);
  const count = perSecond * seconds;
  const endMs = now() + LATE_MS_MAX;
  let report = await clients.do({ kind: "report" });
  const arrived = (): number => Object.values(report.toldAllMs).flat().length;
  while (arrived() < count && now() < endMs) {
    await delay(systemClock, POLL_MS);
    report = await clients.do({ kind: "report" });
  }
  const took = createHistogram();
  for (const [key, due] of dueMs) {
    const told = report.toldAllMs[key] ?? [];
    for (const [at, ms] of told.entries()) {
      took.record(Math.max(1, Math.round(ms - (due[at] ?? ms))));
    }
  }
  const [p50, p99] = [took.percentile(50), took.percentile(99)];
  print(
    `${count} changes, ${perSecond} a second`,
    `to the last answer p50 ${p50} ms, p99 ${p99} ms`,
  );
  print(
    "",
    `${took.max} ms at most; ${failed} writes failed, ${count - took.count} not told to all`,
  );
  print("", `${traffic(report)}; ${report.stalled} stalled clients connected at the end`);
  print(
    "",
    `control plane ${memoryOf(graylane.pid)}; CPU ${cpuOf(graylane.pid)}, before ${cpuBefore}`,
  );
}
