//! JSON Merge Patch (RFC 7386 section 2).

import { isObject, isUnsafeName, type Json } from "./json.ts";

/** `null` in the patch removes a member; lists are replaced as a whole. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (isUnsafeName(name)) continue;
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}
