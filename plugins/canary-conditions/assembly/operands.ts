//! What a condition looks at. Each function answers null when there is no such value.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { getHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const PATH = new Utf8(":path");
const COOKIE = new Utf8("cookie");

export function headerValue(name: string): string | null {
  return getHeader(MapKind.requestHeaders, new Utf8(name));
}

/** As it stands in the path, without percent-decoding. */
export function queryValue(name: string): string | null {
  const path = getHeader(MapKind.requestHeaders, PATH);
  if (path === null) return null;
  const mark = path.indexOf("?");
  return mark < 0 ? null : findPair(path.substring(mark + 1), "&", name);
}

export function cookieValue(name: string): string | null {
  const cookies = getHeader(MapKind.requestHeaders, COOKIE);
  return cookies === null ? null : findPair(cookies, ";", name);
}

function findPair(text: string, separator: string, name: string): string | null {
  const pairs = text.split(separator);
  for (let index = 0; index < pairs.length; index++) {
    const pair = pairs[index].trim();
    const equals = pair.indexOf("=");
    if (equals >= 0 && pair.substring(0, equals) == name) return pair.substring(equals + 1);
  }
  return null;
}

/** The text, number or truth value at `order.items[0].sku` of a JSON body. */
export function bodyValue(body: string, path: string): string | null {
  const parser = new JsonParser(body);
  let value: JsonValue | null = parser.parse();
  const steps = path.replaceAll("[", ".").replaceAll("]", "").split(".");
  for (let index = 0; index < steps.length; index++) {
    if (value === null) return null;
    value = child(value, steps[index]);
  }
  if (value === null) return null;
  if (value.kind == JsonKind.string) return value.string;
  if (value.kind == JsonKind.boolean) return value.boolean ? "true" : "false";
  return value.kind == JsonKind.number ? numberText(value.number) : null;
}

function child(value: JsonValue, step: string): JsonValue | null {
  if (value.kind == JsonKind.object) return value.get(step);
  if (value.kind != JsonKind.array) return null;
  const index = I32.parseInt(step);
  return index >= 0 && index < value.items.length && index.toString() == step
    ? value.items[index]
    : null;
}

/** Whole numbers without a fraction, as JSON writes them. */
function numberText(number: f64): string {
  return number == Math.floor(number) && Math.abs(number) < 9e15
    ? (<i64>number).toString()
    : number.toString();
}
