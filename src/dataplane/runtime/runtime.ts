//! What `prepare` built from one snapshot. An exchange holds the runtime that it began with.

import type { StrippedContext } from "../../lane/client-context.ts";
import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import type { PreparedRouteTable } from "../../route/route.ts";
import type { Gateway, Listener, Snapshot } from "../../snapshot/snapshot.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import type { SignedGroup, SignedGroups } from "../filter/signed-context.ts";
import type { NetworkRuntime } from "../network/network-connection.ts";
import type { HostIndex } from "../../lane/host-index.ts";
import type { MeshRoutes } from "./mesh-routes.ts";
import type { OperandSources } from "./operand-sources.ts";

export interface Runtime {
  readonly snapshot: Snapshot;
  readonly lanes: PreparedLanes;
  /** By the port that the Gateway resource names. */
  readonly listeners: ReadonlyMap<number, ListenerRuntime>;
  readonly hosts: HostIndex;
  /** Of a sidecar; null: no VirtualService is for calls between pods. */
  readonly mesh: MeshRoutes | null;
  /** Of a sidecar: rules read who calls a gateway. */
  readonly readsCallers: boolean;
  /** The lane groups whose context is signed; empty for most configurations. */
  readonly signed: SignedGroups;
  /** What agents in apps are told to carry on, for `CARRY_HEADER`. */
  readonly carriedHeaders: string;
  /** By name: kept by the next runtime when unchanged. */
  readonly plugins: ReadonlyMap<string, PluginSlot>;
}

export interface ListenerRuntime {
  readonly gateway: Gateway;
  readonly listener: Listener;
  readonly routes: PreparedRouteTable;
  readonly groups: readonly PreparedLaneGroup[];
  /** Those of `groups` whose context is signed. */
  readonly signed: readonly SignedGroup[];
  /** What of groups, entered here or not, a client may not send. */
  readonly stripped: StrippedContext;
  /** Whether a lane group entered here is carried by W3C trace ids: then every request has one. */
  readonly needsTraceparent: boolean;
  /** Whether a filter looks at bodies: else they pass without a stop. */
  readonly readsRequestBody: boolean;
  readonly readsResponseBody: boolean;
  /** Whether a filter names the property of an endpoint's time: only then is it noted. */
  readonly readsLatency: boolean;
  /** The same of our own certificate. */
  readonly readsLocalCertificate: boolean;
  /** What lane rules read beyond heads; null: nothing, so that nothing is waited for. */
  readonly operandSources: OperandSources | null;
  /** In request order; responses take the reverse. */
  readonly plugins: readonly PluginSlot[];
  /** Null: bytes are HTTP as they come. */
  readonly network: NetworkRuntime | null;
}
