//! What every way to patch shares: JSON objects, and how equal two values are.

import { canonicalJson } from "../../base/canonical-json.ts";

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSame(left: unknown, right: unknown): boolean {
  return left === right || canonicalJson(left ?? null) === canonicalJson(right ?? null);
}

/** Members that would reach a prototype instead of the object's own data. */
export function isUnsafeName(name: string): boolean {
  return name === "__proto__" || name === "constructor" || name === "prototype";
}
