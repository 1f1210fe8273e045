import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planPods } from "./plan.ts";
import type { ObservedPod } from "./plan.ts";

/** `old-ready`, `new-waiting` and the like, in order of age. */
function pods(...kinds: readonly string[]): readonly ObservedPod[] {
  return kinds.map((kind, ordinal) => {
    const [templateHash = "", state = ""] = kind.split("-");
    return { name: `${kind}-${ordinal}`, templateHash, isReady: state === "ready", ordinal };
  });
}

const cases = [
  { name: "nothing runs yet", replicas: 2, pods: pods(), start: 2, remove: [] },
  {
    name: "old pods stay until new ones are ready",
    replicas: 2,
    pods: pods("old-ready", "old-ready", "new-waiting", "new-waiting"),
    start: 0,
    remove: [],
  },
  {
    name: "for each new ready pod one old pod goes, the youngest first",
    replicas: 2,
    pods: pods("old-ready", "old-ready", "new-ready", "new-waiting"),
    start: 0,
    remove: ["old-ready-1"],
  },
  {
    name: "old pods that are not ready serve nobody and go at once",
    replicas: 2,
    pods: pods("old-waiting", "old-ready"),
    start: 2,
    remove: ["old-waiting-0"],
  },
  {
    name: "fewer replicas: pods that are not ready go first, then the youngest",
    replicas: 1,
    pods: pods("new-waiting", "new-ready", "new-ready"),
    start: 0,
    remove: ["new-ready-2", "new-waiting-0"],
  },
  {
    name: "no replicas: all go",
    replicas: 0,
    pods: pods("old-ready", "new-ready"),
    start: 0,
    remove: ["old-ready-0", "new-ready-1"],
  },
];

for (const { name, replicas, pods: observed, start, remove } of cases) {
  test(name, () => {
    const plan = planPods({ replicas, templateHash: "new" }, observed);
    assert.equal(plan.startCount, start);
    assert.deepEqual(plan.remove, remove);
  });
}

test("no plan takes the ready pods below the replicas, unless they are below already", () => {
  const kind = fc.constantFrom("old-ready", "old-waiting", "new-ready", "new-waiting");
  fc.assert(
    fc.property(fc.array(kind, { maxLength: 12 }), fc.nat(6), (kinds, replicas) => {
      const observed = pods(...kinds);
      const plan = planPods({ replicas, templateHash: "new" }, observed);
      const before = observed.filter((pod) => pod.isReady).length;
      const after = observed.filter((pod) => pod.isReady && !plan.remove.includes(pod.name));
      assert.ok(after.length >= Math.min(replicas, before));
      assert.ok(plan.startCount >= 0 && plan.startCount <= replicas);
    }),
  );
});
