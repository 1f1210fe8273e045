//! From a test's operator and constants to its predicate.

import { listOf, numberOf, textOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonKind, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { HashKind, hashKindOf, prefixOf } from "../../../sdk/assemblyscript/assembly/key-hash";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Network } from "./address";
import { Automaton, Step, StepKind } from "./automaton";
import {
  Always,
  Contains,
  InRange,
  Matches,
  OneOf,
  Percentage,
  Predicate,
  Prefix,
  Reaches,
  Suffix,
  Within,
} from "./condition";
import { DecimalBound } from "./decimal";
import { Comparator, Comparison, Identifier } from "./version";

/** Of one list of a program. */
export const MEMBERS_MAX: i32 = 10000;
const PPM_TOTAL: u32 = 1000000;
const BYTES: i32 = 256;

/** `!=`, `notIn` and `absent` have the predicate that they deny. */
export function readPredicate(operator: string, test: JsonValue, errors: string[]): Predicate {
  if (operator == "exists" || operator == "absent") return new Always();
  if (operator == "regex") return new Matches(automatonOf(test, errors));
  if (operator == "semver") return new InRange(rangesOf(test, errors));
  if (operator == "cidr") return new Within(networksOf(test, errors));
  if (operator == "percentage") return percentageOf(test, errors);
  if (operator == "<" || operator == "<=") return new Reaches(boundOf(test, errors), false);
  if (operator == ">" || operator == ">=") return new Reaches(boundOf(test, errors), true);
  const values = valuesOf(test, errors);
  if (operator == "==" || operator == "!=" || operator == "in" || operator == "notIn") {
    return new OneOf(values);
  }
  const value = values.length > 0 ? values[0] : new Utf8("");
  if (operator == "prefix") return new Prefix(value);
  if (operator == "suffix") return new Suffix(value);
  if (operator == "contains") return new Contains(value);
  errors.push("operator " + operator + " is not known");
  return new Always();
}

function valuesOf(test: JsonValue, errors: string[]): Utf8[] {
  const list = listOf(test, "values", MEMBERS_MAX, errors);
  const values: Utf8[] = [];
  for (let index = 0; index < list.length; index++) {
    if (list[index].kind != JsonKind.string) errors.push("values must be texts");
    values.push(new Utf8(list[index].string));
  }
  return values;
}

function automatonOf(test: JsonValue, errors: string[]): Automaton {
  const list = listOf(test, "steps", MEMBERS_MAX, errors);
  const steps: Step[] = [];
  for (let index = 0; index < list.length; index++) {
    steps.push(stepOf(list[index], list.length, errors));
  }
  const first = <i32>numberOf(test, "first", MEMBERS_MAX);
  if (first >= steps.length) errors.push("first must be one of the steps");
  return new Automaton(steps, first);
}

/** `[kind, out, arg]`, of a byte `[kind, out, from, to, from, to …]`. */
function stepOf(value: JsonValue, count: i32, errors: string[]): Step {
  const kind = numberAt(value, 0);
  const out = numberAt(value, 1);
  const arg = numberAt(value, 2);
  const isBeyond = out >= count || (kind == StepKind.fork && arg >= count);
  if (kind > StepKind.next || out < 0 || arg < 0 || isBeyond) errors.push("a step leads nowhere");
  if (kind != StepKind.byte) return new Step(kind, out, arg, null);
  const bytes = new Uint8Array(BYTES);
  for (let index = 2; index + 1 < value.items.length; index += 2) {
    const last = min(numberAt(value, index + 1), BYTES - 1);
    for (let byte = max(numberAt(value, index), 0); byte <= last; byte++) bytes[byte] = 1;
  }
  return new Step(StepKind.byte, out, 0, bytes);
}

function rangesOf(test: JsonValue, errors: string[]): Comparator[][] {
  const list = listOf(test, "ranges", MEMBERS_MAX, errors);
  const ranges: Comparator[][] = [];
  for (let index = 0; index < list.length; index++) {
    const range: Comparator[] = [];
    const items = list[index].items;
    for (let at = 0; at < items.length; at++) range.push(comparatorOf(items[at], errors));
    ranges.push(range);
  }
  return ranges;
}

function comparatorOf(value: JsonValue, errors: string[]): Comparator {
  const version = listOf(value, "version", 3, errors);
  const list = listOf(value, "prerelease", MEMBERS_MAX, errors);
  const prerelease: Identifier[] = [];
  for (let index = 0; index < list.length; index++) {
    const item = list[index];
    const text = String.UTF8.encode(item.string);
    prerelease.push(new Identifier(item.kind == JsonKind.number, <u64>item.number, text));
  }
  return new Comparator(
    comparisonOf(textOf(value, "comparison", errors), errors),
    version.length > 0 ? <u64>version[0].number : 0,
    version.length > 1 ? <u64>version[1].number : 0,
    version.length > 2 ? <u64>version[2].number : 0,
    prerelease,
  );
}

function comparisonOf(text: string, errors: string[]): Comparison {
  if (text == "any") return Comparison.any;
  if (text == "=") return Comparison.equal;
  if (text == "<") return Comparison.less;
  if (text == "<=") return Comparison.lessOrEqual;
  if (text == ">") return Comparison.greater;
  if (text != ">=") errors.push("comparison " + text + " is not known");
  return Comparison.greaterOrEqual;
}

function networksOf(test: JsonValue, errors: string[]): Network[] {
  const list = listOf(test, "networks", MEMBERS_MAX, errors);
  const networks: Network[] = [];
  for (let index = 0; index < list.length; index++) {
    const parts = listOf(list[index], "bytes", 16, errors);
    const address = new Uint8Array(parts.length);
    for (let at = 0; at < parts.length; at++) address[at] = <u8>parts[at].number;
    const bits = <i32>numberOf(list[index], "bits", 128);
    if (bits > 8 * address.length) errors.push("bits must be at most those of the address");
    networks.push(new Network(address, bits));
  }
  return networks;
}

function percentageOf(test: JsonValue, errors: string[]): Predicate {
  const name = textOf(test, "hash", errors);
  const hash = hashKindOf(name);
  if (hash == HashKind.none) errors.push("hash " + name + " is not known");
  return new Percentage(hash, prefixOf(hash, ""), numberOf(test, "limitPpm", PPM_TOTAL));
}

function boundOf(test: JsonValue, errors: string[]): DecimalBound {
  const bound = test.get("bound");
  if (bound === null || bound.items.length != 3) {
    errors.push("bound must be a list of sign, whole part and fraction");
    return new DecimalBound(false, 0, 0);
  }
  const items = bound.items;
  return new DecimalBound(items[0].number < 0, <u64>items[1].number, <u64>items[2].number);
}

/** -1: there is none. */
function numberAt(value: JsonValue, index: i32): i32 {
  if (index >= value.items.length || value.items[index].kind != JsonKind.number) return -1;
  return <i32>value.items[index].number;
}
