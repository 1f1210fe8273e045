//! How a LaneGroup or Lane names the object whose routes it means.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import { text } from "./fields.ts";

/** Exactly one of them. */
export interface RouteOwner {
  /** An object of any kind with routes, a VirtualService first of all. */
  readonly virtualService?: string;
  readonly httpRoute?: string;
  readonly grpcRoute?: string;
  readonly ingress?: string;
}

const KINDS = { httpRoute: "HTTPRoute", grpcRoute: "GRPCRoute", ingress: "Ingress" } as const;
const NAMES = ["httpRoute", "grpcRoute", "ingress"] as const;

export const ROUTE_OWNERS: readonly string[] = ["virtualService", ...NAMES];

type OptionalText = TUnsafe<string> & { "~optional": true };

const objectName = (): OptionalText => Type.Optional(text("dns-subdomain"));

/** Spread into a schema, which says `exactlyOneOf: ROUTE_OWNERS`. */
export const ROUTE_OWNER_FIELDS: { readonly [Name in keyof RouteOwner]-?: OptionalText } = {
  virtualService: objectName(),
  httpRoute: objectName(),
  grpcRoute: objectName(),
  ingress: objectName(),
};

/** The object's name, and its kind when it is written. */
export function ownerOf(owner: RouteOwner): { readonly name: string; readonly kind?: string } {
  for (const field of NAMES) {
    const name = owner[field];
    if (name !== undefined) return { name, kind: KINDS[field] };
  }
  return { name: owner.virtualService ?? "" };
}
