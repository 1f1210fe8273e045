import assert from "node:assert/strict";
import { test } from "node:test";
import { typedPart, typedValue } from "./typed-value.ts";
import { CelFault } from "./values.ts";

function field(number: number, bytes: Uint8Array): Buffer {
  const { length } = bytes;
  const size = length < 128 ? [length] : [(length % 128) + 128, Math.floor(length / 128)];
  return Buffer.concat([Buffer.from([number * 8 + 2, ...size]), bytes]);
}

function ofType(name: string): { readonly kind: "message"; readonly typeUrl: string } {
  return { kind: "message", typeUrl: `type.googleapis.com/google.protobuf.${name}` };
}

/** `{k: 1.5}` */
const NUMBER = Buffer.from([2 * 8 + 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
const STRUCT = field(1, Buffer.concat([field(1, Buffer.from("k")), field(2, NUMBER)]));

test("a part of a message is found by its keys, and nothing where there is none", () => {
  const part = (...keys: string[]): Uint8Array | null => typedPart(STRUCT, ofType("Struct"), keys);
  assert.equal(Buffer.from(part("k") ?? []).readDoubleLE(), 1.5);
  assert.deepEqual([part("none"), part("k", "k")], [null, null]);
  assert.equal(typedPart(STRUCT.subarray(1), ofType("Struct"), ["k"]), null);
});

test("bytes that a plug-in has cut or filled with anything are a fault, and nothing worse", () => {
  const kinds = ["Struct", "Value", "ListValue", "Any", "Duration", "DoubleValue", "StringValue"];
  let faults = 0;
  for (const kind of kinds) {
    for (let at = 0; at < STRUCT.length; at += 1) {
      for (const byte of [0, 0x0b, 0x12, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(STRUCT);
        changed[at] = byte;
        for (const bytes of [changed, changed.subarray(0, at + 1)]) {
          try {
            typedValue(bytes, ofType(kind));
          } catch (error) {
            assert.ok(error instanceof CelFault, String(error));
            faults += 1;
          }
        }
      }
    }
  }
  assert.ok(faults > 100, `${faults} faults`);
});

for (const { what, bytes } of [
  { what: "lists within a hundred lists", bytes: nested(100) },
  { what: "more than 16 KiB", bytes: field(3, Buffer.alloc(16_382)) },
]) {
  test(`a value with ${what} is a fault`, () => {
    assert.throws(() => typedValue(bytes, ofType("Value")), CelFault);
  });
}

test("a value with lists within forty lists is one", () => {
  assert.ok(Array.isArray(typedValue(nested(40), ofType("Value"))));
});

function nested(depth: number): Buffer {
  let value = field(3, Buffer.from("x"));
  for (let level = 0; level < depth; level += 1) value = field(6, field(1, value));
  return value;
}
