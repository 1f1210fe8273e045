//! Changes of a YAML or JSON text that leave every other byte of it as it is: comments, order,
//! quotes and indentation. Members are added at the end of a collection, in its own style.

import { isMap, isPair, isSeq, stringify } from "yaml";
import type { CST, CreateNodeOptions, Node, Pair, ToStringOptions, YAMLMap, YAMLSeq } from "yaml";

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Of several at one place, the one that is deeper inside comes first. */
  readonly depth: number;
}

type Collection = YAMLMap | YAMLSeq;

/** The nodes must have been parsed of the text, with `keepSourceTokens`. */
export class YamlSplice {
  readonly #text: string;
  readonly #edits: Edit[] = [];
  readonly #newline: string;
  readonly #style: ToStringOptions & CreateNodeOptions;

  constructor(text: string) {
    this.#text = text;
    this.#newline = text.includes("\r\n") ? "\r\n" : "\n";
    // Whether the dashes of a list stand below its key, or are indented.
    const indentSeq = !/^( *)[^\s#-].*:\r?\n\1- /m.test(text);
    this.#style = { lineWidth: 0, indentSeq, aliasDuplicateObjects: false };
  }

  /** Once for each map; no key may be there yet. */
  addPairs(map: YAMLMap, pairs: Readonly<Record<string, unknown>>): void {
    const flow = Object.entries(pairs).map(
      ([key, value]) => `${JSON.stringify(key)}: ${inline(value)}`,
    );
    this.#add(map, flow, () => stringify(pairs, this.#style));
  }

  /** Once for each list. */
  addItems(list: YAMLSeq, values: readonly unknown[]): void {
    this.#add(list, values.map(inline), () => stringify(values, this.#style));
  }

  /** For a value that is null or an empty collection. */
  fill(pair: Pair, value: unknown): void {
    const node = pair.value as Node | null;
    const [start, end] = node?.range ?? [0, 0, 0];
    if (start < end) {
      this.#edits.push({ start, end, text: inline(value), depth: 0 });
      return;
    }
    const [, keyEnd] = (pair.key as Node).range ?? [0, 0, 0];
    const at = this.#text.indexOf(":", keyEnd) + 1;
    this.#edits.push({ start: at, end: at, text: ` ${inline(value)}`, depth: 0 });
  }

  replace(node: Node, value: unknown): void {
    const [start] = node.range ?? [0, 0, 0];
    const isBlock = (isMap(node) || isSeq(node)) && node.flow !== true;
    const lines = isBlock ? stringify(value, this.#style).trimEnd().split("\n") : [inline(value)];
    const text = lines.join(`${this.#newline}${" ".repeat(isBlock ? indentOf(node) : 0)}`);
    const end = this.#text.slice(0, endOf(node)).trimEnd().length;
    this.#edits.push({ start, end, text, depth: 0 });
  }

  get result(): string {
    const sorted = [...this.#edits].sort((a, b) => a.start - b.start || b.depth - a.depth);
    let [result, at] = ["", 0];
    for (const { start, end, text } of sorted) {
      result += this.#text.slice(at, start) + text;
      at = end;
    }
    return result + this.#text.slice(at);
  }

  #add(to: Collection, flow: readonly string[], block: () => string): void {
    if (to.flow === true) this.#addInline(to, flow);
    else this.#addLines(to, block());
  }

  #addLines(to: Collection, block: string): void {
    const indent = indentOf(to);
    const lines = block
      .trimEnd()
      .split("\n")
      .map((line) => `${" ".repeat(indent)}${line}`);
    const text = lines.join(this.#newline);
    const end = endOf(to);
    // A text in lines (`|`) ends where the next line begins.
    const atLine = this.#text[end - 1] === "\n";
    const next = atLine ? end : this.#text.indexOf("\n", end) + 1;
    const isLast = next === 0;
    const start = isLast ? this.#text.length : next;
    const placed = isLast ? `${this.#newline}${text}` : `${text}${this.#newline}`;
    this.#edits.push({ start, end: start, text: placed, depth: indent });
  }

  #addInline(to: Collection, members: readonly string[]): void {
    const [start = 0, end = 0] = to.range ?? [];
    const last = to.items.at(-1);
    if (last === undefined) {
      const [open = "", close = ""] = isMap(to) ? "{}" : "[]";
      const text = `${open}${members.join(", ")}${close}`;
      this.#edits.push({ start, end, text, depth: 0 });
      return;
    }
    const at = endOfMember(last);
    const separator = this.#text.slice(at, end).includes("\n") ? this.#lineOf(last) : " ";
    const text = members.map((one) => `,${separator}${one}`).join("");
    this.#edits.push({ start: at, end: at, text, depth: 0 });
  }

  /** A new line, indented as the one in which a member of a JSON text begins. */
  #lineOf(member: unknown): string {
    const node = (isPair(member) ? member.key : member) as Node;
    const [start] = node.range ?? [0, 0, 0];
    const line = this.#text.slice(this.#text.lastIndexOf("\n", start - 1) + 1, start);
    return `${this.#newline}${/^[ \t]*/.exec(line)?.[0] ?? ""}`;
  }
}

/** JSON is YAML; spaces make it read as what stands around it. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${inline(one)}`);
  return `{ ${pairs.join(", ")} }`;
}

/** The column of its keys, or of its dashes. */
function indentOf(node: Node): number {
  return (node.srcToken as CST.BlockMap | CST.BlockSequence).indent;
}

/** Behind the last value that stands in it, before comments. */
function endOf(node: Node): number {
  const isCollection = isMap(node) || isSeq(node);
  const last = isCollection && node.flow !== true ? node.items.at(-1) : undefined;
  return last === undefined ? (node.range?.[1] ?? 0) : endOfMember(last);
}

function endOfMember(member: unknown): number {
  if (!isPair(member)) return endOf(member as Node);
  return endOf((member.value ?? member.key) as Node);
}
