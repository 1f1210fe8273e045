import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { LabelIndex } from "./label-index.ts";
import { hasLabels } from "./membership.ts";

const labels = fc.dictionary(fc.constantFrom("a", "b", "__proto__"), fc.constantFrom("1", "2"));
const item = fc.record({ namespace: fc.constantFrom("x", "y"), labels });

test("an index selects what a walk over all selects, in the same order", () => {
  fc.assert(
    fc.property(fc.array(item), labels, (items, selector) => {
      const index = new LabelIndex(items, (one) => one);
      const want = items.filter((one) => one.namespace === "x" && hasLabels(one, selector));
      const isEmpty = Object.keys(selector).length === 0;
      assert.deepEqual(index.select("x", selector), isEmpty ? [] : want);
    }),
  );
});
