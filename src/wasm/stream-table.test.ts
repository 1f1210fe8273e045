import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamTable } from "./stream-table.ts";

test("contexts whose ids want the same slot are all found, and each leaves once", () => {
  const table = new StreamTable<{ id: number }>();
  const entries = [1, 1 + 1024, 1 + 2048, 0xffff_ffff].map((id) => ({ id }));
  for (const entry of entries) table.add(entry);
  for (const entry of entries) assert.equal(table.get(entry.id), entry);
  for (const entry of entries) {
    assert.equal(table.delete(entry), true);
    assert.equal(table.delete(entry), false);
    assert.equal(table.get(entry.id), undefined);
  }
});
