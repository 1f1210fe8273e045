//! discovery.k8s.io EndpointSlice: endpoints of a Service that somebody else keeps.

import Type from "../typebox.ts";
import type { Static, TSchema, TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { acceptedFields, oneOf, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";

/** On an EndpointSlice: the Service of its namespace whose endpoints it holds. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
/** On an EndpointSlice: who keeps it. */
export const MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by";
/** Who keeps those of Services with a selector: the same is said by their Pods. */
export const POD_SLICES_CONTROLLER = "endpointslice-controller.k8s.io";

export interface SliceEndpoint {
  /** All of one endpoint: the first is used. */
  readonly addresses: readonly string[];
  /** Absent `ready`: not known, which counts as ready. */
  readonly conditions?: { readonly ready?: boolean | null };
  readonly targetRef?: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
}

export interface SlicePort {
  /** Of the Service's port; `""` as when it is absent. */
  readonly name?: string | null;
  readonly port?: number | null;
}

export interface EndpointSlice extends Resource {
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly endpoints?: readonly SliceEndpoint[] | null;
  readonly ports?: readonly SlicePort[] | null;
}

/** As the API server has them. */
const ENDPOINTS_MAX = 1_000;
const ADDRESSES_MAX = 100;
const PORTS_MAX = 100;

/** Go writes what is empty as null. A union would make two faults of one. */
function orNull<Schema extends TSchema>(
  schema: Schema & { readonly type: string },
): TUnsafe<Static<Schema> | null> {
  return Type.Unsafe<Static<Schema> | null>({ ...schema, type: [schema.type, "null"] });
}

const endpoint = Type.Object({
  addresses: Type.Array(text("endpoint-address"), { minItems: 1, maxItems: ADDRESSES_MAX }),
  conditions: Type.Optional(
    Type.Object({
      ready: Type.Optional(orNull(Type.Boolean())),
      ...acceptedFields("serving", "terminating"),
    }),
  ),
  targetRef: Type.Optional(
    Type.Object({
      kind: Type.Optional(Type.String()),
      namespace: Type.Optional(Type.String()),
      name: Type.Optional(Type.String()),
      ...acceptedFields("apiVersion", "fieldPath", "resourceVersion", "uid"),
    }),
  ),
  ...acceptedFields("deprecatedTopology", "hints", "hostname", "nodeName", "zone"),
});

const slicePort = Type.Object({
  name: Type.Optional(orNull(Type.String())),
  port: Type.Optional(orNull(Type.Integer({ minimum: 1, maximum: 65_535 }))),
  ...acceptedFields("protocol", "appProtocol"),
});

export const ENDPOINT_SLICE: KindInfo = defineKind({
  kind: "EndpointSlice",
  plural: "endpointslices",
  singular: "endpointslice",
  group: "discovery.k8s.io",
  versions: ["v1"],
  hasStatus: false,
  schema: Type.Object({
    addressType: oneOf(["IPv4", "IPv6", "FQDN"], { honoured: ["IPv4", "IPv6"] }),
    endpoints: Type.Optional(
      orNull(
        Type.Array(described<SliceEndpoint, typeof endpoint>(endpoint), {
          maxItems: ENDPOINTS_MAX,
        }),
      ),
    ),
    ports: Type.Optional(
      orNull(
        Type.Array(described<SlicePort, typeof slicePort>(slicePort), { maxItems: PORTS_MAX }),
      ),
    ),
  }),
  columns: [
    column("ADDRESSTYPE", (object) => (object as EndpointSlice).addressType),
    column("PORTS", (object) =>
      listed((object as EndpointSlice).ports, ({ port: number }) => String(number ?? "<unset>")),
    ),
    column("ENDPOINTS", (object) =>
      listed((object as EndpointSlice).endpoints, ({ addresses }) => addresses[0] ?? ""),
    ),
  ],
});

const SHOWN_MAX = 3;

/** As kubectl prints it. */
function listed<Item>(
  items: readonly Item[] | null | undefined,
  textOf: (item: Item) => string,
): string {
  if (items === undefined || items === null || items.length === 0) return "<unset>";
  const shown = items.slice(0, SHOWN_MAX).map(textOf).join(",");
  return items.length > SHOWN_MAX ? `${shown} + ${items.length - SHOWN_MAX} more...` : shown;
}
