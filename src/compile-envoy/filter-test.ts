//! One test of the decision program in the words of the plug-in `plugins/lane-filter`.
//!
//! The plug-in compares and nothing else: what takes a library (RE2, npm's ranges, networks) or the
//! arithmetic of doubles is worked out here, from the test's constants.

import ipaddr from "ipaddr.js";
import { RE2JS } from "re2js";
import Range from "semver/classes/range.js";
import type { JsonObject } from "../base/json.ts";
import { parseJsonPath } from "../base/json-path.ts";
import { toWireText } from "../lane/key-hash.ts";
import { percentageLimitPpm } from "../lane/operators.ts";
import { BODY_BYTES_DEFAULT } from "../snapshot/snapshot.ts";
import type { Operand, OperandKind, OperandSources, Operator, Test } from "../snapshot/snapshot.ts";
import { Inexpressible } from "./inexpressible.ts";

const OPERANDS: ReadonlySet<OperandKind> = new Set<OperandKind>([
  ...(["header", "cookie", "query", "method", "path", "host", "clientIp"] as const),
  ...(["bodyJson", "bodyForm", "claim"] as const),
]);
const NUMBERS: ReadonlySet<Operator> = new Set<Operator>(["<", "<=", ">", ">="]);
const OUT_OF_ASCII = /[^\x20-\x7e]/;
/** Of one regular expression: each is looked at for each byte. */
export const STEPS_MAX = 1_000;
const BYTES = 256;
/** Digits behind the dot that the operators of numbers read (`lane/operators.ts`). */
const FRACTION_DIGITS = 15;
const UNIT = 10n ** BigInt(FRACTION_DIGITS);

/** Throws `Inexpressible`. `sources`: of the lane group. */
export function filterTest(test: Test, sources: OperandSources | undefined): JsonObject {
  const { operator, values } = test;
  const common = { kind: "test", operand: operandOf(test.operand, sources), operator };
  if (NUMBERS.has(operator)) return { ...common, bound: boundOf(values[0] ?? "", operator) };
  switch (operator) {
    case "regex":
      return { ...common, ...automatonOf(values[0] ?? "") };
    case "semver":
      return { ...common, ranges: rangesOf(values[0] ?? "") };
    case "cidr":
      return { ...common, networks: values.map(networkOf) };
    case "percentage":
      return { ...common, hash: test.hash ?? "fnv1a", limitPpm: percentageLimitPpm(test) };
    default:
      return { ...common, values };
  }
}

/** Whether it is in the request's body. */
export function isOfBody({ kind }: Operand): boolean {
  return kind === "bodyJson" || kind === "bodyForm";
}

/** Throws `Inexpressible`. */
export function operandOf(operand: Operand, sources: OperandSources | undefined): JsonObject {
  const { kind, name } = operand;
  if (!OPERANDS.has(kind)) throw new Inexpressible(`the operand ${kind}`);
  if (kind === "header" && name === "host") {
    throw new Inexpressible("the header host; the operand host can be used");
  }
  if (kind === "cookie" && OUT_OF_ASCII.test(name)) {
    throw new Inexpressible(`the cookie ${name}, whose name is not ASCII`);
  }
  if (kind === "clientIp") return { kind, trustedHops: sources?.trustedHops ?? 0 };
  if (isOfBody(operand)) return bodyOperand(operand, sources);
  return { kind, ...(name === "" ? {} : { name }), ...stepsOf(operand) };
}

function bodyOperand({ kind, name }: Operand, sources: OperandSources | undefined): JsonObject {
  const bytesMax = sources?.bodyBytesMax ?? BODY_BYTES_DEFAULT;
  return { kind, name, bytesMax, ...stepsOf({ kind, name }) };
}

/** Of a path into a JSON document. */
function stepsOf({ kind, name }: Operand): JsonObject {
  if (kind !== "claim" && kind !== "bodyJson") return {};
  return { steps: [...(parseJsonPath(name) ?? [])] };
}

/** `plugins/lane-filter/assembly/automaton.ts`: kinds of steps. */
const FAIL = 0;
const MATCH = 1;
const BYTE = 2;
const FORK = 3;
const PLACE = 4;
const NEXT = 5;

/** The part of re2js' own program that is read here: RE2's instructions, by number. */
interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  matchRune(rune: number): boolean;
}

/** re2js, `Inst`: ALT 1, ALT_MATCH 2, CAPTURE 3, EMPTY_WIDTH 4, FAIL 5, MATCH 6, NOP 7, RUNE… 8. */
function automatonOf(pattern: string): JsonObject {
  const { prog } = RE2JS.compile(toWireText(pattern)).re2() as {
    readonly prog: { readonly inst: readonly Instruction[]; readonly start: number };
  };
  if (prog.inst.length > STEPS_MAX) {
    throw new Inexpressible(`a regular expression of more than ${STEPS_MAX} steps`);
  }
  return { first: prog.start, steps: prog.inst.map(stepOf) };
}

function stepOf(instruction: Instruction): number[] {
  const { op, out, arg } = instruction;
  switch (op) {
    case 1:
    case 2:
      return [FORK, out, arg];
    case 3:
    case 7:
      return [NEXT, out, 0];
    case 4:
      return [PLACE, out, arg];
    case 5:
      return [FAIL, 0, 0];
    case 6:
      return [MATCH, 0, 0];
    case 8:
    case 9:
    case 10:
    case 11:
      return [BYTE, out, ...rangesOfBytes(instruction)];
    default:
      throw new Inexpressible("a regular expression that looks behind");
  }
}

/** `from, to, from, to …`, both within. */
function rangesOfBytes(instruction: Instruction): number[] {
  const ranges: number[] = [];
  let from = -1;
  for (let byte = 0; byte <= BYTES; byte++) {
    const isIn = byte < BYTES && instruction.matchRune(byte);
    if (isIn && from === -1) from = byte;
    if (isIn || from === -1) continue;
    ranges.push(from, byte - 1);
    from = -1;
  }
  return ranges;
}

function rangesOf(text: string): JsonObject[][] {
  const range = new Range(text, { includePrerelease: true });
  return range.set.map((comparators) =>
    comparators.map(({ operator, semver }): JsonObject => {
      // npm's sign for any version is no version.
      if (typeof semver === "symbol") return { comparison: "any", version: [], prerelease: [] };
      const { major, minor, patch, prerelease } = semver;
      if (prerelease.some((one) => typeof one === "string" && /^\d+$/.test(one))) {
        throw new Inexpressible("a range with a number beyond 2^53");
      }
      const comparison = operator === "" ? "=" : operator;
      return { comparison, version: [major, minor, patch], prerelease: [...prerelease] };
    }),
  );
}

function networkOf(text: string): JsonObject {
  if (text.includes("/")) {
    const [address, bits] = ipaddr.parseCIDR(text);
    return { bytes: address.toByteArray(), bits };
  }
  const bytes = ipaddr.process(text).toByteArray();
  return { bytes, bits: 8 * bytes.length };
}

/**
 * The smallest number with so many digits that is (as a double) at least the limit, or that is more
 * than it: so that digits compare as the doubles do. `[sign, whole part, fraction in 10^-15]`.
 */
function boundOf(limitText: string, operator: Operator): number[] {
  const limit = Number(limitText);
  const isMore = operator === "<=" || operator === ">";
  let low = -UNIT * UNIT;
  let high = UNIT * UNIT;
  while (low < high) {
    const middle = (low + high) >> 1n;
    const number = Number(decimalOf(middle));
    if (isMore ? number > limit : number >= limit) high = middle;
    else low = middle + 1n;
  }
  const size = low < 0n ? -low : low;
  return [low < 0n ? -1 : 1, Number(size / UNIT), Number(size % UNIT)];
}

function decimalOf(units: bigint): string {
  const size = units < 0n ? -units : units;
  const fraction = String(size % UNIT).padStart(FRACTION_DIGITS, "0");
  return `${units < 0n ? "-" : ""}${String(size / UNIT)}.${fraction}`;
}
