import assert from "node:assert/strict";
import { test } from "node:test";
import { DeclaredProperties, UNDECLARED } from "../declared-properties.ts";
import { LifeSpan, Status } from "../enums.ts";
import { decodeBytesFields, decodeVarintFields } from "./protobuf.ts";

test("a context declares a thousand properties, each once", () => {
  const declared = new DeclaredProperties();
  const fixed = { ...UNDECLARED, isReadOnly: true, lifeSpan: LifeSpan.connection };
  for (let index = 0; index < 1_024; index++) {
    assert.equal(declared.declare(`p${index}`, index === 3 ? fixed : UNDECLARED), Status.ok);
  }
  assert.equal(declared.declare("p3", UNDECLARED), Status.badArgument);
  assert.equal(declared.declare("one more", fixed), Status.internalFailure);
  assert.deepEqual(declared.of("p3"), fixed);
  assert.deepEqual(declared.of("p4"), UNDECLARED);
  assert.deepEqual(declared.of("one more"), UNDECLARED);
});

test("varints and texts of one message are told apart, wherever it is cut", () => {
  // Field 1 "ab", field 2 the varint 300, field 3 a fixed32, field 2 again: 1.
  const bytes = [0x0a, 2, 0x61, 0x62, 0x10, 0xac, 0x02, 0x1d, 1, 2, 3, 4, 0x10, 1];
  const message = Uint8Array.from(bytes);
  assert.deepEqual(decodeVarintFields(message), new Map([[2, 1]]));
  assert.deepEqual(decodeBytesFields(message), new Map([[1, Uint8Array.of(0x61, 0x62)]]));
  assert.deepEqual(decodeVarintFields(message.subarray(0, 7)), new Map([[2, 300]]));
  const wholeAt = new Set([0, 4, 7, 12, 14]);
  for (let end = 0; end <= message.length; end++) {
    const isMessage = decodeVarintFields(message.subarray(0, end)) !== null;
    assert.equal(isMessage, wholeAt.has(end), `cut at ${end}`);
  }
});
