//! The key sets of lane groups whose tokens are verified by keys at an address.

import type { LaneGroup } from "../resources/kinds/lane-group.ts";
import type { Resource } from "../resources/object.ts";
import type { LaneScope } from "./lane-model.ts";

export interface KeySetAnswer {
  /** As JSON text, the last that was fetched; null: none was. */
  readonly jwks: string | null;
  /** Why it could not be fetched the last time; `""`: it could. */
  readonly fault: string;
}

/** By address. */
export type KeySetMap = ReadonlyMap<string, KeySetAnswer>;

/** Further ones are not fetched. */
const ADDRESSES_MAX = 100;

/** The addresses of key sets that the objects name. */
export function keySetsToFetch(resources: readonly Resource[]): string[] {
  const found = new Set<string>();
  for (const resource of resources) {
    if (resource.kind !== "LaneGroup" || !resource.apiVersion.startsWith("graylane.io/")) continue;
    const uri = (resource as LaneGroup).spec.operands?.jwt?.jwksUri;
    if (uri !== undefined) found.add(uri);
  }
  return [...found].sort().slice(0, ADDRESSES_MAX);
}

/** The last keys of the address; null: nobody has fetched any. */
export function fetchedKeys(
  group: LaneGroup,
  uri: string,
  { keySets, messages }: LaneScope,
): string | null {
  if (keySets === null) return null;
  const { jwks, fault } = keySets.get(uri) ?? {
    jwks: null,
    fault: `not fetched: there are more than ${ADDRESSES_MAX} addresses`,
  };
  if (fault === "") return jwks;
  const outcome = jwks === null ? "they verify no token" : "they use those of the last time";
  messages.add(group, {
    severity: "warning",
    code: "GL0329",
    path: "spec.operands.jwt.jwksUri",
    message: `the keys for Envoys could not be fetched from ${uri}: ${fault}; ${outcome}`,
    remedy: "Correct the address, or let the control plane reach it: it asks again by itself.",
  });
  return jwks;
}
