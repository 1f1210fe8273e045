import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { completedNamespace } from "../../resources/kinds/namespace.ts";
import { member } from "../../resources/kinds/member.ts";
import type { Resource } from "../../resources/object.ts";
import { deleteObjectIn } from "../store/deletion.ts";
import { openMemoryStore } from "../store/open-store.ts";
import { accepted, configMap, configMapKey } from "../store/store-cases.ts";
import type { ResourceStore, WatchEvent } from "../store/store.ts";
import { NamespaceDeleter } from "./namespace-deleter.ts";

const SHOP = { group: "", plural: "namespaces", namespace: "", name: "shop" };
const FINALIZER = "graylane.io/test";

let clock: FakeClock;
let store: ResourceStore;
let deleter: NamespaceDeleter;

beforeEach(async () => {
  clock = new FakeClock();
  store = openMemoryStore({ clock });
  deleter = newDeleter();
  const shop = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
  accepted(await store.create(completedNamespace(shop, null)));
});

afterEach(async () => {
  deleter.stop();
  await store.close();
});

function newDeleter(): NamespaceDeleter {
  return new NamespaceDeleter({ store, clock, leaves: ({ kind }) => kind === "Pod" });
}

async function remove(): Promise<void> {
  accepted(await deleteObjectIn(store, clock, SHOP, {}));
}

function held(name: string, finalizers: readonly string[] = [FINALIZER]): Resource {
  const object = configMap(name, "1", "shop");
  return { ...object, metadata: { ...object.metadata, finalizers } };
}

/** Resolves when the store has seen such an event. */
function seen(fits: (event: WatchEvent) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const watch = store.watch(null, null, (event) => {
      if (!fits(event)) return;
      if (watch !== "expired") watch.cancel();
      resolve();
    });
  });
}

const shopGone = (): Promise<void> =>
  seen(({ type, key }) => type === "DELETED" && key.plural === "namespaces");
const told = (): Promise<void> =>
  seen(
    ({ key, object }) => key.name === "shop" && member(object.status, "conditions") !== undefined,
  );

test("a Namespace goes with all that it holds, it last, and nothing else goes", async () => {
  deleter.start();
  for (let at = 0; at < 600; at += 1) void store.create(configMap(`m${at}`, "1", "shop"));
  accepted(await store.create(configMap("kept")));
  const gone: string[] = [];
  store.watch(null, null, ({ type, key }) => {
    if (type === "DELETED") gone.push(`${key.plural} ${key.namespace}`);
  });
  const over = shopGone();
  await remove();
  await over;
  assert.deepEqual(new Set(gone.slice(0, -1)), new Set(["configmaps shop"]));
  assert.deepEqual([gone.length, gone.at(-1)], [601, "namespaces "]);
  assert.ok(store.get(configMapKey("kept")) !== undefined);
});

test("it waits for the finalizers of its contents, and says so", async () => {
  deleter.start();
  accepted(await store.create(held("one")));
  accepted(await store.create(held("two")));
  const waits = told();
  await remove();
  await waits;
  const live = store.get(SHOP);
  assert.equal(member(live?.status, "phase"), "Terminating");
  const conditions = member(live?.status, "conditions") as readonly Record<string, string>[];
  assert.deepEqual(
    conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
    [
      [
        ...["NamespaceContentRemaining", "True", "SomeResourcesRemain"],
        "Some resources are remaining: configmaps. has 2 resource instances",
      ],
      [
        ...["NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain"],
        "Some content in the namespace has finalizers remaining: " +
          `${FINALIZER} in 2 resource instances`,
      ],
    ],
  );
  const over = shopGone();
  for (const name of ["one", "two"]) {
    const key = configMapKey(name, "shop");
    assert.ok(store.get(key)?.metadata.deletionTimestamp !== undefined);
    accepted(await store.delete(key));
  }
  await over;
});

test("a start in the midst goes on, and what came meanwhile goes as well", async () => {
  deleter.start();
  accepted(await store.create(held("one")));
  const waits = told();
  await remove();
  await waits;
  deleter.stop();
  accepted(await store.delete(configMapKey("one", "shop")));
  accepted(await store.create(configMap("late", "1", "shop")));
  deleter = newDeleter();
  const over = shopGone();
  deleter.start();
  await over;
  assert.equal(store.get(configMapKey("late", "shop")), undefined);
});

test("what others delete is waited for", async () => {
  deleter.start();
  const metadata = { name: "pod", namespace: "shop" };
  accepted(await store.create({ apiVersion: "v1", kind: "Pod", metadata, spec: {} }));
  const waits = told();
  await remove();
  await waits;
  const key = { group: "", plural: "pods", namespace: "shop", name: "pod" };
  assert.ok(store.get(key) !== undefined);
  const over = shopGone();
  accepted(await store.delete(key));
  await over;
});

test("another finalizer of the Namespace holds it after its contents have gone", async () => {
  const live = store.get(SHOP);
  assert.ok(live !== undefined);
  const finalizers = [FINALIZER];
  accepted(await store.update({ ...live, metadata: { ...live.metadata, finalizers } }));
  accepted(await store.create(configMap("one", "1", "shop")));
  deleter.start();
  const emptied = seen(({ key, object }) => {
    const left = member(object, "spec", "finalizers");
    return key.name === "shop" && Array.isArray(left) && left.length === 0;
  });
  await remove();
  await emptied;
  assert.equal(store.get(configMapKey("one", "shop")), undefined);
  assert.ok(store.get(SHOP) !== undefined);
});
