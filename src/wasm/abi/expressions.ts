//! The foreign functions `expr_create`, `expr_evaluate` and `expr_delete`: expressions over the
//! attributes of the exchange whose callback runs, whatever the effective context is.

import type { ASTNode } from "@marcbachmann/cel-js";
import { attributesOf } from "../cel/attributes.ts";
import { compileExpression, parseExpression } from "../cel/expression.ts";
import type { Expression } from "../cel/expression.ts";
import { CelFault, encodeValue } from "../cel/values.ts";
import { BYTES } from "../declared-properties.ts";
import { LogLevel, Status } from "../enums.ts";
import { ExpressionTable } from "../expression-table.ts";
import { utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import { readProperty } from "./properties.ts";

const TOKEN_BYTES = 4;
const NOTHING = new Uint8Array(0);

export function createExpression(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const root = vm.enteredRoot;
  if (root === null) return Status.badArgument;
  const table = (root.expressions ??= new ExpressionTable());
  if (table.isFull) {
    return refuse(vm, "There are too many expressions: delete some by expr_delete");
  }
  const ast = attempt(vm, "parse", () => parseExpression(utf8(input)));
  if (ast === null) return Status.badArgument;
  const token = table.takeToken();
  const expression = attempt(vm, "compile", (): Expression => compileExpression(ast));
  if (expression === null) return Status.badArgument;
  table.add(token, expression);
  const bytes = Buffer.alloc(TOKEN_BYTES);
  bytes.writeUInt32LE(token);
  return bytes;
}

/** Null, with the reason in the log: it cannot be done. */
function attempt<Made extends ASTNode | Expression>(
  vm: Vm,
  what: string,
  make: () => Made,
): Made | null {
  try {
    return make();
  } catch (error) {
    refuse(vm, `${what} error: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

function refuse(vm: Vm, reason: string): Status {
  vm.log(LogLevel.info, `expr_create ${reason}`);
  return Status.badArgument;
}

export function evaluateExpression(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const token = tokenOf(input);
  if (token === null) return Status.badArgument;
  const expression = vm.enteredRoot?.expressions?.get(token);
  if (expression === undefined) return Status.notFound;
  const stream = vm.enteredStream;
  const attributes = attributesOf(
    (path) => readProperty(vm, stream, path),
    (path) => stream?.host.propertyType?.(path) ?? BYTES,
    stream !== null,
  );
  try {
    return encodeValue(expression.evaluate(attributes)) ?? Status.serializationFailure;
  } catch (error) {
    if (!(error instanceof CelFault)) throw error;
    return Status.internalFailure;
  }
}

/** An expression that is not there is deleted already. */
export function deleteExpression(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const token = tokenOf(input);
  if (token === null) return Status.badArgument;
  vm.enteredRoot?.expressions?.delete(token);
  return NOTHING;
}

function tokenOf(input: Uint8Array): number | null {
  if (input.length !== TOKEN_BYTES) return null;
  return new DataView(input.buffer, input.byteOffset).getUint32(0, true);
}
