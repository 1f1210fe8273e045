//! What an Envoy refused, and which objects are to blame for it.

import { contentHash } from "../../base/canonical-json.ts";
import type { EnvoyResource, ResourceType } from "../../compile-envoy/envoy-config.ts";
import type { Fault } from "../../resources/fault.ts";
import type { ObjectRef } from "../../snapshot/snapshot.ts";

/** Envoy can be wordy, and a status is read by people. */
const WORDS_CHARS_MAX = 1_000;
const REFUSED = "GL0702";

export interface Refused {
  readonly type: ResourceType;
  readonly name: string;
  /** Only this version of the resource was refused. */
  readonly version: string;
  /** Envoy's own words. */
  readonly error: string;
  readonly sources: readonly ObjectRef[];
}

const NOUNS: Readonly<Record<ResourceType, string>> = {
  clusters: "the cluster",
  endpoints: "the endpoints of",
  secrets: "the secret",
  extensions: "the filter",
  listeners: "the listener",
  routes: "the routes of",
};

/** Those that stand in the text as whole words: one name may be the beginning of another. */
export function namedIn(error: string, names: readonly string[]): string[] {
  return names.filter((name) => {
    const literal = name.replace(/[^\w]/g, "\\$&");
    return new RegExp(`(?<![\\w|.-])${literal}(?![\\w|-])`).test(error);
  });
}

/** The objects behind what is new in a resource; when nothing is new, all of them. */
export function toBlame(resource: EnvoyResource, held: EnvoyResource | undefined): ObjectRef[] {
  const before = new Set((held?.parts ?? []).map(({ json }) => contentHash(json)));
  const news = resource.parts.filter(({ json }) => !before.has(contentHash(json)));
  const parts = news.length > 0 ? news : resource.parts;
  const byKey = new Map(parts.map(({ source }) => [JSON.stringify(source), source]));
  return [...byKey.values()];
}

export function faultsOf(node: string, refused: readonly Refused[]): Fault[] {
  return refused.flatMap(({ type, name, error, sources }) => {
    const words = error.trim().slice(0, WORDS_CHARS_MAX);
    return sources.map((object) => ({
      severity: "error",
      code: REFUSED,
      message: `Envoy ${node} refused ${NOUNS[type]} ${name}: ${words}`,
      remedy: "It keeps its last good one; everything else goes on.",
      path: "",
      object,
      position: null,
    }));
  });
}
