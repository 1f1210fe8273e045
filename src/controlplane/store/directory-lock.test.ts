import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { DirectoryLockedError, lockDirectory } from "./directory-lock.ts";

const CRASH_WRITER = new URL(`./crash-writer${extname(import.meta.filename)}`, import.meta.url);
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "graylane-lock-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

test("a second opener is refused with the holder's process id and the directory", () => {
  const lock = lockDirectory(directory);
  assert.throws(
    () => lockDirectory(directory),
    (error: unknown) =>
      error instanceof DirectoryLockedError &&
      error.pid === process.pid &&
      error.message.includes(String(process.pid)) &&
      error.message.includes(directory),
  );
  lock.release();
  lockDirectory(directory).release();
});

test("a live process keeps its lock, and a dead one loses it", async () => {
  const writer = fork(CRASH_WRITER, [directory]);
  await new Promise((resolve) => writer.once("message", resolve));
  assert.throws(() => lockDirectory(directory), new RegExp(`process ${writer.pid ?? 0};`));
  writer.kill("SIGKILL");
  await new Promise((resolve) => writer.once("exit", resolve));
  lockDirectory(directory).release();
});

const stale = [
  { name: "whose process id now belongs to a later process", startedAt: "1" },
  { name: "that is not readable", startedAt: null },
];

for (const { name, startedAt } of stale) {
  test(`a lock ${name} is taken over`, () => {
    const text = startedAt === null ? "?" : JSON.stringify({ pid: process.pid, startedAt });
    writeFileSync(join(directory, "lock"), text);
    const lock = lockDirectory(directory);
    assert.match(readFileSync(join(directory, "lock"), "utf8"), new RegExp(`${process.pid}`));
    lock.release();
  });
}
