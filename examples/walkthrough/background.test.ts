import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { Background } from "./background.ts";
import type { Answer, Question } from "./request.ts";

const question: Question = { path: "/", headers: {} };
const allowed = (body: string): { status: number; body: string } => ({ status: 200, body });

/** Answers what `version` says and lets the test wait for a number of further requests. */
class FakeGateway {
  version = "v1";
  #asked = 0;
  readonly #waiters: { atCount: number; resolve: () => void }[] = [];

  ask = (): Promise<Answer> => {
    this.#asked += 1;
    for (const waiter of this.#waiters) if (this.#asked >= waiter.atCount) waiter.resolve();
    return Promise.resolve({ status: 200, body: this.version });
  };

  asked(moreCount: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ atCount: this.#asked + moreCount, resolve });
    });
  }
}

test("an answer that is allowed at its time is right, also across a change", async () => {
  const gateway = new FakeGateway();
  const background = new Background(gateway.ask, systemClock);
  await background.watch([{ question, allowed: [allowed("v1")] }]);
  await gateway.asked(3);
  await background.watch([{ question, allowed: [allowed("v1"), allowed("v2")] }]);
  gateway.version = "v2";
  await gateway.asked(3);
  await background.watch([{ question, allowed: [allowed("v2")] }]);
  await gateway.asked(3);
  const tally = await background.stop();
  assert.deepEqual(tally.wrong, []);
  assert.ok(tally.askedCount >= 9);
});

test("an answer that is not allowed is counted and kept as text", async () => {
  const gateway = new FakeGateway();
  const background = new Background(gateway.ask, systemClock);
  gateway.version = "v3";
  await background.watch([{ question, allowed: [allowed("v1"), allowed("v2")] }]);
  await gateway.asked(2);
  const tally = await background.stop();
  assert.ok(tally.wrongCount >= 2);
  assert.equal(tally.wrong[0], "GET /: v3");
});
