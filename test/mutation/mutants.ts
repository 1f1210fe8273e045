//! Mutants of the codec: its own source with one check taken out, each made by the syntax tree.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import ts from "typescript";
import { REQUEST_FAULTS } from "../../src/http/fault.ts";

export interface Mutant {
  /** `request-line.ts:48 if (…)`. */
  readonly name: string;
  /** Absolute path of the file that is changed. */
  readonly path: string;
  readonly source: string;
}

const FOLDER = resolve("src/http");
/** Serializers, tables of names and the like: no checks of what comes in. */
const WITHOUT_CHECKS = new Set(["fault.ts", "field-names.ts", "headers.ts", "limits.ts"]);
const OF_OTHERS = new Set(["hop-by-hop.ts", "path.ts", "serialize.ts"]);
/** Has cases of its own, beside it: not read by the readers of messages of HTTP. */
const READ_ELSEWHERE = "grpc-frames.ts";

/** What a check returns when it fails. */
const REFUSALS = new Set(["false", "-1", "null", "FAULT"]);

export function makeMutants(): Mutant[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .filter((name) => !WITHOUT_CHECKS.has(name) && !OF_OTHERS.has(name) && name !== READ_ELSEWHERE)
    .flatMap((name) => mutantsOf(join(FOLDER, name), isRefusal));
}

/** What reads the frames of HTTP/2. */
const FRAME_READERS = [
  ...["frame-reader.ts", "received-frames.ts", "head-block.ts", "peer-settings.ts"],
  ...["hpack-decoder.ts", "huffman.ts"],
];
/** What a branch says that refuses a frame, a stream or a connection. */
const FRAME_REFUSAL =
  /\.(?:fail|breakOff|rstStream|onFrameFault|onTooMuch)\(|return (?:FAULT|false|null|fault|"compression_error"|ErrorCode\.\w+);/;

export function makeHttp2Mutants(): Mutant[] {
  return FRAME_READERS.flatMap((name) =>
    mutantsOf(resolve("src/http2", name), (statement) => FRAME_REFUSAL.test(statement.getText())),
  );
}

function mutantsOf(path: string, isToRefuse: (statement: ts.Statement) => boolean): Mutant[] {
  const name = basename(path);
  const text = readFileSync(path, "utf8");
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (node: ts.Node, replacement: string): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    const shown = node.getText().replace(/\s+/g, " ").slice(0, 60);
    const source = text.slice(0, node.getStart()) + replacement + text.slice(node.getEnd());
    found.push({ name: `${name}:${line} ${shown}`, path, source });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node) && isToRefuse(node.thenStatement)) {
      add(node.expression, `false && (${node.expression.getText()})`);
      if (isToRefuse !== isRefusal) {
        for (const part of alternativesOf(node.expression)) add(part, "false");
      }
    }
    if (ts.isConditionalExpression(node)) addBranches(node, add);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** The parts of `a || b`; none of what is no such choice. */
function alternativesOf(node: ts.Expression): ts.Expression[] {
  if (!ts.isBinaryExpression(node)) return [];
  if (node.operatorToken.kind !== ts.SyntaxKind.BarBarToken) return [];
  return [node.left, node.right].flatMap((part) => {
    const inner = alternativesOf(part);
    return inner.length > 0 ? inner : [part];
  });
}

/** A choice between taking and refusing becomes taking. */
function addBranches(
  node: ts.ConditionalExpression,
  add: (node: ts.Node, replacement: string) => void,
): void {
  const [yes, no] = [isRefusing(node.whenTrue), isRefusing(node.whenFalse)];
  if (yes === no) return;
  add(node, (yes ? node.whenFalse : node.whenTrue).getText());
}

function isRefusing(node: ts.Expression): boolean {
  if (ts.isStringLiteral(node)) return node.text in REQUEST_FAULTS;
  return /^(?:FAULT|-1|ErrorCode\.\w+|"compression_error")$/.test(node.getText());
}

/** Does this branch do nothing but refuse? */
function isRefusal(statement: ts.Statement): boolean {
  const last = ts.isBlock(statement) ? statement.statements.at(-1) : statement;
  if (last === undefined) return false;
  if (ts.isBreakStatement(last)) return /#fail\("/.test(statement.getText());
  if (!ts.isReturnStatement(last) || last.expression === undefined) return false;
  const value = last.expression.getText();
  if (REFUSALS.has(value)) return !/NEED_MORE/.test(statement.getText());
  if (/^(?:REQUEST|RESPONSE)_FAULTS\b/.test(value)) return true;
  const names = [...value.matchAll(/"([a-z_]+)"/g)].map(([, text]) => text ?? "");
  return names.some((text) => text in REQUEST_FAULTS) || /#fail(?:At)?\(|#faultAt\(/.test(value);
}
