import assert from "node:assert/strict";
import { test } from "node:test";
import { BYTES } from "../declared-properties.ts";
import { encodeInteger, encodeLatin1, encodeMap } from "../property-encoding.ts";
import { attributesOf } from "./attributes.ts";
import { compileExpression, parseExpression } from "./expression.ts";
import { CelFault, encodeValue } from "./values.ts";

const NUMBERS = `[${Array.from({ length: 150 }, (_, index) => index).join(",")}]`;

const PROPERTIES: Readonly<Record<string, Uint8Array>> = {
  "request.path": encodeLatin1("/orders"),
  "request.size": encodeInteger(7),
  "request.headers": encodeMap([
    ["x-user", "ann"],
    ["cookie", "a=1"],
  ]),
  "filter_state.wasm.mine": encodeLatin1("set"),
};

function evaluate(text: string): Uint8Array | null {
  const expression = compileExpression(parseExpression(text));
  const read = (path: readonly string[]): Uint8Array | null => PROPERTIES[path.join(".")] ?? null;
  return encodeValue(expression.evaluate(attributesOf(read, () => BYTES, true)));
}

test("an expression reads the properties of the exchange with their types", () => {
  const TRUE = Uint8Array.of(1);
  for (const text of [
    'request.path.startsWith("/orders") && request.size == 7',
    'request.headers["X-User"] == "ann" && "cookie" in request.headers',
    "request.headers.exists(name, name == 'x-user') && !has(request.headers.none)",
    'filter_state["wasm.mine"] == b"set"',
  ]) {
    assert.deepEqual(new Uint8Array(evaluate(text) ?? []), TRUE, text);
  }
});

test("an expression that would take too long has no value, and says why", () => {
  const nest = (depth: number): string =>
    depth === 0 ? "1/0 == 1 || true" : `${NUMBERS}.all(x${depth}, ${nest(depth - 1)})`;
  for (const text of [
    nest(2),
    `${NUMBERS}.map(x, ${"1 + ".repeat(150)}1)`,
    `${NUMBERS}.map(x, ${NUMBERS} + ${NUMBERS})`,
    `${NUMBERS}.map(x, timestamp(x).getHours("Asia/Tokyo"))`,
  ]) {
    assert.throws(() => evaluate(text), /takes more than 20000 steps/);
  }
});

test("an expression that is too large is refused when it is made", () => {
  for (const [text, reason] of [
    [`"${"x".repeat(4_100)}"`, /more than 4096 bytes/],
    ["1+".repeat(600) + "1", /maxAstNodes/],
    ["(".repeat(200) + "1" + ")".repeat(200), /maxDepth/],
  ] as const) {
    assert.throws(() => parseExpression(text), reason);
  }
});

test("a long pattern fails, and a hard one takes linear time", () => {
  assert.throws(() => evaluate(`"a".matches("${"a".repeat(300)}")`), CelFault);
  const text = evaluate(`"${"a".repeat(2_000)}".matches("^(a|aa)*b$")`);
  assert.deepEqual(new Uint8Array(text ?? []), Uint8Array.of(0));
});
