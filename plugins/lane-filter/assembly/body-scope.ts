//! Which requests are held back for their body: those that a rule on it may decide.

import { textOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonKind, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { receiveProperty } from "../../../sdk/assemblyscript/assembly/properties";
import { receivedLength, receivedPointer } from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { kindInHead } from "./body";
import { fieldLength, fieldStart, nextField, receiveHead, rewind } from "./head";
import { BodyKind } from "./media-type";
import { isDigit } from "./operand";

const ROUTE_NAME = new Utf8("xds\0route_name");
const CONTENT_LENGTH = new Utf8("content-length");
/** More digits are too long a body, too. */
const DIGITS_MAX: usize = 10;

export class BodyScope {
  /** A request that has this field (with a value) is decided already. Null: none is. */
  private context: Utf8 | null = null;
  /** Null: at every route. */
  private routes: Utf8[] | null = null;

  constructor(value: JsonValue, errors: string[]) {
    if (value.get("context") !== null) this.context = new Utf8(textOf(value, "context", errors));
    const list = value.get("routes");
    if (list !== null) this.routes = namesOf(list, errors);
  }

  /** Of the request whose head is there; a longer body than `bytesMax` is not waited for. */
  holds(bytesMax: usize): bool {
    if (!receiveHead(false) || kindInHead() == BodyKind.other) return false;
    const context = this.context;
    if (context !== null && isThere(context)) return false;
    rewind();
    if (nextField(CONTENT_LENGTH) && isLonger(bytesMax)) return false;
    const routes = this.routes;
    return routes === null || isRouteAmong(routes);
  }
}

function namesOf(list: JsonValue, errors: string[]): Utf8[] {
  if (list.kind != JsonKind.array) errors.push("body.routes must be a list");
  const names: Utf8[] = [];
  for (let index = 0; index < list.items.length; index++) {
    names.push(new Utf8(list.items[index].string));
  }
  return names;
}

function isThere(name: Utf8): bool {
  rewind();
  return nextField(name) && fieldLength() > 0;
}

function isLonger(bytesMax: usize): bool {
  if (fieldLength() > DIGITS_MAX) return true;
  let length: u64 = 0;
  for (let at = fieldStart(); at < fieldStart() + fieldLength(); at++) {
    if (isDigit(load<u8>(at))) length = length * 10 + <u64>(load<u8>(at) - 0x30);
  }
  return length > <u64>bytesMax;
}

function isRouteAmong(routes: Utf8[]): bool {
  if (!receiveProperty(ROUTE_NAME)) return false;
  for (let index = 0; index < routes.length; index++) {
    const route = routes[index];
    if (route.length != receivedLength()) continue;
    if (memory.compare(route.pointer, receivedPointer(), route.length) == 0) return true;
  }
  return false;
}
