import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { FakeCluster, settle } from "./fake-cluster.ts";
import { Reflector } from "./reflector.ts";
import type { RawObject } from "./reflector.ts";

let cluster: FakeCluster;
let clock: FakeClock;
let seen: string[];

beforeEach(() => {
  cluster = new FakeCluster();
  clock = new FakeClock();
  seen = [];
});

function object(name: string): RawObject {
  return { apiVersion: "v1", kind: "Thing", metadata: { name } };
}

async function follow(paths: readonly string[] = ["/things"]): Promise<Reflector> {
  const reflector = new Reflector({
    ...{ client: cluster, clock, prng: new SeededPrng(1), logger: silentLogger },
    table: { kind: "Thing", paths },
    onReplace: (items) => seen.push(`= ${items.map(({ metadata }) => metadata.name).join(" ")}`),
    onEvent: (type, { metadata }) => seen.push(`${type} ${metadata.name}`),
  });
  reflector.start();
  await settle();
  return reflector;
}

function counted(beginning: string): number {
  return cluster.asked.filter((path) => path.startsWith(beginning)).length;
}

test("it lists once, then watches from that revision", async () => {
  cluster.put(object("a"));
  const reflector = await follow();
  cluster.put(object("b"));
  cluster.put(object("a"));
  assert.deepEqual(seen, ["= a", "ADDED b", "MODIFIED a"]);
  assert.match(cluster.asked[1] ?? "", /^WATCH \/things\?watch=1.*resourceVersion=2$/);
  assert.ok(reflector.isSynced);
  clock.advance(250_000);
  await settle();
  assert.equal(cluster.asked.length, 2, "nothing more is asked");
});

test("a watch that ends goes on from the last revision, bookmarks counting", async () => {
  await follow();
  cluster.tell({
    type: "BOOKMARK",
    object: { ...object(""), metadata: { resourceVersion: "77" } },
  });
  clock.advance(1_000);
  cluster.goDown();
  cluster.isDown = false;
  await settle();
  assert.match(cluster.asked.at(-1) ?? "", /resourceVersion=77$/);
  assert.equal(counted("GET"), 1, "it is not listed again");
});

test("a revision that is not known any more is listed again, at once", async () => {
  await follow();
  cluster.objects.set("late", object("late"));
  cluster.tell({ type: "ERROR", object: { code: 410, message: "too old" } });
  await settle();
  assert.deepEqual(seen, ["= ", "= late"]);
});

test("a server that is away is asked less and less often, and what is known stays", async () => {
  cluster.put(object("a"));
  const reflector = await follow();
  clock.advance(1_000);
  cluster.goDown();
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1_000);
    await settle();
  }
  assert.ok(counted("WATCH") < 20, `${counted("WATCH")} tries in a minute`);
  assert.ok(reflector.isSynced);
  assert.match(reflector.failure, /ECONNREFUSED/);
  cluster.isDown = false;
  clock.advance(10_000);
  await settle();
  cluster.put(object("b"));
  assert.deepEqual(seen, ["= a", "ADDED b"]);
  assert.equal(reflector.failure, "");
});

test("of several versions it takes the first that is served", async () => {
  cluster.refusals.set("/v1/", 404);
  cluster.put(object("a"));
  await follow(["/v1/things", "/v1beta1/things"]);
  clock.advance(10_000);
  await settle();
  assert.deepEqual(seen, ["= a"]);
  assert.match(cluster.asked.at(-1) ?? "", /^WATCH \/v1beta1\/things/);
});

test("stopped, it asks nothing any more", async () => {
  cluster.isDown = true;
  const reflector = await follow();
  reflector.stop();
  await settle();
  const before = cluster.asked.length;
  clock.advance(60_000);
  await settle();
  assert.equal(cluster.asked.length, before);
});
