import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "./json.ts";
import { listRulesOf } from "./list-rules.ts";
import { PatchError, strategicMerge } from "./strategic-merge.ts";

const RULES = listRulesOf("", "Pod");

const TWO = {
  containers: [
    { name: "a", image: "1" },
    { name: "b", image: "2" },
  ],
};

const cases: readonly { name: string; target: Json; patch: Json; result: Json }[] = [
  {
    name: "an item with a known key is merged, another one is added",
    target: TWO,
    patch: { containers: [{ name: "b", image: "3" }, { name: "c" }] },
    result: {
      containers: [{ name: "a", image: "1" }, { name: "b", image: "3" }, { name: "c" }],
    },
  },
  {
    name: "$patch: delete removes an item by its key",
    target: TWO,
    patch: { containers: [{ name: "a", $patch: "delete" }] },
    result: { containers: [{ name: "b", image: "2" }] },
  },
  {
    name: "$patch: replace in a list replaces the whole list",
    target: TWO,
    patch: { containers: [{ name: "c" }, { $patch: "replace" }] },
    result: { containers: [{ name: "c" }] },
  },
  {
    name: "$patch: replace in an object replaces the object",
    target: { nodeSelector: { a: "1" } },
    patch: { nodeSelector: { b: "2", $patch: "replace" } },
    result: { nodeSelector: { b: "2" } },
  },
  {
    name: "null removes a member",
    target: { nodeSelector: { a: "1", b: "2" } },
    patch: { nodeSelector: { a: null } },
    result: { nodeSelector: { b: "2" } },
  },
  {
    name: "$setElementOrder orders, and what it does not name stays behind its neighbour",
    target: { containers: [{ name: "a" }, { name: "own" }, { name: "b" }] },
    patch: {
      "$setElementOrder/containers": [{ name: "b" }, { name: "a" }],
      containers: [{ name: "b", image: "2" }],
    },
    result: { containers: [{ name: "b", image: "2" }, { name: "a" }, { name: "own" }] },
  },
  {
    name: "a list without a merge key is replaced",
    target: { containers: [{ name: "a", args: ["1", "2"] }] },
    patch: { containers: [{ name: "a", args: ["3"] }] },
    result: { containers: [{ name: "a", args: ["3"] }] },
  },
  {
    name: "$retainKeys drops the other members",
    target: { volumes: [{ name: "v", emptyDir: {} }] },
    patch: { volumes: [{ name: "v", $retainKeys: ["name", "secret"], secret: { a: "1" } }] },
    result: { volumes: [{ name: "v", secret: { a: "1" } }] },
  },
];

for (const { name, target, patch, result } of cases) {
  test(name, () => {
    const merged = strategicMerge({ spec: target }, { spec: patch }, RULES);
    assert.deepEqual(merged, { spec: result });
  });
}

test("values of a set are added once and removed by $deleteFromPrimitiveList", () => {
  const merged = strategicMerge(
    { metadata: { finalizers: ["a", "b"] } },
    {
      metadata: { finalizers: ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"] },
    },
    RULES,
  );
  assert.deepEqual(merged, { metadata: { finalizers: ["b", "c"] } });
});

test("an item without the list's merge key is refused with its place", () => {
  assert.throws(
    () => strategicMerge({}, { spec: { containers: [{ image: "1" }] } }, RULES),
    (error) => error instanceof PatchError && error.message.includes("spec.containers"),
  );
});

test("the list of a custom resource is replaced as a whole", () => {
  const rules = listRulesOf("networking.istio.io", "VirtualService");
  const merged = strategicMerge(
    { spec: { http: [{ name: "a" }] } },
    { spec: { http: [{ name: "b" }] } },
    rules,
  );
  assert.deepEqual(merged, { spec: { http: [{ name: "b" }] } });
});
