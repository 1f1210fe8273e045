import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Fault } from "../../resources/fault.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { ANSWER_TIMEOUT_MS } from "./node-track.ts";
import { COALESCE_MS, Publisher } from "./publisher.ts";
import { FakeNode, FakeStore, idle, laneCompile } from "./testing.ts";

const REFUSED: Fault = {
  severity: "error",
  code: "GL0702",
  message: "Envoy prompt refused the routes entry: too large a program",
  remedy: "",
  path: "",
  object: { kind: "ConfigMap", namespace: "default", name: "lanes" },
  position: null,
};
const WITHIN_MS = 1_000;

for (const role of ["gateway", "sidecar"] as const) {
  test(`what a ${role} refuses is told within a second while another does not answer`, async () => {
    const clock = new FakeClock();
    const store = new FakeStore();
    const told: unknown[] = [];
    const publisher = new Publisher({
      ...{ store, clock, logger: silentLogger },
      resolveModules: () => Promise.resolve(new Map()),
      compile: (resources) => ({ snapshot: laneCompile(resources), messages: [] }),
      writeStatus: ({ resource, status }) => {
        // As the store does: who has read another version writes nothing.
        if (!store.items.includes(resource)) return Promise.resolve(false);
        told.push(status);
        store.put({ ...resource, status });
        return Promise.resolve(true);
      },
      drained: () => Promise.resolve(),
    });
    const advance = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += COALESCE_MS) {
        await idle();
        clock.advance(COALESCE_MS);
      }
      await idle();
    };
    const stateOf = (id: string): string =>
      publisher.status().nodes.find((node) => node.id === id)?.state ?? "gone";
    const [prompt, slow] = [new FakeNode(role, "prompt"), new FakeNode(role, "slow")];
    for (const node of [prompt, slow]) publisher.join(node);
    store.putLanes(["gray"]);
    publisher.start();
    await advance(100);
    slow.isPrompt = false;
    prompt.faults = [REFUSED];
    store.putLanes(["gray", "blue"]);
    await advance(WITHIN_MS);
    assert.equal(stateOf("slow"), "PENDING", "it is still waited for");
    assert.match(JSON.stringify(told), /"status":"False".*GL0702.*too large a program/);
    await advance(2 * ANSWER_TIMEOUT_MS);
    assert.equal(stateOf("slow"), "STALE");
    assert.equal(told.length, 1, "and once");
    publisher.stop();
  });
}
