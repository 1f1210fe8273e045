import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, test } from "node:test";
import { open } from "lmdb";
import { FakeClock } from "../../base/fake-clock.ts";
import { NewerFormatError } from "./format.ts";
import { openStore } from "./open-store.ts";
import { accepted, configMap, configMapKey, runStoreCases } from "./store-cases.ts";
import type { ResourceStore } from "./store.ts";

/** The long run: `GRAYLANE_CRASH_ROUNDS=1000`. */
const CRASH_ROUNDS = Number(process.env["GRAYLANE_CRASH_ROUNDS"] ?? 3);
const CRASH_WRITER = new URL(`./crash-writer${extname(import.meta.filename)}`, import.meta.url);
const clock = new FakeClock();
const directories: string[] = [];

after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "graylane-store-"));
  directories.push(directory);
  return directory;
}

function openAt(directory: string): ResourceStore {
  return openStore({ directory, clock });
}

runStoreCases("lmdb", ({ watchEventsMax }) =>
  openStore({ directory: newDirectory(), clock, watchEventsMax }),
);

test("a store that is opened again has the same objects and goes on counting", async () => {
  const directory = newDirectory();
  const first = openAt(directory);
  const kept = accepted(await first.create(configMap("a", "ünï")));
  accepted(await first.create(configMap("b")));
  accepted(await first.delete(configMapKey("b")));
  const { revision } = first;
  await first.close();

  const second = openAt(directory);
  assert.deepEqual(second.get(configMapKey("a")), kept);
  assert.equal(second.revision, revision, "the revision outlives the object that had it");
  assert.equal(
    second.watch(null, revision - 1, () => undefined),
    "expired",
  );
  const next = accepted(await second.create(configMap("b")));
  assert.equal(next.metadata.resourceVersion, String(revision + 1));
  await second.close();
});

test("a lent store is as it was when taken back, and waiting writes go through", async () => {
  const directory = newDirectory();
  const mine = openAt(directory);
  const kept = accepted(await mine.create(configMap("a", "mine")));
  const { revision } = mine;
  await mine.lend();
  const waiting = mine.create(configMap("c"));
  const other = openStore({ directory, clock, events: mine.recentEvents(10) });
  accepted(await other.create(configMap("b")));
  accepted(await other.update(configMap("a", "theirs")));
  await other.close();
  assert.deepEqual(mine.get(configMapKey("a")), kept, "reads go on");
  mine.takeBack();
  assert.equal(accepted(await waiting).metadata.resourceVersion, String(revision + 1));
  await mine.close();

  const again = openAt(directory);
  assert.deepEqual(again.get(configMapKey("a")), kept);
  assert.equal(again.get(configMapKey("b")), undefined, "what the other has written is undone");
  await again.close();
});

test("whoever goes on with a lent store tells the events before it, too", async () => {
  const directory = newDirectory();
  const before = openAt(directory);
  accepted(await before.create(configMap("a")));
  accepted(await before.create(configMap("b")));
  await before.lend();
  const refused = before.create(configMap("late"));
  const next = openStore({ directory, clock, events: before.recentEvents(10) });
  await before.close();
  assert.equal((await refused).ok, false, "a write that waited for a store that is another's now");
  accepted(await next.create(configMap("c")));
  const told: string[] = [];
  next.watch(null, 1, ({ object }) => told.push(object.metadata.name));
  assert.deepEqual(told, ["b", "c"]);
  await next.close();
});

test("after kill -9 in the middle of writes everything acknowledged is there", async () => {
  const directory = newDirectory();
  let acknowledged = 0;
  for (let round = 0; round < CRASH_ROUNDS; round += 1) {
    const last = await writeUntilKilled(directory, acknowledged);
    const store = openAt(directory);
    assert.ok(last > acknowledged, "the writer got somewhere");
    assert.ok(store.revision >= last, "revisions only grow");
    for (let at = 1; at <= last; at += 1) {
      assert.ok(store.get(configMapKey(`w${at}`)), `w${at} of ${last} was acknowledged`);
    }
    acknowledged = store.revision;
    assert.deepEqual(store.damaged(), []);
    await store.close();
  }
});

/** Resolves to the number of the last acknowledged write. */
function writeUntilKilled(directory: string, from: number): Promise<number> {
  return new Promise((resolve) => {
    const writer = fork(CRASH_WRITER, [directory, String(from)]);
    let last = from;
    writer.on("message", (message) => {
      last = Number(message);
      if (last >= from + 40) writer.kill("SIGKILL");
    });
    writer.on("exit", () => {
      resolve(last);
    });
  });
}

test("a flipped bit in a record is reported, and its object is not served", async () => {
  const directory = newDirectory();
  const store = openAt(directory);
  accepted(await store.create(configMap("whole", "fine")));
  accepted(await store.create(configMap("hurt", "needle")));
  await store.close();
  const file = join(directory, "store", "data.mdb");
  const bytes = readFileSync(file);
  for (let at = bytes.indexOf("needle"); at !== -1; at = bytes.indexOf("needle", at + 1)) {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
  }
  writeFileSync(file, bytes);

  const damaged = openAt(directory);
  assert.equal(damaged.get(configMapKey("hurt")), undefined);
  assert.ok(damaged.get(configMapKey("whole")));
  assert.deepEqual(
    damaged.damaged().map((record) => record.key),
    ["configmaps/default/hurt"],
  );
  await damaged.close();
});

test("a store of format 0 is brought forward, with its objects and its revision", async () => {
  const directory = newDirectory();
  const object = configMap("old");
  const metadata = { ...object.metadata, uid: "u", generation: 3, resourceVersion: "41" };
  await writeRaw(directory, "records", [
    ["configmaps/default/old", JSON.stringify({ ...object, metadata })],
  ]);

  const store = openAt(directory);
  assert.deepEqual(store.damaged(), []);
  assert.equal(store.get(configMapKey("old"))?.metadata.generation, 3);
  assert.equal(store.revision, 41);
  accepted(await store.update(configMap("old", "new")));
  await store.close();
  const again = openAt(directory);
  assert.equal(again.revision, 42);
  await again.close();
});

test("a store of a newer version is refused and left as it is", async () => {
  const directory = newDirectory();
  await writeRaw(directory, "meta", [["format", "99"]]);
  assert.throws(() => openAt(directory), NewerFormatError);
  assert.throws(() => openAt(directory), /format 99.*up to 1/);
});

async function writeRaw(
  directory: string,
  table: string,
  rows: readonly (readonly [string, string])[],
): Promise<void> {
  const encoding = "binary";
  const root = open<Buffer, string>({ path: join(directory, "store"), encoding, maxDbs: 4 });
  const records = root.openDB<Buffer, string>({ name: table, encoding });
  for (const [key, text] of rows) records.putSync(key, Buffer.from(text));
  await root.close();
}
