import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkLmdbFile, DamagedFileError } from "./lmdb-file.ts";
import { LmdbMedium } from "./lmdb-medium.ts";

const root = mkdtempSync(join(tmpdir(), "graylane-lmdb-file-"));
after(() => {
  rmSync(root, { recursive: true, force: true });
});

async function closedStore(name: string): Promise<string> {
  const directory = join(root, name);
  await new LmdbMedium(directory).close();
  return directory;
}

test("a store that LMDB wrote is taken", async () => {
  checkLmdbFile(await closedStore("good"));
});

test("no file, and an empty one, are a store that begins", () => {
  checkLmdbFile(join(root, "none"));
  const directory = mkdtempSync(join(root, "empty-"));
  writeFileSync(join(directory, "data.mdb"), "");
  checkLmdbFile(directory);
});

const DAMAGES: Readonly<Record<string, { damage: (path: string) => void; says: RegExp }>> = {
  "other bytes": {
    damage: (path) => {
      writeFileSync(path, Buffer.alloc(65_536, "garbage "));
    },
    says: /data\.mdb is not a store: .*--state/,
  },
  "a few bytes": {
    damage: (path) => {
      writeFileSync(path, "x");
    },
    says: /is not a store/,
  },
  "a store cut short": {
    damage: (path) => {
      truncateSync(path, readFileSync(path).length - 1);
    },
    says: /was cut short: \d+ of \d+ bytes/,
  },
};

for (const [name, { damage, says }] of Object.entries(DAMAGES)) {
  test(`${name} is refused in words before LMDB maps it`, async () => {
    const directory = await closedStore(name.replaceAll(" ", "-"));
    damage(join(directory, "data.mdb"));
    const isSaid = (error: unknown): boolean =>
      error instanceof DamagedFileError && says.test(error.message);
    assert.throws(() => new LmdbMedium(directory), isSaid);
  });
}
