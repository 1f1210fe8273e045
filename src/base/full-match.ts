//! Regular expressions of RE2's syntax that match the whole text, in linear time.
//!
//! They run on re2js. A pattern that JavaScript's own engine provably runs in linear time too goes
//! there, since that is many times faster. Texts have one character for each byte.

import { RE2JS } from "re2js";

/** Throws re2js' own error when the pattern is not of RE2's syntax. */
export function fullMatcher(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  const [, part] = CONTAINING.exec(pattern) ?? [];
  if (part !== undefined) return (text) => text.includes(part) && !text.includes("\n");
  const linear = toLinearRegExp(pattern);
  return linear === null ? (text) => compiled.testExact(text) : (text) => linear.test(text);
}

/** The commonest pattern that is not in the subset below. RE2's dot is anything but a line feed. */
const CONTAINING = /^\.\*([A-Za-z0-9_ \-/:;,=@%&~!"'<>]+)\.\*$/;

const BYTES = 256;
/** The largest count that RE2 accepts in a repetition. */
const REPEAT_MAX = 1_000;

/** The bytes that one position may have: 1 for each that is in. */
type ByteSet = Uint8Array;

interface Step {
  readonly set: ByteSet;
  readonly min: number;
  readonly max: number;
}

/**
 * The pattern as a JavaScript RegExp, or null when it is not in the safe subset.
 *
 * The subset: a sequence of characters, classes and dots, each with an optional greedy repetition;
 * no group and no alternation. Either one step alone has a length that varies: then a backtracking
 * engine tries at most one length for each character. Or no step of varying length shares a byte
 * with what may come next: then a byte that is given back fits nowhere else, and is tried once.
 */
export function toLinearRegExp(pattern: string): RegExp | null {
  const steps = readSteps(pattern.replace(/^\^/, ""));
  if (steps === null) return null;
  const varying = steps.filter(({ min, max }) => min !== max);
  const isClear = steps.every((step, at) => step.min === step.max || !meetsNext(steps, at));
  if (varying.length > 1 && !isClear) return null;
  return new RegExp(`^${steps.map(sourceOf).join("")}$`);
}

/** Whether a byte of the step may also be the first of what follows it. */
function meetsNext(steps: readonly Step[], at: number): boolean {
  const own = steps[at]?.set;
  for (const { set, min } of steps.slice(at + 1)) {
    if (own?.some((isIn, byte) => isIn === 1 && set[byte] === 1) === true) return true;
    if (min > 0) return false;
  }
  return false;
}

const PLAIN = /[A-Za-z0-9_ \-/:;,=@%&~!"'<>]/y;
const ESCAPED = /\\([dws.\-/?+*()[\]{}|^$\\])/y;
const CLASS = /\[(\^?)((?:[A-Za-z0-9_./:,=@%+*?()-]|\\[dws.\-\]\\^/])+)\]/y;
const CLASS_ITEM = /\\(.)|([A-Za-z0-9])-([A-Za-z0-9])|([^\\])/gy;
const REPEAT = /[*+?]|\{(\d{1,4})(?:(,)(\d{0,4}))?\}/y;
const REPEAT_START = /[*+?{]/;

/** Null: something in it is outside of the subset. */
function readSteps(pattern: string): Step[] | null {
  const steps: Step[] = [];
  let at = 0;
  const take = (token: RegExp): RegExpExecArray | null => {
    token.lastIndex = at;
    const found = token.exec(pattern);
    if (found !== null) at = token.lastIndex;
    return found;
  };
  while (at < pattern.length && pattern.slice(at) !== "$") {
    const set = readAtom(take);
    if (set === null) return null;
    const repeat = repeatOf(take(REPEAT));
    // A second one makes the first lazy, or is an error.
    if (repeat === null || REPEAT_START.test(pattern.charAt(at))) return null;
    steps.push({ set, ...repeat });
  }
  return steps;
}

function readAtom(take: (token: RegExp) => RegExpExecArray | null): ByteSet | null {
  const plain = take(PLAIN);
  if (plain !== null) return bytesOf(plain[0]);
  if (take(/\./y) !== null) return without(bytesOf("\n"));
  const escaped = take(ESCAPED);
  if (escaped !== null) return escapeOf(escaped[1] ?? "");
  const [, negation, items] = take(CLASS) ?? [];
  if (items === undefined) return null;
  const set = readItems(items);
  return set !== null && negation === "^" ? without(set) : set;
}

function readItems(items: string): ByteSet | null {
  const set = new Uint8Array(BYTES);
  for (const [, escaped, from, to, plain] of items.matchAll(CLASS_ITEM)) {
    if (escaped !== undefined) merge(set, escapeOf(escaped));
    else if (plain !== undefined) merge(set, bytesOf(plain));
    else if (from !== undefined && to !== undefined) {
      if (from > to) return null;
      set.fill(1, from.charCodeAt(0), to.charCodeAt(0) + 1);
    }
  }
  // Where it is neither first nor last, engines differ about what a hyphen means.
  const hasHyphenWithin = /.-./.test(items.replace(/\\.|[A-Za-z0-9]-[A-Za-z0-9]/g, "x"));
  return hasHyphenWithin ? null : set;
}

function repeatOf(found: RegExpExecArray | null): Pick<Step, "min" | "max"> | null {
  if (found === null) return { min: 1, max: 1 };
  const [whole, low, comma, high] = found;
  if (whole === "*") return { min: 0, max: Infinity };
  if (whole === "+") return { min: 1, max: Infinity };
  if (whole === "?") return { min: 0, max: 1 };
  const min = Number(low);
  const max = comma === undefined ? min : high === "" ? Infinity : Number(high);
  const isValid = min <= max && min <= REPEAT_MAX && (max <= REPEAT_MAX || max === Infinity);
  return isValid ? { min, max } : null;
}

function bytesOf(text: string): ByteSet {
  const set = new Uint8Array(BYTES);
  for (const byte of Buffer.from(text, "latin1")) set[byte] = 1;
  return set;
}

function merge(into: ByteSet, from: ByteSet): void {
  from.forEach((isIn, byte) => {
    if (isIn === 1) into[byte] = 1;
  });
}

function without(set: ByteSet): ByteSet {
  return set.map((isIn) => 1 - isIn);
}

const DIGITS = "0123456789";
const WORD = `${DIGITS}ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz`;
/** RE2's, which are ASCII. */
const NAMED: Readonly<Record<string, string>> = { d: DIGITS, w: WORD, s: "\t\n\f\r " };

function escapeOf(character: string): ByteSet {
  return bytesOf(NAMED[character] ?? character);
}

function sourceOf({ set, min, max }: Step): string {
  // Written by what is left out when most are in: characters beyond a byte are then in, too.
  const isMost = set[BYTES - 1] === 1;
  const listed = isMost ? without(set) : set;
  let source = "";
  listed.forEach((isIn, byte) => {
    if (isIn === 1) source += `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  const repeat = min === 1 && max === 1 ? "" : `{${min},${max === Infinity ? "" : max}}`;
  return `[${isMost ? "^" : ""}${source}]${repeat}`;
}
