import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox, UNSENT_BYTES_MAX } from "./outbox.ts";

const MAX = UNSENT_BYTES_MAX;

function world() {
  const taken: (() => void)[] = [];
  const encoded: number[] = [];
  const outbox = new Outbox((_message, done) => {
    taken.push(done);
  });
  const add = (bytes: number): void => {
    outbox.add(bytes, () => {
      encoded.push(bytes);
      return Buffer.alloc(bytes);
    });
  };
  return { outbox, add, encoded, take: () => taken.shift()?.() };
}

test("what is not taken is encoded up to the limit, and the rest in turn", () => {
  const { outbox, add, encoded, take } = world();
  for (const bytes of [MAX / 2, MAX / 2, 1, MAX]) add(bytes);
  assert.deepEqual(encoded, [MAX / 2, MAX / 2]);
  assert.equal(outbox.unsentBytes, MAX);
  take();
  assert.deepEqual(encoded, [MAX / 2, MAX / 2, 1]);
  take();
  assert.deepEqual(encoded, [MAX / 2, MAX / 2, 1]);
  take();
  assert.equal(outbox.unsentBytes, MAX);
  take();
  assert.equal(outbox.unsentBytes, 0);
});

test("a message that is larger than the limit goes alone", () => {
  const { add, encoded, take } = world();
  for (const bytes of [1, 2 * MAX, 1]) add(bytes);
  assert.deepEqual(encoded, [1]);
  take();
  assert.deepEqual(encoded, [1, 2 * MAX]);
  take();
  assert.deepEqual(encoded, [1, 2 * MAX, 1]);
});

test("who has gone is encoded nothing more", () => {
  const { outbox, add, encoded, take } = world();
  for (const bytes of [MAX, MAX]) add(bytes);
  outbox.close();
  take();
  assert.deepEqual(encoded, [MAX]);
});
