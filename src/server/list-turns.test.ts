//! Lists that come together take turns, and what is too much is refused.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import {
  LIST_BYTES_MAX,
  LIST_SENT_MS_MAX,
  LIST_WAIT_MS_MAX,
  LISTS_WAITING_MAX,
  ListTurns,
} from "./list-turns.ts";
import { StatusError } from "./status.ts";

/** An answer of which the client has not read so many bytes. */
class FakeResponse extends EventEmitter {
  writableLength = 0;
  closed = false;
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.closed = true;
    this.emit("close");
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface ListCosts {
  readonly tookMs: number;
  /** That the client does not read. */
  readonly bytes: number;
}

interface World {
  readonly clock: FakeClock;
  readonly turns: ListTurns;
  /** What has run and what was refused, in their order. */
  readonly seen: string[];
  readonly list: (name: string, costs?: Partial<ListCosts>) => FakeResponse;
}

function world(): World {
  const clock = new FakeClock();
  const turns = new ListTurns(clock);
  const seen: string[] = [];
  return {
    clock,
    turns,
    seen,
    list(name, { tookMs = 0, bytes = 0 } = {}) {
      const response = new FakeResponse();
      const run = (): void => {
        clock.advance(tookMs);
        response.writableLength = bytes;
        seen.push(name);
      };
      turns.take(response as unknown as ServerResponse, run).catch((error: unknown) => {
        assert.ok(error instanceof StatusError);
        const { code, details } = error.status;
        seen.push(`${name}: ${code}, again after ${details?.retryAfterSeconds ?? 0} s`);
      });
      return response;
    },
  };
}

test("a list runs at once, the next one when others have had as long as it took", async () => {
  const { clock, seen, list } = world();
  list("a", { tookMs: 80 });
  list("b");
  assert.deepEqual(seen, ["a"]);
  clock.advance(79);
  await turn();
  assert.deepEqual(seen, ["a"]);
  clock.advance(1);
  await turn();
  assert.deepEqual(seen, ["a", "b"]);
});

test("lists that cost nothing run one in each turn of the loop", async () => {
  const { seen, list } = world();
  for (const name of ["a", "b", "c"]) list(name);
  assert.deepEqual(seen, ["a"]);
  await turn();
  assert.deepEqual(seen, ["a", "b"]);
  await turn();
  assert.deepEqual(seen, ["a", "b", "c"]);
});

test("more than a number of lists do not wait: 429, and when to come again", async () => {
  const { clock, seen, list } = world();
  list("first", { tookMs: 50 });
  for (let count = 0; count < LISTS_WAITING_MAX; count++) list("waits");
  list("one more");
  await turn();
  assert.deepEqual(seen, ["first", "one more: 429, again after 1 s"]);
  clock.advance(50);
  for (let count = 0; count < LISTS_WAITING_MAX; count++) await turn();
  assert.equal(seen.filter((one) => one === "waits").length, LISTS_WAITING_MAX);
});

test("a list that has waited too long is refused, one that came later still waits", async () => {
  const { clock, seen, list } = world();
  list("unread", { bytes: LIST_BYTES_MAX });
  await turn();
  list("early");
  clock.advance(10);
  list("late");
  clock.advance(LIST_WAIT_MS_MAX - 10);
  await turn();
  assert.deepEqual(seen, ["unread", "early: 429, again after 1 s"]);
  clock.advance(10);
  await turn();
  assert.equal(seen.at(-1), "late: 429, again after 1 s");
});

test("while lists are not read none runs, and a client that never reads is cut off", async () => {
  const { clock, seen, list } = world();
  const slow = list("slow", { bytes: LIST_BYTES_MAX - 1 });
  await turn();
  const stuck = list("stuck", { bytes: 1 });
  await turn();
  list("next");
  await turn();
  assert.deepEqual(seen, ["slow", "stuck"]);
  slow.closed = true;
  slow.emit("close");
  await turn();
  assert.deepEqual(seen, ["slow", "stuck", "next"]);
  clock.advance(LIST_SENT_MS_MAX);
  assert.ok(stuck.destroyed && !slow.destroyed);
});

test("a client that goes leaves its place, and a list that throws gives its turn on", async () => {
  const { turns, seen, list } = world();
  const failing = turns.take(new FakeResponse() as unknown as ServerResponse, () => {
    throw new Error("damaged");
  });
  await assert.rejects(failing, /damaged/);
  list("goes").destroy();
  list("stays");
  await turn();
  await turn();
  assert.ok(!seen.includes("goes") && seen.includes("stays"));
});
