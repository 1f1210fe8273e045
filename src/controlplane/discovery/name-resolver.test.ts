import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { FIRST_WAIT_MS, LOOK_UPS_AT_ONCE_MAX } from "./kept-answers.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "./kept-answers.ts";
import { NameResolver } from "./name-resolver.ts";
import type { FoundAddresses } from "./name-resolver.ts";

class World {
  readonly clock = new FakeClock();
  /** What DNS says of each name; an error's code; null: nothing, ever. */
  readonly dns = new Map<string, FoundAddresses | string | null>();
  readonly asked: string[] = [];
  changes = 0;
  readonly resolver = new NameResolver({
    clock: this.clock,
    lookUp: (name) => this.#lookUp(name),
    onChange: () => {
      this.changes += 1;
    },
  });

  #lookUp(name: string): Promise<FoundAddresses> {
    this.asked.push(name);
    const answer = this.dns.get(name) ?? null;
    if (answer === null) return new Promise(() => undefined);
    if (typeof answer !== "string") return Promise.resolve(answer);
    return Promise.reject(Object.assign(new Error("no"), { code: answer }));
  }

  say(name: string, addresses: readonly string[], ttlSeconds = 30): void {
    this.dns.set(name, { addresses, ttlSeconds });
  }

  async later(delayMs: number): Promise<void> {
    this.clock.advance(delayMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("the first answer is waited for, sorted and without repeats", async () => {
  const world = new World();
  world.say("a.b", ["10.0.0.2", "10.0.0.1", "10.0.0.2"]);
  const names = await world.resolver.resolve(["a.b"]);
  assert.deepEqual(names.get("a.b"), { addresses: ["10.0.0.1", "10.0.0.2"], fault: "" });
  world.resolver.stop();
});

test("a name is asked for again when its TTL is over, and a change is told once", async () => {
  const world = new World();
  world.say("a.b", ["10.0.0.1"], 30);
  await world.resolver.resolve(["a.b"]);
  const before = world.changes;
  await world.later(29_999);
  assert.equal(world.asked.length, 1);
  await world.later(1);
  assert.equal(world.asked.length, 2);
  assert.equal(world.changes, before, "the same answer is no change");
  world.say("a.b", ["10.0.0.9"], 1);
  await world.later(30_000);
  assert.equal(world.changes, before + 1);
  assert.deepEqual((await world.resolver.resolve(["a.b"])).get("a.b")?.addresses, ["10.0.0.9"]);
  world.resolver.stop();
});

test("the last addresses stay while DNS fails, and it is asked ever more seldom", async () => {
  const world = new World();
  world.say("a.b", ["10.0.0.1"], 1);
  await world.resolver.resolve(["a.b"]);
  world.dns.set("a.b", "ETIMEOUT");
  await world.later(1_000);
  const names = await world.resolver.resolve(["a.b"]);
  assert.deepEqual(names.get("a.b"), { addresses: ["10.0.0.1"], fault: "ETIMEOUT" });
  for (let delayMs = RETRY_MS_MIN; delayMs < RETRY_MS_MAX * 4; delayMs *= 2) {
    const { length } = world.asked;
    await world.later(Math.min(delayMs, RETRY_MS_MAX) - 1);
    assert.equal(world.asked.length, length);
    await world.later(1);
    assert.equal(world.asked.length, length + 1);
  }
  world.say("a.b", ["10.0.0.1"], 1);
  await world.later(RETRY_MS_MAX);
  assert.equal((await world.resolver.resolve(["a.b"])).get("a.b")?.fault, "");
  world.resolver.stop();
});

test("a name that DNS never answers is waited for no longer than its time", async () => {
  const world = new World();
  world.say("a.b", ["10.0.0.1"]);
  const resolving = world.resolver.resolve(["a.b", "slow.b"]);
  await world.later(0);
  await world.later(FIRST_WAIT_MS);
  const names = await resolving;
  assert.deepEqual(names.get("a.b")?.addresses, ["10.0.0.1"]);
  assert.deepEqual(names.get("slow.b"), { addresses: [], fault: "not looked up yet" });
  world.resolver.stop();
});

test("an answer without an address is a failure", async () => {
  const world = new World();
  world.say("a.b", []);
  assert.equal((await world.resolver.resolve(["a.b"])).get("a.b")?.fault, "no address");
  world.resolver.stop();
});

test("what nobody wants any more is forgotten and asked for no more", async () => {
  const world = new World();
  world.say("a.b", ["10.0.0.1"], 1);
  await world.resolver.resolve(["a.b"]);
  assert.equal((await world.resolver.resolve([])).size, 0);
  await world.later(60_000);
  assert.equal(world.asked.length, 1);
});

test("no more look-ups run at one time than may", async () => {
  const world = new World();
  const names = Array.from({ length: LOOK_UPS_AT_ONCE_MAX + 5 }, (_, index) => `n${index}`);
  const resolving = world.resolver.resolve(names);
  await world.later(FIRST_WAIT_MS);
  await resolving;
  assert.equal(world.asked.length, LOOK_UPS_AT_ONCE_MAX);
  world.resolver.stop();
});
