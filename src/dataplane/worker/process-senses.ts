//! What this process knows of its own memory and of the processor's time that it has used.

import { setFlagsFromString, getHeapStatistics } from "node:v8";
import { runInNewContext } from "node:vm";
import type { OverloadSenses } from "../overload.ts";
import type { MemoryInUse } from "./overload-report.ts";

const US_PER_MS = 1_000;

export const PROCESS_SENSES: Pick<OverloadSenses, "memory" | "cpuMs" | "collectGarbage"> = {
  memory: () => {
    const heap = getHeapStatistics();
    const { heapUsed, external } = process.memoryUsage();
    return { heapUsed, heapLimit: heap.heap_size_limit, external };
  },
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / US_PER_MS;
  },
  collectGarbage,
};

export function memoryInUse(): MemoryInUse {
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: heapUsed + external, resident: rss };
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
}
