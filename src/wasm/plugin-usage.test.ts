import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageTable } from "./plugin-usage.ts";

test("a plug-in goes on counting where it was, and too many share one record", () => {
  const table = new UsageTable();
  table.of("a").entries += 1;
  assert.equal(table.of("a").entries, 1);
  for (let index = 0; index < 3_000; index++) table.of(`p${index}`).entries += 1;
  assert.ok([...table].length <= 2_001);
  assert.equal(table.of("another"), table.of("p2999"));
  assert.equal(table.of("a").entries, 1);
});
