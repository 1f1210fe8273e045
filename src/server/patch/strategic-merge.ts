//! Kubernetes' strategic merge patch, which kubectl sends for the kinds that it has Go types of.
//!
//! A merge patch whose lists may be merged item by item, with directives: `$patch` (replace,
//! delete), `$retainKeys`, `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>`.
//! After `k8s.io/apimachinery/pkg/util/strategicpatch`.

import { isObject, isSame, isUnsafeName, type Json } from "./json.ts";
import type { ListRules } from "./list-rules.ts";

/** The patch is not one; the message says where. */
export class PatchError extends Error {
  override readonly name = "PatchError";
}

const ORDER = "$setElementOrder/";
const REMOVE = "$deleteFromPrimitiveList/";

/** Throws `PatchError`. */
export function strategicMerge(target: Json, patch: Json, rules: ListRules): Json {
  return mergeObject(target, patch, { path: [], rules });
}

interface Place {
  readonly path: readonly string[];
  readonly rules: ListRules;
}

function mergeObject(target: Json, patch: Json, place: Place): Json {
  const { $patch: directive, $retainKeys: retained, ...members } = patch;
  if (directive === "replace") return withoutDirectives(members);
  if (directive === "delete") return {};
  if (directive !== undefined && directive !== "merge") {
    throw new PatchError(`${where(place)}: $patch must be replace, delete or merge`);
  }
  const result: Json = retain(target, retained);
  for (const [name, value] of Object.entries(members)) {
    if (!isUnsafeName(name) && !name.startsWith("$")) mergeMember(result, { name, value }, place);
  }
  for (const [name, value] of Object.entries(members)) {
    if (name.startsWith(REMOVE)) removeFrom(result, name.slice(REMOVE.length), value);
    if (name.startsWith(ORDER)) {
      orderMember(result, { name: name.slice(ORDER.length), value }, place);
    }
  }
  return result;
}

function retain(target: Json, names: unknown): Json {
  if (!Array.isArray(names)) return { ...target };
  return Object.fromEntries(Object.entries(target).filter(([name]) => names.includes(name)));
}

interface Member {
  readonly name: string;
  readonly value: unknown;
}

function mergeMember(result: Json, { name, value }: Member, place: Place): void {
  const inner = { ...place, path: [...place.path, name] };
  const old = result[name];
  if (value === null) Reflect.deleteProperty(result, name);
  else if (isObject(value)) result[name] = mergeObject(isObject(old) ? old : {}, value, inner);
  else if (Array.isArray(value))
    result[name] = mergeList(Array.isArray(old) ? old : [], value, inner);
  else result[name] = value;
}

function mergeList(
  target: readonly unknown[],
  patch: readonly unknown[],
  place: Place,
): readonly unknown[] {
  const rule = place.rules(place.path);
  if (rule === null) return patch.map(plain);
  if (rule.kind === "set") {
    return [...target, ...patch.filter((item) => !target.some((old) => isSame(old, item)))];
  }
  if (patch.some((item) => isObject(item) && item["$patch"] === "replace")) {
    return patch.filter((item) => isObject(item) && item["$patch"] === undefined).map(plain);
  }
  const result = [...target];
  for (const item of patch) mergeItem(result, item, { ...place, mergeKey: rule.mergeKey });
  return result;
}

function mergeItem(
  result: unknown[],
  item: unknown,
  place: Place & { readonly mergeKey: string },
): void {
  const { mergeKey } = place;
  if (!isObject(item) || item[mergeKey] === undefined) {
    throw new PatchError(`${where(place)}: each item must have ${mergeKey}, the list's merge key`);
  }
  const at = result.findIndex((old) => isObject(old) && isSame(old[mergeKey], item[mergeKey]));
  const old = result[at];
  if (item["$patch"] === "delete") {
    if (at >= 0) result.splice(at, 1);
  } else if (isObject(old)) {
    result[at] = mergeObject(old, item, place);
  } else {
    result.push(mergeObject({}, item, place));
  }
}

function removeFrom(result: Json, name: string, values: unknown): void {
  const list = result[name];
  if (!Array.isArray(list) || !Array.isArray(values)) return;
  result[name] = list.filter((item) => !values.some((value) => isSame(item, value)));
}

/** Items that the order does not name stay behind the one that they stood behind. */
function orderMember(result: Json, { name, value }: Member, place: Place): void {
  const list = result[name];
  const rule = place.rules([...place.path, name]);
  if (!Array.isArray(list) || !Array.isArray(value) || rule === null) return;
  const keyOf = (item: unknown): unknown =>
    rule.kind === "map" && isObject(item) ? item[rule.mergeKey] : item;
  const wanted = value.map(keyOf);
  const rankOf = (item: unknown): number => wanted.findIndex((key) => isSame(key, keyOf(item)));
  const ordered = list
    .filter((item) => rankOf(item) >= 0)
    .sort((left, right) => rankOf(left) - rankOf(right)) as unknown[];
  let before: unknown = null;
  for (const item of list as unknown[]) {
    if (rankOf(item) < 0)
      ordered.splice(before === null ? 0 : ordered.indexOf(before) + 1, 0, item);
    before = item;
  }
  result[name] = ordered;
}

/** A value that is new: its directives have nothing to direct. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return isObject(value) ? withoutDirectives(value) : value;
}

function withoutDirectives(value: Json): Json {
  const kept = Object.entries(value).filter(
    ([name, member]) => !name.startsWith("$") && !isUnsafeName(name) && member !== null,
  );
  return Object.fromEntries(kept.map(([name, member]) => [name, plain(member)]));
}

function where({ path }: Place): string {
  return path.length === 0 ? "the patch" : path.join(".");
}
