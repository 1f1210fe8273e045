import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { VirtualClock } from "../base/virtual-clock.ts";
import { OverloadGuard } from "./overload.ts";
import type { MemoryReading } from "./overload.ts";

const MIB = 1_048_576;
const LIMITS = { delayMs: 100, memoryBytes: 1_000 * MIB, connectionsMax: 3 };

/** A process whose loop is late as the test says. */
class Machine {
  lateMs = 0;
  /** The part of the time that it computes. */
  work = 1;
  memory: MemoryReading = { heapUsed: 100 * MIB, heapLimit: 4_000 * MIB, external: 0 };
  garbage = 0;
  collections = 0;
  readonly changes: (string | null)[] = [];
  readonly guard: OverloadGuard;
  readonly #time = new VirtualClock();

  constructor() {
    const clock: Clock = {
      nowMs: () => this.#time.nowMs(),
      monotonicMs: () => this.#time.monotonicMs(),
      after: (ms, run) => this.#time.after(ms + this.lateMs, run),
    };
    this.guard = new OverloadGuard(clock, LIMITS, {
      memory: () => ({ ...this.memory, heapUsed: this.memory.heapUsed + this.garbage }),
      cpuMs: () => this.#time.monotonicMs() * this.work,
      collectGarbage: () => {
        this.collections += 1;
        this.garbage = 0;
      },
      onDelay: () => undefined,
      onChange: (why) => this.changes.push(why),
    });
  }

  pass(ms: number): void {
    this.#time.advance(ms);
  }

  /** Of a thousand requests, those that are refused. */
  refusedOf1000(): number {
    if (!this.guard.isShedding) return 0;
    return Array.from({ length: 1_000 }, () => this.guard.takesRequest()).filter((one) => !one)
      .length;
  }
}

const CALM = [
  { name: "a loop that is never late", lateMs: 0, work: 1 },
  { name: "a loop that is late by less than the limit", lateMs: 99, work: 1 },
  { name: "a loop that is late since others have the processor", lateMs: 400, work: 0.2 },
];

for (const { name, lateMs, work } of CALM) {
  test(`${name} refuses nothing`, () => {
    const machine = new Machine();
    Object.assign(machine, { lateMs, work });
    machine.pass(60_000);
    assert.equal(machine.guard.isShedding, false);
    assert.deepEqual(machine.changes, []);
  });
}

test("one pause, however long, refuses nothing", () => {
  const machine = new Machine();
  machine.lateMs = 450;
  machine.pass(100);
  machine.lateMs = 0;
  machine.pass(10_000);
  assert.deepEqual(machine.changes, []);
});

test("a loop that is late by its own work refuses more and more, and says so once", () => {
  const machine = new Machine();
  machine.lateMs = 200;
  machine.pass(1_200);
  assert.deepEqual(machine.changes, ["its event loop is late"]);
  machine.pass(3_000);
  assert.equal(machine.guard.share, 0.75);
  const refused = machine.refusedOf1000();
  assert.ok(Math.abs(refused - 750) <= 1, `${refused} of 1,000`);
  assert.equal(machine.guard.shedCount, refused);
});

test("with the delay gone the refusals go, slowly, and that is said too", () => {
  const machine = new Machine();
  machine.lateMs = 200;
  machine.pass(4_000);
  machine.lateMs = 0;
  machine.pass(1_000);
  const { share } = machine.guard;
  assert.ok(share > 0.4 && share < 0.7, `${share} after a second`);
  machine.pass(5_000);
  assert.equal(machine.guard.isShedding, false);
  assert.deepEqual(machine.changes, ["its event loop is late", null]);
});

test("memory full of garbage is collected, and refuses nothing", () => {
  const machine = new Machine();
  machine.garbage = 3_800 * MIB;
  machine.pass(1_000);
  assert.equal(machine.collections, 1);
  assert.deepEqual(machine.changes, []);
});

const FULL = [
  { name: "the heap", memory: { heapUsed: 960 * MIB, heapLimit: 1_000 * MIB, external: 0 } },
  {
    name: "the limit",
    memory: { heapUsed: 60 * MIB, heapLimit: 4_000 * MIB, external: 900 * MIB },
  },
];

for (const { name, memory } of FULL) {
  test(`what fills ${name} refuses every request until a tenth is free`, () => {
    const machine = new Machine();
    machine.memory = memory;
    machine.pass(1_000);
    assert.deepEqual(machine.changes, ["its memory is full"]);
    assert.equal(machine.refusedOf1000(), 1_000);
    assert.equal(machine.guard.refusesConnection(), null);
    machine.memory = { ...memory, heapUsed: memory.heapUsed - 30 * MIB };
    machine.pass(1_000);
    assert.equal(machine.guard.isShedding, true);
    machine.memory = { ...memory, heapUsed: 10 * MIB, external: 10 * MIB };
    machine.pass(1_000);
    assert.deepEqual(machine.changes, ["its memory is full", null]);
  });
}

test("full memory is not collected again and again", () => {
  const machine = new Machine();
  machine.memory = { heapUsed: 990 * MIB, heapLimit: 1_000 * MIB, external: 0 };
  machine.pass(25_000);
  assert.equal(machine.collections, 3);
  assert.equal(machine.guard.refusesConnection(), "overload");
});

test("connections over the limit are refused", () => {
  const { guard } = new Machine();
  guard.connectionCount = 2;
  assert.equal(guard.refusesConnection(), null);
  guard.connectionCount = 3;
  assert.equal(guard.refusesConnection(), "overflow");
});
