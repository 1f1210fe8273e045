//! What HTTPRoute and GRPCRoute have in common: parents, references to backends, header filters.

import Type from "../typebox.ts";
import type { TObject, TUnsafe } from "typebox";
import { notHonouredFields, oneOf, port, text } from "./fields.ts";

export const GATEWAY_API_GROUP = "gateway.networking.k8s.io";

/** Names a Gateway, or one of its listeners. */
export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
  readonly port?: number;
}

/** Names an object of any kind. */
export interface ObjectReference {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface BackendObject extends ObjectReference {
  readonly port?: number;
}

export interface BackendRef<Filter> extends BackendObject {
  readonly weight: number;
  readonly filters?: readonly Filter[];
}

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly set?: readonly NamedValue[];
  readonly add?: readonly NamedValue[];
  readonly remove?: readonly string[];
}

export interface RequestMirror {
  readonly backendRef: BackendObject;
  readonly percent?: number;
  readonly fraction?: { readonly numerator: number; readonly denominator: number };
}

export interface HeaderMatch {
  readonly type: "Exact" | "RegularExpression";
  readonly name: string;
  readonly value: string;
}

const PARENTS_MAX = 32;
const HEADERS_MAX = 16;
export const WEIGHT_MAX = 1_000_000;

const withDefault = (value: string): TUnsafe<string> =>
  Type.Unsafe<string>({ type: "string", default: value });

const parentRef = Type.Object({
  group: withDefault(GATEWAY_API_GROUP),
  kind: withDefault("Gateway"),
  namespace: Type.Optional(text("dns-1123-label")),
  name: text("dns-subdomain"),
  sectionName: Type.Optional(text("dns-subdomain")),
  port: Type.Optional(port()),
});

/** Fields that name an object, the kind being `kind` unless another is written. */
export function objectReferenceFields(kind: string): {
  group: TUnsafe<string>;
  kind: TUnsafe<string>;
  name: TUnsafe<string>;
  namespace: TUnsafe<string> & { "~optional": true };
} {
  return {
    group: withDefault(""),
    kind: withDefault(kind),
    name: text(),
    namespace: Type.Optional(text("dns-1123-label")),
  };
}

const backendFields = {
  ...objectReferenceFields("Service"),
  port: Type.Optional(port()),
};

/** A weighted backend with filters of its own. */
export function backendRefSchema<Filter>(filter: TUnsafe<Filter>): TUnsafe<BackendRef<Filter>> {
  return Type.Object({
    ...backendFields,
    weight: Type.Integer({ default: 1, minimum: 0, maximum: WEIGHT_MAX }),
    filters: Type.Optional(Type.Array(filter, { maxItems: HEADERS_MAX })),
  }) as unknown as TUnsafe<BackendRef<Filter>>;
}

const namedValues = Type.Array(
  Type.Object({
    name: text("header-name"),
    value: Type.Unsafe<string>({ type: "string", format: "header-value" }),
  }),
  { maxItems: HEADERS_MAX, uniqueBy: ["name"] },
);

const headerModifier = Type.Object({
  set: Type.Optional(namedValues),
  add: Type.Optional(namedValues),
  remove: Type.Optional(Type.Array(text("header-name"), { maxItems: HEADERS_MAX })),
});

const requestMirror = Type.Object(
  {
    backendRef: Type.Object(backendFields),
    percent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    fraction: Type.Optional(
      Type.Object({
        numerator: Type.Integer({ minimum: 0 }),
        denominator: Type.Integer({ default: 100, minimum: 1 }),
      }),
    ),
  },
  { atMostOneOf: ["percent", "fraction"] },
);

const extensionRef = Type.Object({ group: Type.String(), kind: text(), name: text() });

/** Filters that both kinds of route have, by the field that holds their settings. */
export interface CommonFilters {
  readonly requestHeaderModifier?: HeaderModifier;
  readonly responseHeaderModifier?: HeaderModifier;
  readonly requestMirror?: RequestMirror;
  readonly extensionRef?: { readonly group: string; readonly kind: string; readonly name: string };
}

/** Spread into the schema of a filter. */
export const COMMON_FILTERS: {
  [Name in keyof CommonFilters]-?: TUnsafe<NonNullable<CommonFilters[Name]>> & {
    "~optional": true;
  };
} = {
  requestHeaderModifier: optional<HeaderModifier>(headerModifier),
  responseHeaderModifier: optional<HeaderModifier>(headerModifier),
  requestMirror: optional<RequestMirror>(requestMirror),
  extensionRef: optional<NonNullable<CommonFilters["extensionRef"]>>(extensionRef),
};

export function optional<Written>(schema: TObject): TUnsafe<Written> & { "~optional": true } {
  return Type.Optional(schema as unknown as TUnsafe<Written>);
}

export function headerMatches(): TUnsafe<readonly HeaderMatch[]> {
  return Type.Array(
    Type.Object({
      type: oneOf(["Exact", "RegularExpression"], { default: "Exact" }),
      name: text("header-name"),
      value: text(),
    }),
    { maxItems: HEADERS_MAX },
  ) as unknown as TUnsafe<readonly HeaderMatch[]>;
}

/** `parentRefs` and `hostnames`, with what is of channels that are not served. */
export const ROUTE_FIELDS: {
  readonly parentRefs: TUnsafe<readonly ParentRef[]> & { "~optional": true };
  readonly hostnames: TUnsafe<readonly string[]> & { "~optional": true };
} & ReturnType<typeof notHonouredFields<"useDefaultGateways">> = {
  parentRefs: Type.Optional(
    Type.Array(parentRef, {
      maxItems: PARENTS_MAX,
      uniqueBy: ["name", "namespace", "group", "kind", "sectionName", "port"],
    }),
  ) as unknown as TUnsafe<readonly ParentRef[]> & { "~optional": true },
  hostnames: Type.Optional(
    Type.Array(text("gateway-api-hostname"), { maxItems: HEADERS_MAX }),
  ) as unknown as TUnsafe<readonly string[]> & { "~optional": true },
  ...notHonouredFields("useDefaultGateways"),
};
