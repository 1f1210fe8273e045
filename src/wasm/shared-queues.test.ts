import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedQueues } from "./shared-queues.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

class Owner {
  readonly told: number[] = [];

  onQueueReady(token: number): void {
    this.told.push(token);
  }
}

function make(): { queues: SharedQueues; run: () => void } {
  const tasks: (() => void)[] = [];
  const queues = new SharedQueues((task) => tasks.push(task));
  return {
    queues,
    run: () => {
      for (const task of tasks.splice(0)) task();
    },
  };
}

test("a queue is found by its VM id and name, and items come out in order", () => {
  const { queues } = make();
  const token = queues.register("vm", "q", new Owner());
  assert.equal(token, 1);
  assert.equal(queues.register("vm", "q", new Owner()), 1);
  assert.equal(queues.resolve("vm", "q"), 1);
  assert.equal(queues.resolve("other", "q"), null);
  queues.enqueue(1, bytes("a"));
  queues.enqueue(1, bytes("b"));
  assert.deepEqual(queues.dequeue(1), bytes("a"));
  assert.deepEqual(queues.dequeue(1), bytes("b"));
  assert.equal(queues.dequeue(1), "empty");
  assert.equal(queues.dequeue(9), "unknown");
  assert.equal(queues.enqueue(9, bytes("x")), "unknown");
});

test("the last who registered is told of each item, later, and nobody once it has gone", () => {
  const { queues, run } = make();
  const first = new Owner();
  const last = new Owner();
  queues.register("vm", "q", first);
  queues.register("vm", "q", last);
  queues.enqueue(1, bytes("a"));
  queues.enqueue(1, bytes("b"));
  assert.deepEqual(last.told, []);
  run();
  assert.deepEqual(last.told, [1, 1]);
  queues.enqueue(1, bytes("c"));
  queues.forget(last);
  run();
  assert.deepEqual(last.told, [1, 1]);
  assert.deepEqual(first.told, []);
});

test("a flooded queue is full, and takes more when something was taken out", () => {
  const { queues } = make();
  queues.register("vm", "q", new Owner());
  let outcome = queues.enqueue(1, bytes(""));
  for (let count = 1; outcome === "ok"; count++) {
    assert.ok(count < 100_000, "there is a limit");
    outcome = queues.enqueue(1, bytes(""));
  }
  assert.equal(outcome, "full");
  queues.dequeue(1);
  assert.equal(queues.enqueue(1, bytes("")), "ok");
});
