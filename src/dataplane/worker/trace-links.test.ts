import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { TRACE_TTL_MS, TraceTable } from "../../lane/context.ts";
import { TraceLinks } from "./trace-links.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-traces-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("two workers know the same trace ids, those from before included, and the newest wins", () => {
  const [old, young] = [new TraceTable(), new TraceTable()];
  old.begin("before", "gray", 0);
  old.share(new TraceLinks(folder).table("default/a", "shop"));
  young.share(new TraceLinks(folder).table("default/a", "shop"));
  assert.equal(young.lookup("before", 1), "gray");
  young.begin("after", "blau ü/%", 1);
  assert.equal(old.lookup("after", 1), "blau ü/%");
  young.begin("before", null, 2);
  assert.equal(old.lookup("before", 2), null, "the newest came without a lane");
  assert.equal(old.lookup("unknown", 2), undefined);
});

test("pods and lane groups do not see each other's trace ids", () => {
  const links = new TraceLinks(folder);
  links.table("default/a", "shop").set("id", "gray");
  assert.equal(links.table("default/b", "shop").get("id"), undefined);
  assert.equal(links.table("default/a", "other").get("id"), undefined);
  links.close();
});

test("what has expired or is shared no more leaves nothing in the folder", () => {
  const own = join(folder, "own");
  const links = new TraceLinks(own);
  const table = new TraceTable();
  table.share(links.table("default/a", "shop"));
  table.begin("short", "gray", 0);
  table.begin("long", "gray", 0);
  table.end("short", 0);
  assert.equal(table.lookup("short", TRACE_TTL_MS), undefined);
  assert.equal(readdirSync(own).length, 1);
  links.close();
  assert.deepEqual(readdirSync(own), []);
});
