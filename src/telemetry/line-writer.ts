//! Writes lines to a file in large pieces and never lets a slow disk hold up or fill the process.
//!
//! Lines wait in memory up to a limit; beyond it they are dropped and counted. One write is under
//! way at a time. Lines are ASCII (see `access-log.ts`), so a character is a byte.

import { close, closeSync, open, openSync, readSync, statSync, write, writeSync } from "node:fs";
import type { Clock, Timer } from "../base/clock.ts";

/** A full piece is written at once. */
export const PIECE_BYTES: number = 64 * 1024;
/** What may wait, besides the piece that is being written. */
export const WAITING_BYTES_MAX: number = 1024 * 1024;
/** A piece that is not full is written after this time. */
export const FLUSH_INTERVAL_MS = 1_000;

/** Where the bytes go. `done` is called once per write. */
export interface LineSink {
  write(bytes: Uint8Array, done: (error: Error | null) => void): void;
  close(): Promise<void>;
}

export class LineWriter {
  readonly #sink: LineSink;
  readonly #clock: Clock;
  #waiting = "";
  #isWriting = false;
  #timer: Timer | null = null;
  /** Told when what waits has been written or lost, and when what is being written has. */
  #waitingWaiters: (() => void)[] = [];
  #writingWaiters: (() => void)[] = [];
  #droppedLines = 0;
  #lastError: Error | null = null;

  constructor(sink: LineSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** Lines that were lost because the sink was too slow or failed. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** The last failure of the sink. */
  get lastError(): Error | null {
    return this.#lastError;
  }

  /** Takes a line, with its line feed. False: there was no room and it is dropped. */
  write(line: string): boolean {
    if (this.#waiting.length + line.length > WAITING_BYTES_MAX) {
      this.#droppedLines += 1;
      return false;
    }
    this.#waiting += line;
    if (this.#isWriting) return true;
    if (this.#waiting.length >= PIECE_BYTES) this.#writeOut();
    else this.#timer ??= this.#arm();
    return true;
  }

  /** Resolves when every line taken so far has been written or lost. */
  flush(): Promise<void> {
    if (!this.#isWriting && this.#waiting === "") return Promise.resolve();
    return new Promise((resolve) => {
      (this.#waiting === "" ? this.#writingWaiters : this.#waitingWaiters).push(resolve);
      if (!this.#isWriting) this.#writeOut();
    });
  }

  /** Waits for room. Resolves when the line has been written, or lost because the sink failed. */
  async writeThrough(line: string): Promise<void> {
    while (this.#waiting.length + line.length > WAITING_BYTES_MAX) await this.flush();
    this.write(line);
    await this.flush();
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#sink.close();
  }

  #arm(): Timer {
    const run = (): void => {
      this.#timer = null;
      if (!this.#isWriting) this.#writeOut();
    };
    return this.#clock.after(FLUSH_INTERVAL_MS, run, { unref: true });
  }

  #writeOut(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#waiting === "") return;
    const piece = this.#waiting;
    this.#waiting = "";
    this.#writingWaiters = this.#waitingWaiters;
    this.#waitingWaiters = [];
    this.#isWriting = true;
    this.#sink.write(Buffer.from(piece, "latin1"), (error) => {
      this.#isWriting = false;
      if (error !== null) {
        this.#lastError = error;
        this.#droppedLines += piece.split("\n").length - 1;
      }
      this.#goOn();
    });
  }

  #goOn(): void {
    const told = this.#writingWaiters;
    this.#writingWaiters = [];
    if (this.#waiting.length >= PIECE_BYTES || this.#waitingWaiters.length > 0) this.#writeOut();
    else if (this.#waiting !== "") this.#timer ??= this.#arm();
    for (const tell of told) tell();
  }
}

const STDOUT = 1;

/** Appends to a file; `-` is standard output. Rejects when the file cannot be opened. */
export async function openFileSink(path: string): Promise<LineSink> {
  const descriptor = path === "-" ? STDOUT : await openForAppend(path);
  return {
    write(bytes, done) {
      writeAll(descriptor, bytes, done);
    },
    close: () =>
      new Promise((resolve) => {
        if (descriptor === STDOUT) resolve();
        else
          close(descriptor, () => {
            resolve();
          });
      }),
  };
}

/**
 * Ends the last line of a file, which a process that was killed may have left without its end: the
 * next line would be lost with it. For lines that must all be found again.
 */
export function endLastLine(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.size === 0) return;
  const descriptor = openSync(path, "a+");
  try {
    const last = Buffer.alloc(1);
    readSync(descriptor, last, 0, 1, stat.size - 1);
    if (last.toString() !== "\n") writeSync(descriptor, "\n");
  } finally {
    closeSync(descriptor);
  }
}

function openForAppend(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, "a", 0o640, (error, descriptor) => {
      if (error === null) resolve(descriptor);
      else reject(error);
    });
  });
}

function writeAll(
  descriptor: number,
  bytes: Uint8Array,
  done: (error: Error | null) => void,
): void {
  write(descriptor, bytes, (error, written) => {
    if (error !== null) done(error);
    else if (written < bytes.length) writeAll(descriptor, bytes.subarray(written), done);
    else done(null);
  });
}
