//! gateway.networking.k8s.io Gateway: listeners that routes are attached to.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields, labels, notHonoured, notHonouredFields, oneOf, port } from "./fields.ts";
import { strings, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { conditionStatus } from "./gateway-class.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { GATEWAY_API_GROUP, objectReferenceFields } from "./route-fields.ts";
import type { ObjectReference } from "./route-fields.ts";

export interface ApiGatewaySpec {
  readonly gatewayClassName: string;
  readonly listeners: readonly ApiListener[];
  readonly addresses?: readonly { readonly type: string; readonly value?: string }[];
  readonly infrastructure?: { readonly labels?: Labels };
}

export interface ApiListener {
  readonly name: string;
  /** Absent: every host. */
  readonly hostname?: string;
  readonly port: number;
  /** `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or another with a domain before it. */
  readonly protocol: string;
  readonly tls?: ListenerTls;
  readonly allowedRoutes: AllowedRoutes;
}

export interface ListenerTls {
  readonly mode: "Terminate" | "Passthrough";
  readonly certificateRefs?: readonly ObjectReference[];
}

export interface AllowedRoutes {
  readonly namespaces: {
    readonly from: "All" | "Selector" | "Same" | "None";
    readonly selector?: LabelSelector;
  };
  readonly kinds?: readonly { readonly group: string; readonly kind: string }[];
}

export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values?: readonly string[];
  }[];
}

export interface ApiGateway extends Resource {
  readonly spec: ApiGatewaySpec;
}

const LISTENERS_MAX = 64;
const ADDRESSES_MAX = 16;
const KINDS_MAX = 8;

const selector = Type.Object({
  matchLabels: Type.Optional(labels()),
  matchExpressions: Type.Optional(
    Type.Array(
      Type.Object({
        key: text("label-key"),
        operator: oneOf(["In", "NotIn", "Exists", "DoesNotExist"]),
        values: Type.Optional(Type.Array(Type.String())),
      }),
    ),
  ),
});

const allowedRoutes = Type.Object(
  {
    namespaces: Type.Object(
      {
        from: oneOf(["All", "Selector", "Same", "None"], { default: "Same" }),
        selector: Type.Optional(selector),
      },
      { default: { from: "Same" } },
    ),
    kinds: Type.Optional(
      Type.Array(
        Type.Object({
          group: Type.Unsafe<string>({ type: "string", default: GATEWAY_API_GROUP }),
          kind: text(),
        }),
        { maxItems: KINDS_MAX },
      ),
    ),
  },
  { default: { namespaces: { from: "Same" } } },
);

const tls = Type.Object({
  mode: oneOf(["Terminate", "Passthrough"], { default: "Terminate", honoured: ["Terminate"] }),
  certificateRefs: Type.Optional(
    Type.Array(Type.Object(objectReferenceFields("Secret")), { maxItems: LISTENERS_MAX }),
  ),
  options: Type.Optional(strings()),
  ...notHonouredFields("frontendValidation"),
});

const listener = Type.Object({
  name: text("dns-subdomain"),
  hostname: Type.Optional(text("gateway-api-hostname")),
  port: port(),
  protocol: text("listener-protocol"),
  tls: Type.Optional(tls),
  allowedRoutes,
});

const spec = Type.Object({
  gatewayClassName: text("dns-subdomain"),
  listeners: Type.Array(listener, {
    minItems: 1,
    maxItems: LISTENERS_MAX,
    uniqueBy: ["name"],
  }),
  addresses: Type.Optional(
    Type.Array(
      Type.Object({
        type: Type.Unsafe<string>({ type: "string", default: "IPAddress" }),
        value: Type.Optional(Type.String()),
      }),
      { maxItems: ADDRESSES_MAX },
    ),
  ),
  infrastructure: Type.Optional(
    Type.Object({
      labels: Type.Optional(labels()),
      ...acceptedFields("annotations"),
      parametersRef: notHonoured(),
    }),
  ),
  ...notHonouredFields("allowedListeners", "defaultScope", "tls"),
});

function checkListeners(object: JsonObject, report: Report): void {
  const places = new Map<string, number>();
  items(member(object, "spec", "listeners")).forEach((each, index) => {
    const path = ["spec", "listeners", index];
    const protocol = member(each, "protocol");
    const isTls = protocol === "HTTPS" || protocol === "TLS";
    if (!isTls && member(each, "tls") !== undefined) {
      report({
        code: "GL0119",
        path: [...path, "tls"],
        says: `has no meaning with the protocol ${String(protocol)}`,
        remedy: "Remove it, or write protocol: HTTPS.",
      });
    }
    const identity = ["port", "protocol", "hostname"]
      .map((name) => JSON.stringify(member(each, name)))
      .join(" ");
    const earlier = places.get(identity);
    if (earlier === undefined) places.set(identity, index);
    else {
      report({
        code: "GL0115",
        path,
        says: `has the port, protocol and hostname of listeners[${earlier}] too`,
        remedy: "Give one of the two another hostname or port, or remove it.",
      });
    }
  });
}

export const API_GATEWAY: KindInfo = defineKind({
  kind: "Gateway",
  plural: "gateways",
  singular: "gateway",
  shortNames: ["gtw"],
  group: GATEWAY_API_GROUP,
  versions: ["v1", "v1beta1"],
  schema: Type.Object({
    spec: described<ApiGatewaySpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("CLASS", (object) => (object as ApiGateway).spec.gatewayClassName),
    column("ADDRESS", (object) => {
      const values = items(member(object.status, "addresses")).map((one) => member(one, "value"));
      return values.filter((value) => typeof value === "string").join(",");
    }),
    column("PROGRAMMED", (object) => conditionStatus(object, "Programmed")),
  ],
  check: checkListeners,
});
