//! What `prepare` built from one snapshot. An exchange holds the runtime that it began with.

import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type { Gateway, Listener, Snapshot } from "../../snapshot/snapshot.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import type { HostIndex } from "./host-index.ts";

export interface Runtime {
  readonly snapshot: Snapshot;
  readonly lanes: PreparedLanes;
  /** By the port that the Gateway resource names. */
  readonly listeners: ReadonlyMap<number, ListenerRuntime>;
  readonly hosts: HostIndex;
  /** By name: kept by the next runtime when unchanged. */
  readonly plugins: ReadonlyMap<string, PluginSlot>;
}

export interface ListenerRuntime {
  readonly gateway: Gateway;
  readonly listener: Listener;
  readonly routes: PreparedRouteTable;
  readonly groups: readonly PreparedLaneGroup[];
  /** Route headers of groups whose context a client may not send. */
  readonly strippedHeaders: readonly string[];
  /** In request order; responses take the reverse. */
  readonly plugins: readonly PluginSlot[];
}
