import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Lane, Snapshot } from "../../snapshot/snapshot.ts";
import { mergeForMakeBeforeBreak } from "./make-before-break.ts";
import { CLUSTER, laneNames, podNames, snapshotOf } from "./testing.ts";

const cases = [
  {
    name: "a new lane is there beside the old ones",
    old: snapshotOf(["base"]),
    next: snapshotOf(["base", "gray"]),
    lanes: ["base", "gray"],
    pods: ["default/a-base", "default/a-gray"],
  },
  {
    name: "a removed lane and its pods are kept",
    old: snapshotOf(["base", "gray"]),
    next: snapshotOf(["base"]),
    lanes: ["base", "gray"],
    pods: ["default/a-base", "default/a-gray"],
  },
  {
    name: "a lane replaced by another leaves both",
    old: snapshotOf(["gray"]),
    next: snapshotOf(["blue"]),
    lanes: ["blue", "gray"],
    pods: ["default/a-blue", "default/a-gray"],
  },
  {
    name: "a removed group, cluster and workload are kept",
    old: snapshotOf(["gray"]),
    next: EMPTY_SNAPSHOT,
    lanes: ["gray"],
    pods: ["default/a-gray"],
  },
];

for (const { name, old, next, lanes, pods } of cases) {
  test(name, () => {
    const union = mergeForMakeBeforeBreak(old, next);
    assert.deepEqual(laneNames(union), lanes);
    assert.deepEqual(podNames(union), pods);
    for (const pod of pods) assert.ok(union.workloads[pod] !== undefined);
  });
}

test("a union that keeps nothing is the next snapshot itself", () => {
  const next = snapshotOf(["base", "gray"]);
  assert.equal(mergeForMakeBeforeBreak(snapshotOf(["base"]), next), next);
  assert.equal(mergeForMakeBeforeBreak(snapshotOf(["base", "gray"]), next), next);
});

test("a union has a version of its own, and the same parts give the same one", () => {
  const merge = (): string =>
    mergeForMakeBeforeBreak(snapshotOf(["gray"]), snapshotOf(["blue"])).version;
  assert.equal(merge(), merge());
  assert.notEqual(merge(), snapshotOf(["blue"]).version);
});

function withLane(snapshot: Snapshot, change: Partial<Lane>): Snapshot {
  const group = snapshot.laneGroups["default/group"];
  assert.ok(group !== undefined);
  const lanes = group.lanes.map((lane) => ({ ...lane, ...change }));
  return { ...snapshot, laneGroups: { [group.name]: { ...group, lanes } } };
}

function lanesOf(snapshot: Snapshot): readonly Lane[] {
  return snapshot.laneGroups["default/group"]?.lanes ?? [];
}

test("where both have a lane, the next one's wins", () => {
  const next = snapshotOf(["gray"]);
  const changed = withLane(next, { services: ["default/a"] });
  assert.equal(mergeForMakeBeforeBreak(next, changed), changed);
});

test("a lane that is being closed stays open until its requests have ended", () => {
  const open = snapshotOf(["gray"]);
  const closed = withLane(open, { enabled: false });
  const [lane, ...others] = lanesOf(mergeForMakeBeforeBreak(open, closed));
  assert.equal(lane?.enabled, true);
  assert.deepEqual(others, []);
  assert.equal(mergeForMakeBeforeBreak(closed, open), open);
});

test("a lane whose tag has changed is found by the old tag and by the new one", () => {
  const old = snapshotOf(["gray"]);
  const union = mergeForMakeBeforeBreak(old, withLane(old, { tag: "new" }));
  assert.deepEqual(
    lanesOf(union).map(({ name, tag }) => [name, tag]),
    [
      ["gray", "new"],
      ["gray~gray", "gray"],
    ],
  );
});

test("a tag that another lane has taken over is that lane's", () => {
  const old = snapshotOf(["gray", "blue"]);
  const [gray, blue] = lanesOf(old);
  assert.ok(gray !== undefined && blue !== undefined);
  const group = old.laneGroups["default/group"];
  assert.ok(group !== undefined);
  const swapped = [
    { ...gray, tag: "blue" },
    { ...blue, tag: "gray" },
  ];
  const next = { ...old, laneGroups: { [group.name]: { ...group, lanes: swapped } } };
  assert.equal(mergeForMakeBeforeBreak(old, next), next);
});

test("the labels of a removed lane still keep its pods out of the baseline", () => {
  const union = mergeForMakeBeforeBreak(snapshotOf(["gray"]), snapshotOf([]));
  assert.deepEqual(union.laneGroups["default/group"]?.baseline, {
    kind: "untagged",
    labelKeys: ["key-gray"],
  });
});

test("an endpoint that is gone while its pod is still there is not ready, and goes at once", () => {
  const old = snapshotOf(["gray", "blue"]);
  const next = { ...old, endpoints: { [CLUSTER]: { endpoints: [] } } };
  assert.deepEqual(podNames(mergeForMakeBeforeBreak(old, next)), []);
});

test("keys with which gateways still sign tags are believed until they do not", () => {
  const signedBy = (...ids: readonly string[]): Snapshot => {
    const snapshot = snapshotOf(["gray"]);
    const group = snapshot.laneGroups["default/group"];
    assert.ok(group !== undefined);
    const keys = ids.map((id) => ({ id, signingSecret: "" }));
    const signature = { keys, epoch: 0, lifetimeMs: 1 };
    return { ...snapshot, laneGroups: { [group.name]: { ...group, signature } } };
  };
  const idsOf = (old: Snapshot, next: Snapshot): readonly string[] | undefined =>
    mergeForMakeBeforeBreak(old, next).laneGroups["default/group"]?.signature?.keys.map(
      ({ id }) => id,
    );
  assert.deepEqual(idsOf(signedBy("b", "a"), signedBy("c", "b")), ["c", "b", "a"]);
  assert.deepEqual(idsOf(signedBy("a"), signedBy()), [], "the Secret is gone: at once");
  assert.equal(idsOf(signedBy("a"), snapshotOf(["gray"])), undefined);
  const next = signedBy("b", "a");
  assert.equal(mergeForMakeBeforeBreak(signedBy("a"), next), next);
});
