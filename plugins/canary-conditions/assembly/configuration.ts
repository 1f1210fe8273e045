//! Reads the configuration. All mistakes are found at once, each with the path of its field.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Network, parseNetwork } from "./network";

const CONDITIONS_MAX: i32 = 100;
const VALUES_MAX: i32 = 1000;
const TRUSTED_HOPS_MAX: f64 = 16;

export enum Place {
  header,
  query,
  cookie,
  body,
}

const PLACES: string[] = ["header", "query", "cookie", "body"];
const OPERATORS: string[] = ["in", "prefix", "networks"];

/** Met when the value is in the list, begins with the prefix or is an address in a network. */
export class Condition {
  values: string[] = [];
  prefix: string = "";
  networks: Network[] = [];

  constructor(
    readonly place: Place,
    readonly name: string,
  ) {}
}

export class Configuration {
  tagHeader: Utf8 = new Utf8("x-mse-tag");
  tagValue: Utf8 = new Utf8("gray");
  /** One of these groups is enough; of a group all conditions. */
  anyOf: Condition[][] = [];
  readsBody: bool = false;
  /** Proxies before the gateway: so many addresses stand behind the client's. */
  trustedHops: i32 = 0;
}

export function readConfiguration(text: string, errors: string[]): Configuration {
  const result = new Configuration();
  const parser = new JsonParser(text == "" ? "{}" : text);
  const whole = parser.parse();
  if (whole === null) {
    errors.push("the configuration is not JSON: " + parser.error);
    return result;
  }
  const header = textField(whole, "tagHeader", "", errors);
  if (header != "") result.tagHeader = new Utf8(header.toLowerCase());
  const value = textField(whole, "tagValue", "", errors);
  if (value != "") result.tagValue = new Utf8(value);
  const hops = whole.get("trustedHops");
  if (hops !== null) {
    const isWhole = hops.kind == JsonKind.number && hops.number == Math.floor(hops.number);
    if (isWhole && hops.number >= 0 && hops.number <= TRUSTED_HOPS_MAX) {
      result.trustedHops = <i32>hops.number;
    } else errors.push("trustedHops must be a whole number from 0 to 16");
  }
  const groups = listField(whole, "anyOf", "", CONDITIONS_MAX, errors);
  if (groups.length == 0) errors.push("anyOf must name at least one group of conditions");
  for (let index = 0; index < groups.length; index++) {
    const path = "anyOf[" + index.toString() + "].";
    const group = readGroup(groups[index], path, errors);
    for (let at = 0; at < group.length; at++) {
      if (group[at].place == Place.body) result.readsBody = true;
    }
    result.anyOf.push(group);
  }
  return result;
}

function readGroup(value: JsonValue, path: string, errors: string[]): Condition[] {
  const conditions: Condition[] = [];
  const list = listField(value, "allOf", path, CONDITIONS_MAX, errors);
  if (list.length == 0) errors.push(path + "allOf must name at least one condition");
  for (let index = 0; index < list.length; index++) {
    const place = path + "allOf[" + index.toString() + "]";
    const condition = readCondition(list[index], place, errors);
    if (condition !== null) conditions.push(condition);
  }
  return conditions;
}

function readCondition(value: JsonValue, path: string, errors: string[]): Condition | null {
  const place = onlyOne(value, PLACES);
  const operator = onlyOne(value, OPERATORS);
  if (place < 0 || operator < 0) {
    errors.push(
      path + " must have one of header, query, cookie, body, and one of in, prefix, networks",
    );
    return null;
  }
  const name = textField(value, PLACES[place], path + ".", errors);
  const condition = new Condition(place, place == Place.header ? name.toLowerCase() : name);
  if (OPERATORS[operator] == "prefix") {
    condition.prefix = textField(value, "prefix", path + ".", errors);
    return condition;
  }
  const list = listField(value, OPERATORS[operator], path + ".", VALUES_MAX, errors);
  if (list.length == 0) errors.push(path + "." + OPERATORS[operator] + " must not be empty");
  for (let index = 0; index < list.length; index++) {
    const item = list[index];
    const at = path + "." + OPERATORS[operator] + "[" + index.toString() + "]";
    if (item.kind != JsonKind.string) errors.push(at + " must be a text");
    else if (OPERATORS[operator] == "in") condition.values.push(item.string);
    else {
      const network = parseNetwork(item.string);
      if (network === null) errors.push(at + " must be an IPv4 network, e.g. 203.0.113.0/24");
      else condition.networks.push(network);
    }
  }
  return condition;
}

/** The index of the only name that the object has; negative when it has none or several. */
function onlyOne(value: JsonValue, names: string[]): i32 {
  let found = -1;
  for (let index = 0; index < names.length; index++) {
    if (value.get(names[index]) === null) continue;
    if (found >= 0) return -1;
    found = index;
  }
  return found;
}

/** `""` when it is not there. */
function textField(value: JsonValue, name: string, path: string, errors: string[]): string {
  const field = value.get(name);
  if (field === null) return "";
  if (field.kind == JsonKind.string && field.string != "") return field.string;
  errors.push(path + name + " must be a text that is not empty");
  return "";
}

function listField(
  value: JsonValue,
  name: string,
  path: string,
  max: i32,
  errors: string[],
): JsonValue[] {
  const field = value.get(name);
  if (field === null) return [];
  if (field.kind == JsonKind.array && field.items.length <= max) return field.items;
  errors.push(path + name + " must be a list of at most " + max.toString());
  return [];
}
