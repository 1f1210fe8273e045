import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Fault } from "../../resources/fault.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { ConfigNode } from "./config-node.ts";
import { ANSWER_TIMEOUT_MS } from "./node-track.ts";
import { COALESCE_MS, DRAIN_MAX_MS, Publisher } from "./publisher.ts";
import { FakeNode, FakeStore, idle, laneCompile, laneNames, podNames } from "./testing.ts";

class World {
  readonly clock = new FakeClock();
  readonly store = new FakeStore();
  readonly statuses: unknown[] = [];
  readonly publisher: Publisher;
  compilations = 0;
  messages: Fault[] = [];
  /** Wall time at which a lane expires. */
  expiryMs = 0;
  /** Ends every drain under way; drains end at once while this is null. */
  drains: (() => void)[] | null = null;
  /** Whether gateways serve somebody whose places others have taken. */
  areLeaving = false;

  constructor(options: { readonly firstAnswerMs?: number } = {}) {
    this.publisher = new Publisher({
      ...options,
      store: this.store,
      resolveModules: () => Promise.resolve(new Map()),
      compile: (resources) => {
        this.compilations += 1;
        const nextExpiryMs = this.clock.nowMs() < this.expiryMs ? this.expiryMs : null;
        return { snapshot: laneCompile(resources), messages: this.messages, nextExpiryMs };
      },
      writeStatus: ({ resource, status }) => {
        this.statuses.push(status);
        this.store.put({ ...resource, status });
        return Promise.resolve(true);
      },
      drained: () =>
        new Promise((resolve) => {
          if (this.drains === null) resolve();
          else this.drains.push(resolve);
        }),
      areLeaving: () => this.areLeaving,
      clock: this.clock,
      logger: silentLogger,
    });
  }

  /** Time enough for a pass to begin, and all that can happen then without time. */
  async turn(): Promise<void> {
    for (let pass = 0; pass < 4; pass++) {
      await idle();
      this.clock.advance(COALESCE_MS);
      await idle();
    }
  }

  async startWith(lanes: readonly string[], nodes: readonly ConfigNode[]): Promise<void> {
    for (const node of nodes) this.publisher.join(node);
    this.store.putLanes(lanes);
    this.publisher.start();
    await this.turn();
  }

  stateOf(node: ConfigNode): string {
    return this.publisher.status().nodes.find((one) => one.id === node.id)?.state ?? "gone";
  }
}

test("what the store holds at the start reaches every node", async () => {
  const world = new World();
  const nodes = [new FakeNode("gateway"), new FakeNode("sidecar")];
  await world.startWith(["gray"], nodes);
  for (const node of nodes) assert.deepEqual(laneNames(node.held), ["gray"]);
  const status = world.publisher.status();
  assert.deepEqual(
    status.nodes.map((node) => node.state),
    ["SYNCED", "SYNCED"],
  );
  assert.equal(status.settledRevision, world.store.revision);
});

test("a new lane reaches delayed sidecars before the gateway uses it", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const prompt = new FakeNode("sidecar", "prompt");
  const delayed = new FakeNode("sidecar", "delayed");
  await world.startWith(["base"], [gateway, prompt, delayed]);

  delayed.isPrompt = false;
  world.store.putLanes(["base", "gray"]);
  await world.turn();
  world.clock.advance(ANSWER_TIMEOUT_MS - 100);
  await idle();
  assert.deepEqual(laneNames(prompt.held), ["base", "gray"]);
  assert.deepEqual(laneNames(gateway.held), ["base"]);

  delayed.answer();
  await idle();
  assert.deepEqual(laneNames(gateway.held), ["base", "gray"]);
});

test("who takes over from another process waits longer for sidecars, the first time", async () => {
  const firstAnswerMs = 4 * ANSWER_TIMEOUT_MS;
  const world = new World({ firstAnswerMs });
  const gateway = new FakeNode("gateway");
  const slow = new FakeNode("sidecar", "slow");
  slow.isPrompt = false;
  await world.startWith(["base"], [gateway, slow]);
  world.clock.advance(firstAnswerMs - ANSWER_TIMEOUT_MS);
  await world.turn();
  assert.equal(gateway.held, EMPTY_SNAPSHOT);

  slow.answer();
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base"]);

  world.store.putLanes(["base", "gray"]);
  await world.turn();
  world.clock.advance(ANSWER_TIMEOUT_MS);
  await world.turn();
  assert.equal(world.stateOf(slow), "STALE");
});

test("a gateway that joins with what it should run is sent nothing; its faults count", async () => {
  const world = new World();
  const first = new FakeNode("gateway", "first");
  await world.startWith(["base"], [first]);
  const fresh = new FakeNode("gateway", "fresh");
  fresh.held = first.held;
  const fault: Fault = {
    ...{ severity: "error", code: "GL0418", message: "no", remedy: "", path: "" },
    ...{ object: { kind: "WasmPlugin", namespace: "a", name: "b" }, position: null },
  };
  fresh.joinsWith = { snapshot: fresh.held, faults: [fault] };
  world.publisher.join(fresh);
  world.publisher.leave(first);
  await world.turn();
  assert.equal(fresh.pushes.length, 0);
  assert.equal(world.stateOf(fresh), "SYNCED");
  assert.deepEqual(world.publisher.status().messages, [fault]);

  world.store.putLanes(["base", "gray"]);
  await world.turn();
  assert.deepEqual(laneNames(fresh.held), ["base", "gray"]);
  assert.notEqual(fresh.pushes[0]?.fromVersion, EMPTY_SNAPSHOT.version);
});

test("a change that puts a gateway in place of another settles when that one leaves", async () => {
  const world = new World();
  const old = new FakeNode("gateway", "old");
  await world.startWith(["base"], [old]);
  old.isPrompt = false;
  world.drains = [];
  // More for everybody, and nothing that sidecars would have to keep.
  const revision = world.store.putLanes(["base", "gray"]);
  await world.turn();
  const fresh = new FakeNode("gateway", "fresh");
  fresh.held = laneCompile(world.store.items);
  fresh.joinsWith = { snapshot: fresh.held, faults: [] };
  world.areLeaving = true;
  world.publisher.join(fresh);
  world.publisher.leave(old);
  await world.turn();
  assert.equal(world.publisher.status().settledRevision, revision - 1);
  for (const end of world.drains) end();
  await world.turn();
  assert.ok(world.publisher.status().settledRevision >= revision);
});

test("a removed lane leaves gateways first, and sidecars after the drain", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const sidecar = new FakeNode("sidecar");
  await world.startWith(["base", "gray"], [gateway, sidecar]);

  world.drains = [];
  const revision = world.store.putLanes(["base"]);
  let isSettled = false;
  void world.publisher.settled(revision).then(() => (isSettled = true));
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base"]);
  assert.deepEqual(laneNames(sidecar.held), ["base", "gray"]);
  assert.equal(isSettled, false);

  world.drains.forEach((end) => {
    end();
  });
  await world.turn();
  assert.deepEqual(laneNames(sidecar.held), ["base"]);
  assert.equal(isSettled, true);
});

test("a drain that does not end is given up, and does not hold up the next change", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const sidecar = new FakeNode("sidecar");
  await world.startWith(["base", "gray"], [gateway, sidecar]);

  world.drains = [];
  world.store.putLanes(["base"]);
  await world.turn();
  world.store.putLanes(["base", "blue"]);
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base", "blue"]);
  assert.deepEqual(laneNames(sidecar.held), ["base", "blue", "gray"]);

  world.clock.advance(DRAIN_MAX_MS);
  await world.turn();
  assert.deepEqual(laneNames(sidecar.held), ["base", "blue"]);
});

test("a node that does not answer is STALE; its lane endpoints are withheld", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const here = new FakeNode("sidecar", "here", ["default/a-base", "default/a-blue"]);
  const stuck = new FakeNode("sidecar", "stuck", ["default/a-gray"]);
  await world.startWith(["base"], [gateway, here, stuck]);

  stuck.isPrompt = false;
  const revision = world.store.putLanes(["base", "gray", "blue"]);
  await world.turn();
  // It was not the node that did nothing for an hour.
  world.clock.stop(3_600_000);
  world.clock.advance(ANSWER_TIMEOUT_MS - 100);
  await world.turn();
  assert.equal(world.stateOf(stuck), "PENDING");
  world.clock.advance(100);
  await world.turn();
  assert.equal(world.stateOf(stuck), "STALE");
  assert.deepEqual(podNames(gateway.held), ["default/a-base", "default/a-blue"]);
  await world.publisher.settled(revision);

  world.store.putLanes(["base", "gray", "blue", "red"]);
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base", "gray", "blue", "red"]);

  stuck.isPrompt = true;
  stuck.answer();
  await world.turn();
  assert.equal(world.stateOf(stuck), "SYNCED");
  assert.deepEqual(podNames(gateway.held).sort(), [
    "default/a-base",
    "default/a-blue",
    "default/a-gray",
    "default/a-red",
  ]);
});

test("a refusal leaves the last good snapshot, says why, and is not provoked again", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  await world.startWith(["base"], [gateway, new FakeNode("sidecar")]);

  gateway.refusal = "plug-in default/tag: bad configuration";
  world.store.putLanes(["base", "gray"]);
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base"]);
  const status = world.publisher.status().nodes[0];
  assert.equal(status?.state, "NACK");
  assert.equal(status.error, gateway.refusal);

  const pushes = gateway.pushes.length;
  world.store.put({ apiVersion: "v1", kind: "Secret", metadata: { name: "unrelated" } });
  await world.turn();
  assert.equal(gateway.pushes.length, pushes);

  gateway.refusal = "";
  world.store.putLanes(["base", "blue"]);
  await world.turn();
  assert.deepEqual(laneNames(gateway.held), ["base", "blue"]);
  assert.equal(world.stateOf(gateway), "SYNCED");
});

test("sidecars keep the lanes of a gateway that refuses to leave them", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const sidecar = new FakeNode("sidecar");
  await world.startWith(["gray"], [gateway, sidecar]);
  gateway.refusal = "no";
  world.store.putLanes(["blue"]);
  await world.turn();
  world.clock.advance(DRAIN_MAX_MS);
  await world.turn();
  assert.deepEqual(laneNames(sidecar.held), ["blue", "gray"]);
});

test("a burst of writes is one compilation, and the newest wins", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  await world.startWith(["base"], [gateway]);
  const before = world.compilations;
  for (let index = 0; index < 100; index++) world.store.putLanes([`lane-${index}`]);
  await world.turn();
  assert.equal(world.compilations, before + 1);
  assert.deepEqual(laneNames(gateway.held), ["lane-99"]);
});

test("a node that joins amid a change gets what its role runs, then the change", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const delayed = new FakeNode("sidecar", "delayed");
  await world.startWith(["base"], [gateway, delayed]);
  delayed.isPrompt = false;
  world.store.putLanes(["gray"]);
  await world.turn();

  const newGateway = new FakeNode("gateway", "new-gateway");
  const newSidecar = new FakeNode("sidecar", "new-sidecar");
  world.publisher.join(newGateway);
  world.publisher.join(newSidecar);
  await idle();
  assert.deepEqual(laneNames(newGateway.held), ["base"]);
  assert.deepEqual(laneNames(newSidecar.held), ["gray", "base"]);

  delayed.isPrompt = true;
  delayed.answer();
  await world.turn();
  for (const node of [gateway, newGateway, delayed, newSidecar]) {
    assert.deepEqual(laneNames(node.held), ["gray"]);
  }
});

test("a node that leaves is not waited for", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  const dead = new FakeNode("sidecar");
  await world.startWith(["base"], [gateway, dead]);
  dead.isPrompt = false;
  const revision = world.store.putLanes(["gray"]);
  await world.turn();
  world.publisher.leave(dead);
  await world.turn();
  await world.publisher.settled(revision);
  assert.deepEqual(laneNames(gateway.held), ["gray"]);
});

test("a node that lost what it held is sent everything", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  await world.startWith(["base"], [gateway]);
  gateway.held = EMPTY_SNAPSHOT;
  world.store.putLanes(["gray"]);
  await world.turn();
  assert.equal(gateway.pushes.at(-1)?.fromVersion, EMPTY_SNAPSHOT.version);
  assert.deepEqual(laneNames(gateway.held), ["gray"]);
});

test("only what changed travels", async () => {
  const world = new World();
  const gateway = new FakeNode("gateway");
  await world.startWith(["base"], [gateway]);
  world.store.putLanes(["base"], ["base", "other"]);
  await world.turn();
  assert.deepEqual(Object.keys(gateway.pushes.at(-1)?.changed ?? {}), ["endpoints", "workloads"]);
});

test("faults are written to the object once, and cause no second compilation", async () => {
  const world = new World();
  const object = { kind: "ConfigMap", namespace: "default", name: "lanes" };
  world.messages = [
    {
      severity: "error",
      code: "GL0201",
      message: "host nowhere is no Service",
      remedy: "Create it.",
      path: "spec.host",
      object,
      position: null,
    },
  ];
  await world.startWith(["base"], [new FakeNode("gateway")]);
  await world.turn();
  assert.equal(world.statuses.length, 1);
  assert.equal(world.compilations, 1);
  const status = world.statuses[0] as {
    conditions: { type: string; status: string }[];
    validationMessages: { message: string }[];
  };
  assert.equal(status.conditions[0]?.status, "False");
  assert.equal(
    status.validationMessages[0]?.message,
    "spec.host: host nowhere is no Service. Create it.",
  );

  world.messages = [];
  world.store.putLanes(["base", "gray"]);
  await world.turn();
  world.store.put({ apiVersion: "v1", kind: "Secret", metadata: { name: "unrelated" } });
  await world.turn();
  assert.equal(world.statuses.length, 1, "a replaced object without faults has no status to clear");
});

test("a compiler that fails keeps the last good configuration and says so", async () => {
  const clock = new FakeClock();
  const store = new FakeStore();
  const gateway = new FakeNode("gateway");
  let isBroken = false;
  const publisher = new Publisher({
    store,
    resolveModules: () => Promise.resolve(new Map()),
    compile: (resources) => {
      if (isBroken) throw new Error("a belief was wrong");
      return { snapshot: laneCompile(resources), messages: [] };
    },
    writeStatus: () => Promise.resolve(true),
    drained: () => Promise.resolve(),
    clock,
    logger: silentLogger,
  });
  publisher.join(gateway);
  store.putLanes(["base"]);
  publisher.start();
  const turn = async (): Promise<void> => {
    clock.advance(COALESCE_MS);
    await idle();
  };
  await turn();
  isBroken = true;
  await publisher.settled(store.revision);
  const revision = store.putLanes(["gray"]);
  await turn();
  await publisher.settled(revision);
  assert.deepEqual(laneNames(gateway.held), ["base"]);
  assert.equal(publisher.status().failure, "a belief was wrong");
});

test("stopping refuses those who wait", async () => {
  const world = new World();
  await world.startWith(["base"], []);
  const waiting = world.publisher.settled(world.store.revision + 1);
  world.publisher.stop();
  await assert.rejects(waiting, /stopped/);
});

test("what a node says of an object is in its status, and goes with its cause", async () => {
  const world = new World();
  const nodes = [new FakeNode("gateway", "g1"), new FakeNode("gateway", "g2")];
  const fault: Fault = {
    severity: "error",
    code: "GL0418",
    message: "The plug-in refused its configuration",
    remedy: "",
    path: "",
    object: { kind: "ConfigMap", namespace: "default", name: "lanes" },
    position: null,
  };
  for (const node of nodes) node.faults = [fault];
  await world.startWith(["gray"], nodes);
  assert.deepEqual(world.publisher.status().messages, [fault]);
  assert.match(JSON.stringify(world.statuses.at(-1)), /"status":"False".*GL0418/);
  for (const node of nodes) node.faults = [];
  world.store.putLanes(["gray", "blue"]);
  await world.turn();
  assert.deepEqual(world.publisher.status().messages, []);
});

test("when a lane expires the same objects are compiled anew, once", async () => {
  const world = new World();
  world.expiryMs = world.clock.nowMs() + 3 * 86_400_000;
  await world.startWith(["gray"], [new FakeNode("gateway")]);
  const before = world.compilations;
  world.clock.advance(2 * 86_400_000);
  await world.turn();
  assert.equal(world.compilations, before, "nothing has changed yet");
  world.clock.advance(86_400_000);
  await world.turn();
  assert.equal(world.compilations, before + 1);
  world.clock.advance(86_400_000);
  await world.turn();
  assert.equal(world.compilations, before + 1);
  world.publisher.stop();
});

test("a lane expires within a minute of a clock that was set forward, and not before", async () => {
  const world = new World();
  world.expiryMs = world.clock.nowMs() + 86_400_000;
  await world.startWith(["gray"], [new FakeNode("gateway")]);
  const before = world.compilations;
  world.clock.jump(-3_600_000);
  world.clock.advance(86_400_000);
  await world.turn();
  assert.equal(world.compilations, before, "an hour is left on the wall");
  world.clock.jump(3_600_000);
  world.clock.advance(60_000);
  await world.turn();
  assert.equal(world.compilations, before + 1);
  world.publisher.stop();
});
