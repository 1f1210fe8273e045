//! The first pass over an object: fills defaults, drops nulls, and finds what will have no effect.
//!
//! It walks the schema and the value together and never fails: whatever does not fit the schema is
//! left for the second pass (`schema-faults.ts`), so that both passes report at once.

import type { TSchema } from "typebox";
import type { Path } from "./kinds/kind.ts";

/** What the walk finds: all of them are warnings. */
export type Notice =
  | { readonly kind: "unknown"; readonly path: Path; readonly known: readonly string[] }
  | { readonly kind: "notHonoured"; readonly path: Path }
  | { readonly kind: "notHonouredValue"; readonly path: Path; readonly value: string };

/** The parts of a schema that the walk reads. */
interface Walkable {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Walkable>>;
  readonly additionalProperties?: Walkable;
  readonly items?: Walkable;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly accepted?: boolean;
  readonly notHonoured?: boolean;
  readonly honouredValues?: readonly string[];
  readonly openObject?: boolean;
}

/** A copy of `value` with defaults, without nulls where the schema knows the field. */
export function normalize(
  schema: TSchema,
  value: unknown,
  notice: (notice: Notice) => void,
): unknown {
  return walk(schema, value, [], notice);
}

function walk(
  schema: Walkable,
  value: unknown,
  path: Path,
  notice: (notice: Notice) => void,
): unknown {
  if (schema.accepted === true) return value;
  if (schema.notHonoured === true) {
    notice({ kind: "notHonoured", path });
    return value;
  }
  if (typeof value === "string") {
    noticeValue(schema, value, path, notice);
    return value;
  }
  if (Array.isArray(value)) {
    const items = schema.items;
    if (items === undefined) return value;
    return value.map((item: unknown, index) => walk(items, item, [...path, index], notice));
  }
  if (typeof value !== "object" || value === null) return value;
  return walkObject(schema, value as Readonly<Record<string, unknown>>, path, notice);
}

function noticeValue(
  schema: Walkable,
  value: string,
  path: Path,
  notice: (notice: Notice) => void,
): void {
  const honoured = schema.honouredValues;
  if (honoured === undefined || honoured.includes(value)) return;
  if (schema.enum?.includes(value) === true) notice({ kind: "notHonouredValue", path, value });
}

function walkObject(
  schema: Walkable,
  value: Readonly<Record<string, unknown>>,
  path: Path,
  notice: (notice: Notice) => void,
): unknown {
  const known = Object.keys(schema.properties ?? {});
  const isMap = schema.additionalProperties !== undefined;
  if (schema.properties === undefined && !isMap) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const fieldSchema = fieldSchemaOf(schema, key);
    if (fieldSchema === undefined) {
      if (schema.openObject !== true) notice({ kind: "unknown", path: [...path, key], known });
      put(copy, key, field);
    } else if (isMap || field !== null) {
      put(copy, key, walk(fieldSchema, field, [...path, key], notice));
    }
  }
  fillDefaults(schema, copy);
  return copy;
}

function fillDefaults(schema: Walkable, object: Record<string, unknown>): void {
  for (const [key, field] of Object.entries(schema.properties ?? {})) {
    if (field.default === undefined || Object.hasOwn(object, key)) continue;
    object[key] = structuredClone(field.default);
  }
}

function fieldSchemaOf(schema: Walkable, key: string): Walkable | undefined {
  const { properties, additionalProperties } = schema;
  if (properties !== undefined && Object.hasOwn(properties, key)) return properties[key];
  return additionalProperties;
}

/** Assignment of the key `__proto__` would change the object's prototype instead. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") return;
  object[key] = value;
}
