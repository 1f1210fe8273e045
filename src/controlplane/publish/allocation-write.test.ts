import assert from "node:assert/strict";
import { test } from "node:test";
import { allocationWrites } from "./allocation-write.ts";

const group = (status?: unknown) => ({
  apiVersion: "graylane.io/v1alpha1",
  kind: "LaneGroup",
  metadata: { name: "shop", namespace: "default" },
  status,
});
const allocation = { deal: null, tables: [{ route: "*", lanes: [] }] };
const wanted = new Map([["default/shop", allocation]]);

test("an allocation is written beside what the status says already", () => {
  const [write] = allocationWrites([group({ conditions: [1] })], wanted);
  assert.deepEqual(write?.status, { conditions: [1], allocation });
});

test("an allocation that stands there already, in any order of fields, is not written", () => {
  const same = { tables: [{ lanes: [], route: "*" }], deal: null };
  assert.deepEqual(allocationWrites([group({ allocation: same })], wanted), []);
  assert.deepEqual(allocationWrites([group()], undefined), []);
});
