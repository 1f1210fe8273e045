//! Loaded when it is needed: LMDB takes a worker some tens of milliseconds to load.

import { MappedSharedData } from "./mapped-shared-data.ts";
import { MappedSharedQueues } from "./mapped-shared-queues.ts";
import type { QueueReach } from "./mapped-shared-queues.ts";
import { MemoryFile } from "./memory-file.ts";

export function openMapped(
  directory: string,
  reach: QueueReach,
): { file: MemoryFile; data: MappedSharedData; queues: MappedSharedQueues } {
  const file = new MemoryFile(directory);
  return { file, data: new MappedSharedData(file), queues: new MappedSharedQueues(file, reach) };
}
