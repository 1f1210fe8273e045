//! Properties that network filters read: of the two connections, and of the configuration that the
//! connection falls under.

import {
  encodeBoolean,
  encodeInteger,
  encodeLatin1,
  encodeUtf8,
  UNSERIALIZABLE,
} from "../../wasm/property-encoding.ts";
import { NO_LOCALITY, NO_METADATA } from "../../snapshot/metadata.ts";
import type { Metadata } from "../../snapshot/metadata.ts";
import { GATEWAY_NODE } from "../../snapshot/proxy-node.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import type { Cluster, Endpoint, ListenerNotes } from "../../snapshot/snapshot.ts";
import { transportFailureOf } from "../filter/exchange-facts.ts";
import { listenerProperty } from "../filter/listener-properties.ts";
import { metadataProperty } from "../filter/metadata-properties.ts";
import { nodeProperty } from "../filter/node-properties.ts";
import { addressProperty } from "../filter/peer-properties.ts";
import { localityProperty } from "../filter/protobuf-values.ts";

/** Where the bytes of a connection go. */
export interface NetworkUpstream {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  /** Our own end, `address:port`; `""`: it is not connected. */
  localAddress: string;
  /** The system's code of why it could not be connected; `""`: it could. */
  failure: string;
}

/** Envoy's response flag NC. */
const NO_CLUSTER_FLAG = 2 ** 24;

export interface NetworkView {
  readonly id: number;
  /** A plug-in has chosen a cluster that is not there. */
  readonly isWithoutCluster: boolean;
  readonly node: ProxyNode | undefined;
  readonly notes: ListenerNotes | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Set when the upstream is known; stays null for HTTP, where each request has its own. */
  readonly upstream: NetworkUpstream | null;
  readonly isHttp: boolean;
  /** As `request.protocol` has it, when the codec has been given bytes; `""`: none was. */
  readonly protocol: string;
  /** On the wire, so far. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Envoy's response flags: it could not be connected, and no further try is made. */
const CONNECT_FAILURE_FLAGS = 2 ** 5 + 2 ** 15;

export function networkProperty(view: NetworkView, path: readonly string[]): Uint8Array | null {
  const [object = "", part = "", ...rest] = path;
  return OBJECTS.get(object)?.(view, part, rest) ?? null;
}

type Read = (view: NetworkView, part: string, rest: readonly string[]) => Uint8Array | null;

const OBJECTS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["source", (view, part) => addressProperty(part, view.remoteAddress, view.remotePort)],
  ["destination", (view, part) => addressProperty(part, view.localAddress, view.localPort)],
  ["connection_id", ({ id }) => encodeInteger(id)],
  ["connection", connectionProperty],
  ["upstream", upstreamProperty],
  ["upstream_filter_state", (view) => (isConnected(view) ? UNSERIALIZABLE : null)],
  [
    "metadata",
    (_view, part, rest) => metadataProperty(NO_METADATA, part === "" ? [] : [part, ...rest]),
  ],
  ["request", requestProperty],
  ["response", responseProperty],
  ["xds", xdsProperty],
]);

function connectionProperty({ id }: NetworkView, part: string): Uint8Array | null {
  if (part === "id") return encodeInteger(id);
  if (part === "mtls") return encodeBoolean(false);
  return part === "requested_server_name" ? encodeLatin1("") : null;
}

function requestProperty(view: NetworkView, part: string): Uint8Array | null {
  if (part === "size") return encodeInteger(view.receivedBytes);
  return part === "protocol" && view.protocol !== "" ? encodeLatin1(view.protocol) : null;
}

function responseProperty(view: NetworkView, part: string): Uint8Array | null {
  if (part === "size") return encodeInteger(view.sentBytes);
  return part === "flags" ? encodeInteger(flagsOf(view)) : null;
}

function isConnected({ upstream }: NetworkView): boolean {
  return upstream !== null && upstream.localAddress !== "";
}

function flagsOf({ upstream, isWithoutCluster }: NetworkView): number {
  if (isWithoutCluster) return NO_CLUSTER_FLAG;
  return upstream === null || upstream.failure === "" ? 0 : CONNECT_FAILURE_FLAGS;
}

function upstreamProperty(
  { upstream, isHttp }: NetworkView,
  part: string,
  rest: readonly string[],
): Uint8Array | null {
  if (part === "request_attempt_count") return encodeInteger(upstream === null ? 0 : 1);
  if (part === "transport_failure_reason") return isHttp ? null : encodeUtf8(reasonOf(upstream));
  if (upstream === null) return null;
  const { endpoint, localAddress } = upstream;
  switch (part) {
    case "locality":
      return localityProperty(endpoint.notes?.locality ?? NO_LOCALITY, rest);
    case "local_address":
      return localAddress === "" ? null : encodeUtf8(localAddress);
    default:
      return addressProperty(part, endpoint.address, endpoint.port);
  }
}

function reasonOf(upstream: NetworkUpstream | null): string {
  if (upstream === null || upstream.failure === "") return "";
  return transportFailureOf({ failedBy: "connect", failure: upstream.failure });
}

function xdsProperty(
  { node, notes, upstream }: NetworkView,
  part: string,
  rest: readonly string[],
): Uint8Array | null {
  if (part === "node") return nodeProperty(node ?? GATEWAY_NODE, rest);
  const ofListener = listenerProperty(notes, part, rest);
  if (ofListener !== null || upstream === null) return ofListener;
  const { cluster, endpoint } = upstream;
  switch (part) {
    case "cluster_name":
      return rest.length > 0 ? null : encodeLatin1(cluster.name);
    case "cluster_metadata":
      return metadataProperty(cluster.metadata, rest);
    case "upstream_host_metadata":
      return hostMetadata(endpoint.notes?.metadata, rest);
    case "upstream_host_locality_metadata":
      return hostMetadata(endpoint.notes?.localityMetadata, rest);
    default:
      return null;
  }
}

/** An endpoint's message is there only where something is written. */
function hostMetadata(metadata: Metadata | undefined, rest: readonly string[]): Uint8Array | null {
  if (metadata !== undefined) return metadataProperty(metadata, rest);
  return rest.length === 0 ? UNSERIALIZABLE : null;
}
