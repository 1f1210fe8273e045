//! The routes of VirtualServices for calls between pods, made ready for the sidecars of a worker.

import {
  clusterOfMeshTable,
  isForAll,
  isMeshTable,
  routesForCaller,
} from "../../lane/mesh-routes.ts";
import { prepareRouteTable } from "../../route/route.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type { RouteTable, Snapshot, Workload } from "../../snapshot/snapshot.ts";

interface Prepared {
  readonly all: PreparedRouteTable;
  /** By calling pod, made at its first call; null: they have the same routes. */
  readonly byCaller: WeakMap<Workload, PreparedRouteTable> | null;
}

export class MeshRoutes {
  readonly #tables = new Map<RouteTable, Prepared>();
  readonly #byCluster = new Map<string, Prepared>();

  /** Takes over from `previous` what has not changed. Throws on a pattern that does not compile. */
  static of({ routeTables }: Snapshot, previous: MeshRoutes | null): MeshRoutes | null {
    const tables = Object.values(routeTables).filter(({ name }) => isMeshTable(name));
    return tables.length === 0 ? null : new MeshRoutes(tables, previous);
  }

  private constructor(tables: readonly RouteTable[], previous: MeshRoutes | null) {
    const known = previous === null ? null : previous.#tables;
    for (const table of tables) {
      const prepared = known?.get(table) ?? prepare(table);
      this.#tables.set(table, prepared);
      this.#byCluster.set(clusterOfMeshTable(table.name), prepared);
    }
  }

  /** Null: calls to the cluster follow no routes. */
  find(cluster: string, caller: Workload): PreparedRouteTable | null {
    const prepared = this.#byCluster.get(cluster);
    if (prepared === undefined) return null;
    const { all, byCaller } = prepared;
    if (byCaller === null) return all;
    let own = byCaller.get(caller);
    if (own === undefined) {
      const virtualHosts = [{ domains: ["*"], routes: routesForCaller(all.table, caller) }];
      own = prepareRouteTable({ name: all.table.name, virtualHosts });
      byCaller.set(caller, own);
    }
    return own;
  }
}

function prepare(table: RouteTable): Prepared {
  return { all: prepareRouteTable(table), byCaller: isForAll(table) ? null : new WeakMap() };
}
