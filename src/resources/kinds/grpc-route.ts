//! gateway.networking.k8s.io GRPCRoute: which calls of a Gateway's listeners go where.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { accepted, oneOf, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { checkPatterns, checkRuleBackends, reportPattern } from "./route-check.ts";
import {
  backendRefSchema,
  COMMON_FILTERS,
  GATEWAY_API_GROUP,
  headerMatches,
  ROUTE_FIELDS,
} from "./route-fields.ts";
import type { BackendRef, CommonFilters, HeaderMatch, ParentRef } from "./route-fields.ts";

export interface GrpcRouteSpec {
  readonly parentRefs?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
  readonly rules?: readonly GrpcRouteRule[];
}

export interface GrpcRouteRule {
  readonly name?: string;
  /** OR of matches; absent or empty: every call. */
  readonly matches?: readonly GrpcRouteMatch[];
  readonly filters?: readonly GrpcRouteFilter[];
  readonly backendRefs?: readonly BackendRef<GrpcRouteFilter>[];
  readonly sessionPersistence?: unknown;
}

/** AND of both. */
export interface GrpcRouteMatch {
  readonly method?: GrpcMethodMatch;
  readonly headers?: readonly HeaderMatch[];
}

export interface GrpcMethodMatch {
  readonly type: "Exact" | "RegularExpression";
  readonly service?: string;
  readonly method?: string;
}

export interface GrpcRouteFilter extends CommonFilters {
  readonly type:
    "RequestHeaderModifier" | "ResponseHeaderModifier" | "RequestMirror" | "ExtensionRef";
}

export interface GRPCRoute extends Resource {
  readonly spec: GrpcRouteSpec;
}

const RULES_MAX = 16;
const MATCHES_MAX = 64;
const SERVICE_NAME = /^[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i;
const METHOD_NAME = /^[A-Za-z_][A-Za-z_0-9]*$/;

const match = Type.Object({
  method: Type.Optional(
    Type.Object({
      type: oneOf(["Exact", "RegularExpression"], { default: "Exact" }),
      service: Type.Optional(text()),
      method: Type.Optional(text()),
    }),
  ),
  headers: Type.Optional(headerMatches()),
});

const filter = Type.Object({
  type: oneOf(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef"]),
  ...COMMON_FILTERS,
}) as unknown as TUnsafe<GrpcRouteFilter>;

const rule = Type.Object({
  name: Type.Optional(text("dns-subdomain")),
  matches: Type.Optional(Type.Array(match, { maxItems: MATCHES_MAX })),
  filters: Type.Optional(Type.Array(filter, { maxItems: RULES_MAX })),
  backendRefs: Type.Optional(Type.Array(backendRefSchema(filter), { maxItems: RULES_MAX })),
  // The compiler refuses it by name.
  sessionPersistence: accepted(),
});

const spec = Type.Object({
  ...ROUTE_FIELDS,
  rules: Type.Optional(Type.Array(rule, { maxItems: RULES_MAX })),
});

function checkMethod(method: unknown, path: Path, report: Report): void {
  if (method === undefined) return;
  const given = ["service", "method"].filter((name) => member(method, name) !== undefined);
  if (given.length === 0) {
    report({
      code: "GL0104",
      path: [...path, "service"],
      says: "is required when no method is given",
      remedy: "Name the service, the method, or both.",
    });
  }
  for (const name of given) {
    const value = member(method, name);
    if (typeof value !== "string") continue;
    if (member(method, "type") === "RegularExpression") {
      reportPattern(value, [...path, name], report);
      continue;
    }
    const form = name === "service" ? SERVICE_NAME : METHOD_NAME;
    if (form.test(value)) continue;
    report({
      code: "GL0113",
      path: [...path, name],
      says: `must be the name of a gRPC ${name}`,
      remedy: name === "service" ? "Write e.g. shop.v1.Cart." : "Write e.g. AddItem.",
    });
  }
}

export const GRPC_ROUTE: KindInfo = defineKind({
  kind: "GRPCRoute",
  plural: "grpcroutes",
  singular: "grpcroute",
  group: GATEWAY_API_GROUP,
  versions: ["v1"],
  schema: Type.Object({
    spec: described<GrpcRouteSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("HOSTNAMES", (object) => {
      const { hostnames = [] } = (object as GRPCRoute).spec;
      return hostnames.length === 0 ? "" : JSON.stringify(hostnames);
    }),
  ],
  check(object: JsonObject, report: Report) {
    items(member(object, "spec", "rules")).forEach((one, index) => {
      const place = ["spec", "rules", index];
      items(member(one, "matches")).forEach((each, at) => {
        const here = [...place, "matches", at];
        checkMethod(member(each, "method"), [...here, "method"], report);
        checkPatterns(member(each, "headers"), [...here, "headers"], report);
      });
      checkRuleBackends(one, place, report);
    });
  },
});
