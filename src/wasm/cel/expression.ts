//! An expression of the Common Expression Language: read by a library, evaluated here, where each
//! step is counted and where values are those of Envoy's runtime.

import { Environment, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import type { ASTNode } from "@marcbachmann/cel-js";
import { FUNCTIONS, TYPE_NAMES } from "./functions.ts";
import type { CelFunction } from "./functions.ts";
import { negative, OPERATORS, toInt, toUint, valueAt } from "./operators.ts";
import type { Operator } from "./operators.ts";
import { Run } from "./run.ts";
import type { Attributes } from "./run.ts";
import { CelFault, CelMap, CelType, LiteralMap } from "./values.ts";
import type { CelValue } from "./values.ts";

const TEXT_BYTES_MAX = 4_096;
const LIMITS = {
  maxAstNodes: 512,
  maxDepth: 64,
  maxListElements: 256,
  maxMapEntries: 256,
  maxCallArguments: 8,
};

const environment = new Environment({ unlistedVariablesAreDyn: true, limits: LIMITS });

type Part = (run: Run) => CelValue;

export interface Expression {
  /** Throws `CelFault` when there is no value. */
  evaluate(attributes: Attributes): CelValue;
}

/** Throws what tells why the text cannot be read. */
export function parseExpression(text: string): ASTNode {
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) {
    throw new CelFault(`The expression has more than ${TEXT_BYTES_MAX} bytes`);
  }
  return environment.parse(text).ast;
}

/** Throws `CelFault` when it calls what does not exist. */
export function compileExpression(ast: ASTNode): Expression {
  const part = compile(ast, []);
  return { evaluate: (attributes) => part(new Run(attributes)) };
}

type Names = readonly string[];

function compile(ast: ASTNode, names: Names): Part {
  const part = compileNode(ast, names);
  return (run) => {
    run.spend(1);
    return part(run);
  };
}

function compileNode(ast: ASTNode, names: Names): Part {
  switch (ast.op) {
    case "value":
      return literal(ast.args);
    case "id":
      return identifier(ast.args, names);
    case ".":
      return select(compile(ast.args[0], names), binary(ast.args[1]));
    case "call":
      return call(ast.args[0], ast.args[1], names);
    case "rcall":
      return receiverCall(ast.args, names);
    case "list": {
      const items = ast.args.map((item) => compile(item, names));
      return (run) => items.map((item) => item(run));
    }
    case "map": {
      const entries = ast.args.map((entry) => entry.map((part) => compile(part, names)));
      return (run) =>
        new LiteralMap(entries.map(([key, value]) => [valueOf(run, key), valueOf(run, value)]));
    }
    case "?:":
      return conditional(ast.args.map((part) => compile(part, names)));
    case "&&":
    case "||":
      return logical(compile(ast.args[0], names), compile(ast.args[1], names), ast.op === "||");
    case "!_":
      return not(compile(ast.args, names));
    case "-_":
      return negation(ast.args, names);
    default:
      return operation(ast, names);
  }
}

function valueOf(run: Run, part: Part | undefined): CelValue {
  return part === undefined ? null : part(run);
}

/** The text as its bytes. */
function binary(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function literal(value: Extract<ASTNode, { op: "value" }>["args"]): Part {
  const known = literalValue(value);
  return () => known;
}

function literalValue(value: Extract<ASTNode, { op: "value" }>["args"]): CelValue {
  if (typeof value === "string") return binary(value);
  if (value instanceof UnsignedInt) return toUint(value.valueOf());
  return typeof value === "bigint" ? toInt(value) : value;
}

/** The smallest number is written as the negative of one that is too large. */
function negation(operand: ASTNode, names: Names): Part {
  if (operand.op === "value" && typeof operand.args === "bigint") {
    const known = toInt(-operand.args);
    return () => known;
  }
  const part = compile(operand, names);
  return (run) => negative(part(run));
}

function identifier(name: string, names: Names): Part {
  const slot = names.lastIndexOf(name);
  if (slot !== -1) return (run) => run.variables[slot] as CelValue;
  const type = TYPE_NAMES.has(name) ? new CelType(name) : undefined;
  return (run) => {
    const value = run.attributes(name) ?? type;
    if (value === undefined) throw new CelFault(`no value with the name ${name}`);
    return value;
  };
}

function select(object: Part, field: string): Part {
  return (run) => {
    const map = object(run);
    if (!(map instanceof CelMap)) throw new CelFault(`no such field: ${field}`);
    return valueAt(run, map, field);
  };
}

function has(args: readonly ASTNode[], names: Names): Part {
  const [field] = args;
  if (args.length !== 1 || field?.op !== ".") throw new CelFault("has() wants a field");
  const object = compile(field.args[0], names);
  const name = binary(field.args[1]);
  return (run) => {
    const map = object(run);
    if (!(map instanceof CelMap)) throw new CelFault(`no such field: ${name}`);
    return map.get(name) !== undefined;
  };
}

function call(name: string, args: readonly ASTNode[], names: Names): Part {
  if (name === "has") return has(args, names);
  return functionCall(name, "plain", args, names);
}

function receiverCall(
  [name, receiver, args]: Extract<ASTNode, { op: "rcall" }>["args"],
  names: Names,
): Part {
  const quantifier = COMPREHENSIONS.get(name);
  if (quantifier === undefined) return functionCall(name, "receiver", [receiver, ...args], names);
  const [variable, ...bodies] = args;
  const isWhole = bodies.length === 1 || (name === "map" && bodies.length === 2);
  if (variable?.op !== "id" || !isWhole) throw new CelFault(`${name}() wants a variable`);
  const all = compile(receiver, names);
  const inner = [...names, variable.args];
  const parts = bodies.map((body) => compile(body, inner));
  return (run) => quantifier(run, itemsOf(all(run)), parts);
}

function functionCall(
  name: string,
  style: "plain" | "receiver",
  args: readonly ASTNode[],
  names: Names,
): Part {
  const known = FUNCTIONS.get(name);
  const fits = known?.arity.includes(args.length) === true && [style, "both"].includes(known.style);
  if (known === undefined || !fits) throw new CelFault(`no such function: ${name}`);
  prepare(known, args.at(-1));
  const parts = args.map((arg) => compile(arg, names));
  return (run) =>
    known.run(
      run,
      parts.map((part) => part(run)),
    );
}

/** What cannot be prepared fails when it is evaluated, as in Envoy. */
function prepare(known: CelFunction, last: ASTNode | undefined): void {
  if (known.prepare === undefined || last?.op !== "value" || typeof last.args !== "string") return;
  try {
    known.prepare(binary(last.args));
  } catch (error) {
    if (!(error instanceof CelFault)) throw error;
  }
}

function operation(ast: ASTNode, names: Names): Part {
  const run = OPERATORS.get(ast.op);
  if (run === undefined) throw new CelFault(`no such operator: ${ast.op}`);
  const [left, right] = ast.args as [ASTNode, ASTNode];
  return binaryPart(run, compile(left, names), compile(right, names));
}

function binaryPart(operator: Operator, left: Part, right: Part): Part {
  return (run) => operator(run, left(run), right(run));
}

function conditional([test, whenTrue, whenFalse]: readonly Part[]): Part {
  return (run) => valueOf(run, isTrue(valueOf(run, test)) ? whenTrue : whenFalse);
}

function not(part: Part): Part {
  return (run) => !isTrue(part(run));
}

function isTrue(value: CelValue): boolean {
  if (typeof value !== "boolean") throw new CelFault("not a boolean");
  return value;
}

/** One side that settles the result settles it, even when the other has no value. */
function logical(left: Part, right: Part, settling: boolean): Part {
  return (run) => settle(run, [left, right], settling);
}

function settle(run: Run, parts: Iterable<Part>, settling: boolean): boolean {
  let fault: CelFault | null = null;
  for (const part of parts) {
    try {
      if (isTrue(part(run)) === settling) return settling;
    } catch (error) {
      if (!(error instanceof CelFault)) throw error;
      // One that has spent all does not go on with the other sides.
      run.spend(0);
      fault ??= error;
    }
  }
  if (fault !== null) throw fault;
  return !settling;
}

type Comprehension = (run: Run, items: readonly CelValue[], bodies: readonly Part[]) => CelValue;

const COMPREHENSIONS: ReadonlyMap<string, Comprehension> = new Map<string, Comprehension>([
  ["all", (run, items, [body]) => settle(run, eachItem(run, items, body), false)],
  ["exists", (run, items, [body]) => settle(run, eachItem(run, items, body), true)],
  [
    "exists_one",
    (run, items, [body]) => {
      const found = items.filter((item) => isTrue(withItem(run, item, body)));
      return found.length === 1;
    },
  ],
  ["filter", (run, items, [body]) => items.filter((item) => isTrue(withItem(run, item, body)))],
  [
    "map",
    (run, items, bodies) => {
      const test = bodies.length === 2 ? bodies[0] : undefined;
      const taken =
        test === undefined ? items : items.filter((item) => isTrue(withItem(run, item, test)));
      return taken.map((item) => withItem(run, item, bodies.at(-1)));
    },
  ],
]);

function* eachItem(
  run: Run,
  items: readonly CelValue[],
  body: Part | undefined,
): Generator<Part, void> {
  for (const item of items) yield () => withItem(run, item, body);
}

/** The variable of a comprehension lives while its body is evaluated. */
function withItem(run: Run, item: CelValue, body: Part | undefined): CelValue {
  run.spend(1);
  run.variables.push(item);
  try {
    return valueOf(run, body);
  } finally {
    run.variables.pop();
  }
}

function itemsOf(all: CelValue): readonly CelValue[] {
  if (all instanceof CelMap) return all.keys();
  if (Array.isArray(all)) return all as readonly CelValue[];
  throw new CelFault("not a list or a map");
}
