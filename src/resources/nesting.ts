//! A look at how deep a text nests, before the YAML parser sees it.
//!
//! The parser recurses. On absurd nesting the stack ends inside a regular expression, which V8
//! answers by ending the process, so such a text must never reach it.

import { Lexer } from "yaml";

/** Far above what anybody writes, far below what the stack bears. */
const NESTING_MAX = 200;

/** The first line (1-based) that nests too deeply, or null when none does. */
export function tooDeepLine(text: string): number | null {
  return deepBlockLine(text) ?? deepFlowLine(text);
}

/** Levels of indentation and of `- - -`. Counts lines of block texts too: an upper bound. */
function deepBlockLine(text: string): number | null {
  const indents: number[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const lead = /^(?:[-?:]?[ \t]+)*(?:[-?:]$)?/.exec(line)?.[0] ?? "";
    if (lead.length === line.length && line.trim() === "") continue;
    const indicators = lead.replaceAll(/\s/g, "").length;
    const indent = lead.length - lead.trimStart().length;
    while ((indents.at(-1) ?? -1) >= indent) indents.pop();
    indents.push(indent);
    if (indents.length + indicators > NESTING_MAX) return index + 1;
  }
  return null;
}

/** Counts brackets anywhere first, which is cheap and an upper bound; then only real ones. */
function deepFlowLine(text: string): number | null {
  if (deepestBrackets(text) <= NESTING_MAX) return null;
  let depth = 0;
  let line = 1;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") depth++;
    else if (token === "]" || token === "}") depth--;
    else line += token.split("\n").length - 1;
    if (depth > NESTING_MAX) return line;
  }
  return null;
}

function deepestBrackets(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    const opens = bracket === "[" || bracket === "{";
    depth = opens ? depth + 1 : Math.max(depth - 1, 0);
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
