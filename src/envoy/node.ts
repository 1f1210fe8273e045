//! `node` of a bootstrap, and Envoy's flags that say the same: who the gateway is, to plug-ins.

import type { NodeFlags, ProxyNode } from "../snapshot/proxy-node.ts";
import type { Cursor } from "../resources/cursor.ts";
import { readJsonMap, readLocality } from "./metadata.ts";

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
  return {
    id: cursor.at("id").text(),
    cluster: cursor.at("cluster").text(),
    locality: readLocality(cursor.at("locality")),
    metadata: readJsonMap(cursor.at("metadata")),
  };
}
