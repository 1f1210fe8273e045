//! What two hosts of plug-ins, Envoy and ours, say of their parts in metadata: the same in Envoy's
//! JSON and in our snapshot.

import type { Metadata } from "../../src/snapshot/metadata.ts";
import type { EndpointNotes } from "../../src/snapshot/snapshot.ts";

const GOOGLE = "type.googleapis.com/google.protobuf.";
const TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct";
const SPACE = {
  ...{ number: 2.5, yes: true, list: ["x", 1], map: { deeper: "w" } },
};
const FILTER = { space: SPACE, odd: { nothing: null }, empty: {}, plain: { text: "ü" } };

/** By name: the type and the value, of every type that there is. */
export const TYPED_METADATA: Readonly<Record<string, readonly [type: string, value: unknown]>> = {
  text: ["StringValue", "ü"],
  emptyText: ["StringValue", ""],
  bytes: ["BytesValue", "AAH/"],
  yes: ["BoolValue", true],
  no: ["BoolValue", false],
  int32: ["Int32Value", "-7"],
  uint32: ["UInt32Value", "4294967295"],
  int64: ["Int64Value", "-9007199254740993"],
  uint64: ["UInt64Value", "18446744073709551615"],
  zero: ["Int64Value", "0"],
  float: ["FloatValue", 1.1],
  double: ["DoubleValue", 1.1],
  zeroDouble: ["DoubleValue", 0],
  struct: ["Struct", { a: 1 }],
};
const TYPED = { typeUrl: "type.test/some.Type", value: { a: "b" } };

/** With one field in each map: Envoy writes those of a message in any order. */
export function envoyMetadata(name: string): object {
  return {
    filter_metadata: { space: { text: name } },
    typed_filter_metadata: { whole: { "@type": `${GOOGLE}Int64Value`, value: "-3" } },
  };
}

export function ownMetadata(name: string): Metadata {
  return {
    filter: { space: { text: name } },
    typed: { whole: { typeUrl: `${GOOGLE}Int64Value`, value: "-3" } },
  };
}

export function envoyHostMetadata(): object {
  const typed = Object.entries(TYPED_METADATA).map(
    ([name, [type, value]]) => [name, { "@type": GOOGLE + type, value }] as const,
  );
  const struct = { "@type": TYPED_STRUCT, type_url: TYPED.typeUrl, value: TYPED.value };
  return {
    filter_metadata: FILTER,
    typed_filter_metadata: { ...Object.fromEntries(typed), typed: struct },
  };
}

export function ownHostMetadata(): Metadata {
  const typed = Object.entries(TYPED_METADATA).map(
    ([name, [type, value]]) => [name, { typeUrl: GOOGLE + type, value }] as const,
  );
  const struct = { typeUrl: TYPED_STRUCT, value: TYPED };
  return { filter: FILTER, typed: { ...Object.fromEntries(typed), typed: struct } };
}

export const OWN_NOTES: EndpointNotes = {
  metadata: ownMetadata("endpoint"),
  locality: { region: "r-2", zone: "z-2", subZone: "s-2" },
  localityMetadata: ownMetadata("locality"),
};

interface EnvoyCluster {
  readonly load_assignment: {
    readonly endpoints: readonly { readonly lb_endpoints: readonly object[] }[];
  };
}

/** A cluster of Envoy's JSON, with the same said of its endpoints. */
export function withNotes(cluster: object): object {
  const { load_assignment: assignment } = cluster as EnvoyCluster;
  const endpoints = assignment.endpoints.map(({ lb_endpoints: some }) => ({
    lb_endpoints: some.map((endpoint) => ({ ...endpoint, metadata: envoyMetadata("endpoint") })),
    locality: { region: "r-2", zone: "z-2", sub_zone: "s-2" },
    metadata: envoyMetadata("locality"),
  }));
  return { ...cluster, load_assignment: { ...assignment, endpoints } };
}
