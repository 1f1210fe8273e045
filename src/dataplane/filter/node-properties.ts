//! The property `xds.node`: who the gateway says it is.

import { encodeMap, encodeUtf8 } from "../../wasm/property-encoding.ts";
import { GATEWAY_NODE } from "../../snapshot/proxy-node.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import {
  EMPTY,
  field,
  jsonProperty,
  localityMessage,
  localityProperty,
  structOf,
  textField,
} from "./protobuf-values.ts";

/** Envoy says "envoy". */
const USER_AGENT = "graylane";
const EMPTY_LIST = encodeMap([]);
/** Field numbers of `Node`. */
const NODE = { id: 1, cluster: 2, metadata: 3, locality: 4, userAgentName: 6 };

/** What plug-ins read without an exchange: who the gateway is, and nothing else. */
export function rootProperty(
  node: ProxyNode = GATEWAY_NODE,
): (path: readonly string[]) => Uint8Array | null {
  return ([object, part, ...rest]) =>
    object === "xds" && part === "node" ? nodeProperty(node, rest) : null;
}

/** `path` is what follows `xds.node`; null: there is no such part. */
export function nodeProperty(node: ProxyNode, path: readonly string[]): Uint8Array | null {
  const [part, ...rest] = path;
  if (part === "metadata") return jsonProperty(node.metadata, rest);
  if (part === "locality") return localityProperty(node.locality, rest);
  if (rest.length > 0) return null;
  switch (part) {
    case undefined:
      return nodeMessage(node);
    case "id":
      return encodeUtf8(node.id);
    case "cluster":
      return encodeUtf8(node.cluster);
    case "user_agent_name":
      return encodeUtf8(USER_AGENT);
    case "user_agent_version":
      return encodeUtf8("");
    case "dynamic_parameters":
    case "client_features":
    case "listening_addresses":
      return EMPTY_LIST;
    default:
      return null;
  }
}

function nodeMessage({ id, cluster, metadata, locality }: ProxyNode): Uint8Array {
  return Buffer.concat([
    textField(NODE.id, id),
    textField(NODE.cluster, cluster),
    Object.keys(metadata).length === 0 ? EMPTY : field(NODE.metadata, structOf(metadata)),
    field(NODE.locality, localityMessage(locality)),
    textField(NODE.userAgentName, USER_AGENT),
  ]);
}
