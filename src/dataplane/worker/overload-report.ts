//! What a worker tells of its memory, and of how near it is to refusing requests.

import type { FamilySnapshot } from "../../telemetry/metrics.ts";
import type { OverloadGuard } from "../overload.ts";

export interface MemoryInUse {
  /** Heap and buffers. */
  readonly used: number;
  /** As the system counts it. */
  readonly resident: number;
}

export function memoryFamily({ used, resident }: MemoryInUse): FamilySnapshot {
  return {
    ...{ name: "graylane_memory_bytes", type: "gauge", labelNames: ["kind"], bounds: [] },
    help: "Memory of all workers: in use by heap and buffers; resident, as the system counts.",
    series: [series(["used"], used), series(["resident"], resident)],
  };
}

/** `worker` is in the labels: the fullest matters, not the sum. */
export function overloadFamilies(guard: OverloadGuard, worker: string): FamilySnapshot[] {
  const { delay, heap, memory } = guard.pressure;
  const connections = guard.connectionCount / guard.limits.connectionsMax;
  const pressures = Object.entries({ delay, heap, memory, connections });
  return [
    {
      ...{ name: "graylane_overload_pressure", type: "gauge", bounds: [] },
      labelNames: ["worker", "resource"],
      help: "How much of a limit is used; 1: all of it.",
      series: pressures.map(([resource, used]) => series([worker, resource], used)),
    },
    {
      ...{ name: "graylane_overload_share", type: "gauge", labelNames: ["worker"], bounds: [] },
      help: "The part of new requests that is refused; 0: none.",
      series: [series([worker], guard.share)],
    },
    {
      ...{ name: "graylane_overload_requests_total", type: "counter", labelNames: [], bounds: [] },
      help: "Requests that were refused because a gateway worker had more to do than it could.",
      series: [series([], guard.shedCount)],
    },
  ];
}

function series(labelValues: readonly string[], value: number): FamilySnapshot["series"][number] {
  return { labelValues, values: [value] };
}
