//! An allocation is durable before any node may use it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Resource } from "../../resources/object.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { COALESCE_MS, Publisher } from "./publisher.ts";
import { FakeNode, FakeStore, idle, laneCompile, laneNames } from "./testing.ts";

const GROUP: Resource = {
  apiVersion: "graylane.io/v1alpha1",
  kind: "LaneGroup",
  metadata: { name: "shop", namespace: "default" },
  spec: {},
};

class World {
  readonly clock = new FakeClock();
  readonly store = new FakeStore();
  readonly gateway: FakeNode = new FakeNode("gateway");
  readonly publisher: Publisher;
  /** What the store says to a status; a test may put another in its place. */
  answer: (write: Resource) => boolean = () => true;
  writeCount = 0;

  constructor() {
    this.publisher = new Publisher({
      store: this.store,
      resolveModules: () => Promise.resolve(new Map()),
      compile: (resources) => {
        const map = resources.find(({ kind }) => kind === "ConfigMap");
        const allocations = new Map([["default/shop", { tables: map?.["data"] ?? null }]]);
        return { snapshot: laneCompile(resources), messages: [], allocations };
      },
      writeStatus: ({ resource, status }) => {
        this.writeCount += 1;
        const isWritten = this.answer(resource);
        if (isWritten) this.store.put({ ...resource, status });
        return Promise.resolve(isWritten);
      },
      drained: () => Promise.resolve(),
      clock: this.clock,
      logger: silentLogger,
    });
    this.publisher.join(this.gateway);
    this.store.put(GROUP);
    this.store.putLanes(["gray"]);
    this.publisher.start();
  }

  async turn(): Promise<void> {
    await idle();
    this.clock.advance(COALESCE_MS);
    await idle();
  }
}

test("the allocation stands in the status before a gateway runs what it is for", async () => {
  const world = new World();
  let heldAtWrite: readonly string[] | null = null;
  world.answer = () => {
    heldAtWrite = laneNames(world.gateway.held);
    return true;
  };
  for (let turn = 0; turn < 3; turn++) await world.turn();
  assert.deepEqual(heldAtWrite, []);
  assert.deepEqual(laneNames(world.gateway.held), ["gray"]);
  assert.equal(world.writeCount, 1);
});

test("a group that changed meanwhile is not published with the old allocation", async () => {
  const world = new World();
  world.answer = () => false;
  await world.turn();
  assert.equal(world.writeCount, 1);
  assert.deepEqual(laneNames(world.gateway.held), []);
  world.answer = () => true;
  world.store.putLanes(["gray", "blue"]);
  await world.turn();
  assert.deepEqual(laneNames(world.gateway.held), ["gray", "blue"]);
});

test("a disk that is full does not hold a change up", async () => {
  const world = new World();
  world.answer = () => {
    throw new Error("no space left on device");
  };
  await world.turn();
  assert.deepEqual(laneNames(world.gateway.held), ["gray"]);
});
