//! What a pod's sidecar remembers from request to request. It outlives runtimes.

import type { HopIds } from "../recent-hops.ts";
import { TraceTable } from "../../lane/context.ts";
import type { SharedTraces } from "../../lane/context.ts";

export class PodState {
  /** Inbound exchanges in flight: a pod is drained when there is none. */
  inFlightCount = 0;
  /** Their ids, when hops are kept. */
  readonly inFlightIds: Set<HopIds> = new Set<HopIds>();
  readonly #tables = new Map<string, TraceTable>();
  #shared: ((group: string) => SharedTraces) | null = null;

  /** From now on another sidecar of the pod knows the same; null: it does not any more. */
  share(shared: ((group: string) => SharedTraces) | null): void {
    this.#shared = shared;
    for (const [group, table] of this.#tables) table.share(shared?.(group) ?? null);
  }

  /** The trace-id table of one lane group. As many tables as groups. */
  traceTable(group: string): TraceTable {
    let table = this.#tables.get(group);
    if (table === undefined) {
      table = new TraceTable();
      table.share(this.#shared?.(group) ?? null);
      this.#tables.set(group, table);
    }
    return table;
  }

  /** Of the one request that the pod has; null: it has none, or several. */
  get onlyIds(): HopIds | null {
    if (this.inFlightIds.size !== 1) return null;
    const [only] = this.inFlightIds;
    return only ?? null;
  }

  get tables(): ReadonlyMap<string, TraceTable> {
    return this.#tables;
  }
}
