//! gateway.networking.k8s.io HTTPRoute: which requests of a Gateway's listeners go where.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import { durationMs } from "../duration.ts";
import type { Resource } from "../object.ts";
import { accepted, oneOf, port, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { checkPath, checkPatterns, checkRuleBackends } from "./route-check.ts";
import {
  backendRefSchema,
  COMMON_FILTERS,
  GATEWAY_API_GROUP,
  headerMatches,
  optional,
  ROUTE_FIELDS,
} from "./route-fields.ts";
import type { BackendRef, CommonFilters, HeaderMatch, ParentRef } from "./route-fields.ts";

export interface HttpRouteSpec {
  readonly parentRefs?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
  readonly rules: readonly HttpRouteRule[];
}

export interface HttpRouteRule {
  readonly name?: string;
  /** OR of matches. */
  readonly matches: readonly HttpRouteMatch[];
  readonly filters?: readonly HttpRouteFilter[];
  readonly backendRefs?: readonly BackendRef<HttpRouteFilter>[];
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
  readonly retry?: HttpRouteRetry;
  readonly sessionPersistence?: unknown;
}

/** AND of all that is given. */
export interface HttpRouteMatch {
  readonly path: {
    readonly type: "Exact" | "PathPrefix" | "RegularExpression";
    readonly value: string;
  };
  readonly headers?: readonly HeaderMatch[];
  readonly queryParams?: readonly HeaderMatch[];
  readonly method?: string;
}

export interface HttpRouteRetry {
  readonly codes?: readonly number[];
  readonly attempts?: number;
  readonly backoff?: string;
}

export interface PathModifier {
  readonly type: "ReplaceFullPath" | "ReplacePrefixMatch";
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
}

export interface RequestRedirect {
  readonly scheme?: "http" | "https";
  readonly hostname?: string;
  readonly path?: PathModifier;
  readonly port?: number;
  readonly statusCode: number;
}

export interface UrlRewrite {
  readonly hostname?: string;
  readonly path?: PathModifier;
}

export interface CorsFilter {
  readonly allowOrigins?: readonly string[];
  readonly allowCredentials?: boolean;
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAge: number;
}

export interface HttpRouteFilter extends CommonFilters {
  readonly type:
    | "RequestHeaderModifier"
    | "ResponseHeaderModifier"
    | "RequestMirror"
    | "RequestRedirect"
    | "URLRewrite"
    | "CORS"
    | "ExternalAuth"
    | "ExtensionRef";
  readonly requestRedirect?: RequestRedirect;
  readonly urlRewrite?: UrlRewrite;
  readonly cors?: CorsFilter;
  readonly externalAuth?: unknown;
}

export interface HTTPRoute extends Resource {
  readonly spec: HttpRouteSpec;
}

const RULES_MAX = 16;
const MATCHES_MAX = 64;
const ORIGINS_MAX = 64;
const METHODS = [
  ...(["GET", "HEAD", "POST", "PUT", "DELETE"] as const),
  ...(["CONNECT", "OPTIONS", "TRACE", "PATCH"] as const),
];
const WHOLE_PATH = { type: "PathPrefix", value: "/" } as const;

const path = Type.Object(
  {
    type: oneOf(["Exact", "PathPrefix", "RegularExpression"], { default: "PathPrefix" }),
    value: Type.Unsafe<string>({ type: "string", default: "/", maxLength: 1024 }),
  },
  { default: WHOLE_PATH },
);

const match = Type.Object({
  path,
  headers: Type.Optional(headerMatches()),
  queryParams: Type.Optional(
    Type.Array(
      Type.Object({
        type: oneOf(["Exact", "RegularExpression"], { default: "Exact" }),
        name: text(),
        value: text(),
      }),
      { maxItems: RULES_MAX, uniqueBy: ["name"] },
    ),
  ),
  method: Type.Optional(oneOf(METHODS)),
});

const pathModifier = Type.Object({
  type: oneOf(["ReplaceFullPath", "ReplacePrefixMatch"]),
  replaceFullPath: Type.Optional(Type.String({ maxLength: 1024 })),
  replacePrefixMatch: Type.Optional(Type.String({ maxLength: 1024 })),
});

const requestRedirect = Type.Object({
  scheme: Type.Optional(oneOf(["http", "https"])),
  hostname: Type.Optional(text("precise-hostname")),
  path: Type.Optional(pathModifier),
  port: Type.Optional(port()),
  statusCode: Type.Unsafe<number>({
    type: "integer",
    enum: [301, 302, 303, 307, 308],
    default: 302,
  }),
});

const urlRewrite = Type.Object({
  hostname: Type.Optional(text("precise-hostname")),
  path: Type.Optional(pathModifier),
});

const cors = Type.Object({
  allowOrigins: Type.Optional(Type.Array(text("cors-origin"), { maxItems: ORIGINS_MAX })),
  allowCredentials: Type.Optional(Type.Boolean()),
  allowMethods: Type.Optional(Type.Array(text("header-name"), { maxItems: ORIGINS_MAX })),
  allowHeaders: Type.Optional(Type.Array(text("header-name"), { maxItems: ORIGINS_MAX })),
  exposeHeaders: Type.Optional(Type.Array(text("header-name"), { maxItems: ORIGINS_MAX })),
  maxAge: Type.Integer({ default: 5, minimum: 1, maximum: 2_147_483_647 }),
});

const filter = Type.Object({
  type: oneOf([
    ...(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror"] as const),
    ...(["RequestRedirect", "URLRewrite", "CORS", "ExternalAuth", "ExtensionRef"] as const),
  ]),
  ...COMMON_FILTERS,
  requestRedirect: optional<RequestRedirect>(requestRedirect),
  urlRewrite: optional<UrlRewrite>(urlRewrite),
  cors: optional<CorsFilter>(cors),
  // The compiler refuses it by name.
  externalAuth: accepted(),
}) as unknown as TUnsafe<HttpRouteFilter>;

const rule = Type.Object({
  name: Type.Optional(text("dns-subdomain")),
  matches: Type.Unsafe<readonly HttpRouteMatch[]>(
    Type.Array(match, { maxItems: MATCHES_MAX, default: [{ path: WHOLE_PATH }] }),
  ),
  filters: Type.Optional(Type.Array(filter, { maxItems: RULES_MAX })),
  backendRefs: Type.Optional(Type.Array(backendRefSchema(filter), { maxItems: RULES_MAX })),
  timeouts: Type.Optional(
    Type.Object({
      request: Type.Optional(text("duration")),
      backendRequest: Type.Optional(text("duration")),
    }),
  ),
  retry: Type.Optional(
    Type.Object({
      codes: Type.Optional(Type.Array(Type.Integer({ minimum: 400, maximum: 599 }))),
      attempts: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
      backoff: Type.Optional(text("duration")),
    }),
  ),
  // The compiler refuses it by name.
  sessionPersistence: accepted(),
});

const spec = Type.Object({
  ...ROUTE_FIELDS,
  rules: Type.Array(rule, {
    maxItems: RULES_MAX,
    default: [{ matches: [{ path: WHOLE_PATH }] }],
  }),
});

function checkRule(one: unknown, place: Path, report: Report): void {
  items(member(one, "matches")).forEach((each, index) => {
    const at = [...place, "matches", index];
    checkPath(member(each, "path"), [...at, "path"], report);
    checkPatterns(member(each, "headers"), [...at, "headers"], report);
    checkPatterns(member(each, "queryParams"), [...at, "queryParams"], report);
  });
  checkRuleBackends(one, place, report);
  checkTimeouts(member(one, "timeouts"), [...place, "timeouts"], report);
  items(member(one, "filters")).forEach((each, index) => {
    const at = [...place, "filters", index];
    for (const kind of ["requestRedirect", "urlRewrite"]) {
      checkModifier(member(each, kind, "path"), [...at, kind, "path"], report);
    }
  });
}

/** One try cannot take longer than all of them. */
function checkTimeouts(timeouts: unknown, place: Path, report: Report): void {
  const request = member(timeouts, "request");
  const backendRequest = member(timeouts, "backendRequest");
  if (typeof request !== "string" || typeof backendRequest !== "string") return;
  const requestMs = durationMs(request);
  if (requestMs === 0 || durationMs(backendRequest) <= requestMs) return;
  report({
    code: "GL0111",
    path: [...place, "backendRequest"],
    says: `must not be longer than request (${request})`,
    remedy: "One try is a part of the request: shorten it, or lengthen request.",
  });
}

function checkModifier(modifier: unknown, place: Path, report: Report): void {
  const type = member(modifier, "type");
  const field = type === "ReplaceFullPath" ? "replaceFullPath" : "replacePrefixMatch";
  const other = type === "ReplaceFullPath" ? "replacePrefixMatch" : "replaceFullPath";
  if (typeof type !== "string") return;
  if (member(modifier, field) === undefined) {
    report({
      code: "GL0104",
      path: [...place, field],
      says: `is required with the type ${type}`,
      remedy: "",
    });
  }
  if (member(modifier, other) === undefined) return;
  report({
    code: "GL0119",
    path: [...place, other],
    says: `has no meaning with the type ${type}`,
    remedy: "Remove it.",
  });
}

export const HTTP_ROUTE: KindInfo = defineKind({
  kind: "HTTPRoute",
  plural: "httproutes",
  singular: "httproute",
  group: GATEWAY_API_GROUP,
  versions: ["v1", "v1beta1"],
  schema: Type.Object({
    spec: described<HttpRouteSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("HOSTNAMES", (object) => {
      const { hostnames = [] } = (object as HTTPRoute).spec;
      return hostnames.length === 0 ? "" : JSON.stringify(hostnames);
    }),
  ],
  check(object: JsonObject, report: Report) {
    items(member(object, "spec", "rules")).forEach((one, index) => {
      checkRule(one, ["spec", "rules", index], report);
    });
  },
});
