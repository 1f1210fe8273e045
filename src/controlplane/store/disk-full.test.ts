//! The store on a small disk of its own (a tmpfs, which only root can mount) that is really full.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { openStore } from "./open-store.ts";
import { accepted, configMap, configMapKey } from "./store-cases.ts";

const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : "only root can mount a small disk";
const DISK = "size=32m";
const PIECE_BYTES = 64 << 10;
const WRITES_MAX = 2_000;

test("a full disk refuses writes, keeps what was acknowledged, and heals", { skip }, async () => {
  const disk = mkdtempSync(join(tmpdir(), "graylane-small-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", disk]);
  try {
    const directory = join(disk, "state");
    const store = openStore({ directory, clock: systemClock });
    const kept: string[] = [];
    for (let at = 0; ; at += 1) {
      assert.ok(at < WRITES_MAX, "the disk is full at some time");
      const result = await store.create(configMap(`w${at}`, "x".repeat(PIECE_BYTES)));
      if (!result.ok) {
        assert.equal(result.reason, "storage");
        assert.match(result.message, /is full: .* MiB are free, .* are needed/);
        break;
      }
      kept.push(`w${at}`);
    }
    // Somebody else takes the rest, to the last byte.
    const ballast = join(disk, "ballast");
    const { bavail, bsize } = statfsSync(disk);
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    const { revision } = store;
    const refused = await Promise.all([
      store.create(configMap("late")),
      store.update(configMap("w0", "other")),
      store.delete(configMapKey("w1")),
    ]);
    assert.deepEqual(
      refused.map((result) => result.ok || result.reason),
      ["storage", "storage", "storage"],
    );
    assert.equal(store.revision, revision);
    for (const name of kept) assert.ok(store.get(configMapKey(name)), `${name} is read`);

    rmSync(ballast);
    for (const name of kept.slice(0, 1)) accepted(await store.delete(configMapKey(name)));
    await store.close();
    const again = openStore({ directory, clock: systemClock });
    assert.deepEqual(again.damaged(), []);
    assert.equal(again.get(configMapKey("w0")), undefined);
    for (const name of kept.slice(1)) assert.ok(again.get(configMapKey(name)), `${name} is there`);
    await again.close();
  } finally {
    execFileSync("umount", ["--lazy", disk]);
    rmSync(disk, { recursive: true, force: true });
  }
});
