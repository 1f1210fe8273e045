import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../base/virtual-clock.ts";
import { IN_FLIGHT_BYTES_MAX, SendBudget } from "./send-budget.ts";

const LARGE = IN_FLIGHT_BYTES_MAX / 2;

function world() {
  const clock = new VirtualClock();
  const budget = new SendBudget(clock);
  const sent: string[] = [];
  const peer = (name: string) => {
    const lease = budget.lease();
    return {
      ...lease,
      ask: (key: string, bytes: number) => {
        lease.send(key, bytes, () => sent.push(`${name}${key}`));
      },
    };
  };
  return { clock, budget, sent, peer };
}

test("large messages go in turn, as others are answered", () => {
  const { budget, sent, peer } = world();
  const [a, b, c] = [peer("a"), peer("b"), peer("c")];
  for (const one of [a, b, c]) one.ask("1", LARGE);
  assert.deepEqual(sent, ["a1", "b1"]);
  assert.equal(budget.inFlightBytes, IN_FLIGHT_BYTES_MAX);
  b.answered("1");
  assert.deepEqual(sent, ["a1", "b1", "c1"]);
  a.answered("1");
  c.answered("1");
  assert.equal(budget.inFlightBytes, 0);
});

test("a small message overtakes others' large ones, and none of its own", () => {
  const { sent, peer } = world();
  const [a, b, c] = [peer("a"), peer("b"), peer("c")];
  for (const one of [a, b, c]) one.ask("1", LARGE);
  c.ask("2", 1);
  peer("d").ask("1", 1);
  assert.deepEqual(sent, ["a1", "b1", "d1"]);
  a.answered("1");
  assert.deepEqual(sent, ["a1", "b1", "d1", "c1"]);
  b.answered("1");
  assert.deepEqual(sent, ["a1", "b1", "d1", "c1", "c2"]);
});

test("a message that is larger than all there is goes alone", () => {
  const { sent, peer } = world();
  const [a, b] = [peer("a"), peer("b")];
  a.ask("1", 3 * IN_FLIGHT_BYTES_MAX);
  b.ask("1", 3 * IN_FLIGHT_BYTES_MAX);
  assert.deepEqual(sent, ["a1"]);
  a.answered("1");
  assert.deepEqual(sent, ["a1", "b1"]);
});

test("who goes, or does not answer in 5 s, holds up nobody else", () => {
  for (const end of ["goes", "is silent"] as const) {
    const { clock, budget, sent, peer } = world();
    const [a, b] = [peer("a"), peer("b")];
    a.ask("1", IN_FLIGHT_BYTES_MAX);
    a.ask("2", LARGE);
    b.ask("1", LARGE);
    if (end === "goes") a.close();
    else clock.advance(5_000);
    assert.deepEqual(sent, end === "goes" ? ["a1", "b1"] : ["a1", "a2", "b1"]);
    assert.ok(budget.inFlightBytes <= IN_FLIGHT_BYTES_MAX);
  }
});
