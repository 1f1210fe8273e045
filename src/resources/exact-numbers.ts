//! Keeps the numbers of a plug-in's configuration as they were written.
//!
//! JavaScript's numbers lose what many languages keep: 9007199254740993 would become
//! 9007199254740992, and 1.0 would become 1. What would be lost is noted in an annotation of the
//! object, by its path, and put back when the configuration is written for the plug-in. A note
//! whose path holds another number by now is out of date and has no effect.

import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document } from "yaml";
import type { Path } from "./kinds/kind.ts";
import { items, member } from "./kinds/member.ts";
import type { Resource } from "./object.ts";

export const EXACT_NUMBERS_ANNOTATION = "graylane.io/exact-numbers";

/** More of them are not kept: identifiers by the thousand belong into texts. */
const NOTES_MAX = 1_000;
/** RFC 8259, section 6. YAML's other forms (0x1f, .5, +1) reach the plug-in as plain numbers. */
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PLUGIN_KINDS = ["WasmPlugin", "TrafficExtension"];

type Note = readonly [path: Path, text: string];

/** A number with its text. Stands in a configuration in place of the number. */
export class ExactNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Adds the annotation to plug-ins in a document just read; `value` is changed. */
export function noteExactNumbers(document: Document, value: unknown): void {
  noteIn(value, document.contents);
  const list = document.get("items", true);
  items(member(value, "items")).forEach((item, index) => {
    if (isSeq(list)) noteIn(item, list.items[index]);
  });
}

function noteIn(value: unknown, node: unknown): void {
  if (!PLUGIN_KINDS.includes(String(member(value, "kind"))) || !isMap(node)) return;
  const notes: Note[] = [];
  collect(node.get("spec", true), ["spec"], notes);
  const metadata = member(value, "metadata");
  if (notes.length === 0 || !isRecord(metadata)) return;
  const annotations = metadata["annotations"] ?? {};
  if (!isRecord(annotations)) return;
  const text = JSON.stringify(notes.slice(0, NOTES_MAX));
  metadata["annotations"] = { ...annotations, [EXACT_NUMBERS_ANNOTATION]: text };
}

function collect(node: unknown, path: Path, notes: Note[]): void {
  if (isAlias(node)) return;
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      if (isScalar(key)) collect(value, [...path, String(key.value)], notes);
    }
  } else if (isSeq(node)) {
    node.items.forEach((item, index) => {
      collect(item, [...path, index], notes);
    });
  } else if (isScalar(node) && typeof node.value === "number") {
    const { source = "" } = node;
    if (JSON_NUMBER.test(source) && String(node.value) !== source) notes.push([path, source]);
  }
}

/** The resource with an `ExactNumber` wherever a note still holds; itself when there is none. */
export function withExactNumbers<Kind extends Resource>(resource: Kind): Kind {
  const text = resource.metadata.annotations?.[EXACT_NUMBERS_ANNOTATION];
  if (text === undefined) return resource;
  let result: unknown = resource;
  for (const [path, number] of readNotes(text)) result = replaced(result, path, number);
  return result as Kind;
}

function readNotes(text: string): readonly Note[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return [];
  }
  return items(parsed).slice(0, NOTES_MAX).filter(isNote);
}

function isNote(value: unknown): value is Note {
  if (!Array.isArray(value)) return false;
  const [path, text] = value as readonly unknown[];
  const isPath =
    Array.isArray(path) && path.every((step) => ["string", "number"].includes(typeof step));
  return isPath && path[0] === "spec" && typeof text === "string" && JSON_NUMBER.test(text);
}

function replaced(value: unknown, path: Path, text: string): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value === Number(text) ? new ExactNumber(text) : value;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) =>
      index === step ? replaced(item, rest, text) : item,
    );
  }
  if (!isRecord(value) || !Object.hasOwn(value, step)) return value;
  return { ...value, [step]: replaced(value[step], rest, text) };
}

/** Canonical JSON (keys sorted, no white space) with exact numbers as they were written. */
export function exactJson(value: unknown): string {
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map((item) => exactJson(item ?? null)).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${exactJson(value[key])}`);
  return `{${members.join(",")}}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
