//! Text to unknown values with positions: YAML 1.2 and JSON, many documents, lists of objects.

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from "yaml";
import type { Document, Node, Pair } from "yaml";
import { CODES } from "./codes.ts";
import { noteExactNumbers } from "./exact-numbers.ts";
import type { Fault, Position } from "./fault.ts";
import type { Path } from "./kinds/kind.ts";
import { items, member } from "./kinds/member.ts";
import { tooDeepLine } from "./nesting.ts";
import type { PositionOf } from "./validate.ts";

export interface ParsedDocument {
  readonly value: unknown;
  readonly positionOf: PositionOf;
}

export interface Parsed {
  readonly documents: readonly ParsedDocument[];
  readonly faults: readonly Fault[];
}

export const FILE_BYTES_MAX: number = 3 * 1024 * 1024;
export const OBJECT_BYTES_MAX: number = 1.5 * 1024 * 1024;
const DEPTH_MAX = 100;
/** By how much aliases may multiply a document ("billion laughs"). */
const ALIAS_COUNT_MAX = 100;

const FIRST: Omit<Position, "file"> = { line: 1, column: 1 };

/**
 * Every object in the text. A document that cannot be read is a fault and left out; the others are
 * still returned. Never throws. `file` only names the place.
 */
export function parseManifests(text: string, file: string): Parsed {
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) {
    const message = `the file is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB`;
    return { documents: [], faults: [fileFault("GL0005", message, { file, ...FIRST })] };
  }
  const deepLine = tooDeepLine(text);
  if (deepLine !== null) {
    const position = { file, line: deepLine, column: 1 };
    return { documents: [], faults: [fileFault("GL0009", "the text nests too deeply", position)] };
  }
  const lines = new LineCounter();
  const source: Source = { file, lines, faults: [] };
  const documents: ParsedDocument[] = [];
  for (const document of readDocuments(text, source)) {
    const value = readValue(document, source);
    if (value === undefined || value === null) continue;
    documents.push(...flatten({ value, positionOf: positionsOf(document, source) }));
  }
  return { documents: documents.filter((each) => isSmall(each, source)), faults: source.faults };
}

interface Source {
  readonly file: string;
  readonly lines: LineCounter;
  readonly faults: Fault[];
}

function readDocuments(text: string, source: Source): readonly Document[] {
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: source.lines,
      prettyErrors: false,
      stringKeys: true,
      // Checked in `findRepeatedKeys`: the library compares every pair of keys.
      uniqueKeys: false,
      merge: true,
      resolveKnownTags: false,
      logLevel: "silent",
    });
    return Array.isArray(documents) ? documents : [];
  } catch {
    // A belt beside `tooDeepLine`: the library reports what is wrong, and does not throw.
    source.faults.push(
      fileFault("GL0009", "the text cannot be read", { file: source.file, ...FIRST }),
    );
    return [];
  }
}

/** The document's value, or undefined when it has a fault. */
function readValue(document: Document, source: Source): unknown {
  const before = source.faults.length;
  for (const error of document.errors) {
    source.faults.push(
      fileFault(
        "GL0006",
        `the text is not valid YAML: ${sentence(error.message)}`,
        at(error.pos[0], source),
      ),
    );
  }
  if (source.faults.length > before) return undefined;
  for (const warning of document.warnings) {
    source.faults.push(fileFault("GL0012", sentence(warning.message), at(warning.pos[0], source)));
  }
  const start = at(document.contents?.range?.[0] ?? 0, source);
  try {
    if (findRepeatedKeys(document, source)) return undefined;
    const value: unknown = document.toJS({ maxAliasCount: ALIAS_COUNT_MAX });
    if (isShallow(value, DEPTH_MAX)) {
      noteExactNumbers(document, value);
      return value;
    }
    source.faults.push(
      fileFault("GL0009", `values nest more than ${DEPTH_MAX} levels deep`, start),
    );
  } catch {
    source.faults.push(fileFault("GL0009", "aliases multiply the document too much", start));
  }
  return undefined;
}

function sentence(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/\.$/, "");
}

function findRepeatedKeys(document: Document, source: Source): boolean {
  const before = source.faults.length;
  visit(document, {
    Map(_key, map) {
      const seen = new Map<string, Position>();
      for (const pair of map.items) {
        const key = pair.key;
        if (!isScalar(key) || key.value === "<<") continue;
        const name = String(key.value);
        const place = at(key.range?.[0] ?? 0, source);
        const earlier = seen.get(name);
        if (earlier === undefined) {
          seen.set(name, place);
          continue;
        }
        const what = `the key ${JSON.stringify(name)} stands twice`;
        const message = `${what}, first in line ${earlier.line}`;
        source.faults.push(fileFault("GL0007", message, place, "Keep one of the two."));
      }
    },
  });
  return source.faults.length > before;
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  return Object.values(value).every((each) => isShallow(each, levels - 1));
}

/** The objects of a `List` (or `ServiceList` …), each with its own positions. */
function flatten(document: ParsedDocument): ParsedDocument[] {
  const kind = member(document.value, "kind");
  const list = member(document.value, "items");
  if (typeof kind !== "string" || !kind.endsWith("List") || !Array.isArray(list)) return [document];
  return items(list).map((value, index) => ({
    value,
    positionOf: (path, part) => document.positionOf(["items", index, ...path], part),
  }));
}

function isSmall(document: ParsedDocument, source: Source): boolean {
  if (JSON.stringify(document.value).length <= OBJECT_BYTES_MAX) return true;
  const message = `the object is larger than ${OBJECT_BYTES_MAX / 1024 / 1024} MiB`;
  source.faults.push(fileFault("GL0008", message, document.positionOf([])));
  return false;
}

/**
 * A field's place is its value where that stands beside the key, else the key: an editor then jumps
 * to the line that names the field.
 */
function positionsOf(document: Document, source: Source): PositionOf {
  return (path: Path, part: "key" | "value" = "value") => {
    let node: unknown = document.contents;
    let place = startOf(node) ?? 0;
    for (const [index, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(document);
      const next = child(node, step);
      if (next === null) break;
      const wantsKey = part === "key" && index === path.length - 1;
      place = wantsKey ? (next.key ?? place) : (placeOf(next) ?? place);
      node = next.value;
    }
    return at(place, source);
  };
}

interface Child {
  /** Where the key starts; null for the item of a list. */
  readonly key: number | null;
  readonly value: unknown;
}

function child(node: unknown, step: string | number): Child | null {
  if (isSeq(node)) {
    const value = typeof step === "number" ? node.items[step] : undefined;
    return value === undefined ? null : { key: null, value };
  }
  if (!isMap(node)) return null;
  const pair = node.items.find(
    (each: Pair) => isScalar(each.key) && String(each.key.value) === String(step),
  );
  return pair === undefined ? null : { key: startOf(pair.key), value: pair.value };
}

function placeOf(found: Child): number | null {
  const { key, value } = found;
  if (key === null) return startOf(value);
  const isBlock = (isMap(value) || isSeq(value)) && value.flow !== true;
  const isNothing =
    isScalar(value) && (value.value === null || value.range?.[0] === value.range?.[1]);
  return isBlock || isNothing ? key : (startOf(value) ?? key);
}

function startOf(node: unknown): number | null {
  return (node as Node | null)?.range?.[0] ?? null;
}

function at(offset: number, source: Source): Position {
  const { line, col } = source.lines.linePos(offset);
  return { file: source.file, line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** A fault of a file rather than of an object. */
export function fileFault(
  code: string,
  message: string,
  position: Position | null,
  remedy = "",
): Fault {
  const severity = CODES[code]?.severity ?? "error";
  return { severity, code, message, remedy, path: "", object: null, position };
}
