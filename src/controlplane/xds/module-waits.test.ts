import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { EnvoyResource } from "../../compile-envoy/envoy-config.ts";
import { ModuleWaits } from "./module-waits.ts";
import type { FetchPhase } from "./module-waits.ts";

const WORDS = "Unable to create Wasm plugin p";

function plugin(digest = "aa", revision = 1): EnvoyResource {
  const json = { name: "p", revision };
  return { name: "p", json, parts: [], needs: [], fetches: [{ path: "/m", sha256: digest }] };
}

class Waiting {
  readonly clock = new FakeClock();
  readonly waits: ModuleWaits;
  attempts = 0;
  #listener: (sha256: string, phase: FetchPhase) => void = () => undefined;

  constructor() {
    const watch = (_node: string, listener: (sha256: string, phase: FetchPhase) => void) => {
      this.#listener = listener;
      return () => undefined;
    };
    this.waits = new ModuleWaits(this.clock, { watch });
    this.waits.join("edge");
  }

  fetch(...phases: readonly FetchPhase[]): void {
    for (const phase of phases) this.#listener("aa", phase);
  }

  refuse(resource = plugin(), error = WORDS): boolean {
    return this.waits.mayBeMissing(resource, error, () => {
      this.attempts += 1;
    });
  }
}

test("what the Envoy fetches is tried again a moment after all of it was sent", () => {
  const waiting = new Waiting();
  assert.ok(waiting.refuse());
  waiting.fetch("begun");
  waiting.clock.advance(30_000);
  assert.equal(waiting.attempts, 0);
  waiting.fetch("sent");
  waiting.clock.advance(20);
  assert.equal(waiting.attempts, 1);
});

test("refused with the code there, it is refused", () => {
  const waiting = new Waiting();
  waiting.fetch("begun", "sent");
  for (const pauseMs of [20, 250]) {
    assert.ok(waiting.refuse());
    waiting.clock.advance(pauseMs);
  }
  assert.equal(waiting.attempts, 2);
  assert.ok(!waiting.refuse());
});

test("an Envoy that has taken a plug-in of a module has it, for half a day", () => {
  const waiting = new Waiting();
  waiting.waits.taken(plugin());
  assert.ok(!waiting.refuse(plugin("aa", 2)));
  assert.ok(waiting.refuse(plugin("bb", 3)));
  waiting.clock.advance(12 * 3_600_000);
  assert.ok(waiting.refuse(plugin("aa", 4)));
});

test("where nothing is fetched it is tried for some seconds: it may come from elsewhere", () => {
  const waiting = new Waiting();
  for (const pauseMs of [500, 1_000, 2_000, 4_000]) {
    assert.ok(waiting.refuse());
    waiting.clock.advance(pauseMs);
  }
  assert.equal(waiting.attempts, 4);
  assert.ok(!waiting.refuse());
});

test("what could not be sent is tried again, and given up", () => {
  const waiting = new Waiting();
  let attempts = 0;
  while (waiting.refuse()) {
    waiting.fetch("begun", "failed");
    waiting.clock.advance(4_000);
    attempts += 1;
    assert.ok(attempts < 10);
  }
  assert.equal(waiting.attempts, attempts);
});

test("an Envoy that fetches for ever and keeps nothing is given up", () => {
  const waiting = new Waiting();
  while (waiting.refuse()) {
    waiting.fetch("begun", "sent");
    waiting.clock.advance(250);
    assert.ok(waiting.attempts < 50);
  }
  assert.equal(waiting.attempts, 19);
});

test("what needs no module, or is refused in other words, is refused at once", () => {
  const waiting = new Waiting();
  const file = { ...plugin(), fetches: [] };
  assert.ok(!waiting.refuse(file));
  assert.ok(!waiting.refuse(plugin(), "Proto constraint validation failed"));
});

test("when the stream has ended nothing is tried again", () => {
  const waiting = new Waiting();
  assert.ok(waiting.refuse());
  waiting.waits.close();
  waiting.clock.advance(60_000);
  assert.equal(waiting.attempts, 0);
});
