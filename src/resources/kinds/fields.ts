//! Building blocks of schemas, and the words that we add to JSON Schema.
//!
//! `accepted` marks a field that is read by others or makes no difference here: no message.
//! `notHonoured` marks a field that would matter but has no effect here: a warning.
//! `honouredValues` does the same for some values of an enumeration.
//! `exactlyOneOf`, `atMostOneOf` name the fields of which one may be given.
//! `openObject` marks an object whose unknown fields are none of our business.
//! `uniqueBy` names the fields that together identify an item of a list.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";

export type Labels = Readonly<Record<string, string>>;

/** Words of ours that may stand in a schema. ajv is told to let them pass. */
export const ANNOTATIONS = ["accepted", "notHonoured", "honouredValues", "openObject"] as const;

type Optional<Value> = TUnsafe<Value> & { "~optional": true };

/** Any value, taken as it is and not looked into. */
export function accepted(): Optional<unknown> {
  return Type.Optional(Type.Unsafe<unknown>({ accepted: true }));
}

/** Any value; a warning says that the field has no effect. */
export function notHonoured(): Optional<unknown> {
  return Type.Optional(Type.Unsafe<unknown>({ notHonoured: true }));
}

/** `accepted` for each of the names. */
export function acceptedFields<Name extends string>(
  ...names: readonly Name[]
): Record<Name, Optional<unknown>> {
  return fieldsOf(names, accepted);
}

/** `notHonoured` for each of the names. */
export function notHonouredFields<Name extends string>(
  ...names: readonly Name[]
): Record<Name, Optional<unknown>> {
  return fieldsOf(names, notHonoured);
}

/** A map from label keys to label values. */
export function labels(): TUnsafe<Labels> {
  return Type.Unsafe<Labels>({
    type: "object",
    propertyNames: { format: "label-key" },
    additionalProperties: { type: "string", format: "label-value" },
  });
}

/** A map from any names to strings: annotations, a Secret's data. */
export function strings(): TUnsafe<Labels> {
  return Type.Unsafe<Labels>({ type: "object", additionalProperties: { type: "string" } });
}

/** An object with any fields that is handed on as it is. */
export function anyObject(): TUnsafe<Readonly<Record<string, unknown>>> {
  return Type.Unsafe<Readonly<Record<string, unknown>>>({ type: "object", openObject: true });
}

/** A TCP or UDP port. */
export function port(): TUnsafe<number> {
  return Type.Unsafe<number>({ type: "integer", minimum: 1, maximum: 65535 });
}

/** A text that must not be empty and follows the format when one is given. */
export function text(format?: string): TUnsafe<string> {
  return Type.Unsafe<string>({
    type: "string",
    minLength: 1,
    ...(format === undefined ? {} : { format }),
  });
}

/** A text of one of these values. `honoured` are those that have their full effect here. */
export function oneOf<const Value extends string>(
  values: readonly Value[],
  options: { readonly default?: Value; readonly honoured?: readonly Value[] } = {},
): TUnsafe<Value> {
  return Type.Unsafe<Value>({
    type: "string",
    enum: [...values],
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(options.honoured === undefined ? {} : { honouredValues: options.honoured }),
  });
}

/** A map with schema-checked values. */
export function mapOf<Value>(
  value: TUnsafe<Value>,
  keyFormat: string,
): TUnsafe<Readonly<Record<string, Value>>> {
  return Type.Unsafe<Readonly<Record<string, Value>>>({
    type: "object",
    propertyNames: { format: keyFormat },
    additionalProperties: value,
  });
}

function fieldsOf<Name extends string>(
  names: readonly Name[],
  make: () => Optional<unknown>,
): Record<Name, Optional<unknown>> {
  return Object.fromEntries(names.map((name) => [name, make()])) as Record<Name, Optional<unknown>>;
}
