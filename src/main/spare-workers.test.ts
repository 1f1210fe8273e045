import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import type { NodeRole } from "../controlplane/publish/config-node.ts";
import { SPARE_DELAY_MS, SpareWorkers } from "./spare-workers.ts";
import type { WorkerLink } from "./worker-link.ts";

class Fleet {
  readonly clock = new FakeClock();
  readonly launched: WorkerLink[] = [];
  readonly loaded: string[][] = [];
  modules = ["b", "a", "b"];
  isStopping = false;
  readonly spares = new SpareWorkers({
    clock: this.clock,
    launch: (role) => this.#launch(role),
    isStopping: () => this.isStopping,
    modules: () => this.modules.map((sha256) => ({ sha256, path: `/${sha256}` })),
  });

  #launch(role: NodeRole): WorkerLink {
    const load = (files: readonly { readonly sha256: string }[]): Promise<void> => {
      this.loaded.push(files.map(({ sha256 }) => sha256));
      return Promise.resolve();
    };
    const id = `${role}-${this.launched.length + 1}`;
    const link = { id, role, ready: Promise.resolve(), load } as unknown as WorkerLink;
    this.launched.push(link);
    return link;
  }
}

/** A trial that goes on until it is told to end. */
function trial(spares: SpareWorkers): { begun: Promise<WorkerLink>; end(): Promise<void> } {
  let begin: (worker: WorkerLink) => void = () => undefined;
  let end = (): void => undefined;
  const begun = new Promise<WorkerLink>((resolve) => (begin = resolve));
  const ended = new Promise<void>((resolve) => (end = resolve));
  const borrowed = spares.borrow(async (worker) => {
    begin(worker);
    await ended;
  });
  return {
    begun,
    end: async () => {
      end();
      await borrowed;
    },
  };
}

test("nobody takes a spare until the last of the trials in it has ended", async () => {
  const { spares } = new Fleet();
  const [first, second] = [trial(spares), trial(spares)];
  const spare = await first.begun;
  assert.equal(await second.begun, spare);
  for (const one of [first, second]) {
    assert.equal(spares.take("gateway"), null);
    assert.equal(await spares.takeReady(), null);
    await one.end();
  }
  assert.equal(await spares.takeReady(), spare);
});

test("a trial that fails frees the spare, too", async () => {
  const { spares } = new Fleet();
  await assert.rejects(
    spares.borrow(() => Promise.reject(new Error("gone"))),
    /gone/,
  );
  assert.notEqual(spares.take("gateway"), null);
});

test("two who want the spare at a time do not get the same", async () => {
  const { spares } = new Fleet();
  const taken = await Promise.all([spares.takeReady(), spares.takeReady()]);
  assert.equal(taken.filter((one) => one !== null).length, 1);
});

test("a spare that ended is followed by another, unless all is to end", () => {
  const fleet = new Fleet();
  fleet.spares.prepare("sidecar");
  fleet.clock.advance(SPARE_DELAY_MS);
  const first = fleet.spares.get("sidecar");
  assert.equal(first, fleet.launched[0]);
  for (const isStopping of [false, true]) {
    fleet.isStopping = isStopping;
    const before = fleet.spares.get("sidecar");
    assert.ok(before !== null);
    fleet.spares.onExit(before);
    assert.equal(fleet.spares.get("sidecar"), null);
    fleet.clock.advance(SPARE_DELAY_MS);
    assert.equal(fleet.spares.get("sidecar") === null, isStopping);
  }
  assert.equal(fleet.launched.length, 2);
});

test("the gateways' spare loads each file once, and again when they are others", async () => {
  const fleet = new Fleet();
  await fleet.spares.borrow(() => Promise.resolve());
  assert.deepEqual(fleet.loaded, [["b", "a"]]);
  fleet.modules = ["a", "b"];
  fleet.spares.load();
  assert.equal(fleet.loaded.length, 1);
  fleet.modules = ["c"];
  fleet.spares.load();
  assert.deepEqual(fleet.loaded[1], ["c"]);
});
