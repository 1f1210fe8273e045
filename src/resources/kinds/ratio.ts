//! Shares in LaneGroup and Lane: how much of the traffic a lane takes, and who is in it.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import { PPM_TOTAL } from "../share.ts";
import type { Share } from "../share.ts";
import { oneOf, text } from "./fields.ts";
import { described } from "./kind.ts";
import type { JsonObject, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { ROUTE_OWNER_FIELDS, ROUTE_OWNERS } from "./route-owner.ts";
import type { RouteOwner } from "./route-owner.ts";

/** Base routes with a ratio of their own, for each lane. */
const ROUTES_MAX = 64;
const COOKIE_NAME_DEFAULT = "graylane-id";
const COOKIE_AGE_DEFAULT_SECONDS = 31_536_000;
/** 400 days: browsers cut what is longer (RFC 6265bis, 5.6.2). */
const COOKIE_AGE_MAX_SECONDS = 34_560_000;

/** Lane: what this lane takes of the requests that no rule has decided. */
export interface LaneRatio extends Share {
  /** In the place of the common share, for single base routes. */
  readonly routes?: readonly RouteShare[];
}

export interface RouteShare extends Share, RouteOwner {
  /** Filled with the lane's. */
  readonly namespace?: string;
  /** The name of routes in it; absent: all. */
  readonly route?: string;
}

/** LaneGroup: who is in a lane's share. */
export interface GroupRatio {
  /** False: a new draw for each request. Filled: whether there is a `key`. */
  readonly sticky?: boolean;
  readonly key?: RatioKey;
  readonly hash: "murmur3" | "fnv1a" | "sha256" | "traffic-tag" | "frontend-gray" | "unleash";
  /** Filled with `namespace/name` of the group where the hash takes one. */
  readonly salt?: string;
  /** Of the compatibility hashes: `hash % modulo`. Filled with 100. */
  readonly modulo?: number;
}

export interface RatioKey {
  readonly header?: string;
  readonly cookie?: string;
  /** A path into the claims of a verified token: `sub`. */
  readonly claim?: string;
  readonly clientIp?: object;
  readonly issuedCookie?: { readonly name: string; readonly maxAgeSeconds: number };
}

const share = {
  percent: Type.Optional(text("percentage")),
  ppm: Type.Optional(Type.Integer({ minimum: 0, maximum: PPM_TOTAL })),
};

const laneRatio = Type.Object(
  {
    ...share,
    routes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            ...ROUTE_OWNER_FIELDS,
            namespace: Type.Optional(text("dns-1123-label")),
            route: Type.Optional(text()),
            ...share,
          },
          { exactlyOneOf: ["percent", "ppm"] },
        ),
        {
          minItems: 1,
          maxItems: ROUTES_MAX,
          uniqueBy: ["virtualService", "namespace", "route"],
        },
      ),
    ),
  },
  { atMostOneOf: ["percent", "ppm"] },
);

const groupRatio = Type.Object({
  sticky: Type.Optional(Type.Boolean()),
  key: Type.Optional(
    Type.Object(
      {
        header: Type.Optional(text("header-name")),
        cookie: Type.Optional(text("header-name")),
        claim: Type.Optional(text("json-path")),
        clientIp: Type.Optional(Type.Object({})),
        issuedCookie: Type.Optional(
          Type.Object({
            // A cookie's name is a token of HTTP, as a header's is.
            name: Type.Unsafe<string>({
              type: "string",
              format: "header-name",
              minLength: 1,
              default: COOKIE_NAME_DEFAULT,
            }),
            maxAgeSeconds: Type.Integer({
              minimum: 60,
              maximum: COOKIE_AGE_MAX_SECONDS,
              default: COOKIE_AGE_DEFAULT_SECONDS,
            }),
          }),
        ),
      },
      { exactlyOneOf: ["header", "cookie", "claim", "clientIp", "issuedCookie"] },
    ),
  ),
  hash: oneOf(["murmur3", "fnv1a", "sha256", "traffic-tag", "frontend-gray", "unleash"], {
    default: "murmur3",
  }),
  salt: Type.Optional(Type.Unsafe<string>({ type: "string", format: "salt" })),
  modulo: Type.Optional(Type.Integer({ minimum: 1, maximum: PPM_TOTAL })),
});

export function laneRatioSchema(): TUnsafe<LaneRatio> {
  return described<LaneRatio, typeof laneRatio>(laneRatio);
}

export function groupRatioSchema(): TUnsafe<GroupRatio> {
  return described<GroupRatio, typeof groupRatio>(groupRatio);
}

/** The lane's own namespace for routes that name none. */
export function fillLaneRatio(object: JsonObject): void {
  for (const route of items(member(object, "spec", "ratio", "routes"))) {
    if (typeof route !== "object" || route === null) continue;
    (route as JsonObject)["namespace"] ??= member(object, "metadata", "namespace");
  }
}

/** A key makes the shares sticky, unless the group says otherwise. */
export function fillGroupRatio(object: JsonObject): void {
  const ratio = member(object, "spec", "ratio");
  if (typeof ratio !== "object" || ratio === null) return;
  (ratio as JsonObject)["sticky"] ??= member(ratio, "key") !== undefined;
}

export function checkGroupRatio(object: JsonObject, report: Report): void {
  const ratio = member(object, "spec", "ratio");
  const path = ["spec", "ratio"];
  const hash = member(ratio, "hash") ?? "murmur3";
  const salt = member(ratio, "salt");
  const modulo = member(ratio, "modulo");
  if (member(ratio, "sticky") === true && member(ratio, "key") === undefined) {
    report({
      code: "GL0104",
      path: [...path, "key"],
      says: "is required when the ratio is sticky",
      remedy: "Name what tells one user from another, e.g. header: x-user-id, or issuedCookie: {}.",
    });
  }
  if (hash === "unleash" && (salt === undefined || salt === "")) {
    report({
      code: "GL0104",
      path: [...path, "salt"],
      says: "is required with the hash unleash: it is the group id",
      remedy: "Write the toggle's groupId.",
    });
  }
  if (typeof hash === "string" && salt !== undefined && UNSALTED.has(hash)) {
    report({
      code: "GL0119",
      path: [...path, "salt"],
      says: `has no meaning with the hash ${hash}`,
      remedy: "Remove it, or use the hash murmur3.",
    });
  }
  checkModulo(hash, modulo, report);
  if (member(ratio, "key", "claim") === undefined) return;
  if (member(object, "spec", "operands", "jwt") !== undefined) return;
  report({
    code: "GL0104",
    path: ["spec", "operands", "jwt"],
    says: "is required when the key is a claim: without it no token is verified",
    remedy: "Write operands: {jwt: {jwksUri: ADDRESS}}.",
  });
}

const UNSALTED: ReadonlySet<string> = new Set(["fnv1a", "sha256", "traffic-tag", "frontend-gray"]);

function checkModulo(hash: unknown, modulo: unknown, report: Report): void {
  const path = ["spec", "ratio", "modulo"];
  if (modulo === undefined) return;
  if (hash === "murmur3") {
    report({
      code: "GL0119",
      path,
      says: "has no meaning with the hash murmur3",
      remedy: "Remove it: murmur3 has a million buckets.",
    });
  } else if (typeof modulo === "number" && modulo > 0 && PPM_TOTAL % modulo !== 0) {
    report({
      code: "GL0113",
      path,
      says: "must divide 1,000,000",
      remedy: "Use 100, 1000 or 10000.",
    });
  }
}

/** A ratio that says nothing is a mistake: nobody would be in the lane by it. */
export function checkLaneRatio(object: JsonObject, report: Report): void {
  const ratio = member(object, "spec", "ratio");
  if (typeof ratio !== "object" || ratio === null) return;
  items(member(ratio, "routes")).forEach((route, index) => {
    checkOwner(route, ["spec", "ratio", "routes", index], report);
  });
  const says = ["percent", "ppm"].some((name) => member(ratio, name) !== undefined);
  if (says || items(member(ratio, "routes")).length > 0) return;
  report({
    code: "GL0104",
    path: ["spec", "ratio"],
    says: "needs percent, ppm or routes",
    remedy: 'Write the share, e.g. percent: "1%".',
  });
}

function checkOwner(route: unknown, path: Path, report: Report): void {
  const given = ROUTE_OWNERS.filter((name) => member(route, name) !== undefined);
  if (given.length === 1) return;
  const isMissing = given.length === 0;
  report({
    code: isMissing ? "GL0104" : "GL0114",
    path: isMissing ? [...path, "virtualService"] : path,
    says: isMissing ? "is required" : `names ${given.join(" and ")}`,
    remedy: `Write one of ${ROUTE_OWNERS.join(", ")}.`,
  });
}
