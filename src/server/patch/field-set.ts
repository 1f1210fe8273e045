//! Sets of fields, as server-side apply counts them, and their written form `fieldsV1`.
//!
//! A field is a path of segments: `f:name` for a member, `k:{"name":"x"}` for an item of a list
//! with keys, `v:"x"` for an item of a set, and `.` at the end for such an item itself. After
//! Kubernetes' structured-merge-diff (v4, `fieldpath`).

import { canonicalJson } from "../../base/canonical-json.ts";
import { isObject, type Json } from "./json.ts";
import type { ListRule, ListRules } from "./list-rules.ts";

/** Segments joined by a character that no JSON text holds unescaped. */
export type FieldPath = string;
export type FieldSet = ReadonlySet<FieldPath>;

const BETWEEN = "\u0000";
/** An object of a hostile depth must not end the process. */
const DEPTH_MAX = 64;

export function segmentsOf(path: FieldPath): readonly string[] {
  return path === "" ? [] : path.split(BETWEEN);
}

export function pathOf(segments: readonly string[]): FieldPath {
  return segments.join(BETWEEN);
}

/** As messages name it: `.spec.replicas`, `.spec.ports[port=80,protocol="TCP"]`. */
export function fieldText(path: FieldPath): string {
  return segmentsOf(path)
    .map((segment) => {
      const [kind, rest] = [segment.slice(0, 2), segment.slice(2)];
      if (kind === "f:") return `.${rest}`;
      if (kind === "v:") return `[=${rest}]`;
      if (kind !== "k:") return "";
      const keys = Object.entries(JSON.parse(rest) as Json);
      return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}]`;
    })
    .join("");
}

/** The leaves of a value with their values; an item of a keyed list counts as a leaf, too. */
export function leavesOf(value: Json, rules: ListRules): ReadonlyMap<FieldPath, unknown> {
  const leaves = new Map<FieldPath, unknown>();
  walk(value, { segments: [], names: [], rules, leaves });
  return leaves;
}

interface Walk {
  readonly segments: readonly string[];
  /** Of members only: what list rules are looked up by. */
  readonly names: readonly string[];
  readonly rules: ListRules;
  readonly leaves: Map<FieldPath, unknown>;
}

function walk(value: unknown, at: Walk): void {
  const { segments, names, rules, leaves } = at;
  if (segments.length < DEPTH_MAX) {
    if (isObject(value) && (Object.keys(value).length > 0 || segments.length === 0)) {
      for (const [name, member] of Object.entries(value)) {
        const inner = { segments: [...segments, `f:${name}`], names: [...names, name] };
        if (member !== undefined) walk(member, { ...at, ...inner });
      }
      return;
    }
    const rule = Array.isArray(value) && value.length > 0 ? rules(names) : null;
    if (Array.isArray(value) && rule !== null) {
      walkItems(value, rule, at);
      return;
    }
  }
  leaves.set(pathOf(segments), value);
}

function walkItems(list: readonly unknown[], rule: ListRule, at: Walk): void {
  for (const item of list) {
    const segments = [...at.segments, itemSegment(item, rule)];
    if (rule.kind === "set") {
      at.leaves.set(pathOf(segments), item);
      continue;
    }
    at.leaves.set(pathOf([...segments, "."]), null);
    walk(item, { ...at, segments });
  }
}

export function itemSegment(item: unknown, rule: ListRule): string {
  if (rule.kind === "set" || !isObject(item)) return `v:${canonicalJson(item ?? null)}`;
  const keys = Object.entries(rule.keys).map(([name, fallback]) => [name, item[name] ?? fallback]);
  return `k:${canonicalJson(Object.fromEntries(keys.filter(([, value]) => value !== null)))}`;
}

/** The `fieldsV1` of a set. */
export function toFieldsV1(set: FieldSet): Json {
  const root: Json = {};
  for (const path of [...set].sort()) {
    let node = root;
    for (const segment of segmentsOf(path)) {
      const next = node[segment];
      node = isObject(next) ? next : (node[segment] = {});
    }
  }
  return root;
}

/** Reads a `fieldsV1`; what is no object in it counts as a leaf. */
export function fromFieldsV1(fields: unknown): FieldSet {
  const set = new Set<FieldPath>();
  const collect = (node: unknown, segments: readonly string[]): void => {
    const members = isObject(node) && segments.length < DEPTH_MAX ? Object.entries(node) : [];
    if (members.length === 0 && segments.length > 0) set.add(pathOf(segments));
    for (const [segment, inner] of members) collect(inner, [...segments, segment]);
  };
  collect(fields, []);
  return set;
}
