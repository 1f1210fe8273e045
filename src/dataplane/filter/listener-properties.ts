//! Properties that plug-ins read of the listener that a connection has come in at.

import { encodeInteger, encodeUtf8 } from "../../wasm/property-encoding.ts";
import { NO_METADATA } from "../../snapshot/metadata.ts";
import type { ListenerNotes, TrafficDirection } from "../../snapshot/snapshot.ts";
import { metadataProperty } from "./metadata-properties.ts";

/** The numbers of Envoy's TrafficDirection. */
const DIRECTIONS: Readonly<Record<TrafficDirection, number>> = {
  UNSPECIFIED: 0,
  INBOUND: 1,
  OUTBOUND: 2,
};
const NO_NOTES: ListenerNotes = {
  direction: "UNSPECIFIED",
  filterChainName: "",
  metadata: NO_METADATA,
};

/** `rest` is what follows `xds` and `part`; null: it is none of the listener's. */
export function listenerProperty(
  notes: ListenerNotes | undefined,
  part: string,
  rest: readonly string[],
): Uint8Array | null {
  const { metadata, direction, filterChainName } = notes ?? NO_NOTES;
  if (part === "listener_metadata") return metadataProperty(metadata, rest);
  if (rest.length > 0) return null;
  if (part === "listener_direction") return encodeInteger(DIRECTIONS[direction]);
  return part === "filter_chain_name" ? encodeUtf8(filterChainName) : null;
}
