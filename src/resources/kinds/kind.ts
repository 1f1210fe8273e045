//! What a kind is: its names, its schema, its checks, and how `get` prints it.

import type { Static, TSchema, TUnsafe } from "typebox";
import type { Resource } from "../object.ts";

export interface KindInfo {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** `""` for the core group. */
  readonly group: string;
  /** Served versions, the preferred one first. */
  readonly versions: readonly string[];
  readonly storageVersion: string;
  readonly namespaced: boolean;
  /** Whether it has the subresource `status`, as in Kubernetes. */
  readonly hasStatus: boolean;
  /** Which rule `metadata.name` follows (RFC 1123 subdomain unless said otherwise). */
  readonly nameFormat: "dns-subdomain" | "dns-1123-label" | "dns-1035-label" | "path-segment";
  /** JSON Schema of the fields beside `apiVersion`, `kind` and `metadata`. */
  readonly schema: TSchema;
  /** Printed by `get` between NAME and AGE. */
  readonly columns: readonly Column[];
  /** Fills the defaults that depend on other fields; the others stand in the schema. */
  readonly fill: ((object: JsonObject) => void) | null;
  /** What a schema cannot say. Runs on unchecked data too, so that all faults come at once. */
  readonly check: ((object: JsonObject, report: Report) => void) | null;
}

export interface Column {
  /** Upper-case, as kubectl prints it. */
  readonly name: string;
  /** Printed only with `-o wide`. */
  readonly wide: boolean;
  readonly value: (resource: Resource) => string;
}

export type Path = readonly (string | number)[];

export type JsonObject = Record<string, unknown>;

/** Takes one finding of a kind's `check`. */
export type Report = (finding: Finding) => void;

export interface Finding {
  /** A key of `CODES`. */
  readonly code: string;
  readonly path: Path;
  /** The sentence after the path, e.g. `is used by two ports`. */
  readonly says: string;
  readonly remedy: string;
}

/** What a kind must say; the rest has the usual values. */
export type KindDefinition = Pick<
  KindInfo,
  "kind" | "plural" | "singular" | "group" | "versions" | "schema"
> &
  Partial<KindInfo>;

/** Completes a kind. */
export function defineKind(definition: KindDefinition): KindInfo {
  return {
    shortNames: [],
    storageVersion: definition.versions[0] ?? "v1",
    namespaced: true,
    hasStatus: true,
    nameFormat: "dns-subdomain",
    columns: [],
    fill: null,
    check: null,
    ...definition,
  };
}

/**
 * The schema of the interface written beside it: `described<Spec, typeof spec>(spec)`. When values
 * of the schema are not of that interface, the call does not compile.
 */
export function described<Written, Schema extends TSchema>(
  schema: Static<Schema> extends Written ? Schema : never,
): TUnsafe<Written> {
  return schema as unknown as TUnsafe<Written>;
}

/** A column from a function, for all output forms or for `wide` only. */
export function column(name: string, value: Column["value"]): Column {
  return { name, wide: false, value };
}

export function wideColumn(name: string, value: Column["value"]): Column {
  return { name, wide: true, value };
}
