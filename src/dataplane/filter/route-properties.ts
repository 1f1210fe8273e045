//! Properties that plug-ins read of the configuration that an exchange falls under (Envoy's
//! attribute `xds`), and of its metadata.

import { encodeLatin1, UNSERIALIZABLE } from "../../wasm/property-encoding.ts";
import { GATEWAY_NODE } from "../../snapshot/proxy-node.ts";
import type { Metadata } from "../../snapshot/metadata.ts";
import { NO_METADATA } from "../../snapshot/metadata.ts";
import type { GatewayPass } from "./gateway-pass.ts";
import { listenerProperty } from "./listener-properties.ts";
import { metadataProperty } from "./metadata-properties.ts";
import { nodeProperty } from "./node-properties.ts";

export function xdsProperty(pass: GatewayPass, path: readonly string[]): Uint8Array | null {
  const part = path[1] ?? "";
  const metadata = METADATA_OF.get(part)?.(pass);
  if (metadata) return metadataProperty(metadata, path.slice(2));
  if (part === "node") return nodeOf(pass, path.slice(2));
  const ofListener = listenerProperty(pass.listener.listener.notes, part, path.slice(2));
  if (ofListener !== null) return ofListener;
  if (path.length !== 2) return null;
  switch (part) {
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
  return nodeProperty(owner.facts?.node ?? GATEWAY_NODE, path);
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

/** Null: there is no object that could have some. */
const METADATA_OF: ReadonlyMap<string, (pass: GatewayPass) => Metadata | null> = new Map([
  ["virtual_host_metadata", (pass: GatewayPass) => metadataIn(pass.virtualHost())],
  ["route_metadata", (pass) => metadataIn(pass.route())],
  ["cluster_metadata", clusterMetadata],
  ["upstream_host_metadata", ({ owner }) => owner.facts?.endpointNotes?.metadata ?? null],
  [
    "upstream_host_locality_metadata",
    ({ owner }) => owner.facts?.endpointNotes?.localityMetadata ?? null,
  ],
]);

function metadataIn(object: { readonly metadata?: Metadata } | null): Metadata | null {
  return object === null ? null : (object.metadata ?? NO_METADATA);
}

function clusterMetadata(pass: GatewayPass): Metadata | null {
  if (pass.route()?.action.kind !== "forward") return null;
  const { clusters } = pass.runtime.snapshot;
  const name = pass.routeCluster();
  const cluster = name !== null && Object.hasOwn(clusters, name) ? clusters[name] : undefined;
  return cluster?.metadata ?? NO_METADATA;
}
