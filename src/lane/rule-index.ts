//! Finds the first rule that a request meets without evaluating every rule.
//!
//! A condition that is true only where an operand has one of some values (`==`, `in`), begins in
//! one of some ways (`prefix`, a regular expression that starts with plain characters), or is there
//! at all, is *anchored* in that operand. The index reads each anchoring operand once and evaluates
//! only what hangs on the value found. The result is that of asking one rule after the other: a
//! property test holds it against exactly that.

import { internalized } from "../base/internalized.ts";
import type { Condition, OperandKind, Test } from "../snapshot/snapshot.ts";
import { toWireText } from "./key-hash.ts";
import { holdsWhenMissing, operandNameOf } from "./operators.ts";
import { prepareCondition } from "./program.ts";
import type { OperandLookup, PreparedCondition } from "./program.ts";
import { HashFilter, hashOn, seedOf } from "./text-hash.ts";

/** One rule in decision order. */
export interface IndexedRule {
  readonly condition: Condition;
  /** Who meets it is not taken by the rule. */
  readonly unless?: Condition;
}

/** A member of a rule's outermost `any`: when it is met, so is the rule. */
interface Part {
  /** Of its rule, in decision order. */
  readonly position: number;
  /** Null: that the anchor was found is all that it takes. */
  readonly isMet: PreparedCondition | null;
  readonly isExcepted: PreparedCondition | null;
}

/** What a condition needs of one operand in order to be true. */
interface Anchor {
  readonly kind: OperandKind;
  readonly name: string;
  /** Null: that it is there. */
  readonly values: readonly string[] | null;
  readonly by: "value" | "prefix";
  /** That the anchor is found means that the condition is met. */
  readonly isWhole: boolean;
  /** The condition asks for no other operand. */
  readonly isAlone: boolean;
}

/** What most requests need is in the object itself: each further one is a miss of the cache. */
interface OperandIndex {
  readonly kind: OperandKind;
  readonly name: string;
  /** Values, and starts of values and prefixes as long as the shortest prefix; of all operands. */
  readonly filter: HashFilter;
  /** Begins the hashes of this one's. */
  readonly seed: number;
  /** In characters; Infinity: there is no prefix. */
  readonly shortestPrefix: number;
  /** In characters; -1: there is no value. */
  readonly longestValue: number;
  /** What `byValueAlone` gave for a value; null: these are too few. */
  readonly firstByValue: FirstByValue | null;
  /** Of each of these the value alone decides. */
  readonly byValueAlone: readonly Part[];
  /** Asked whenever the operand is there; null: none is. */
  readonly whenThere: readonly Part[] | null;
  readonly byValue: ReadonlyMap<string, readonly Part[]>;
  readonly byPrefix: ReadonlyMap<string, readonly Part[]>;
  /** Each once, shortest first. */
  readonly prefixLengths: readonly number[];
}

/** The positions found for values seen lately: version, region or agent are few, and come again. */
interface FirstByValue {
  recent: Map<string, number>;
  older: Map<string, number>;
}

/** Tells the start of a prefix from that of a value, in the filter. */
const OF_PREFIX = 0x5bd1e995;
/** Fewer conditions are tried faster than a value is looked up. */
const REMEMBERED_PARTS_MIN = 8;
/** Of each of two generations, per operand. */
const REMEMBERED_VALUES_MAX = 512;
const REMEMBERED_CHARS_MAX = 256;

/** What rules hang on one operand, while they are read. */
interface OperandParts {
  readonly kind: OperandKind;
  readonly name: string;
  readonly byValue: Map<string, Part[]>;
  readonly byPrefix: Map<string, Part[]>;
  readonly byValueAlone: Part[];
  readonly whenThere: Part[];
}

export interface RuleIndex {
  readonly operands: readonly OperandIndex[];
  /** Parts with no anchor: asked of every request; null: there is none. */
  readonly always: readonly Part[] | null;
  readonly ruleCount: number;
}

export function indexRules(rules: readonly IndexedRule[]): RuleIndex {
  const operands = new Map<string, OperandParts>();
  const always: Part[] = [];
  rules.forEach(({ condition, unless }, position) => {
    const isExcepted = unless === undefined ? null : prepareCondition(unless);
    for (const member of partsOf(condition)) {
      const anchor = anchorOf(member);
      const isMet = anchor?.isWhole === true ? null : prepareCondition(member);
      const part: Part = { position, isMet, isExcepted };
      if (anchor === null) always.push(part);
      else hang(operands, anchor, part);
    }
  });
  const grown = [...operands.values()];
  const filter = new HashFilter(grown.flatMap(filteredHashes));
  return {
    operands: grown.map((parts, at) => indexOperand(parts, at, filter)),
    always: always.length === 0 ? null : always,
    ruleCount: rules.length,
  };
}

function filteredHashes({ byValue, byPrefix }: OperandParts, position: number): number[] {
  const shortest = lengthsOf(byPrefix)[0] ?? Infinity;
  const seed = seedOf(position);
  const hashes = new Set<number>();
  for (const value of byValue.keys()) {
    hashes.add(hashOn(seed, value, 0, value.length));
    if (value.length >= shortest) hashes.add(hashOn(seed, value, 0, shortest));
  }
  for (const prefix of byPrefix.keys()) {
    const start = hashOn(seed, prefix, 0, shortest);
    hashes.add(start).add(start ^ OF_PREFIX);
  }
  return [...hashes];
}

/** In characters, each once, shortest first. */
function lengthsOf(texts: ReadonlyMap<string, unknown>): number[] {
  return [...new Set(Array.from(texts.keys(), ({ length }) => length))].sort((a, b) => a - b);
}

function indexOperand(parts: OperandParts, position: number, filter: HashFilter): OperandIndex {
  const { kind, name, byValue, byPrefix, byValueAlone } = parts;
  const prefixLengths = lengthsOf(byPrefix);
  const isRemembering = byValueAlone.length >= REMEMBERED_PARTS_MIN;
  const whenThere = isRemembering ? parts.whenThere : inOrder(parts);
  return {
    kind,
    name,
    filter,
    seed: seedOf(position),
    shortestPrefix: prefixLengths[0] ?? Infinity,
    longestValue: lengthsOf(byValue).at(-1) ?? -1,
    firstByValue: isRemembering ? { recent: new Map(), older: new Map() } : null,
    whenThere: whenThere.length === 0 ? null : whenThere,
    byValueAlone,
    byValue,
    byPrefix,
    prefixLengths,
  };
}

function inOrder({ byValueAlone, whenThere }: OperandParts): Part[] {
  return [...byValueAlone, ...whenThere].sort((a, b) => a.position - b.position);
}

/** The position of the first rule that is met, or -1. Allocates nothing but what it remembers. */
export function firstRule(index: RuleIndex, read: OperandLookup): number {
  let best = index.ruleCount;
  for (const operand of index.operands) {
    const value = read(operand.kind, operand.name);
    if (value === undefined) continue;
    best = firstByText(operand, value, best, read);
    const { firstByValue, whenThere } = operand;
    if (firstByValue !== null) {
      best = Math.min(best, remembered(firstByValue, value) ?? remember(operand, value, read));
    }
    if (whenThere !== null) best = firstOf(whenThere, best, read);
  }
  if (index.always !== null) best = firstOf(index.always, best, read);
  return best === index.ruleCount ? -1 : best;
}

function firstByText(
  operand: OperandIndex,
  value: string,
  found: number,
  read: OperandLookup,
): number {
  const { seed, shortestPrefix, filter } = operand;
  const { length } = value;
  let best = found;
  let hash = seed;
  let hashed = 0;
  if (length >= shortestPrefix) {
    hash = hashOn(seed, value, 0, shortestPrefix);
    hashed = shortestPrefix;
    // Mostly that is all: nothing that rules name begins so.
    if (!filter.mayHave(hash)) return best;
    if (filter.mayHave(hash ^ OF_PREFIX)) best = firstByPrefix(operand, value, best, read);
  }
  if (length > operand.longestValue) return best;
  hash = hashOn(hash, value, hashed, length);
  return filter.mayHave(hash) ? firstOf(operand.byValue.get(value), best, read) : best;
}

function firstByPrefix(
  operand: OperandIndex,
  value: string,
  found: number,
  read: OperandLookup,
): number {
  let best = found;
  for (const length of operand.prefixLengths) {
    if (length > value.length) break;
    best = firstOf(operand.byPrefix.get(value.slice(0, length)), best, read);
  }
  return best;
}

function remembered(first: FirstByValue, value: string): number | undefined {
  return first.recent.get(value) ?? first.older.get(value);
}

/** Infinity: no condition holds for the value. */
function remember(
  { byValueAlone, firstByValue: first }: OperandIndex,
  value: string,
  read: OperandLookup,
): number {
  const position = firstOf(byValueAlone, Infinity, read);
  if (first === null || value.length > REMEMBERED_CHARS_MAX) return position;
  if (first.recent.size >= REMEMBERED_VALUES_MAX) {
    first.older = first.recent;
    first.recent = new Map();
  }
  // A copy: the value may be a slice that keeps the whole head of its request.
  first.recent.set(Buffer.from(value, "latin1").toString("latin1"), position);
  return position;
}

/** The parts are in the order of their positions, so the first that is met is the best of them. */
function firstOf(parts: readonly Part[] | undefined, best: number, read: OperandLookup): number {
  if (parts === undefined) return best;
  for (const { position, isMet, isExcepted } of parts) {
    if (position >= best) return best;
    if (isMet !== null && !isMet(read)) continue;
    if (isExcepted?.(read) === true) continue;
    return position;
  }
  return best;
}

/** Of nested `any` too; a condition that is none is its own only part. */
function partsOf(condition: Condition): Condition[] {
  return condition.kind === "any" ? condition.of.flatMap(partsOf) : [condition];
}

function hang(operands: Map<string, OperandParts>, anchor: Anchor, part: Part): void {
  const { kind, name, values, by } = anchor;
  const key = `${kind} ${name}`;
  let operand = operands.get(key);
  if (operand === undefined) {
    operand = {
      kind,
      name: internalized(name),
      byValue: new Map(),
      byPrefix: new Map(),
      byValueAlone: [],
      whenThere: [],
    };
    operands.set(key, operand);
  }
  if (values === null) {
    const list = anchor.isAlone && part.isExcepted === null ? "byValueAlone" : "whenThere";
    operand[list].push(part);
    return;
  }
  const map = by === "value" ? operand.byValue : operand.byPrefix;
  for (const value of values) {
    const parts = map.get(value);
    if (parts === undefined) map.set(value, [part]);
    else parts.push(part);
  }
}

/** The most selective anchor of a condition, or null when it may hold without any operand. */
function anchorOf(condition: Condition): Anchor | null {
  switch (condition.kind) {
    case "test":
      return anchorOfTest(condition);
    case "all": {
      let best: Anchor | null = null;
      for (const member of condition.of) {
        const anchor = anchorOf(member);
        if (anchor !== null && (best === null || costOf(anchor) < costOf(best))) best = anchor;
      }
      if (best === null || condition.of.length === 1) return best;
      return { ...best, isWhole: false, isAlone: false };
    }
    case "any":
      return unionOf(condition.of.map(anchorOf));
    case "not":
      return null;
  }
}

/** One anchor for all of them, when all are values (or all beginnings) of one operand. */
function unionOf(anchors: readonly (Anchor | null)[]): Anchor | null {
  const [first] = anchors;
  if (first === null || first === undefined) return null;
  const values: string[] = [];
  for (const anchor of anchors) {
    if (anchor === null || anchor.values === null) return null;
    if (anchor.kind !== first.kind || anchor.name !== first.name) return null;
    if (anchor.by !== first.by) return null;
    values.push(...anchor.values);
  }
  const isWhole = anchors.every((anchor) => anchor?.isWhole === true);
  const isAlone = anchors.every((anchor) => anchor?.isAlone === true);
  return { ...first, values: [...new Set(values)], isWhole, isAlone };
}

/** Exact values before prefixes before mere presence; fewer before more. */
function costOf({ values, by }: Anchor): number {
  if (values === null) return Infinity;
  return by === "value" ? values.length : 1_000 + values.length;
}

function anchorOfTest(test: Test): Anchor | null {
  if (holdsWhenMissing(test.operator)) return null;
  const operand = { kind: test.operand.kind, name: operandNameOf(test.operand), isAlone: true };
  switch (test.operator) {
    case "==":
    case "in": {
      const values = [...new Set(test.values.map(toWireText))];
      return { ...operand, values, by: "value", isWhole: true };
    }
    case "prefix":
      return { ...operand, values: test.values.map(toWireText), by: "prefix", isWhole: true };
    case "regex": {
      const start = literalStart(toWireText(test.values[0] ?? ""));
      const values = start === "" ? null : [start];
      return { ...operand, values, by: "prefix", isWhole: false };
    }
    case "exists":
      return { ...operand, values: null, by: "value", isWhole: true };
    default:
      return { ...operand, values: null, by: "value", isWhole: false };
  }
}

const PLAIN_START = /^\^?([A-Za-z0-9_\-/ =:;,@%&~!"'<>]*)/;
const QUANTIFIER = /^[*+?{]/;

/** The plain characters with which every match of a (full-match) regular expression begins. */
function literalStart(pattern: string): string {
  // An alternative begins in another way, and a flag may ignore case.
  if (pattern.includes("|") || pattern.startsWith("(?")) return "";
  const [whole = "", start = ""] = PLAIN_START.exec(pattern) ?? [];
  // A quantifier belongs to the character before it, which may then be missing.
  return QUANTIFIER.test(pattern.slice(whole.length)) ? start.slice(0, -1) : start;
}
