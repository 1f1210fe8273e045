//! The nodes of one object of a YAML text, and what is wrong with those that are to be changed.

import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document, LineCounter, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import { CODES } from "../resources/codes.ts";
import type { Fault } from "../resources/fault.ts";

type Map = YAMLMap;
type List = YAMLSeq;

export interface NodeSource {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly file: string;
  readonly faults: Fault[];
}

/** By its key; null: there is none. */
export function pairOf(map: Map, key: string): Pair | null {
  const found = map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
  return found ?? null;
}

export class ManifestNodes {
  readonly object: Map;
  readonly #source: NodeSource;

  constructor(object: Map, source: NodeSource) {
    this.object = object;
    this.#source = source;
  }

  /** `apps/Deployment`, `/Pod`. */
  get groupAndKind(): string {
    const version = this.#text(this.object, "apiVersion");
    const group = version.includes("/") ? (version.split("/")[0] ?? "") : "";
    return `${group}/${this.#text(this.object, "kind")}`;
  }

  /** Null, with a fault: it is not there, or cannot be changed. */
  map(parent: Map, key: string): Map | null {
    return this.#there(this.optionalMap(parent, key), parent, key);
  }

  /** `absent` also for one without members. Null, with a fault: it cannot be changed. */
  optionalMap(parent: Map, key: string): Map | "absent" | null {
    const node = this.#own(parent, key);
    if (node === null || node === "absent") return node;
    if (isMap(node)) return node.items.length === 0 ? "absent" : node;
    return this.#wrong(node, `${key} must be an object`);
  }

  /** Of maps, one at least. */
  list(parent: Map, key: string): readonly Map[] | null {
    const list = this.#there(this.optionalList(parent, key), parent, key);
    const maps = list?.items.flatMap((item) => {
      if (isMap(item) && item.anchor === undefined) return [item];
      this.#wrong(item as Node, `${key} must be objects of their own, not shared ones`);
      return [];
    });
    return maps !== undefined && maps.length === list?.items.length ? maps : null;
  }

  optionalList(parent: Map, key: string): List | "absent" | null {
    const node = this.#own(parent, key);
    if (node === null || node === "absent") return node;
    if (isSeq(node)) return node.items.length === 0 ? "absent" : node;
    return this.#wrong(node, `${key} must be a list`);
  }

  valueOf(node: Node): unknown {
    return node.toJS(this.#source.document);
  }

  refuse(at: Node, message: string, remedy: string): void {
    this.#add("GL0631", at, { message, remedy });
  }

  warn(at: Node, message: string, remedy: string): void {
    this.#add("GL0632", at, { message, remedy });
  }

  #there<Value>(value: Value | "absent" | null, parent: Map, key: string): Value | null {
    if (value !== "absent") return value;
    return this.#wrong(parent, `${key} is missing, or has nothing in it`);
  }

  /** What is shared with other places of the text would be changed there too. */
  #own(parent: Map, key: string): Node | "absent" | null {
    const pair = pairOf(parent, key);
    if (pair === null) {
      if (pairOf(parent, "<<") === null) return "absent";
      const merged = (this.valueOf(parent) as Readonly<Record<string, unknown>>)[key];
      return merged === undefined ? "absent" : this.#shared(parent, key);
    }
    const node = pair.value as Node | null;
    if (node === null || (isScalar(node) && node.value === null)) return "absent";
    const isShared = isAlias(node) || node.anchor !== undefined;
    return isShared ? this.#shared(node, key) : node;
  }

  #shared(at: Node, key: string): null {
    const remedy = `Write ${key} out here, without an anchor or alias.`;
    this.refuse(at, `${key} is shared with other parts of the text`, remedy);
    return null;
  }

  #wrong(at: Node, message: string): null {
    this.refuse(at, message, "kubectl explain says what it is to be.");
    return null;
  }

  #add(
    code: "GL0631" | "GL0632",
    at: Node,
    said: { readonly message: string; readonly remedy: string },
  ): void {
    const { lines, file, faults } = this.#source;
    const { line, col: column } = lines.linePos(at.range?.[0] ?? 0);
    const severity = CODES[code]?.severity ?? "error";
    const position = { file, line, column };
    faults.push({ ...said, severity, code, path: "", object: this.#ref(), position });
  }

  #ref(): NonNullable<Fault["object"]> {
    const metadata = pairOf(this.object, "metadata")?.value;
    const [name = "", generated = "", namespace = "default"] = isMap(metadata)
      ? ["name", "generateName", "namespace"].map((key) => this.#text(metadata, key))
      : [];
    const kind = this.#text(this.object, "kind");
    return { kind, namespace: namespace === "" ? "default" : namespace, name: name || generated };
  }

  #text(map: Map, key: string): string {
    const node = pairOf(map, key)?.value;
    return isScalar(node) ? String(node.value) : "";
  }
}
