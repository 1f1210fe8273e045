import assert from "node:assert/strict";
import { test } from "node:test";
import { UNDECLARED } from "../../wasm/declared-properties.ts";
import { LifeSpan, Status } from "../../wasm/enums.ts";
import { ConnectionState } from "../connection-state.ts";
import { FilterState } from "./filter-state.ts";

const OF_CONNECTION = { ...UNDECLARED, isReadOnly: false, lifeSpan: LifeSpan.connection };

test("beyond its limits an exchange stores nothing more, and may change what is there", () => {
  const state = new FilterState({ countMax: 2, bytesMax: 10 });
  const set = (name: string, length: number): Status =>
    state.setProperty(name, new Uint8Array(length), UNDECLARED);
  assert.equal(set("a", 4), Status.ok);
  assert.equal(set("b", 7), Status.internalFailure);
  assert.equal(set("b", 6), Status.ok);
  assert.equal(set("c", 0), Status.internalFailure);
  assert.equal(set("a", 5), Status.internalFailure);
  assert.equal(set("b", 5), Status.ok);
  assert.equal(set("a", 5), Status.ok);
  assert.equal(state.setObject("d", new Uint8Array(0), 0), Status.internalFailure);
  assert.equal(state.get("a")?.length, 5);
});

test("all exchanges of a connection share its 64 values and 64 KiB", () => {
  const connection = new ConnectionState();
  const exchange = (): FilterState => new FilterState({ countMax: 1, bytesMax: 1 }, connection);
  for (let index = 0; index < 64; index++) {
    const bytes = new Uint8Array(1_024);
    assert.equal(exchange().setProperty(`p${index}`, bytes, OF_CONNECTION), Status.ok);
  }
  const nothing = new Uint8Array(0);
  const more = exchange();
  assert.equal(more.setProperty("more", nothing, OF_CONNECTION), Status.internalFailure);
  assert.equal(more.setObject("more", nothing, LifeSpan.connection), Status.internalFailure);
  assert.equal(more.setProperty("p0", new Uint8Array(1_025), UNDECLARED), Status.internalFailure);
  assert.equal(more.setProperty("p0", nothing, UNDECLARED), Status.ok);
  assert.equal(exchange().get("p0")?.length, 0);
  assert.equal(connection.stored("p1")?.length, 1_024);
});

test("the first value of a name settles its life span, and whether it can be changed", () => {
  const connection = new ConnectionState();
  const state = new FilterState({ countMax: 9, bytesMax: 99 }, connection);
  const fixed = { ...UNDECLARED, isReadOnly: true, lifeSpan: LifeSpan.connection };
  const [first, second, third] = [Buffer.from("1"), Buffer.from("2"), Buffer.from("3")];
  assert.equal(state.setProperty("declared late", first, UNDECLARED), Status.ok);
  assert.equal(state.setProperty("declared late", second, fixed), Status.ok);
  assert.equal(state.setProperty("declared late", third, fixed), Status.ok);
  assert.equal(state.get("declared late"), third);
  assert.equal(connection.stored("declared late"), undefined);
  assert.equal(state.setProperty("declared before", first, fixed), Status.ok);
  assert.equal(state.setProperty("declared before", second, UNDECLARED), Status.badArgument);
  assert.equal(connection.stored("declared before"), first);
});
