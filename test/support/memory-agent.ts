//! Loaded into a process by `--import`: on SIGUSR2 it collects all garbage and writes what is left.

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
/** Freed pages go back to the system a little later, from V8's own threads. */
const PAUSE_MS = 250;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const directory = process.env["GRAYLANE_MEMORY_REPORTS"] ?? "";

async function report(): Promise<void> {
  for (let pass = 0; pass < COLLECTIONS; pass++) {
    collect();
    await sleep(PAUSE_MS);
  }
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

process.on("SIGUSR2", () => {
  void report();
});
