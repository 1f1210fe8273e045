//! Reads the configuration. All mistakes are found at once, each with the path of its field.

import { JsonKind, JsonParser, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Policy, Rule } from "./rule";

const RULES_MAX: i32 = 1000;
const POLICIES_MAX: i32 = 1000;

export function readRules(text: string, errors: string[]): Rule[] {
  const rules: Rule[] = [];
  const parser = new JsonParser(text);
  const whole = parser.parse();
  if (whole === null) {
    errors.push("the configuration is not JSON: " + parser.error);
    return rules;
  }
  if (whole.kind != JsonKind.object) {
    errors.push("the configuration must be an object with the field rules");
    return rules;
  }
  const list = arrayField(whole, "", "rules", RULES_MAX, errors);
  for (let index = 0; index < list.length; index++) {
    const path = "rules[" + index.toString() + "]";
    const rule = readRule(list[index], path, errors);
    if (rule !== null) rules.push(rule);
  }
  return rules;
}

function readRule(value: JsonValue, path: string, errors: string[]): Rule | null {
  if (value.kind != JsonKind.object) {
    errors.push(path + " must be an object");
    return null;
  }
  const countBefore = errors.length;
  const header = nameField(value, path, "header", errors);
  const modulo = wholeField(value, path, "modulo", errors);
  if (modulo == 0) errors.push(path + ".modulo must be at least 1");
  const tagHeader = nameField(value, path, "tagHeader", errors);
  const list = arrayField(value, path, "policies", POLICIES_MAX, errors);
  const policies: Policy[] = [];
  for (let index = 0; index < list.length; index++) {
    const policyPath = path + ".policies[" + index.toString() + "]";
    const policy = readPolicy(list[index], policyPath, modulo, errors);
    if (policy !== null) policies.push(policy);
  }
  if (errors.length > countBefore) return null;
  return new Rule(header, <u32>modulo, tagHeader, policies);
}

function readPolicy(value: JsonValue, path: string, modulo: i64, errors: string[]): Policy | null {
  if (value.kind != JsonKind.object) {
    errors.push(path + " must be an object");
    return null;
  }
  const range = wholeField(value, path, "range", errors);
  if (range >= 0 && modulo > 0 && range > modulo) {
    errors.push(
      path + ".range is " + range.toString() + " but may be at most modulo, " + modulo.toString(),
    );
  }
  const tagValue = textField(value, path, "tagValue", errors);
  for (let index = 0; index < tagValue.length; index++) {
    if (tagValue.charCodeAt(index) >= 0x20 && tagValue.charCodeAt(index) != 0x7f) continue;
    errors.push(path + ".tagValue has a control character, which no header may carry");
    break;
  }
  return new Policy(<u32>max(range, 0), tagValue, new Utf8(tagValue));
}

function arrayField(
  value: JsonValue,
  path: string,
  name: string,
  itemsMax: i32,
  errors: string[],
): JsonValue[] {
  const place = path == "" ? name : path + "." + name;
  const field = value.get(name);
  if (field === null) errors.push(place + " is missing");
  else if (field.kind != JsonKind.array) errors.push(place + " must be a list");
  else if (field.items.length > itemsMax) {
    errors.push(place + " may have at most " + itemsMax.toString() + " items");
  } else return field.items;
  return [];
}

function textField(value: JsonValue, path: string, name: string, errors: string[]): string {
  const field = value.get(name);
  if (field === null) errors.push(path + "." + name + " is missing");
  else if (field.kind != JsonKind.string) errors.push(path + "." + name + " must be a string");
  else return field.string;
  return "";
}

/** A header name, lower-case: the host's names are. */
function nameField(value: JsonValue, path: string, name: string, errors: string[]): string {
  const countBefore = errors.length;
  const text = asciiLower(textField(value, path, name, errors));
  if (errors.length == countBefore && !isHeaderName(text)) {
    errors.push(path + "." + name + " is not a header name");
  }
  return text;
}

/** A whole number from 0 to 2^32 - 1; -1 after an error. */
function wholeField(value: JsonValue, path: string, name: string, errors: string[]): i64 {
  const place = path + "." + name;
  const field = value.get(name);
  if (field === null) errors.push(place + " is missing");
  else if (field.kind != JsonKind.number) errors.push(place + " must be a number");
  else if (field.number < 0) errors.push(place + " may not be negative");
  else if (field.number != Math.floor(field.number) || field.number > <f64>u32.MAX_VALUE) {
    errors.push(place + " must be a whole number below 2^32");
  } else return <i64>field.number;
  return -1;
}

/** String.toLowerCase would bring the tables of all alphabets into the module. */
function asciiLower(text: string): string {
  let lower = "";
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    lower += String.fromCharCode(code >= 0x41 && code <= 0x5a ? code | 0x20 : code);
  }
  return lower;
}

/** RFC 9110 section 5.1: a token; a leading colon is a pseudo header. */
function isHeaderName(text: string): bool {
  const start = text.startsWith(":") ? 1 : 0;
  if (text.length == start) return false;
  for (let index = start; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const isLetter = code >= 0x61 && code <= 0x7a;
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isLetter && !isDigit && !"!#$%&'*+-.^_`|~".includes(String.fromCharCode(code))) {
      return false;
    }
  }
  return true;
}
