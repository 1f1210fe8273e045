//! Fields of a plug-in's configuration. What is wrong is added to `errors`, all of it at once.

import { JsonKind, JsonParser, JsonValue } from "./json";

/** Null: the configuration is no JSON. */
export function wholeOf(text: string, errors: string[]): JsonValue | null {
  const parser = new JsonParser(text);
  const whole = parser.parse();
  if (whole === null) errors.push("the configuration is not JSON: " + parser.error);
  return whole;
}

/** A text that is not empty. */
export function textOf(value: JsonValue, name: string, errors: string[]): string {
  const field = value.get(name);
  if (field !== null && field.kind == JsonKind.string && field.string != "") return field.string;
  errors.push(name + " must be a text");
  return "";
}

/** A whole number from 0 to `most`; 0: there is none. */
export function numberOf(value: JsonValue, name: string, most: u32): u32 {
  const field = value.get(name);
  if (field === null || field.kind != JsonKind.number) return 0;
  return field.number < 0 || field.number > <f64>most ? 0 : <u32>field.number;
}

/** A list of at most `most`. */
export function listOf(
  value: JsonValue,
  name: string,
  most: i32,
  errors: string[],
): JsonValue[] {
  const field = value.get(name);
  if (field !== null && field.kind == JsonKind.array && field.items.length <= most) {
    return field.items;
  }
  errors.push(name + " must be a list of at most " + most.toString());
  return [];
}
