import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LogFile } from "./log-file.ts";
import type { ReadLogOptions } from "./log-file.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-log-"));
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
const create = (bytesMax = 1_000): { log: LogFile; path: string } => {
  const path = join(directory, "logs", `${count++}.log`);
  return { log: new LogFile(path, bytesMax), path };
};

async function readAll(log: LogFile, options?: ReadLogOptions): Promise<string> {
  let text = "";
  for await (const piece of log.read(options)) text += piece;
  return text;
}

test("what was written is read, or the last lines of it", async () => {
  const { log } = create();
  await log.append(Buffer.from("one\ntwo\n"));
  await log.append(Buffer.from("three\nfour"));
  assert.equal(await readAll(log), "one\ntwo\nthree\nfour");
  assert.equal(await readAll(log, { tailLines: 1 }), "four");
  assert.equal(await readAll(log, { tailLines: 2 }), "three\nfour");
  assert.equal(await readAll(log, { tailLines: 9 }), "one\ntwo\nthree\nfour");
  assert.equal(await readAll(log, { tailLines: 0 }), "");
  await log.append(Buffer.from("\n"));
  assert.equal(await readAll(log, { tailLines: 2 }), "three\nfour\n");
});

test("a full file is rotated once, and no more than twice the limit is kept", async () => {
  const { log } = create(20);
  for (let line = 10; line < 20; line++) await log.append(Buffer.from(`line ${line}\n`));
  assert.equal(await readAll(log), "line 16\nline 17\nline 18\nline 19\n");
  assert.match(log.tail, /line 19\n$/);
});

test("a follower gets the past, then what comes, until the log is closed", async () => {
  const { log, path } = create();
  await log.append(Buffer.from("past\n"));
  const reading = readAll(log, { follow: true });
  // The follower is registered in turn, hence before this write.
  await log.append(Buffer.from("é".repeat(2)).subarray(0, 3));
  await log.append(Buffer.from("é".repeat(2)).subarray(3));
  await log.close({ remove: true });
  assert.equal(await reading, "past\néé");
  assert.equal(existsSync(path), false);
});

test("a follower that is stopped ends", async () => {
  const { log } = create();
  const controller = new AbortController();
  const reading = readAll(log, { follow: true, signal: controller.signal });
  await log.append(Buffer.from("x"));
  controller.abort();
  assert.match(await reading, /^x?$/);
});
