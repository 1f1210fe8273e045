import assert from "node:assert/strict";
import { test } from "node:test";
import { snapshotOf, podNames } from "./testing.ts";
import { withholdLagging } from "./withhold.ts";

const everywhere = (): boolean => true;
const next = snapshotOf(["base", "gray"]);

const cases = [
  { name: "nothing lags", lagging: [], pods: ["default/a-base", "default/a-gray"] },
  {
    name: "a lagging node does not know the lane",
    lagging: [{ hosts: everywhere, held: snapshotOf(["base"]) }],
    pods: ["default/a-base"],
  },
  {
    name: "a lagging node knows the lane",
    lagging: [{ hosts: everywhere, held: snapshotOf(["base", "gray", "old"]) }],
    pods: ["default/a-base", "default/a-gray"],
  },
  {
    name: "a lagging node hosts other pods",
    lagging: [{ hosts: (pod: string) => pod === "default/a-base", held: snapshotOf(["base"]) }],
    pods: ["default/a-base", "default/a-gray"],
  },
  {
    name: "a lagging node knows the lane but not the pod",
    lagging: [{ hosts: everywhere, held: snapshotOf(["base", "gray"], ["base"]) }],
    pods: ["default/a-base"],
  },
  {
    name: "the first of two lagging nodes that host a pod knows the lane, the second does not",
    lagging: [
      { hosts: everywhere, held: snapshotOf(["base", "gray", "old"]) },
      { hosts: everywhere, held: snapshotOf(["base"]) },
    ],
    pods: ["default/a-base"],
  },
];

for (const { name, lagging, pods } of cases) {
  test(`the lane endpoints in use when ${name}`, () => {
    const withheld = withholdLagging(next, lagging);
    assert.deepEqual(podNames(withheld), pods);
    assert.equal(withheld.version === next.version, pods.length === 2);
  });
}

test("an endpoint that is in no lane is never withheld", () => {
  const plain = snapshotOf([], ["base"]);
  const lagging = [{ hosts: everywhere, held: snapshotOf([]) }];
  assert.equal(withholdLagging(plain, lagging), plain);
});
