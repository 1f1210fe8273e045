//! What a pod's sidecar remembers from request to request. It outlives runtimes.

import { TraceTable } from "../../lane/context.ts";

export class PodState {
  /** Inbound exchanges in flight: a pod is drained when there is none. */
  inFlightCount = 0;
  readonly #tables = new Map<string, TraceTable>();

  /** The trace-id table of one lane group. As many tables as groups. */
  traceTable(group: string): TraceTable {
    let table = this.#tables.get(group);
    if (table === undefined) {
      table = new TraceTable();
      this.#tables.set(group, table);
    }
    return table;
  }

  get tables(): ReadonlyMap<string, TraceTable> {
    return this.#tables;
  }
}
