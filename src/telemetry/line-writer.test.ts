import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import { systemClock } from "../base/clock.ts";
import {
  FLUSH_INTERVAL_MS,
  LineWriter,
  PIECE_BYTES,
  WAITING_BYTES_MAX,
  endLastLine,
  openFileSink,
} from "./line-writer.ts";
import type { LineSink } from "./line-writer.ts";

class FakeSink implements LineSink {
  readonly pieces: string[] = [];
  #done: ((error: Error | null) => void) | null = null;

  write(bytes: Uint8Array, done: (error: Error | null) => void): void {
    assert.equal(this.#done, null, "one write at a time");
    this.pieces.push(Buffer.from(bytes).toString("latin1"));
    this.#done = done;
  }

  finish(error: Error | null = null): void {
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const line = `${"x".repeat(1_023)}\n`;

test("lines wait for a full piece, or for the interval", () => {
  const [sink, clock] = [new FakeSink(), new FakeClock()];
  const writer = new LineWriter(sink, clock);
  writer.write("one\n");
  writer.write("two\n");
  assert.equal(sink.pieces.length, 0);
  clock.advance(FLUSH_INTERVAL_MS);
  assert.equal(sink.pieces.join("|"), "one\ntwo\n");
  sink.finish();
  for (let bytes = 0; bytes < PIECE_BYTES; bytes += line.length) writer.write(line);
  assert.equal(sink.pieces[1]?.length, PIECE_BYTES);
});

test("a slow sink costs lines, which are counted, and never more memory than the limit", () => {
  const sink = new FakeSink();
  const writer = new LineWriter(sink, new FakeClock());
  const lines = (PIECE_BYTES + WAITING_BYTES_MAX) / line.length;
  for (let index = 0; index < lines; index++) assert.ok(writer.write(line));
  assert.equal(writer.write(line), false);
  assert.equal(writer.droppedLines, 1);
  sink.finish();
  assert.ok(writer.write(line));
});

test("a failed write is counted, and the next one is tried", () => {
  const [sink, clock] = [new FakeSink(), new FakeClock()];
  const writer = new LineWriter(sink, clock);
  writer.write("one\n");
  writer.write("two\n");
  clock.advance(FLUSH_INTERVAL_MS);
  sink.finish(new Error("no space left on device"));
  assert.equal(writer.droppedLines, 2);
  assert.match(String(writer.lastError), /no space/);
  writer.write("three\n");
  clock.advance(FLUSH_INTERVAL_MS);
  assert.equal(sink.pieces[1], "three\n");
});

test("closing writes what waits, also what came while a write was under way", async () => {
  const sink = new FakeSink();
  const writer = new LineWriter(sink, new FakeClock());
  writer.write("one\n");
  const first = writer.flush();
  writer.write("two\n");
  const closed = writer.close();
  sink.finish();
  sink.finish();
  await Promise.all([first, closed]);
  assert.deepEqual(sink.pieces, ["one\n", "two\n"]);
});

test("a file is appended to", async () => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-log-"));
  const path = join(directory, "access.log");
  for (const text of ["one\n", "two\n"]) {
    const writer = new LineWriter(await openFileSink(path), systemClock);
    writer.write(text);
    await writer.close();
  }
  assert.equal(readFileSync(path, "utf8"), "one\ntwo\n");
  rmSync(directory, { recursive: true });
});

test("a line that was cut is ended once, and no other", () => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-log-"));
  const path = join(directory, "audit.log");
  endLastLine(path);
  for (const [before, after] of [
    ["", ""],
    ["one\n", "one\n"],
    ["one\ntw", "one\ntw\n"],
  ] as const) {
    writeFileSync(path, before);
    endLastLine(path);
    endLastLine(path);
    assert.equal(readFileSync(path, "utf8"), after);
  }
  rmSync(directory, { recursive: true });
});

test("a line that is written through waits for room instead of being lost", async () => {
  const sink = new FakeSink();
  const writer = new LineWriter(sink, new FakeClock());
  const first = writer.writeThrough(line);
  assert.equal(sink.pieces.join(""), line);
  const full = Math.floor(WAITING_BYTES_MAX / line.length);
  for (let index = 0; index < full; index++) assert.ok(writer.write(line));
  const late = writer.writeThrough("late\n");
  sink.finish();
  await first;
  sink.finish();
  await new Promise(setImmediate);
  sink.finish();
  await late;
  assert.equal(sink.pieces.at(-1), "late\n");
  assert.equal(writer.droppedLines, 0);
});

test("a file that cannot be opened is refused at once", async () => {
  await assert.rejects(openFileSink("/nowhere/at/all.log"), /ENOENT/);
});
