//! istio.alibabacloud.com ASMSwimLaneGroup (cluster-scoped): ASM's lane group.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { asmHostsSchema, asmRequestMatchSchema } from "./asm-ingress.ts";
import type { AsmRequestMatch } from "./asm-ingress.ts";
import { accepted, mapOf, notHonouredFields, oneOf, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

export interface AsmSwimLaneGroupSpec {
  readonly services?: readonly ClusterServiceRef[];
  readonly ingress?: {
    readonly gateway?: {
      readonly name: string;
      readonly namespace?: string;
      readonly type?: string;
    };
    readonly ingressRouting?: {
      /** `rule_based` when absent: the lanes' `ingressRules` make the routes. */
      readonly ingressRoutingStrategy?: "rule_based" | "weighted";
      /** One route, that the lanes share by their `ingressWeight`. */
      readonly weightedRoutingRule?: {
        readonly hosts?: readonly string[];
        /** OR of matches; none takes every request. */
        readonly requestMatches?: readonly AsmRequestMatch[];
      };
    };
  };
  /** False or absent: ASM's strict mode, where every lane holds every service. */
  readonly isPermissive?: boolean;
  readonly permissiveModeConfiguration?: {
    /** The baseline lane; absent: the first lane made. */
    readonly fallbackTarget?: string;
    /** `namespace/name` (or `name.namespace`) of a service to the lane that stands in. */
    readonly serviceLevelFallbackTarget?: Labels;
    /** A trace id, or the same as `routeHeader`, or `baggage`. */
    readonly traceHeader?: string;
    readonly routeHeader?: string;
  };
}

export interface ClusterServiceRef {
  readonly name: string;
  /** Absent: `default`. */
  readonly namespace?: string;
}

export interface AsmSwimLaneGroup extends Resource {
  readonly spec: AsmSwimLaneGroupSpec;
}

const serviceRef = Type.Object({
  name: text("dns-1035-label"),
  namespace: Type.Optional(text("dns-1123-label")),
  cluster: accepted(),
  ...notHonouredFields("trafficPolicyPatch", "httpRoutePatch"),
});

/** Schema of a reference to a service of some Kubernetes cluster. */
export function clusterServiceRefSchema(): TUnsafe<ClusterServiceRef> {
  return described<ClusterServiceRef, typeof serviceRef>(serviceRef);
}

const spec = Type.Object({
  services: Type.Optional(
    Type.Array(clusterServiceRefSchema(), { uniqueBy: ["name", "namespace"] }),
  ),
  ingress: Type.Optional(
    Type.Object({
      gateway: Type.Optional(
        Type.Object({
          name: text("dns-subdomain"),
          namespace: Type.Optional(text("dns-1123-label")),
          type: Type.Optional(oneOf(["ASM", "ingress"], { honoured: ["ASM"] })),
        }),
      ),
      ingressRouting: Type.Optional(
        Type.Object({
          ingressRoutingStrategy: Type.Optional(oneOf(["rule_based", "weighted"])),
          weightedRoutingRule: Type.Optional(
            Type.Object({
              hosts: Type.Optional(asmHostsSchema()),
              requestMatches: Type.Optional(Type.Array(asmRequestMatchSchema())),
            }),
          ),
        }),
      ),
    }),
  ),
  isPermissive: Type.Optional(Type.Boolean()),
  permissiveModeConfiguration: Type.Optional(
    Type.Object({
      fallbackTarget: Type.Optional(text()),
      serviceLevelFallbackTarget: Type.Optional(mapOf(text(), "any-name")),
      traceHeader: Type.Optional(text("header-name")),
      routeHeader: Type.Optional(text("header-name")),
    }),
  ),
  autoUpdate: accepted(),
  ...notHonouredFields("defaultTrafficPolicyPatch", "defaultHttpRoutePatch"),
});

export const ASM_SWIM_LANE_GROUP: KindInfo = defineKind({
  kind: "ASMSwimLaneGroup",
  plural: "asmswimlanegroups",
  singular: "asmswimlanegroup",
  group: "istio.alibabacloud.com",
  versions: ["v1", "v1beta1"],
  namespaced: false,
  schema: Type.Object({
    spec: described<AsmSwimLaneGroupSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("PERMISSIVE", (object) =>
      String((object as AsmSwimLaneGroup).spec.isPermissive === true),
    ),
    column("GATEWAY", (object) => (object as AsmSwimLaneGroup).spec.ingress?.gateway?.name ?? ""),
  ],
  check: checkGroup,
});

function checkGroup(object: JsonObject, report: Report): void {
  if (member(object, "spec", "isPermissive") !== true) return;
  if (member(object, "spec", "permissiveModeConfiguration", "routeHeader") !== undefined) return;
  report({
    code: "GL0104",
    path: ["spec", "permissiveModeConfiguration", "routeHeader"],
    says: "is required when isPermissive is true",
    remedy: "Name the header that carries the lane, e.g. x-asm-prefer-tag.",
  });
}
