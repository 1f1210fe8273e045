//! What a configuration says of its own parts, for others to read: Envoy's
//! `envoy.config.core.v3.Metadata`.

export interface Metadata {
  /** By namespace: JSON. */
  readonly filter: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** By namespace: messages of protobuf's own types. */
  readonly typed: Readonly<Record<string, TypedValue>>;
}

export interface TypedValue {
  /** `type.googleapis.com/google.protobuf.StringValue`. */
  readonly typeUrl: string;
  /** As protobuf's JSON has it; of a TypedStruct `{ typeUrl, value }`. */
  readonly value: unknown;
}

export const NO_METADATA: Metadata = { filter: {}, typed: {} };

/** `envoy.config.core.v3.Locality`. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export const NO_LOCALITY: Locality = { region: "", zone: "", subZone: "" };
