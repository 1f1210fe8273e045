//! Random changes, delays, refusals, losses and joins; one invariant after every step.
//!
//! No gateway runs a snapshot that names a lane, or a lane's endpoint, which a sidecar that is not
//! lagging does not know. A failure prints its seed: the same seed replays it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import { ANSWER_TIMEOUT_MS } from "./node-track.ts";
import { COALESCE_MS, DRAIN_MAX_MS, Publisher } from "./publisher.ts";
import { FakeNode, FakeStore, idle, laneCompile, laneNames, podNames } from "./testing.ts";

const SEEDS = 30;
const STEPS = 60;
const LANES = ["base", "gray", "blue", "red"];

class Simulation {
  readonly #prng: SeededPrng;
  readonly #clock = new FakeClock();
  readonly #store = new FakeStore();
  readonly #publisher: Publisher;
  readonly #nodes: FakeNode[] = [];
  /** Sidecars that have lagged and not caught up since. */
  readonly #lagged = new Set<string>();
  #drains: (() => void)[] = [];
  #joined = 0;

  constructor(seed: number) {
    this.#prng = new SeededPrng(seed * 7_919);
    this.#publisher = new Publisher({
      store: this.#store,
      resolveModules: () => Promise.resolve(new Map()),
      compile: (resources) => ({ snapshot: laneCompile(resources), messages: [] }),
      writeStatus: () => Promise.resolve(true),
      drained: () => new Promise((resolve) => this.#drains.push(resolve)),
      clock: this.#clock,
      logger: silentLogger,
    });
    this.#join("gateway", null);
    this.#join("gateway", null);
    this.#join("sidecar", ["default/a-base", "default/a-gray"]);
    this.#join("sidecar", ["default/a-blue", "default/a-red"]);
    this.#store.putLanes(["base"]);
    this.#publisher.start();
  }

  async step(): Promise<void> {
    const draw = this.#prng.below(100);
    const node = this.#nodes[this.#prng.below(this.#nodes.length)];
    assert.ok(node !== undefined);
    if (draw < 25) this.#change();
    else if (draw < 60) node.answer();
    else if (draw < 65) node.isPrompt = !node.isPrompt;
    else if (draw < 70) node.refusal = node.refusal === "" ? "refused" : "";
    else if (draw < 75) this.#restart(node);
    else if (draw < 80) this.#endDrains();
    else this.#clock.advance(this.#prng.below(ANSWER_TIMEOUT_MS));
    await idle();
    this.check();
  }

  /** Everything answers again: the last configuration must be everywhere. */
  async recover(): Promise<void> {
    const revision = this.#store.putLanes(["base", "last"]);
    for (const node of this.#nodes) {
      node.refusal = "";
      node.isPrompt = true;
      node.answer();
    }
    for (let turn = 0; turn < 12; turn++) {
      this.#endDrains();
      this.#clock.advance(turn === 6 ? DRAIN_MAX_MS : COALESCE_MS);
      await idle();
      this.check();
    }
    await this.#publisher.settled(revision);
    for (const node of this.#nodes) {
      assert.deepEqual(laneNames(node.held), ["base", "last"], node.id);
      assert.deepEqual(podNames(node.held), ["default/a-base", "default/a-last"], node.id);
    }
    this.#publisher.stop();
  }

  check(): void {
    for (const { id, state } of this.#publisher.status().nodes) {
      if (state === "STALE" || state === "NACK") this.#lagged.add(id);
      else if (state === "SYNCED") this.#lagged.delete(id);
    }
    const sidecars = this.#nodes.filter(
      ({ id, role, held }) =>
        role === "sidecar" &&
        // One that has not run anything yet carries no traffic.
        held !== EMPTY_SNAPSHOT &&
        !this.#lagged.has(id),
    );
    for (const gateway of this.#nodes.filter((node) => node.role === "gateway")) {
      for (const sidecar of sidecars) {
        const lanes = new Set(laneNames(sidecar.held));
        const who = `${gateway.id} before ${sidecar.id}`;
        for (const lane of laneNames(gateway.held)) assert.ok(lanes.has(lane), `${lane}: ${who}`);
        for (const pod of podNames(gateway.held)) {
          assert.ok(sidecar.held.workloads[pod] !== undefined, `${pod}: ${who}`);
        }
      }
    }
  }

  #change(): void {
    const pick = (): string[] => LANES.filter(() => this.#prng.below(2) === 0);
    this.#store.putLanes(pick(), pick());
  }

  #restart(node: FakeNode): void {
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    this.#publisher.leave(node);
    const hosted = LANES.map((lane) => `default/a-${lane}`).filter((pod) => node.hosts(pod));
    this.#join(node.role, hosted);
  }

  #join(role: "gateway" | "sidecar", hosted: readonly string[] | null): void {
    this.#joined += 1;
    const node = new FakeNode(role, `${role}-${this.#joined}`, hosted);
    node.mayComeLate = role === "gateway" && this.#prng.below(2) === 0;
    this.#nodes.push(node);
    this.#publisher.join(node);
  }

  #endDrains(): void {
    const drains = this.#drains;
    this.#drains = [];
    for (const end of drains) end();
  }
}

test("no gateway names a lane or an endpoint that a sidecar does not know", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const simulation = new Simulation(seed);
    try {
      for (let step = 0; step < STEPS; step++) await simulation.step();
      await simulation.recover();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`seed ${seed}: ${reason}`, { cause });
    }
  }
});
