//! graylane.io LaneGroup: lanes that share an entry and a baseline.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { oneOf, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { ROUTE_OWNER_FIELDS, ROUTE_OWNERS } from "./route-owner.ts";
import type { RouteOwner } from "./route-owner.ts";
import { checkGroupRatio, fillGroupRatio, groupRatioSchema } from "./ratio.ts";
import type { GroupRatio } from "./ratio.ts";
import { checkTokenOperands, tokenOperands } from "./token-operands.ts";
import type { TokenOperands } from "./token-operands.ts";

export interface LaneGroupSpec {
  readonly entry: {
    readonly gateways: readonly ObjectName[];
    /** Where rules and shares are asked; absent: at every route of the gateways. */
    readonly routes?: readonly EntryRouteName[];
  };
  readonly services: readonly ObjectName[];
  readonly baseline: {
    /** Further label keys that a baseline pod must not carry. */
    readonly labelKeys?: readonly string[];
    /** The lane that is the baseline, instead of the untagged pods. */
    readonly lane?: string;
  };
  readonly fallback: FallbackPolicy;
  readonly serviceFallback?: readonly ServiceFallback[];
  /** ASM's strict mode: the caller's pod decides the lane, no header is needed. */
  readonly isolated?: boolean;
  readonly context: {
    readonly mode: "header" | "traceId" | "baggage";
    readonly routeHeader: string;
    readonly traceHeader?: string;
    /** Absent in mode `baggage`: `graylane-lane.<namespace>.<name>`. */
    readonly baggageKey?: string;
    readonly signed?: SignedContext;
    /** Hosts outside the mesh that are sent the context; absent: none. */
    readonly outsideHosts?: readonly string[];
  };
  readonly acceptFromClients: boolean;
  readonly operands?: OperandSettings;
  readonly trace?: TraceSettings;
  /** Who is in the share that a lane's `ratio` names. */
  readonly ratio?: GroupRatio;
}

/** The tag travels signed with keys of a Secret; no other is believed. */
export interface SignedContext {
  /** A Secret of the group's namespace; each entry of its data is a key. */
  readonly secretName: string;
  /** The entry whose key signs; absent: the last by name. */
  readonly signWith?: string;
  /** What was signed under another number is not believed. */
  readonly epoch: number;
  /** How long a signed tag is good. */
  readonly lifetimeSeconds: number;
}

export type FallbackPolicy = "permissive" | "strict" | "chain";

/** For one service: a lane that stands in, another policy, or both. */
export interface ServiceFallback {
  readonly service: ObjectName;
  readonly lane?: string;
  readonly policy?: FallbackPolicy;
}

export interface EntryRouteName extends RouteOwner {
  readonly namespace?: string;
  /** The name of routes in it; absent: all. */
  readonly route?: string;
}

/** Where rules take what they read from. */
export interface OperandSettings {
  readonly clientIp?: { readonly trustedHops: number };
  /** A longer body is not read. */
  readonly body?: { readonly maxBytes: number };
  readonly jwt?: TokenOperands;
  /** Path of a MaxMind database on the gateway's machine. */
  readonly geo?: { readonly database: string };
}

/** Who is told in the response which lane served, and why. */
export interface TraceSettings {
  /** Networks and addresses of clients, in the place of loopback. */
  readonly allowFrom?: readonly string[];
  /** An entry of a Secret of the group's namespace: who sends it is told too. */
  readonly tokenFrom?: { readonly secretName: string; readonly key: string };
}

/** A named object; the namespace is filled with the referring object's. */
export interface ObjectName {
  readonly name: string;
  readonly namespace?: string;
}

export interface LaneGroup extends Resource {
  readonly spec: LaneGroupSpec;
}

const objectName = Type.Object({
  name: text("dns-subdomain"),
  namespace: Type.Optional(text("dns-1123-label")),
});

/** Schema of a reference to an object. */
export function objectNameSchema(): TUnsafe<ObjectName> {
  return described<ObjectName, typeof objectName>(objectName);
}

/** Gives every reference of an unchecked list the object's own namespace when it names none. */
export function fillNamespaces(references: readonly unknown[], object: JsonObject): void {
  const namespace = member(object, "metadata", "namespace");
  for (const reference of references) {
    if (typeof reference !== "object" || reference === null) continue;
    (reference as JsonObject)["namespace"] ??= namespace;
  }
}

const TRUSTED_HOPS_MAX = 20;
const ENTRY_ROUTES_MAX = 1_000;
const OUTSIDE_HOSTS_MAX = 100;
const TRACE_NETWORKS_MAX = 100;
const EPOCH_MAX = 999_999_999;
/** Longer than a chain of calls takes, its queues included; short for one who has stolen a tag. */
const LIFETIME_DEFAULT_SECONDS = 300;
const LIFETIME_MIN_SECONDS = 10;
const LIFETIME_MAX_SECONDS = 86_400;
const BODY_BYTES_DEFAULT = 65_536;
/** What a gateway may hold of one body. */
const BODY_BYTES_MAX = 1_048_576;
const FALLBACKS = ["permissive", "strict", "chain"] as const;

const entryRoute = Type.Object(
  {
    ...ROUTE_OWNER_FIELDS,
    namespace: Type.Optional(text("dns-1123-label")),
    route: Type.Optional(text()),
  },
  { exactlyOneOf: ROUTE_OWNERS },
);

const operands = Type.Object({
  clientIp: Type.Optional(
    Type.Object({
      trustedHops: Type.Integer({ default: 0, minimum: 0, maximum: TRUSTED_HOPS_MAX }),
    }),
  ),
  jwt: Type.Optional(tokenOperands()),
  geo: Type.Optional(Type.Object({ database: text("absolute-path") })),
  body: Type.Optional(
    Type.Object({
      maxBytes: Type.Integer({ default: BODY_BYTES_DEFAULT, minimum: 1, maximum: BODY_BYTES_MAX }),
    }),
  ),
});

const signedContext = Type.Object({
  secretName: text("dns-subdomain"),
  signWith: Type.Optional(text("data-key")),
  epoch: Type.Integer({ default: 0, minimum: 0, maximum: EPOCH_MAX }),
  lifetimeSeconds: Type.Integer({
    default: LIFETIME_DEFAULT_SECONDS,
    minimum: LIFETIME_MIN_SECONDS,
    maximum: LIFETIME_MAX_SECONDS,
  }),
});

const spec = Type.Object({
  entry: Type.Object({
    gateways: Type.Array(objectNameSchema(), { minItems: 1, uniqueBy: ["name", "namespace"] }),
    routes: Type.Optional(
      Type.Array(entryRoute, {
        minItems: 1,
        maxItems: ENTRY_ROUTES_MAX,
        uniqueBy: ["virtualService", "namespace", "route"],
      }),
    ),
  }),
  services: Type.Array(objectNameSchema(), { minItems: 1, uniqueBy: ["name", "namespace"] }),
  baseline: Type.Object(
    {
      labelKeys: Type.Optional(Type.Array(text("label-key"))),
      lane: Type.Optional(text("dns-subdomain")),
    },
    { default: {}, atMostOneOf: ["labelKeys", "lane"] },
  ),
  fallback: oneOf(FALLBACKS, { default: "permissive" }),
  serviceFallback: Type.Optional(
    Type.Array(
      Type.Object({
        service: objectNameSchema(),
        lane: Type.Optional(text("dns-subdomain")),
        policy: Type.Optional(oneOf(FALLBACKS)),
      }),
    ),
  ),
  isolated: Type.Optional(Type.Boolean()),
  context: Type.Object({
    mode: oneOf(["header", "traceId", "baggage"], { default: "header" }),
    routeHeader: text("header-name"),
    traceHeader: Type.Optional(text("header-name")),
    // The same characters: a token of HTTP.
    baggageKey: Type.Optional(text("header-name")),
    signed: Type.Optional(signedContext),
    outsideHosts: Type.Optional(Type.Array(text("host"), { maxItems: OUTSIDE_HOSTS_MAX })),
  }),
  acceptFromClients: Type.Boolean({ default: false }),
  operands: Type.Optional(operands),
  trace: Type.Optional(
    Type.Object({
      allowFrom: Type.Optional(Type.Array(text("network"), { maxItems: TRACE_NETWORKS_MAX })),
      tokenFrom: Type.Optional(
        Type.Object({ secretName: text("dns-subdomain"), key: text("data-key") }),
      ),
    }),
  ),
  ratio: Type.Optional(groupRatioSchema()),
});

export const LANE_GROUP: KindInfo = defineKind({
  kind: "LaneGroup",
  plural: "lanegroups",
  singular: "lanegroup",
  shortNames: ["lg"],
  group: "graylane.io",
  versions: ["v1alpha1"],
  schema: Type.Object({ spec: described<LaneGroupSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("BASELINE", (object) => (object as LaneGroup).spec.baseline.lane ?? "<untagged>"),
    column("FALLBACK", (object) => (object as LaneGroup).spec.fallback),
    column("HEADER", (object) => (object as LaneGroup).spec.context.routeHeader),
    column("LANES", ({ status }) => {
      const lanes = member(status, "openLanes");
      return typeof lanes === "string" ? `${lanes} open` : "<none>";
    }),
    column("SERVICES", (object) => String((object as LaneGroup).spec.services.length)),
  ],
  fill: fillGroup,
  check: checkGroup,
});

function fillGroup(object: JsonObject): void {
  fillNamespaces(items(member(object, "spec", "entry", "gateways")), object);
  fillNamespaces(items(member(object, "spec", "services")), object);
  const fallbacks = items(member(object, "spec", "serviceFallback"));
  fillNamespaces(
    fallbacks.map((each) => member(each, "service")),
    object,
  );
  fillNamespaces(items(member(object, "spec", "entry", "routes")), object);
  fillGroupRatio(object);
}

function checkGroup(object: JsonObject, report: Report): void {
  checkServiceFallback(object, report);
  checkContext(object, report);
  checkTokenOperands(object, report);
  checkGroupRatio(object, report);
  checkTrace(object, report);
}

function checkTrace(object: JsonObject, report: Report): void {
  const trace = member(object, "spec", "trace");
  if (trace === undefined || member(trace, "tokenFrom") !== undefined) return;
  if (member(trace, "allowFrom") !== undefined) return;
  report({
    code: "GL0104",
    path: ["spec", "trace", "allowFrom"],
    says: "is required where there is no tokenFrom",
    remedy: "Write allowFrom: [] for nobody, or leave trace out for callers on this machine.",
  });
}

function checkServiceFallback(object: JsonObject, report: Report): void {
  items(member(object, "spec", "serviceFallback")).forEach((each, index) => {
    if (member(each, "lane") !== undefined || member(each, "policy") !== undefined) return;
    report({
      code: "GL0114",
      path: ["spec", "serviceFallback", index],
      says: "needs lane, policy or both, has none",
      remedy: "Name the lane that stands in, or another policy than the group's.",
    });
  });
}

function checkContext(object: JsonObject, report: Report): void {
  const mode = member(object, "spec", "context", "mode");
  const routeHeader = member(object, "spec", "context", "routeHeader");
  const traceHeader = member(object, "spec", "context", "traceHeader");
  const path = ["spec", "context", "traceHeader"];
  if (mode !== "baggage" && member(object, "spec", "context", "baggageKey") !== undefined) {
    report({
      code: "GL0119",
      path: ["spec", "context", "baggageKey"],
      says: `has no meaning in mode ${String(mode)}`,
      remedy: "Write mode: baggage, or remove it.",
    });
  }
  if (mode === "traceId" && traceHeader === undefined) {
    report({
      code: "GL0104",
      path,
      says: "is required in mode traceId",
      remedy: "Name the header that the services forward, e.g. x-request-id.",
    });
  }
  if (typeof routeHeader !== "string" || typeof traceHeader !== "string") return;
  if (routeHeader.toLowerCase() !== traceHeader.toLowerCase()) return;
  report({
    code: "GL0119",
    path,
    says: "must not be the route header",
    remedy: "Use mode: header when the services forward the route header themselves.",
  });
}
