//! What every store must do, whatever its medium: each implementation's test runs these cases.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../../resources/object.ts";
import {
  OBJECT_BYTES_MAX,
  type ResourceStore,
  type StoreKey,
  type WatchEvent,
  type WriteResult,
} from "./store.ts";

/** Opens an empty store whose ring keeps so few events. */
export type OpenEmpty = (options: { readonly watchEventsMax: number }) => ResourceStore;

export function configMap(name: string, value = "1", namespace = "default"): Resource {
  const metadata = { name, namespace };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { value } };
}

export function configMapKey(name: string, namespace = "default"): StoreKey {
  return { group: "", plural: "configmaps", namespace, name };
}

export function accepted(result: WriteResult): Resource {
  assert.ok(result.ok, result.ok ? "" : `${result.reason}: ${result.message}`);
  return result.resource;
}

function reasonOf(result: WriteResult): string {
  return result.ok ? "ok" : result.reason;
}

const FILTER = { group: "", plural: "configmaps" };

interface Case {
  readonly name: string;
  readonly run: (store: ResourceStore) => Promise<void>;
}

const CASES: readonly Case[] = [
  {
    name: "a created object carries uid, time, generation 1 and the store's revision",
    run: async (store) => {
      const { metadata } = accepted(await store.create(configMap("a")));
      assert.match(metadata.uid ?? "", /^[0-9a-f-]{36}$/);
      assert.match(metadata.creationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(metadata.generation, 1);
      assert.equal(metadata.resourceVersion, String(store.revision));
      assert.deepEqual(store.get(configMapKey("a"))?.metadata, metadata);
    },
  },
  {
    name: "creating what exists is refused and changes nothing",
    run: async (store) => {
      accepted(await store.create(configMap("a", "first")));
      const before = store.revision;
      assert.equal(reasonOf(await store.create(configMap("a", "second"))), "already_exists");
      assert.equal(store.revision, before);
      assert.deepEqual(store.get(configMapKey("a"))?.["data"], { value: "first" });
    },
  },
  {
    name: "an update that changes nothing makes no revision",
    run: async (store) => {
      const created = accepted(await store.create(configMap("a")));
      const result = await store.update(configMap("a"));
      assert.ok(result.ok && !result.changed);
      assert.equal(result.resource.metadata.resourceVersion, created.metadata.resourceVersion);
    },
  },
  {
    name: "generation counts changes of the content, not of labels or status",
    run: async (store) => {
      accepted(await store.create(configMap("a")));
      const labelled = configMap("a");
      const metadata = { ...labelled.metadata, labels: { tier: "x" } };
      accepted(await store.update({ ...labelled, metadata }));
      const status = accepted(await store.updateStatus(configMapKey("a"), { ready: true }));
      assert.equal(status.metadata.generation, 1);
      const changed = accepted(await store.update(configMap("a", "2")));
      assert.equal(changed.metadata.generation, 2);
      assert.deepEqual(changed.status, { ready: true }, "the status is not the writer's");
      assert.equal(changed.metadata.labels, undefined);
    },
  },
  {
    name: "a condition on an old revision is a conflict, also for a delete",
    run: async (store) => {
      const first = accepted(await store.create(configMap("a")));
      const ifRevision = first.metadata.resourceVersion ?? "";
      accepted(await store.update(configMap("a", "2"), { ifRevision }));
      const key = configMapKey("a");
      assert.equal(reasonOf(await store.update(configMap("a", "3"), { ifRevision })), "conflict");
      assert.equal(reasonOf(await store.updateStatus(key, {}, { ifRevision })), "conflict");
      assert.equal(reasonOf(await store.delete(key, { ifRevision })), "conflict");
      assert.equal(reasonOf(await store.delete(key, { ifUid: "other" })), "conflict");
    },
  },
  {
    name: "of two writes of one turn with one condition, exactly one wins",
    run: async (store) => {
      const first = accepted(await store.create(configMap("a")));
      const ifRevision = first.metadata.resourceVersion ?? "";
      const results = await Promise.all([
        store.update(configMap("a", "left"), { ifRevision }),
        store.update(configMap("a", "right"), { ifRevision }),
      ]);
      assert.deepEqual(results.map(reasonOf), ["ok", "conflict"]);
    },
  },
  {
    name: "writes to what is missing are not found",
    run: async (store) => {
      assert.equal(reasonOf(await store.update(configMap("a"))), "not_found");
      assert.equal(reasonOf(await store.updateStatus(configMapKey("a"), {})), "not_found");
      assert.equal(reasonOf(await store.delete(configMapKey("a"))), "not_found");
    },
  },
  {
    name: "a revision is never given twice, also after a delete",
    run: async (store) => {
      const first = accepted(await store.create(configMap("a")));
      const gone = accepted(await store.delete(configMapKey("a")));
      const again = accepted(await store.create(configMap("a")));
      const revisions = [first, gone, again].map((o) => Number(o.metadata.resourceVersion));
      assert.deepEqual(
        revisions,
        [...new Set(revisions)].sort((a, b) => a - b),
      );
      assert.notEqual(first.metadata.uid, again.metadata.uid);
    },
  },
  {
    name: "a dry run decides and changes nothing",
    run: async (store) => {
      accepted(await store.create(configMap("a"), { dryRun: true }));
      assert.equal(store.get(configMapKey("a")), undefined);
      accepted(await store.create(configMap("a")));
      const before = store.revision;
      accepted(await store.update(configMap("a", "2"), { dryRun: true }));
      accepted(await store.delete(configMapKey("a"), { dryRun: true }));
      assert.equal(
        reasonOf(await store.create(configMap("a"), { dryRun: true })),
        "already_exists",
      );
      assert.equal(store.revision, before);
    },
  },
  {
    name: "a list is sorted, by namespace when asked, and knows its revision",
    run: async (store) => {
      for (const [name, namespace] of [
        ["b", "x"],
        ["a", "x"],
        ["c", "default"],
      ] as const) {
        accepted(await store.create(configMap(name, "1", namespace)));
      }
      const names = (items: readonly Resource[]): string[] => items.map((o) => o.metadata.name);
      assert.deepEqual(names(store.list(FILTER).items), ["c", "a", "b"]);
      assert.deepEqual(names(store.list({ ...FILTER, namespace: "x" }).items), ["a", "b"]);
      assert.equal(store.list(FILTER).revision, store.revision);
      assert.equal(store.all().items.length, 3);
    },
  },
  {
    name: "an object over the size limit is refused",
    run: async (store) => {
      const large = configMap("a", "x".repeat(OBJECT_BYTES_MAX));
      assert.equal(reasonOf(await store.create(large)), "too_large");
    },
  },
  {
    name: "what a caller does to its object later does not reach the store",
    run: async (store) => {
      const data = { value: "1" };
      accepted(await store.create({ ...configMap("a"), data }));
      data.value = "2";
      const kept = store.get(configMapKey("a"));
      assert.deepEqual(kept?.["data"], { value: "1" });
      assert.ok(Object.isFrozen(kept["data"]));
    },
  },
  {
    name: "a watch goes on without a gap from a list, in the order of revisions",
    run: async (store) => {
      accepted(await store.create(configMap("a")));
      const { revision } = store.list(FILTER);
      accepted(await store.update(configMap("a", "2")));
      const events: WatchEvent[] = [];
      const watch = store.watch(FILTER, revision, (event) => events.push(event));
      assert.notEqual(watch, "expired");
      accepted(await store.delete(configMapKey("a")));
      accepted(await store.create(configMap("b")));
      assert.deepEqual(
        events.map((event) => [event.type, event.object.metadata.name, event.revision]),
        [
          ["MODIFIED", "a", revision + 1],
          ["DELETED", "a", revision + 2],
          ["ADDED", "b", revision + 3],
        ],
      );
      assert.equal(events[1]?.object.metadata.resourceVersion, String(revision + 2));
    },
  },
  {
    name: "a watch sees only what its filter names, and nothing after its cancel",
    run: async (store) => {
      const events: WatchEvent[] = [];
      const filter = { ...FILTER, namespace: "x" };
      const watch = store.watch(filter, null, (event) => events.push(event));
      accepted(await store.create(configMap("a")));
      accepted(await store.create(configMap("b", "1", "x")));
      assert.ok(watch !== "expired");
      watch.cancel();
      accepted(await store.create(configMap("c", "1", "x")));
      assert.deepEqual(
        events.map((event) => event.object.metadata.name),
        ["b"],
      );
    },
  },
  {
    name: "a watch from a revision the ring has forgotten, or has not seen, is expired",
    run: async (store) => {
      for (let at = 0; at < 20; at += 1) accepted(await store.create(configMap(`a${at}`)));
      const ignore = (): void => undefined;
      assert.equal(store.watch(FILTER, 1, ignore), "expired");
      assert.equal(store.watch(FILTER, store.revision + 1, ignore), "expired");
      assert.notEqual(store.watch(FILTER, store.revision - 1, ignore), "expired");
    },
  },
  {
    name: "a list at a revision is the list as it was then, and expired as a watch is",
    run: async (store) => {
      accepted(await store.create(configMap("kept")));
      accepted(await store.create(configMap("deleted")));
      accepted(await store.create(configMap("other", "1", "x")));
      const { items, revision } = store.list({ ...FILTER, namespace: "default" });
      accepted(await store.delete(configMapKey("deleted")));
      accepted(await store.update(configMap("kept", "2")));
      accepted(await store.create(configMap("deleted", "again")));
      accepted(await store.update(configMap("other", "2", "x")));
      accepted(await store.create(configMap("added")));
      const then = store.listAt({ ...FILTER, namespace: "default" }, revision);
      assert.deepEqual(then, { items, revision });
      assert.deepEqual(store.listAt(FILTER, store.revision), store.list(FILTER));
      assert.equal(store.listAt(FILTER, store.revision + 1), "expired");
      for (let at = 0; at < 9; at += 1) accepted(await store.create(configMap(`a${at}`)));
      assert.equal(store.listAt(FILTER, revision), "expired");
    },
  },
  {
    name: "when a listener is called, a reader sees the change and the writer does not know yet",
    run: async (store) => {
      let isAcknowledged = false;
      let seen: Resource | undefined;
      store.watch(null, null, () => {
        assert.ok(!isAcknowledged);
        seen = store.get(configMapKey("a"));
      });
      accepted(await store.create(configMap("a")));
      isAcknowledged = true;
      assert.equal(seen?.metadata.name, "a");
    },
  },
];

export function runStoreCases(name: string, openEmpty: OpenEmpty): void {
  for (const { name: claim, run } of CASES) {
    test(`${name}: ${claim}`, async () => {
      const store = openEmpty({ watchEventsMax: 8 });
      try {
        await run(store);
      } finally {
        await store.close();
      }
      assert.equal(reasonOf(await store.create(configMap("late"))), "storage");
    });
  }
}
