import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { COALESCE_MS, DRAIN_MAX_MS, Publisher } from "./publisher.ts";
import { FakeNode, FakeStore, idle, laneCompile, laneNames } from "./testing.ts";

/** Two gateways and a sidecar; of the second gateway nothing is heard until the test says so. */
async function worldWith({ mayComeLate }: { mayComeLate: boolean }) {
  const clock = new FakeClock();
  const store = new FakeStore();
  const publisher = new Publisher({
    ...{ store, clock, logger: silentLogger },
    resolveModules: () => Promise.resolve(new Map()),
    compile: (resources) => ({ snapshot: laneCompile(resources), messages: [] }),
    writeStatus: () => Promise.resolve(true),
    drained: () => new Promise(() => undefined),
  });
  const turn = async (): Promise<void> => {
    for (let pass = 0; pass < 4; pass += 1) {
      await idle();
      clock.advance(COALESCE_MS);
      await idle();
    }
  };
  const [gateway, sidecar] = [new FakeNode("gateway"), new FakeNode("sidecar")];
  for (const node of [gateway, sidecar]) publisher.join(node);
  store.putLanes(["base", "gray"]);
  publisher.start();
  await turn();
  const late = new FakeNode("gateway", "late");
  late.isPrompt = false;
  late.mayComeLate = mayComeLate;
  publisher.join(late);
  return { clock, store, publisher, turn, gateway, sidecar, late };
}

const isSettled = async (settled: Promise<void>): Promise<boolean> => {
  let isSo = false;
  const refused = (): null => null;
  settled.then(() => (isSo = true), refused);
  await idle();
  return isSo;
};

for (const mayComeLate of [true, false]) {
  const which = mayComeLate ? "may come late holds up no change" : "is new is waited for";
  test(`a gateway that ${which}`, async () => {
    const { store, publisher, turn, gateway, late } = await worldWith({ mayComeLate });
    for (const lanes of [
      ["base", "gray", "blue"],
      ["base", "gray", "blue", "red"],
    ]) {
      const revision = store.putLanes(lanes);
      await turn();
      assert.equal(await isSettled(publisher.settled(revision)), mayComeLate);
    }
    assert.deepEqual(laneNames(gateway.held).includes("red"), mayComeLate);
    assert.equal(late.pushes.length, 1);
    publisher.stop();
  });
}

test("sidecars keep what a late gateway may be running until it has drained", async () => {
  const { clock, store, publisher, turn, sidecar, late } = await worldWith({ mayComeLate: true });
  store.putLanes(["base"]);
  await turn();
  assert.deepEqual(laneNames(sidecar.held), ["base", "gray"]);
  late.answer();
  assert.deepEqual(laneNames(late.held), ["base", "gray"]);
  await turn();
  late.answer();
  assert.deepEqual(laneNames(late.held), ["base"]);
  await turn();
  assert.deepEqual(laneNames(sidecar.held), ["base", "gray"]);
  clock.advance(DRAIN_MAX_MS);
  await turn();
  assert.deepEqual(laneNames(sidecar.held), ["base"]);
  publisher.stop();
});
