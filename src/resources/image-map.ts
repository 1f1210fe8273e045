//! Which local command stands for a container image, and which built-in plug-in for a plug-in
//! image.
//!
//! The map comes from `catalogue/images.yaml` and from the user's own files, which go first.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { LineCounter, isCollection, isMap, isNode, isSeq, parseDocument } from "yaml";
import type { Document, YAMLMap } from "yaml";
import type { Fault, Position } from "./fault.ts";

export const IMAGE_MAP_BYTES_MAX = 1_048_576;
export const IMAGE_MAP_ENTRIES_MAX = 10_000;

/** What runs in place of a container image. */
export interface WorkloadMapping {
  /** Pattern of the image: `*` stands for any run of characters. */
  readonly image: string;
  /** `{node}` is our own Node binary; `./` and `../` are already resolved against the file. */
  readonly command: readonly string[];
  /** Kubernetes' EnvVar list; the container's own variables of the same name win. */
  readonly env: readonly unknown[];
}

/** What is loaded in place of a plug-in image. */
export type PluginMapping =
  | { readonly kind: "builtin"; readonly name: string }
  /** An absolute path of a `.wasm` file. */
  | { readonly kind: "file"; readonly path: string };

export interface ImageMap {
  /** The files that were read, for messages. */
  readonly files: readonly string[];
  resolveWorkload(image: string): WorkloadMapping | null;
  /** `url` as in a WasmPlugin; a leading `oci://` does not count. */
  resolvePlugin(url: string): PluginMapping | null;
}

interface PluginEntry {
  readonly pattern: string;
  readonly mapping: PluginMapping;
}

interface Entries {
  readonly workloads: WorkloadMapping[];
  readonly plugins: PluginEntry[];
  readonly faults: Fault[];
}

/** Reads the files; the first file with a matching entry wins, within a file the first entry. */
export function loadImageMap(files: readonly string[]): {
  readonly map: ImageMap;
  readonly faults: readonly Fault[];
} {
  const entries: Entries = { workloads: [], plugins: [], faults: [] };
  for (const file of files) {
    const text = readText(file, entries.faults);
    if (text !== null) parseImageMap({ file, text }, entries);
  }
  return { map: buildImageMap(files, entries), faults: entries.faults };
}

function buildImageMap(files: readonly string[], entries: Entries): ImageMap {
  return {
    files,
    resolveWorkload: (image) =>
      entries.workloads.find((entry) => matchesImage(entry.image, image)) ?? null,
    resolvePlugin: (url) => {
      const image = url.replace(/^oci:\/\//, "");
      return entries.plugins.find((entry) => matchesImage(entry.pattern, image))?.mapping ?? null;
    },
  };
}

/**
 * `*` is any run of characters; a pattern that ends in `:*` also takes a digest or no tag at all.
 */
export function matchesImage(pattern: string, image: string): boolean {
  if (pattern.endsWith(":*")) {
    const repository = pattern.slice(0, -2);
    if (matchesGlob(repository, image) || matchesGlob(`${repository}@*`, image)) return true;
  }
  return matchesGlob(pattern, image);
}

/** Linear in the text for each star: no regular expression of the user's making. */
function matchesGlob(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  if (!text.startsWith(first)) return false;
  const last = rest.pop() ?? "";
  let from = first.length;
  for (const piece of rest) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return text.length - from >= last.length && text.endsWith(last);
}

function readText(file: string, faults: Fault[]): string | null {
  try {
    const text = readFileSync(file, "utf8");
    if (text.length <= IMAGE_MAP_BYTES_MAX) return text;
    const message = `the image map is larger than ${IMAGE_MAP_BYTES_MAX} bytes`;
    faults.push(imageMapFault("GL0506", message, { file, line: 1, column: 1 }));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the image map cannot be read: ${reason}`;
    faults.push(imageMapFault("GL0506", message, { file, line: 1, column: 1 }));
  }
  return null;
}

/** Adds the entries and faults of one file. Wrong entries are left out, the others stay. */
function parseImageMap(
  source: { readonly file: string; readonly text: string },
  into: Entries,
): void {
  const lines = new LineCounter();
  const document = parseDocument(source.text, { lineCounter: lines });
  const reader = new Reader(source.file, document, lines);
  for (const error of document.errors) {
    into.faults.push(imageMapFault("GL0507", firstLine(error.message), reader.at(error.pos[0])));
  }
  if (document.errors.length === 0) {
    reader.read(into);
    into.faults.push(...reader.faults);
  }
  if (into.workloads.length + into.plugins.length > IMAGE_MAP_ENTRIES_MAX) {
    const message = `more than ${IMAGE_MAP_ENTRIES_MAX} image map entries; the rest is left out`;
    into.faults.push(imageMapFault("GL0507", message, reader.at(0)));
    into.workloads.length = Math.min(into.workloads.length, IMAGE_MAP_ENTRIES_MAX);
    into.plugins.length = Math.min(into.plugins.length, IMAGE_MAP_ENTRIES_MAX);
  }
}

/** Walks one document and keeps positions for the faults. */
class Reader {
  readonly faults: Fault[] = [];
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(file: string, document: Document, lines: LineCounter) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
  }

  at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  read(into: Entries): void {
    const root = this.#document.contents;
    if (root === null) return;
    if (!isMap(root)) {
      this.#wrong(root, "an image map is a mapping with the lists workloads and plugins");
      return;
    }
    this.#rejectUnknown(root, ["workloads", "plugins"]);
    for (const entry of this.#maps(root, "workloads")) this.#workload(entry, into.workloads);
    for (const entry of this.#maps(root, "plugins")) this.#plugin(entry, into.plugins);
  }

  #workload(entry: YAMLMap, into: WorkloadMapping[]): void {
    this.#rejectUnknown(entry, ["image", "command", "env"]);
    const image = this.#text(entry, "image");
    const command = asJson(entry.get("command", true));
    const env = asJson(entry.get("env", true)) ?? [];
    if (!isTexts(command) || command.length === 0) {
      this.#wrong(entry, "command must be a list of strings that is not empty");
      return;
    }
    if (!Array.isArray(env)) {
      this.#wrong(entry, "env must be a list of {name, value} or {name, valueFrom}");
      return;
    }
    if (image === null) return;
    into.push({ image, command: command.map((part) => this.#path(part)), env });
  }

  #plugin(entry: YAMLMap, into: PluginEntry[]): void {
    this.#rejectUnknown(entry, ["url", "builtin", "file"]);
    const url = this.#text(entry, "url");
    const builtin = entry.get("builtin");
    const file = entry.get("file");
    if ((typeof builtin === "string") === (typeof file === "string")) {
      this.#wrong(entry, "a plug-in entry has either builtin (a name) or file (a path)");
      return;
    }
    if (url === null) return;
    const mapping: PluginMapping =
      typeof builtin === "string"
        ? { kind: "builtin", name: builtin }
        : { kind: "file", path: resolve(dirname(this.#file), String(file)) };
    into.push({ pattern: url.replace(/^oci:\/\//, ""), mapping });
  }

  #path(part: string): string {
    return /^\.{1,2}\//.test(part) ? resolve(dirname(this.#file), part) : part;
  }

  #maps(root: YAMLMap, key: string): readonly YAMLMap[] {
    const list = root.get(key, true) as unknown;
    if (list === undefined || asJson(list) === null) return [];
    if (!isSeq(list)) {
      this.#wrong(list, `${key} must be a list`);
      return [];
    }
    return list.items.filter((item): item is YAMLMap => {
      if (isMap(item)) return true;
      this.#wrong(item, `each entry of ${key} must be a mapping`);
      return false;
    });
  }

  #text(entry: YAMLMap, key: string): string | null {
    const value = entry.get(key);
    if (typeof value === "string" && value !== "") return value;
    this.#wrong(entry, `${key} must be a string that is not empty`);
    return null;
  }

  #rejectUnknown(map: YAMLMap, known: readonly string[]): void {
    for (const { key } of map.items) {
      const name = String(key);
      if (known.includes(name)) continue;
      const message = `unknown field ${name}; known here: ${known.join(", ")}`;
      const fault = imageMapFault("GL0507", message, this.at(offsetOf(key)));
      this.faults.push({ ...fault, severity: "warning" });
    }
  }

  #wrong(node: unknown, message: string): void {
    this.faults.push(imageMapFault("GL0507", message, this.at(offsetOf(node))));
  }
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

function asJson(node: unknown): unknown {
  return isCollection(node) ? (node.toJSON() as unknown) : isNode(node) ? node.toJSON() : node;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((part) => typeof part === "string");
}

function firstLine(text: string): string {
  return text.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? text;
}

function imageMapFault(code: string, message: string, position: Position): Fault {
  const remedy = "See the head of catalogue/images.yaml for the form of an image map.";
  return { severity: "error", code, message, remedy, path: "", object: null, position };
}
