//! Loaded into a process by `--import`: on SIGWINCH it collects all garbage and writes what is left.

import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What is left after a forced collection, in bytes. */
export interface MemoryReport {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
}

/** One collection frees what the finalizers of the one before let go. */
const COLLECTIONS = 4;
const PAUSE_MS = 250;
/**
 * Freed pages go back to the system later, from V8's own threads: those of Node 24 keep them pooled
 * for about 8 s after a collection, which looked like 35 MiB of growth in a process whose heap had
 * not grown at all.
 */
const QUIET_MS = 14_000;

/** Enough survivors for V8 to grow its nursery to the full size. */
const NURSERY_ROUNDS = 20;
const NURSERY_OBJECTS = 200_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const directory = process.env["GRAYLANE_MEMORY_REPORTS"] ?? "";

/**
 * A collection empties V8's nursery but keeps its pages, up to 48 MiB, and how large it has grown
 * depends on the load alone. Grown to the full size before each report, it is the same in all.
 */
function growNursery(): void {
  for (let round = 0; round < NURSERY_ROUNDS; round++) {
    const survivors: object[] = [];
    for (let count = 0; count < NURSERY_OBJECTS; count++) survivors.push({ count, of: [round] });
  }
}

async function report(): Promise<void> {
  growNursery();
  for (let pass = 0; pass < COLLECTIONS; pass++) {
    collect();
    await sleep(PAUSE_MS);
  }
  await sleep(QUIET_MS);
  const { rss, heapUsed, external } = process.memoryUsage();
  const memory: MemoryReport = {
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    externalBytes: external,
  };
  const file = join(directory, `memory-${process.pid}.json`);
  writeFileSync(`${file}.part`, JSON.stringify(memory));
  renameSync(`${file}.part`, file);
}

process.on("SIGWINCH", () => {
  void report();
});
