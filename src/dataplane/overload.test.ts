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
  assert.equal(machine.guard.share, 0.95);
  const refused = machine.refusedOf1000();
  assert.ok(Math.abs(refused - 950) <= 1, `${refused} of 1,000`);
  assert.equal(machine.guard.shedCount, refused);
});

test("with the delay gone the refusals go, slowly, and that is said too", () => {
  const machine = new Machine();
  machine.lateMs = 200;
  machine.pass(4_000);
  machine.lateMs = 0;
  machine.pass(1_000);
  const { share } = machine.guard;
  assert.ok(share > 0.6 && share < 0.9, `${share} after a second`);
  machine.pass(6_000);
  assert.equal(machine.guard.isShedding, false);
  assert.deepEqual(machine.changes, ["its event loop is late", null]);
});

interface Overload {
  /** Of what a request costs that is taken; a plain one costs 0.1 ms here. */
  readonly refusalCost: number;
  /** Clients: each has one request under way. */
  readonly connections: number;
}

/** One loop that takes what waits in turns, and is offered four times what it can do. */
class Loop {
  takenCount = 0;
  readonly delaysMs: number[] = [];
  readonly guard: OverloadGuard;
  #nowMs = 0;
  #busyMs = 0;
  #waiting = 0;
  #timer: { readonly atMs: number; readonly run: () => void } = { atMs: 0, run: () => undefined };

  constructor() {
    const clock: Clock = {
      nowMs: () => this.#nowMs,
      monotonicMs: () => this.#nowMs,
      after: (ms, run) => {
        this.#timer = { atMs: this.#nowMs + ms, run };
        return { cancel: () => undefined };
      },
    };
    this.guard = new OverloadGuard(clock, LIMITS, {
      memory: () => ({ heapUsed: 0, heapLimit: 1_000 * MIB, external: 0 }),
      cpuMs: () => this.#busyMs,
      collectGarbage: () => undefined,
      onDelay: (delayMs) => this.delaysMs.push(delayMs),
      onChange: () => undefined,
    });
  }

  run(untilMs: number, perMs: number, { refusalCost, connections }: Overload): void {
    let arrivedMs = this.#nowMs;
    while (this.#nowMs < untilMs) {
      const arrivals = (this.#nowMs - arrivedMs) * perMs;
      this.#waiting = Math.min(this.#waiting + arrivals, connections);
      arrivedMs = this.#nowMs;
      const batch = Math.floor(this.#waiting);
      this.#waiting -= batch;
      for (let index = 0; index < batch; index += 1) this.#handle(refusalCost);
      if (batch === 0) this.#nowMs += COST_MS;
      if (this.#nowMs >= this.#timer.atMs) this.#timer.run();
    }
  }

  #handle(refusalCost: number): void {
    this.guard.requestCount += 1;
    const isTaken = !this.guard.isShedding || this.guard.takesRequest();
    const costMs = isTaken ? COST_MS : COST_MS * refusalCost;
    if (isTaken) this.takenCount += 1;
    this.#nowMs += costMs;
    this.#busyMs += costMs;
  }
}

const COST_MS = 0.1;
const FOURFOLD_PER_MS = 4 / COST_MS;
const SETTLED_MS = 10_000;
const MEASURED_MS = 60_000;

for (const refusalCost of [0.02, 0.05, 0.15, 0.33, 0.5]) {
  test(`refusals at ${refusalCost} of a request's cost leave 4 in 5 of the peak`, (context) => {
    const loop = new Loop();
    const overload = { refusalCost, connections: 4_000 };
    loop.run(SETTLED_MS, FOURFOLD_PER_MS, overload);
    loop.takenCount = 0;
    loop.delaysMs.length = 0;
    loop.run(SETTLED_MS + MEASURED_MS, FOURFOLD_PER_MS, overload);
    const goodput = (loop.takenCount / MEASURED_MS) * COST_MS;
    loop.delaysMs.sort((a, b) => a - b);
    const late = loop.delaysMs[Math.floor(loop.delaysMs.length * 0.99)] ?? 0;
    context.diagnostic(
      `goodput ${(goodput * 100).toFixed(0)} %, p99 of delays ${late.toFixed(1)} ms`,
    );
    assert.ok(goodput >= 0.75, `${goodput} of the peak`);
    if (refusalCost < 0.06) assert.ok(late <= 20, `${late} ms`);
  });
}

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
