//! `node` of a bootstrap, and Envoy's flags that say the same: who the gateway is, to plug-ins.

import type { NodeFlags, ProxyNode } from "../snapshot/proxy-node.ts";
import type { Cursor } from "../resources/cursor.ts";

const FIELDS = ["id", "cluster", "locality", "metadata", "user_agent_name"];

/** As in Envoy a flag counts, whatever the bootstrap says. */
export function withFlags(node: ProxyNode, flags: NodeFlags): ProxyNode {
  const { locality } = node;
  return {
    ...node,
    id: flags.id ?? node.id,
    cluster: flags.cluster ?? node.cluster,
    locality: { ...locality, zone: flags.zone ?? locality.zone },
  };
}

export function readNode(cursor: Cursor): ProxyNode {
  if (!cursor.isAbsent) cursor.isMap(FIELDS);
  const locality = cursor.at("locality");
  if (!locality.isAbsent) locality.isMap(["region", "zone", "sub_zone"]);
  return {
    id: cursor.at("id").text(),
    cluster: cursor.at("cluster").text(),
    locality: {
      region: locality.at("region").text(),
      zone: locality.at("zone").text(),
      subZone: locality.at("sub_zone").text(),
    },
    metadata: readMetadata(cursor.at("metadata")),
  };
}

/** Any JSON. */
function readMetadata(cursor: Cursor): Readonly<Record<string, unknown>> {
  if (cursor.isAbsent) return {};
  const { value } = cursor;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  cursor.wrong("a map");
  return {};
}
