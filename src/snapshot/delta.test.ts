import assert from "node:assert/strict";
import { test } from "node:test";

import { applyDelta, diffSnapshots, fullDelta, snapshotVersion } from "./delta.ts";
import { EMPTY_SNAPSHOT } from "./snapshot.ts";
import type { Endpoint, Snapshot } from "./snapshot.ts";

const endpoint = (pod: string): Endpoint => ({ address: "127.10.0.1", port: 80, pod, labels: {} });

function snapshotOf(endpoints: Readonly<Record<string, readonly string[]>>): Snapshot {
  const content = {
    ...EMPTY_SNAPSHOT,
    endpoints: Object.fromEntries(
      Object.entries(endpoints).map(([name, pods]) => [name, { endpoints: pods.map(endpoint) }]),
    ),
  };
  return { ...content, version: snapshotVersion(content) };
}

const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

test("a delta carries only the resources that changed, and removals by name", () => {
  const before = snapshotOf({ a: ["1"], b: ["2"], c: ["3"] });
  const after = snapshotOf({ a: ["1"], b: ["2", "4"] });
  const delta = diffSnapshots(before, after);
  assert.deepEqual(Object.keys(delta.changed), ["endpoints"]);
  assert.deepEqual(Object.keys(delta.changed.endpoints ?? {}), ["b"]);
  assert.deepEqual(delta.removed, { endpoints: ["c"] });
});

test("applying a delta that travelled gives the snapshot it was made from", () => {
  const before = snapshotOf({ a: ["1"], c: ["3"] });
  const after = snapshotOf({ a: ["1", "2"], b: [] });
  assert.deepEqual(applyDelta(before, overTheWire(diffSnapshots(before, after))), after);
  assert.deepEqual(applyDelta(EMPTY_SNAPSHOT, overTheWire(fullDelta(after))), after);
});

test("applying a delta keeps the identity of what did not change", () => {
  const before = snapshotOf({ a: ["1"], b: ["2"] });
  const applied = applyDelta(before, diffSnapshots(before, snapshotOf({ a: ["1"], b: ["3"] })));
  assert.equal(applied?.endpoints["a"], before.endpoints["a"]);
  assert.equal(applied?.clusters, before.clusters);
});

test("a delta made for another version is refused", () => {
  const before = snapshotOf({ a: ["1"] });
  const delta = diffSnapshots(before, snapshotOf({ a: ["2"] }));
  assert.equal(applyDelta(EMPTY_SNAPSHOT, delta), null);
});

test("the version follows content, not the order of insertion", () => {
  assert.equal(
    snapshotOf({ a: ["1"], b: ["2"] }).version,
    snapshotOf({ b: ["2"], a: ["1"] }).version,
  );
  assert.notEqual(snapshotOf({ a: ["1"] }).version, snapshotOf({ a: ["2"] }).version);
});

test("a resource named like a member of every object is an ordinary resource", () => {
  const before = snapshotOf({});
  const after = snapshotOf({ constructor: ["1"], toString: ["2"] });
  const applied = applyDelta(before, overTheWire(diffSnapshots(before, after)));
  assert.deepEqual(Object.keys(applied?.endpoints ?? {}), ["constructor", "toString"]);
});
