//! What every store of shared data and queues must do: each implementation's test runs these cases.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SHARED_BYTES_MAX } from "./shared-data-store.ts";
import type { SharedDataStore } from "./shared-data-store.ts";
import { BYTES_PER_QUEUE_MAX, QUEUES_BYTES_MAX } from "./shared-queues.ts";
import type { QueueOwner, SharedQueueStore } from "./shared-queues.ts";

export interface SharedStores {
  readonly data: SharedDataStore;
  readonly queues: SharedQueueStore;
  /** Runs what waits until no guest is running, and what that brings about. */
  readonly run: () => void;
}

export class RecordingOwner implements QueueOwner {
  readonly told: number[] = [];

  onQueueReady(token: number): void {
    this.told.push(token);
  }
}

export const text = (value: string): Uint8Array => Buffer.from(value);

/** `open` gives stores that are empty. */
export function runSharedStoreCases(name: string, open: () => SharedStores): void {
  const cases = { ...DATA_CASES, ...QUEUE_CASES };
  for (const [claim, run] of Object.entries(cases)) {
    test(`${name}: ${claim}`, () => {
      run(open());
    });
  }
}

const DATA_CASES: Readonly<Record<string, (stores: SharedStores) => void>> = {
  "what is set is there, with a number that grows by one with each set"({ data }) {
    assert.equal(data.get("vm", "k"), null);
    assert.equal(data.set("vm", "k", { value: text("a"), cas: 0 }), "ok");
    assert.equal(data.set("vm", "\xff", { value: text(""), cas: 99 }), "ok");
    assert.deepEqual(seen(data, "k"), ["a", 1]);
    assert.deepEqual(seen(data, "\xff"), ["", 2]);
    assert.equal(data.get("other", "k"), null);
  },
  "a set with the number that was read succeeds once"({ data }) {
    data.set("vm", "k", { value: text("a"), cas: 0 });
    assert.equal(data.set("vm", "k", { value: text("b"), cas: 1 }), "ok");
    assert.equal(data.set("vm", "k", { value: text("c"), cas: 1 }), "cas_mismatch");
    assert.deepEqual(seen(data, "k"), ["b", 2]);
    assert.equal(data.set("vm", "k", { value: text("d"), cas: 0 }), "ok");
    assert.deepEqual(seen(data, "k"), ["d", 3]);
  },
  "keys of any length are apart, also where their beginnings agree"({ data }) {
    const long = "k".repeat(4_000);
    for (const key of [long, `${long}x`, "k".repeat(1_024)]) {
      data.set("vm", key, { value: text(String(key.length)), cas: 0 });
    }
    assert.deepEqual(seen(data, long), ["4000", 1]);
    assert.deepEqual(seen(data, `${long}x`), ["4001", 2]);
    assert.deepEqual(seen(data, "k".repeat(1_024)), ["1024", 3]);
  },
  "a vm_id that holds too much takes no more, and does when a value has shrunk"({ data }) {
    const half = new Uint8Array(SHARED_BYTES_MAX / 2);
    assert.equal(data.set("vm", "a", { value: half, cas: 0 }), "ok");
    assert.equal(data.set("vm", "b", { value: half, cas: 0 }), "full");
    assert.equal(data.set("vm", "a", { value: half.subarray(2), cas: 0 }), "ok");
    assert.equal(data.set("vm", "b", { value: half.subarray(2), cas: 0 }), "ok");
    assert.equal(data.set("other", "b", { value: half, cas: 0 }), "ok");
  },
};

function seen(data: SharedDataStore, key: string): [value: string, cas: number] | null {
  const found = data.get("vm", key);
  return found === null ? null : [Buffer.from(found.value).toString(), found.cas];
}

const QUEUE_CASES: Readonly<Record<string, (stores: SharedStores) => void>> = {
  "a queue is found by its VM id and name, and items come out in order"({ queues }) {
    const token = queues.register("vm", "q", new RecordingOwner());
    assert.equal(token, 1);
    assert.equal(queues.register("vm", "q", new RecordingOwner()), 1);
    assert.equal(queues.register("vm", "r", new RecordingOwner()), 2);
    assert.equal(queues.resolve("vm", "q"), 1);
    assert.equal(queues.resolve("other", "q"), null);
    queues.enqueue(1, text("a"));
    queues.enqueue(1, text(""));
    assert.deepEqual(Buffer.from(queues.dequeue(1)), text("a"));
    assert.deepEqual(Buffer.from(queues.dequeue(1)), text(""));
    assert.equal(queues.dequeue(1), "empty");
    assert.equal(queues.dequeue(9), "unknown");
    assert.equal(queues.enqueue(9, text("x")), "unknown");
  },
  "the last who registered is told of each item, later"({ queues, run }) {
    const first = new RecordingOwner();
    const last = new RecordingOwner();
    queues.register("vm", "q", first);
    queues.register("vm", "q", last);
    queues.enqueue(1, text("a"));
    queues.enqueue(1, text("b"));
    assert.deepEqual(last.told, []);
    run();
    assert.deepEqual(last.told, [1, 1]);
    assert.deepEqual(first.told, []);
  },
  "once the owner has gone nobody is told, and the next one of what is left"({ queues, run }) {
    const first = new RecordingOwner();
    queues.register("vm", "q", first);
    queues.forget(first);
    queues.enqueue(1, text("a"));
    queues.enqueue(1, text("b"));
    run();
    assert.deepEqual(first.told, []);
    const next = new RecordingOwner();
    queues.register("vm", "q", next);
    run();
    assert.deepEqual(next.told, [1, 1]);
  },
  "a flooded queue is full, and takes more when something was taken out"({ queues }) {
    queues.register("vm", "q", new RecordingOwner());
    let outcome = queues.enqueue(1, text(""));
    for (let count = 1; outcome === "ok"; count++) {
      assert.ok(count < 100_000, "there is a limit");
      outcome = queues.enqueue(1, text(""));
    }
    assert.equal(outcome, "full");
    queues.dequeue(1);
    assert.equal(queues.enqueue(1, text("")), "ok");
  },
  "all queues together have a limit too"({ queues }) {
    const whole = new Uint8Array(BYTES_PER_QUEUE_MAX);
    const count = QUEUES_BYTES_MAX / BYTES_PER_QUEUE_MAX;
    for (let token = 1; token <= count; token++) {
      queues.register("vm", `q${token}`, new RecordingOwner());
      assert.equal(queues.enqueue(token, whole), "ok");
      assert.equal(queues.enqueue(token, text("x")), "full");
    }
    queues.register("vm", "last", new RecordingOwner());
    assert.equal(queues.enqueue(count + 1, text("x")), "full");
    queues.dequeue(1);
    assert.equal(queues.enqueue(count + 1, text("x")), "ok");
  },
};
