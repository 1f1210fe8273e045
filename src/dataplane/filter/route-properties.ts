//! Properties that plug-ins read of the configuration that an exchange falls under (Envoy's
//! attribute `xds`), and of its metadata: nobody sets any here, so the messages are empty.

import {
  encodeInteger,
  encodeLatin1,
  encodeMap,
  UNSERIALIZABLE,
} from "../../wasm/property-encoding.ts";
import { UNNAMED_NODE } from "../../snapshot/proxy-node.ts";
import type { GatewayPass } from "./gateway-pass.ts";
import { nodeProperty } from "./node-properties.ts";

const EMPTY_MESSAGE = new Uint8Array(0);
const EMPTY_MAP = encodeMap([]);
/** Envoy's TrafficDirection: the listener says none. */
const UNSPECIFIED = 0;
/** The fields of `envoy.config.core.v3.Metadata`. */
const METADATA_FIELDS: ReadonlySet<string> = new Set(["filter_metadata", "typed_filter_metadata"]);

export function xdsProperty(pass: GatewayPass, path: readonly string[]): Uint8Array | null {
  const part = path[1] ?? "";
  if (isMetadata(pass, part)) return metadataProperty(path.slice(2));
  if (part === "node") return nodeOf(pass, path.slice(2));
  if (path.length !== 2) return null;
  switch (part) {
    case "listener_direction":
      return encodeInteger(UNSPECIFIED);
    case "filter_chain_name":
      return encodeLatin1("");
    case "virtual_host_name":
      return virtualHostName(pass);
    case "upstream_host_metadata":
    case "upstream_host_locality_metadata":
      return pass.owner.upstreamAddress === "" ? null : UNSERIALIZABLE;
    default:
      return routeProperty(pass, part);
  }
}

function nodeOf({ owner }: GatewayPass, path: readonly string[]): Uint8Array | null {
  return nodeProperty(owner.facts?.node ?? UNNAMED_NODE, path);
}

function virtualHostName(pass: GatewayPass): Uint8Array | null {
  const host = pass.virtualHost();
  return host === null ? null : encodeLatin1(host.name ?? host.domains.join(","));
}

/** Of the route; under plain names Higress' plug-ins know them, too. */
export function routeProperty(pass: GatewayPass, part: string): Uint8Array | null {
  if (part === "route_name") {
    const route = pass.route();
    return route === null ? null : encodeLatin1(route.label);
  }
  const cluster = part === "cluster_name" ? pass.routeCluster() : null;
  return cluster === null ? null : encodeLatin1(cluster);
}

/** Of a `Metadata` without fields; the path is what follows its own. */
export function metadataProperty(path: readonly string[]): Uint8Array | null {
  const [field] = path;
  if (field === undefined) return EMPTY_MESSAGE;
  return path.length === 1 && METADATA_FIELDS.has(field) ? EMPTY_MAP : null;
}

/** Whether there is an object that could have some. */
function isMetadata(pass: GatewayPass, part: string): boolean {
  switch (part) {
    case "listener_metadata":
      return true;
    case "virtual_host_metadata":
      return pass.virtualHost() !== null;
    case "route_metadata":
      return pass.route() !== null;
    case "cluster_metadata":
      return pass.route()?.action.kind === "forward";
    default:
      return false;
  }
}
