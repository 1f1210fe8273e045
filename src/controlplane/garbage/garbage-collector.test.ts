import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Resource } from "../../resources/object.ts";
import { deleteObjectIn, type Propagation } from "../store/deletion.ts";
import { openMemoryStore, storeKeyOf } from "../store/open-store.ts";
import { accepted, configMap } from "../store/store-cases.ts";
import type { ResourceStore, StoreKey } from "../store/store.ts";
import { GarbageCollector } from "./garbage-collector.ts";

const FINALIZER = "graylane.io/test";
const HELD = "local/held";

let clock: FakeClock;
let store: ResourceStore;
let collector: GarbageCollector;

beforeEach(() => {
  clock = new FakeClock();
  store = openMemoryStore({ clock });
  collector = newCollector();
  collector.start();
});

afterEach(async () => {
  collector.stop();
  await store.close();
});

function newCollector(): GarbageCollector {
  const leaves = ({ metadata }: Resource): boolean => metadata.annotations?.[HELD] !== undefined;
  return new GarbageCollector({ store, clock, leaves });
}

interface Made {
  readonly owners?: readonly object[];
  readonly finalizers?: readonly string[];
  readonly namespace?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function make(
  name: string,
  { owners, namespace = "shop", ...more }: Made = {},
): Promise<Resource> {
  const object = configMap(name, "1", namespace);
  const ownerReferences = owners === undefined ? {} : { ownerReferences: owners };
  const metadata = { ...object.metadata, ...ownerReferences, ...more };
  return accepted(await store.create({ ...object, metadata }));
}

function refTo({ apiVersion, kind, metadata }: Resource, more: object = {}): object {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more };
}

const BLOCKS = { blockOwnerDeletion: true };

async function remove(object: Resource, propagation?: Propagation): Promise<void> {
  accepted(await deleteObjectIn(store, clock, storeKeyOf(object), { propagation }));
}

/** Resolves when no turn of the collector has written anything. */
async function settled(): Promise<void> {
  for (let revision = -1; revision !== store.revision;) {
    revision = store.revision;
    for (let turns = 0; turns < 8; turns += 1) await new Promise((done) => setImmediate(done));
  }
}

function names(): readonly string[] {
  return store.all().items.map(({ metadata }) => metadata.name);
}

function liveOf(object: Resource): Resource | undefined {
  return store.get(storeKeyOf(object));
}

function ownersIn(object: Resource): unknown {
  return liveOf(object)?.metadata["ownerReferences"];
}

test("what an object owns goes after it, and what that owns; nothing else goes", async () => {
  const a = await make("a");
  const b = await make("b", { owners: [refTo(a)] });
  await make("c", { owners: [refTo(b)] });
  await make("kept");
  await remove(a);
  await settled();
  assert.deepEqual(names(), ["kept"]);
});

test("600 dependents go", async () => {
  const a = await make("a");
  await Promise.all(Array.from({ length: 600 }, (_, at) => make(`d${at}`, { owners: [refTo(a)] })));
  await remove(a);
  await settled();
  assert.deepEqual(names(), []);
});

describe("an owner that is not there", () => {
  const absent = (a: Resource, more: object): object => ({ ...refTo(a), ...more });
  const cases = [
    ["has another name", (a: Resource) => absent(a, { name: "b" }), false],
    ["is another one of that name", (a: Resource) => absent(a, { uid: "other" }), false],
    ["is of a kind that nobody knows", (a: Resource) => absent(a, { kind: "ReplicaSet" }), true],
    ["is of a version that is not served", (a: Resource) => absent(a, { apiVersion: "v2" }), true],
    ["is there", (a: Resource) => refTo(a), true],
  ] as const;
  for (const [what, reference, stays] of cases) {
    test(`${what}: the dependent ${stays ? "stays" : "goes"}`, async () => {
      const a = await make("a");
      const dependent = await make("d", { owners: [reference(a)] });
      await settled();
      assert.equal(liveOf(dependent) !== undefined, stays);
    });
  }

  test("is one in another namespace", async () => {
    const a = await make("a");
    const dependent = await make("d", { owners: [refTo(a)], namespace: "other" });
    await settled();
    assert.equal(liveOf(dependent), undefined);
    assert.ok(liveOf(a) !== undefined);
  });

  test("is not one in a namespace for what is in none: that stays", async () => {
    const a = await make("a");
    const metadata = { name: "n", ownerReferences: [{ ...refTo(a), uid: "other" }] };
    const namespace = accepted(
      await store.create({ apiVersion: "v1", kind: "Namespace", metadata }),
    );
    await settled();
    assert.ok(liveOf(namespace) !== undefined);
  });

  test("is forgotten where another one is there", async () => {
    const [a, b] = [await make("a"), await make("b")];
    const dependent = await make("d", { owners: [refTo(a), refTo(b)] });
    await remove(a);
    await settled();
    assert.deepEqual(ownersIn(dependent), [refTo(b)]);
  });
});

test("the last owner may be named later, and one that is named no more holds nothing", async () => {
  const a = await make("a");
  const dependent = await make("d", { owners: [refTo(a)] });
  const { metadata } = dependent;
  const free = { ...dependent, metadata: { ...metadata, ownerReferences: undefined } };
  accepted(await store.update(free));
  await remove(a);
  await settled();
  assert.ok(liveOf(dependent) !== undefined);
  const ownerReferences = [refTo(a)];
  accepted(await store.update({ ...free, metadata: { ...metadata, ownerReferences } }));
  await settled();
  assert.equal(liveOf(dependent), undefined);
});

describe("in the foreground", () => {
  test("an owner waits for those that hold it, and for them alone", async () => {
    const a = await make("a");
    const holds = { owners: [refTo(a, BLOCKS)], finalizers: [FINALIZER] };
    const blocking = await make("blocking", holds);
    const free = await make("free", { owners: [refTo(a)], finalizers: [FINALIZER] });
    await remove(a, "Foreground");
    await settled();
    assert.deepEqual(liveOf(a)?.metadata["finalizers"], ["foregroundDeletion"]);
    assert.ok(liveOf(blocking)?.metadata.deletionTimestamp !== undefined);
    assert.ok(liveOf(free)?.metadata.deletionTimestamp !== undefined);
    accepted(await store.delete(storeKeyOf(blocking)));
    await settled();
    assert.equal(liveOf(a), undefined);
    assert.ok(liveOf(free) !== undefined);
  });

  test("the whole tree goes from its leaves on", async () => {
    const gone: string[] = [];
    store.watch(null, null, ({ type, key }) => {
      if (type === "DELETED") gone.push(key.name);
    });
    const a = await make("a");
    const b = await make("b", { owners: [refTo(a, BLOCKS)] });
    const c = await make("c", { owners: [refTo(b, BLOCKS)] });
    await make("d", { owners: [refTo(c, BLOCKS)] });
    await remove(a, "Foreground");
    await settled();
    assert.deepEqual(gone, ["d", "c", "b", "a"]);
  });

  test("a circle does not hold itself for ever", async () => {
    const a = await make("a");
    const b = await make("b", { owners: [refTo(a, BLOCKS)] });
    const { metadata } = a;
    const ownerReferences = [refTo(b, BLOCKS)];
    accepted(await store.update({ ...a, metadata: { ...metadata, ownerReferences } }));
    await remove(a, "Foreground");
    await settled();
    assert.deepEqual(names(), []);
  });

  test("a dependent with another owner stays, without this one", async () => {
    const [a, other] = [await make("a"), await make("other")];
    const dependent = await make("d", { owners: [refTo(a, BLOCKS), refTo(other)] });
    await remove(a, "Foreground");
    await settled();
    assert.deepEqual(names(), ["d", "other"]);
    assert.deepEqual(ownersIn(dependent), [refTo(other)]);
  });

  test("what others delete is waited for", async () => {
    const a = await make("a");
    const dependent = await make("d", {
      owners: [refTo(a, BLOCKS)],
      annotations: { [HELD]: "yes" },
    });
    await remove(a, "Foreground");
    await settled();
    assert.deepEqual(names(), ["a", "d"]);
    accepted(await store.delete(storeKeyOf(dependent)));
    await settled();
    assert.deepEqual(names(), []);
  });

  test("a policy that is chosen later takes the first one's place", async () => {
    const a = await make("a");
    const dependent = await make("d", {
      owners: [refTo(a, BLOCKS)],
      annotations: { [HELD]: "yes" },
    });
    await remove(a, "Foreground");
    await settled();
    await remove(a, "Orphan");
    await settled();
    assert.deepEqual(names(), ["d"]);
    assert.equal(ownersIn(dependent), undefined);
  });
});

test("orphans stay, and name their owner no more; the owner waits until they do not", async () => {
  const [a, other] = [await make("a"), await make("other")];
  const both = await make("both", { owners: [refTo(a), refTo(other)] });
  const one = await make("one", { owners: [refTo(a, BLOCKS)] });
  await remove(a, "Orphan");
  assert.deepEqual(liveOf(a)?.metadata["finalizers"], ["orphan"]);
  await settled();
  assert.deepEqual(names(), ["both", "one", "other"]);
  assert.deepEqual(ownersIn(both), [refTo(other)]);
  assert.equal(ownersIn(one), undefined);
});

for (const propagation of ["Background", "Foreground", "Orphan"] as const) {
  test(`a start in the midst goes on: ${propagation}`, async () => {
    const a = await make("a");
    const dependent = await make("d", { owners: [refTo(a, BLOCKS)] });
    collector.stop();
    await remove(a, propagation);
    await settled();
    assert.deepEqual(names(), propagation === "Background" ? ["d"] : ["a", "d"]);
    collector = newCollector();
    collector.start();
    await settled();
    assert.deepEqual(names(), propagation === "Orphan" ? ["d"] : []);
    if (propagation === "Orphan") assert.equal(ownersIn(dependent), undefined);
  });
}

test("it tries again when the store has taken no write", async () => {
  const a = await make("a");
  const dependent = await make("d", { owners: [refTo(a)] });
  const deleting = store.delete.bind(store);
  const failure = { ok: false, reason: "storage", message: "the disk is full" } as const;
  store.delete = (key: StoreKey) => (key.name === "d" ? Promise.resolve(failure) : deleting(key));
  await remove(a);
  await settled();
  assert.ok(liveOf(dependent) !== undefined);
  store.delete = deleting;
  clock.advance(1_000);
  await settled();
  assert.equal(liveOf(dependent), undefined);
});
