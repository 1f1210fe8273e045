import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { CommittedStore } from "./committed-store.ts";
import { MediumError, memoryMedium } from "./medium.ts";
import { openMemoryStore, storeKeyOf } from "./open-store.ts";
import { accepted, configMap, configMapKey, runStoreCases } from "./store-cases.ts";

const clock = new FakeClock();

runStoreCases("memory", ({ watchEventsMax }) => openMemoryStore({ clock, watchEventsMax }));

test("a disk that fails refuses writes, keeps reads, and heals without a restart", async () => {
  let isBroken = false;
  const commit = (): void => {
    if (isBroken) throw new MediumError("no space left");
  };
  const medium = { ...memoryMedium, commit };
  const store = new CommittedStore({ medium, clock, keyOf: storeKeyOf });
  accepted(await store.create(configMap("kept")));
  const before = store.revision;
  const events: unknown[] = [];
  store.watch(null, null, (event) => events.push(event));

  isBroken = true;
  const results = await Promise.all([
    store.create(configMap("kept")),
    store.create(configMap("lost")),
    store.update(configMap("lost", "2")),
  ]);
  assert.deepEqual(
    results.map((result) => (result.ok ? "ok" : result.reason)),
    ["already_exists", "storage", "storage"],
  );
  assert.equal(store.revision, before);
  assert.equal(store.get(configMapKey("lost")), undefined);
  assert.equal(store.list({ group: "", plural: "configmaps" }).items.length, 1);
  assert.deepEqual(events, []);

  isBroken = false;
  accepted(await store.create(configMap("lost")));
  assert.equal(events.length, 1);
});

test("a damaged record is not served, and writing or deleting it repairs it", async () => {
  const keys = ["configmaps/default/a", "configmaps/default/b"];
  const damaged = keys.map((key) => ({ key, reason: "its checksum is wrong" }));
  const medium = { ...memoryMedium, load: () => ({ revision: 7, entries: [], damaged }) };
  const store = new CommittedStore({ medium, clock, keyOf: storeKeyOf });
  assert.equal(store.get(configMapKey("a")), undefined);
  assert.deepEqual(store.damaged(), damaged);
  assert.ok(!(await store.updateStatus(configMapKey("a"), {})).ok);
  accepted(await store.update(configMap("a")));
  accepted(await store.delete(configMapKey("b")));
  assert.deepEqual(store.damaged(), []);
  assert.equal(store.revision, 9);
});
