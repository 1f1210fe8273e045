//! What was found for lanes is written into their status when it has changed, and only then.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Resource } from "../../resources/object.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { statusWrites } from "./object-status.ts";
import type { StatusWrite } from "./object-status.ts";
import { COALESCE_MS, Publisher } from "./publisher.ts";
import { FakeStore, idle, laneCompile } from "./testing.ts";

const LANE: Resource = {
  apiVersion: "graylane.io/v1alpha1",
  kind: "Lane",
  metadata: { name: "gray", namespace: "default", generation: 3 },
  spec: {},
};
const KEY = "Lane default/gray";

type Findings = Readonly<Record<string, unknown>>;

/** The one status that is due, or null. */
function due(resource: Resource, findings?: Findings): StatusWrite["status"] | null {
  const said = {
    faults: [],
    findings: new Map(findings === undefined ? [] : [[KEY, findings]]),
  };
  return statusWrites([resource], said, 0)[0]?.status ?? null;
}

test("findings stand in the status beside the condition, and a second look writes nothing", () => {
  const found = { state: "Open", services: "1/2", members: [{ service: "default/a", ready: 1 }] };
  const status = due(LANE, found);
  assert.ok(status !== null);
  const { conditions, ...rest } = status;
  assert.deepEqual(rest, { ...found, observedGeneration: 3, validationMessages: [] });
  assert.equal((conditions as readonly { reason: string }[])[0]?.reason, "Accepted");
  assert.equal(due({ ...LANE, status }, structuredClone(found)), null);
});

test("what others wrote into a status stays, what is not found any more goes", () => {
  const status = due(LANE, { state: "Open", share: "10 %" });
  const edited = { ...status, allocation: { tables: [] } };
  const next = due({ ...LANE, status: edited }, { state: "Open" });
  assert.deepEqual(next?.["allocation"], { tables: [] });
  assert.equal(next["share"], undefined);
  assert.equal(next["state"], "Open");
  const orphan = due({ ...LANE, status: edited });
  assert.equal(orphan?.["state"], undefined, "its group is gone");
});

test("fields of the same names in the status of other kinds are left alone", () => {
  const service = { ...LANE, kind: "Deployment", status: { state: "theirs" } };
  assert.equal(due(service), null);
});

class World {
  readonly clock = new FakeClock();
  readonly store = new FakeStore();
  readonly publisher: Publisher;
  compileCount = 0;
  readonly written: StatusWrite["status"][] = [];

  constructor() {
    this.publisher = new Publisher({
      store: this.store,
      resolveModules: () => Promise.resolve(new Map()),
      compile: (resources) => {
        this.compileCount += 1;
        const podCount = resources.filter(({ kind }) => kind === "Pod").length;
        const findings = new Map([[KEY, { state: "Open", members: [{ pods: podCount }] }]]);
        return { snapshot: laneCompile(resources), messages: [], findings };
      },
      writeStatus: ({ resource, status }) => {
        this.written.push(status);
        this.store.put({ ...resource, status });
        return Promise.resolve(true);
      },
      drained: () => Promise.resolve(),
      clock: this.clock,
      logger: silentLogger,
    });
    this.store.put(LANE);
    this.publisher.start();
  }

  async turns(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) {
      await idle();
      this.clock.advance(COALESCE_MS);
      await idle();
    }
  }
}

test("a status that was written causes no compilation and no other status", async () => {
  const world = new World();
  await world.turns();
  assert.equal(world.written.length, 1);
  assert.equal(world.compileCount, 1);
  world.store.put({ ...LANE, kind: "Pod", metadata: { name: "a-gray" } });
  await world.turns();
  assert.equal(world.compileCount, 2);
  assert.deepEqual(
    world.written.map((status) => status["members"]),
    [[{ pods: 0 }], [{ pods: 1 }]],
  );
});
