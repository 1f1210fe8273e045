//! When a guest's time is up, and when it only seems so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FuelGauge } from "./gauge.ts";

/** A gauge with clocks that the test sets, and what a guest of it does when it has nothing left. */
function setUp(): {
  gauge: FuelGauge;
  time: { wall: number; cpu: number };
  ask: () => number;
  stops: () => number;
} {
  const time = { wall: 1000, cpu: 500 };
  let stopCount = 0;
  const gauge = new FuelGauge({ wallMs: () => time.wall, cpuMs: () => time.cpu });
  const table = new WebAssembly.Table({ initial: 1, element: "anyfunc" });
  gauge.attach({
    graylane_fuel_table: table,
    graylane_fuel_stop: () => {
      stopCount += 1;
    },
  });
  return { gauge, time, ask: table.get(0) as () => number, stops: () => stopCount };
}

test("a guest is refilled until its budget is used up on both clocks", () => {
  const { gauge, time, ask } = setUp();
  gauge.begin(50);
  assert.ok(ask() > 0);
  time.wall += 49.9;
  time.cpu += 49.9;
  assert.ok(ask() > 0);
  time.wall += 0.1;
  time.cpu += 0.1;
  assert.equal(ask(), 0);
  assert.ok(gauge.isSpent);
});

test("a process that was stopped for a minute kills no guest", () => {
  const { gauge, time, ask } = setUp();
  gauge.begin(50);
  ask();
  time.wall += 60_000;
  time.cpu += 3;
  assert.ok(ask() > 0);
  time.wall += 60_000;
  time.cpu += 46;
  assert.ok(ask() > 0);
  time.cpu += 1;
  assert.equal(ask(), 0);
});

test("time begins when a callback first asks: what went before it does not count", () => {
  const { gauge, time, ask } = setUp();
  gauge.begin(50);
  time.wall += 1_000;
  time.cpu += 1_000;
  assert.ok(ask() > 0);
});

test("each callback has a budget of its own", () => {
  const { gauge, time, ask } = setUp();
  gauge.begin(50);
  ask();
  time.wall += 100;
  time.cpu += 100;
  assert.equal(ask(), 0);
  gauge.begin(50);
  assert.equal(gauge.isSpent, false);
  assert.ok(ask() > 0);
});

test("a guest that is out of time stays so, whatever it catches", () => {
  const { gauge, time, ask } = setUp();
  gauge.begin(50);
  ask();
  time.wall += 100;
  time.cpu += 100;
  assert.equal(ask(), 0);
  assert.equal(ask(), 0);
});

test("work in host functions counts too, by calls and by bytes", () => {
  const { gauge, time, stops } = setUp();
  gauge.begin(50);
  gauge.touch(4 * 1024 * 1024);
  time.wall += 100;
  time.cpu += 100;
  gauge.touch(8);
  assert.equal(stops(), 0);
  for (let call = 0; call < 3_000; call++) gauge.touch(8);
  assert.equal(stops(), 1);
});
