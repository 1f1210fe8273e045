import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import type { PushAnswer } from "../controlplane/publish/config-node.ts";
import type { FailedStarts } from "../dataplane/runtime/prepare.ts";
import { gatewaySnapshot, SOURCE } from "../dataplane/testing/snapshot-maker.ts";
import type { Fault } from "../resources/fault.ts";
import { applyDelta, diffSnapshots, fullDelta, snapshotVersion } from "../snapshot/delta.ts";
import type { SnapshotDelta } from "../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Plugin, Snapshot } from "../snapshot/snapshot.ts";
import { LONG_START_MS } from "../wasm/start-trial.ts";
import { FAILURES_MAX, LongStarts } from "./long-starts.ts";
import type { StartAnswer, WorkerLink } from "./worker-link.ts";

const SHORT: StartAnswer = { longestMs: LONG_START_MS, fault: null };
const LONG: StartAnswer = { longestMs: LONG_START_MS + 1, fault: null };
const FAILS: StartAnswer = {
  longestMs: 5_000,
  fault: { kind: "start_trapped", message: "it never ends", remedy: "" },
};

function plugin(name: string, configuration = ""): Plugin {
  return {
    ...{ name, source: SOURCE, module: { sha256: "ab", path: "/x" }, configuration },
    ...{ rootId: "", vmId: "", failMode: "closed", env: {} },
  };
}

function snapshotWith(...plugins: readonly Plugin[]): Snapshot {
  const byName = Object.fromEntries(plugins.map((one) => [one.name, one]));
  const snapshot = gatewaySnapshot(80, [], { plugins: byName });
  return { ...snapshot, version: snapshotVersion(snapshot) };
}

/** A worker that takes everything; what it is told is kept. */
class FakeWorker {
  readonly role = "gateway";
  held: Snapshot = EMPTY_SNAPSHOT;
  faults: readonly Fault[] = [];
  readonly told: (FailedStarts | undefined)[] = [];
  /** Plug-ins that it is to start itself. */
  readonly startedHere: string[] = [];
  readonly id: string;
  isStopped = false;

  constructor(id: string) {
    this.id = id;
  }

  get heldVersion(): string {
    return this.held.version;
  }

  hosts(): boolean {
    return true;
  }

  push(delta: SnapshotDelta, failed?: FailedStarts): Promise<PushAnswer> {
    this.told.push(failed);
    const base = delta.fromVersion === EMPTY_SNAPSHOT.version ? EMPTY_SNAPSHOT : this.held;
    this.held = applyDelta(base, delta) ?? assert.fail("the delta is for another version");
    return Promise.resolve({ ok: true, faults: this.faults });
  }

  startHere(plugin: string): void {
    this.startedHere.push(plugin);
  }

  stop(): Promise<void> {
    this.isStopped = true;
    return Promise.resolve();
  }

  get link(): WorkerLink {
    return this as unknown as WorkerLink;
  }
}

class World {
  readonly clock = new FakeClock();
  readonly serving = new FakeWorker("serving");
  fresh = new FakeWorker("fresh");
  gateways: FakeWorker[] = [this.serving];
  /** By the plug-in's name. */
  readonly starts = new Map<string, StartAnswer>();
  readonly tried: string[] = [];
  hasSpare = true;
  readonly longStarts = new LongStarts({
    clock: this.clock,
    gateways: () => this.gateways.map(({ link }) => link),
    borrow: (use) => {
      const spare = {
        tryStart: ({ name }: Plugin) => {
          this.tried.push(name);
          const start = this.starts.get(name);
          return start === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(start);
        },
      };
      return this.hasSpare ? use(spare as unknown as WorkerLink) : Promise.resolve(null);
    },
    take: () => Promise.resolve(this.hasSpare ? this.fresh.link : null),
    replace: (old, fresh) => {
      const place = this.gateways.findIndex(({ link }) => link === old);
      if (place === -1) return false;
      this.gateways[place] = fresh as unknown as FakeWorker;
      return true;
    },
  });

  /** A gateway that runs `before` is told to run `next`. */
  async change(before: Snapshot, next: Snapshot): Promise<PushAnswer> {
    await this.serving.push(fullDelta(before));
    this.serving.told.length = 0;
    return await this.longStarts.node(this.serving.link).push(diffSnapshots(before, next));
  }

  /** Who serves asks for `new` to be made anew; a fresh worker is there. */
  async restart(): Promise<void> {
    if (this.gateways.includes(this.fresh)) this.fresh = new FakeWorker(`${this.fresh.id}er`);
    const [serving] = this.gateways;
    assert.ok(serving !== undefined);
    void this.longStarts.restart(serving.link, "new");
    await idle();
  }

  get names(): string {
    return this.gateways.map(({ id }) => id).join();
  }
}

const BASE = snapshotWith(plugin("old"));
const NEXT = snapshotWith(plugin("old"), plugin("new", "{}"));

test("a plug-in that starts quickly is the affair of who serves, and is tried once", async () => {
  const world = new World();
  world.starts.set("new", SHORT);
  assert.equal((await world.change(BASE, NEXT)).ok, true);
  await world.change(BASE, NEXT);
  assert.equal(world.names, "serving");
  assert.deepEqual(world.serving.told, [undefined]);
  assert.deepEqual(world.tried, ["new"]);
});

test("one that takes long is started by a fresh worker, which then has the place", async () => {
  const world = new World();
  world.starts.set("new", LONG);
  assert.equal((await world.change(BASE, NEXT)).ok, true);
  assert.equal(world.names, "fresh");
  assert.equal(world.fresh.heldVersion, NEXT.version);
  assert.deepEqual(world.serving.told, []);
});

const STAYS: readonly (readonly [name: string, hinder: (world: World) => void])[] = [
  ["there is no fresh worker", (world) => (world.hasSpare = false)],
  ["who serves has gone meanwhile", (world) => (world.gateways = [])],
  [
    "the fresh one has a fault that who serves has not",
    (world) => {
      const object = { kind: "WasmPlugin", namespace: "a", name: "old" };
      const text = { severity: "error", code: "GL0418", message: "no", remedy: "" } as const;
      world.fresh.faults = [{ ...text, object, path: "", position: null }];
    },
  ],
];
for (const [name, hinder] of STAYS) {
  test(`who serves starts a long one itself when ${name}`, async () => {
    const world = new World();
    world.starts.set("new", LONG);
    hinder(world);
    await world.change(BASE, NEXT);
    assert.deepEqual(world.serving.told, [undefined]);
    assert.equal(world.names.includes("fresh"), false);
    assert.equal(world.fresh.isStopped, world.hasSpare);
  });
}

test("a gateway that serves nobody yet starts everything itself", async () => {
  const world = new World();
  await world.longStarts.node(world.serving.link).push(fullDelta(NEXT));
  assert.deepEqual(world.tried, []);
  assert.deepEqual(world.serving.told, [undefined]);
});

test("a start that is long and fails is not begun, nor by a worker that comes later", async () => {
  const world = new World();
  world.starts.set("new", FAILS);
  await world.change(BASE, NEXT);
  assert.deepEqual(world.serving.told, [{ new: FAILS.fault }]);
  assert.equal(world.names, "serving");
  const later = new FakeWorker("later");
  await world.longStarts.node(later.link).push(fullDelta(NEXT));
  assert.deepEqual(later.told, [{ new: FAILS.fault }]);
  assert.deepEqual(world.tried, ["new"]);
});

test("what ended the process that tried it counts as such a start", async () => {
  const world = new World();
  await world.change(BASE, NEXT);
  const [failed] = world.serving.told;
  assert.match(failed?.["new"]?.message ?? "", /the process that tried it ended/);
});

test("it is tried again with back-off, and a fresh worker takes over when it starts", async () => {
  const world = new World();
  world.starts.set("new", FAILS);
  await world.change(BASE, NEXT);
  world.tried.length = 0;
  for (const [afterMs, tries] of [
    [999, 0],
    [1, 1],
    [1_999, 1],
    [1, 2],
  ] as const) {
    world.clock.advance(afterMs);
    await idle();
    assert.equal(world.tried.length, tries);
  }
  world.starts.set("new", LONG);
  world.clock.advance(4_000);
  await idle();
  assert.equal(world.names, "fresh");
  assert.equal(world.fresh.heldVersion, NEXT.version);
  assert.deepEqual(world.fresh.told, [undefined]);
});

test("what nobody wants any more is not tried again", async () => {
  const world = new World();
  world.starts.set("new", FAILS);
  await world.change(BASE, NEXT);
  await world.longStarts.node(world.serving.link).push(diffSnapshots(NEXT, BASE));
  world.tried.length = 0;
  world.clock.advance(100_000);
  await idle();
  assert.deepEqual(world.tried, []);
});

test("a long one is made anew by a fresh worker, which takes over", async () => {
  const world = new World();
  await world.serving.push(fullDelta(NEXT));
  world.starts.set("new", LONG);
  await world.restart();
  assert.equal(world.names, "fresh");
  assert.equal(world.fresh.heldVersion, NEXT.version);
  assert.deepEqual(world.serving.startedHere, []);
});

test("while it does not start elsewhere nobody is replaced, and it is tried again", async () => {
  const world = new World();
  await world.serving.push(fullDelta(NEXT));
  world.starts.set("new", FAILS);
  await world.restart();
  assert.equal(world.names, "serving");
  world.starts.set("new", LONG);
  await world.restart();
  assert.equal(world.names, "fresh");
  assert.deepEqual(world.serving.startedHere, []);
});

for (const [name, hinder] of STAYS.filter(([name]) => name !== "who serves has gone meanwhile")) {
  test(`who serves makes a long one anew itself when ${name}`, async () => {
    const world = new World();
    await world.serving.push(fullDelta(NEXT));
    world.starts.set("new", LONG);
    hinder(world);
    await world.restart();
    assert.equal(world.names, "serving");
    assert.deepEqual(world.serving.startedHere, ["new"]);
  });
}

test("one that traps soon after each take-over gets the next one with back-off", async () => {
  const world = new World();
  await world.serving.push(fullDelta(NEXT));
  world.starts.set("new", LONG);
  await world.restart();
  // The worker itself waits for the first second.
  for (const waitMs of [1_000, 3_000, 7_000, 15_000, 31_000, 59_000, 59_000]) {
    const { names } = world;
    await world.restart();
    world.clock.advance(waitMs - 1);
    await idle();
    assert.equal(world.names, names, `${waitMs}`);
    world.clock.advance(1);
    await idle();
    assert.equal(world.names, world.fresh.id);
  }
  world.clock.advance(60_000);
  await world.restart();
  assert.equal(world.names, world.fresh.id);
});

test("so many failures are kept, and who serves begins what comes beyond", async () => {
  const world = new World();
  const count = FAILURES_MAX + 1;
  const names = Array.from({ length: count }, (_, index) => `new${index}`);
  for (const name of names) world.starts.set(name, FAILS);
  const next = snapshotWith(plugin("old"), ...names.map((name) => plugin(name, name)));
  await world.change(BASE, next);
  assert.equal(world.tried.length, count);
  assert.equal(Object.keys(world.serving.told[0] ?? {}).length, FAILURES_MAX);
});

async function idle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
