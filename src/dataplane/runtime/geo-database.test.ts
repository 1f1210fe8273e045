import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { mmdb } from "../testing/mmdb.ts";
import { GeoDatabase } from "./geo-database.ts";

const folder = await mkdtemp(join(tmpdir(), "graylane-geo-"));
const path = join(folder, "city.mmdb");
after(() => rm(folder, { recursive: true }));

const DATABASE = mmdb({
  "10.1.0.0/16": {
    country: { iso_code: "CN" },
    city: { names: { en: "Hangzhou", "zh-CN": "杭州" } },
  },
  "10.2.0.0/16": { autonomous_system_number: 64_512 },
});

test("a place is read by its short name or by a path", async () => {
  await writeFile(path, DATABASE);
  const database = await GeoDatabase.open(path, null);
  assert.equal(database.read("10.1.2.3", "country"), "CN");
  assert.equal(database.read("10.1.2.3", "city"), "Hangzhou");
  const chinese = database.read("10.1.2.3", "city.names.zh-CN") ?? "";
  assert.equal(Buffer.from(chinese, "latin1").toString(), "杭州");
  assert.equal(database.read("10.2.0.1", "asn"), "64512");
  assert.equal(database.read("10.2.0.1", "country"), undefined);
  assert.equal(database.read("10.9.0.1", "country"), undefined);
  assert.equal(database.read("unknown", "country"), undefined);
});

test("a file that has not changed is not read again", async () => {
  await writeFile(path, DATABASE);
  const first = await GeoDatabase.open(path, null);
  assert.equal(await GeoDatabase.open(path, first), first);
});

test("a file that is missing, or no database, is refused", async () => {
  await assert.rejects(GeoDatabase.open(join(folder, "none.mmdb"), null), /ENOENT/);
  await writeFile(path, "not a database");
  await assert.rejects(GeoDatabase.open(path, null));
});
