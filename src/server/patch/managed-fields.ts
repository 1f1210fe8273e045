//! Who manages which field: `metadata.managedFields`, and server-side apply.
//!
//! After Kubernetes' structured-merge-diff: an applier owns what it sends; what it no longer sends
//! and nobody else owns is removed; a field that another owns with another value is a conflict
//! unless it is forced. Every other write takes over the fields that it changes.

import type { Json } from "./json.ts";
import { isObject, isSame } from "./json.ts";
import {
  fieldText,
  fromFieldsV1,
  itemSegment,
  leavesOf,
  pathOf,
  segmentsOf,
  toFieldsV1,
  type FieldPath,
  type FieldSet,
} from "./field-set.ts";
import type { ListRules } from "./list-rules.ts";

/** Entries of `Update` that are kept apart; older ones become one (as in Kubernetes). */
const UPDATE_MANAGERS_MAX = 10;
const ANCIENT_MANAGER = "ancient-changes";
export const MANAGER_NAME_CHARS_MAX = 128;

interface Manager {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly time: string;
  /** `""` for the object itself, `status` for its status. */
  readonly subresource: string;
  readonly fields: FieldSet;
}

/** Who writes, and how. */
export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  /** RFC 3339. */
  readonly now: string;
  readonly rules: ListRules;
  readonly subresource: "" | "status";
}

/** Members that belong to no manager. */
const NOBODYS = new Set(["apiVersion", "kind"]);
const NOBODYS_METADATA = new Set([
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "selfLink",
]);

function managed(object: Json, subresource: Writer["subresource"]): Json {
  if (subresource === "status") return { status: object["status"] };
  const kept = Object.entries(object).filter(([name]) => !NOBODYS.has(name) && name !== "status");
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  const own = Object.entries(metadata).filter(([name]) => !NOBODYS_METADATA.has(name));
  return { ...Object.fromEntries(kept), metadata: Object.fromEntries(own) };
}

function fieldsOf(object: Json, writer: Writer): ReadonlyMap<FieldPath, unknown> {
  const leaves = leavesOf(managed(object, writer.subresource), writer.rules);
  // A part without members is nobody's.
  return new Map([...leaves].filter(([path]) => path !== "" && path !== "f:metadata"));
}

/** `managedFields` of `next`, which `writer` made of `live` by anything but an apply. */
export function managedAfterUpdate(live: Json | null, next: Json, writer: Writer): unknown {
  const before = live === null ? new Map<FieldPath, unknown>() : fieldsOf(live, writer);
  const after = fieldsOf(next, writer);
  const changed = [...after].filter(([path, value]) => {
    return !before.has(path) || !isSame(before.get(path), value);
  });
  const changedPaths = new Set(changed.map(([path]) => path));
  const gone = new Set([...before.keys()].filter((path) => !after.has(path)));
  const isOwn = (entry: Manager): boolean => entry.operation === "Update" && isOf(entry, writer);
  const managers = managersOf(live).map((entry) => {
    const kept = [...entry.fields].filter(
      (path) => !gone.has(path) && (isOwn(entry) || !changedPaths.has(path)),
    );
    return kept.length === entry.fields.size ? entry : { ...entry, fields: new Set(kept) };
  });
  if (changed.length === 0) return written(managers);
  const own = managers.find(isOwn);
  const fields = new Set([...(own?.fields ?? []), ...changedPaths]);
  return written(replaced(managers, own, entryOf(writer, "Update", fields)));
}

/** In its place, so that a write which changes nothing leaves the order as it was. */
function replaced(
  managers: readonly Manager[],
  old: Manager | undefined,
  entry: Manager,
): readonly Manager[] {
  if (old === undefined) return [...managers, entry];
  return managers.map((each) => (each === old ? entry : each));
}

export interface Conflict {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly field: string;
}

export type Applied =
  | { readonly kind: "object"; readonly object: Json }
  | { readonly kind: "conflicts"; readonly conflicts: readonly Conflict[] };

/** Merges what `writer` applies into `live` (`null`: there is none yet). */
export function applyFields(
  live: Json | null,
  applied: Json,
  writer: Writer,
  isForced: boolean,
): Applied {
  const wanted = fieldsOf(applied, writer);
  const managers = managersOf(live);
  const isOwn = (entry: Manager): boolean => entry.operation === "Apply" && isOf(entry, writer);
  const own = managers.find(isOwn);
  const others = managers.filter((entry) => entry !== own);
  const conflicts = live === null ? [] : conflictsOf(fieldsOf(live, writer), wanted, others);
  if (conflicts.length > 0 && !isForced) return { kind: "conflicts", conflicts };

  const lost = new Set(conflicts.map(({ path }) => path));
  const remaining = managers.map((entry) =>
    entry === own || lost.size === 0 ? entry : { ...entry, fields: difference(entry.fields, lost) },
  );
  const kept = remaining.filter((entry) => entry !== own);
  const merged = mergeApplied(live ?? {}, applied, { names: [], rules: writer.rules });
  const given = difference(own?.fields ?? new Set(), new Set(wanted.keys()));
  // An item comes before its fields: when it goes, they go with it.
  for (const path of [...given].sort()) {
    const isShared = kept.some(({ fields }) => [...fields].some((field) => isWithin(field, path)));
    if (!isShared) removeField(merged, segmentsOf(path), { names: [], rules: writer.rules });
  }
  const fields = new Set(wanted.keys());
  const entry =
    own !== undefined && isSame([...own.fields].sort(), [...fields].sort())
      ? own
      : entryOf(writer, "Apply", fields);
  const metadata = isObject(merged["metadata"]) ? merged["metadata"] : {};
  const managedFields = written(replaced(remaining, own, entry));
  return { kind: "object", object: { ...merged, metadata: { ...metadata, managedFields } } };
}

function conflictsOf(
  live: ReadonlyMap<FieldPath, unknown>,
  wanted: ReadonlyMap<FieldPath, unknown>,
  others: readonly Manager[],
): readonly (Conflict & { readonly path: FieldPath })[] {
  const differing = [...wanted].filter(
    ([path, value]) => live.has(path) && !isSame(live.get(path), value),
  );
  return differing.flatMap(([path]) =>
    others
      .filter(({ fields }) => fields.has(path))
      .map(({ manager, operation, apiVersion }) => {
        return { path, manager, operation, apiVersion, field: fieldText(path) };
      }),
  );
}

interface Place {
  readonly names: readonly string[];
  readonly rules: ListRules;
}

function mergeApplied(live: Json, applied: Json, place: Place): Json {
  const result: Json = { ...live };
  for (const [name, value] of Object.entries(applied)) {
    const names = [...place.names, name];
    const old = result[name];
    if (isObject(value) && isObject(old)) {
      result[name] = mergeApplied(old, value, { ...place, names });
    } else if (Array.isArray(value) && Array.isArray(old)) {
      result[name] = mergeAppliedList(old, value, { ...place, names });
    } else {
      result[name] = value;
    }
  }
  return result;
}

/** The applied items in their order, then those of others. */
function mergeAppliedList(
  live: readonly unknown[],
  applied: readonly unknown[],
  place: Place,
): readonly unknown[] {
  const rule = place.rules(place.names);
  if (rule === null) return applied;
  const waiting = new Map(live.map((item) => [itemSegment(item, rule), item]));
  const merged = applied.map((item) => {
    const segment = itemSegment(item, rule);
    const old = waiting.get(segment);
    waiting.delete(segment);
    return isObject(item) && isObject(old) ? mergeApplied(old, item, place) : item;
  });
  return [...merged, ...waiting.values()];
}

/** Takes a field out of a value, and a part that is empty then. */
function removeField(node: Json, segments: readonly string[], place: Place): void {
  const [segment = "", ...rest] = segments;
  const name = segment.slice(2);
  const names = [...place.names, name];
  const value = node[name];
  if (!segment.startsWith("f:") || value === undefined) return;
  if (rest.length === 0) {
    Reflect.deleteProperty(node, name);
    return;
  }
  if (isObject(value)) {
    const copy = { ...value };
    removeField(copy, rest, { ...place, names });
    if (Object.keys(copy).length > 0) node[name] = copy;
    else Reflect.deleteProperty(node, name);
    return;
  }
  if (Array.isArray(value)) node[name] = removeItem(value, rest, { ...place, names });
}

function removeItem(
  list: readonly unknown[],
  [segment = "", ...rest]: readonly string[],
  place: Place,
): readonly unknown[] {
  const rule = place.rules(place.names);
  if (rule === null) return list;
  if (rule.kind === "set" || rest.length === 0 || rest[0] === ".") {
    return list.filter((item) => itemSegment(item, rule) !== segment);
  }
  return list.map((item) => {
    if (!isObject(item) || itemSegment(item, rule) !== segment) return item;
    const copy = { ...item };
    removeField(copy, rest, place);
    return copy;
  });
}

/** The field itself, or one inside it (an item of a list ends in `.`). */
function isWithin(field: FieldPath, path: FieldPath): boolean {
  const holder = segmentsOf(path).filter((segment) => segment !== ".");
  const inner = segmentsOf(field);
  return holder.every((segment, at) => inner[at] === segment);
}

function difference(set: FieldSet, without: FieldSet): FieldSet {
  return new Set([...set].filter((path) => !without.has(path)));
}

function isOf(entry: Manager, writer: Writer): boolean {
  return entry.manager === writer.manager && entry.subresource === writer.subresource;
}

function entryOf(writer: Writer, operation: Manager["operation"], fields: FieldSet): Manager {
  const { manager, apiVersion, now: time, subresource } = writer;
  return { manager, operation, apiVersion, time, subresource, fields };
}

/** What cannot be read as an entry is left out. */
function managersOf(object: Json | null): readonly Manager[] {
  const metadata = isObject(object?.["metadata"]) ? object["metadata"] : {};
  const list = metadata["managedFields"];
  if (!Array.isArray(list)) return [];
  return list.filter(isObject).map((entry) => ({
    manager: textOf(entry["manager"]),
    operation: entry["operation"] === "Apply" ? "Apply" : "Update",
    apiVersion: textOf(entry["apiVersion"]),
    time: textOf(entry["time"]),
    subresource: textOf(entry["subresource"]),
    fields: fromFieldsV1(entry["fieldsV1"]),
  }));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function written(managers: readonly Manager[]): unknown {
  const owning = managers.filter(({ fields }) => fields.size > 0);
  return withoutAncient(owning).map(({ fields, subresource, ...entry }) => ({
    ...entry,
    ...(subresource === "" ? {} : { subresource }),
    fieldsType: "FieldsV1",
    fieldsV1: toFieldsV1(fields),
  }));
}

function withoutAncient(managers: readonly Manager[]): readonly Manager[] {
  const updates = managers
    .filter(({ operation }) => operation === "Update")
    .sort((left, right) => (left.time < right.time ? -1 : 1));
  const old = new Set(updates.slice(0, Math.max(0, updates.length - UPDATE_MANAGERS_MAX)));
  const [first] = old;
  if (first === undefined) return managers;
  const fields = new Set([...old].flatMap((entry) => [...entry.fields]));
  const ancient = { ...first, manager: ANCIENT_MANAGER, fields };
  return [ancient, ...managers.filter((entry) => !old.has(entry))];
}

/** For tests and messages: the fields of one manager, as text. */
export function fieldsOfManager(object: Json, manager: string): readonly string[] {
  return managersOf(object)
    .filter((entry) => entry.manager === manager)
    .flatMap(({ fields }) => [...fields].map((path) => fieldText(pathOf(segmentsOf(path)))))
    .sort();
}
