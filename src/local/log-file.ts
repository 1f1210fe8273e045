//! The output of one pod: a file with a size limit, one rotated file behind it, and followers.

import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { StringDecoder } from "node:string_decoder";

/** Kept in memory to look for the reason of an exit. */
const TAIL_BYTES_MAX = 8 * 1024;
/** A follower that reads more slowly than the app writes loses the oldest of it. */
const FOLLOW_BYTES_MAX = 1024 * 1024;

const FRESH = { resumes: false };

export interface ReadLogOptions {
  /** Only the last lines; all when not given. */
  readonly tailLines?: number;
  /** Go on with what is written from now on, until the pod is gone or `signal` fires. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

interface Follower {
  chunks: Buffer[];
  bytes: number;
  lostBytes: number;
  wake: () => void;
}

export class LogFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #resumes: boolean;
  readonly #followers = new Set<Follower>();
  #handle: FileHandle | null = null;
  #size = 0;
  #tail = Buffer.alloc(0);
  #isClosed = false;
  /** Everything on the file is done in turn. Writers await their turn, so it stays short. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `resumes`: goes on with the file that another one has closed. */
  constructor(path: string, bytesMax: number, { resumes }: { resumes: boolean } = FRESH) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#resumes = resumes;
  }

  /** The last output, at most 8 KiB. */
  get tail(): string {
    return this.#tail.toString("utf8");
  }

  /** Forgets the tail: what comes next belongs to a new run. */
  clearTail(): void {
    this.#tail = Buffer.alloc(0);
  }

  /**
   * Resolves when the chunk is in the file; await it before the next, that is the back-pressure.
   */
  append(chunk: Buffer): Promise<void> {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES_MAX);
    return this.#inTurn(async () => {
      if (this.#isClosed) return;
      await this.#write(chunk.subarray(-this.#bytesMax));
      for (const follower of this.#followers) give(follower, chunk);
    });
  }

  /** What is in the file, then, with `follow`, what comes. Yields pieces of text, not lines. */
  async *read(options: ReadLogOptions = {}): AsyncGenerator<string> {
    const follower: Follower = { chunks: [], bytes: 0, lostBytes: 0, wake: () => undefined };
    const decoder = new StringDecoder("utf8");
    try {
      const past = await this.#inTurn(async () => {
        if (options.follow === true && !this.#isClosed) this.#followers.add(follower);
        return Buffer.concat([await readOrEmpty(`${this.#path}.1`), await readOrEmpty(this.#path)]);
      });
      const text = decoder.write(lastLines(past, options.tailLines));
      if (text !== "") yield text;
      if (options.follow === true) yield* this.#follow(follower, decoder, options.signal);
    } finally {
      this.#followers.delete(follower);
    }
  }

  /** Ends the followers; with `remove`, deletes the files. */
  close(options: { readonly remove: boolean }): Promise<void> {
    return this.#inTurn(async () => {
      this.#isClosed = true;
      await this.#handle?.close();
      this.#handle = null;
      if (options.remove) {
        await rm(this.#path, { force: true });
        await rm(`${this.#path}.1`, { force: true });
      }
      for (const follower of this.#followers) follower.wake();
    });
  }

  async *#follow(
    follower: Follower,
    decoder: StringDecoder,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<string> {
    const wake = (): void => {
      follower.wake();
    };
    signal?.addEventListener("abort", wake);
    try {
      while (signal?.aborted !== true) {
        const text = take(follower, decoder);
        if (text !== "") yield text;
        else if (this.#isClosed) return;
        else await this.#news(follower, signal);
      }
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  #news(follower: Follower, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      follower.wake = resolve;
      if (follower.bytes > 0 || this.#isClosed || signal?.aborted === true) resolve();
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #resume(): Promise<void> {
    this.#resumes = false;
    await mkdir(dirname(this.#path), { recursive: true });
    this.#handle = await open(this.#path, "a");
    this.#size = (await this.#handle.stat()).size;
  }

  async #write(chunk: Buffer): Promise<void> {
    if (this.#handle === null && this.#resumes) await this.#resume();
    if (this.#handle !== null && this.#size + chunk.length > this.#bytesMax) {
      await this.#handle.close();
      this.#handle = null;
      await rename(this.#path, `${this.#path}.1`);
      this.#size = 0;
    }
    if (this.#handle === null) {
      await mkdir(dirname(this.#path), { recursive: true });
      this.#handle = await open(this.#path, "w");
    }
    await this.#handle.write(chunk);
    this.#size += chunk.length;
  }
}

function give(follower: Follower, chunk: Buffer): void {
  follower.chunks.push(chunk);
  follower.bytes += chunk.length;
  while (follower.bytes > FOLLOW_BYTES_MAX && follower.chunks.length > 1) {
    const lost = follower.chunks.shift()?.length ?? 0;
    follower.bytes -= lost;
    follower.lostBytes += lost;
  }
  follower.wake();
}

function take(follower: Follower, decoder: StringDecoder): string {
  const { lostBytes } = follower;
  const text = decoder.write(Buffer.concat(follower.chunks));
  follower.chunks = [];
  follower.bytes = 0;
  follower.lostBytes = 0;
  return lostBytes === 0 ? text : `[${lostBytes} bytes left out: read too slowly]\n${text}`;
}

/** The end of the bytes that holds `count` lines; a last line without its end counts. */
function lastLines(bytes: Buffer, count: number | undefined): Buffer {
  if (count === undefined) return bytes;
  if (count <= 0) return bytes.subarray(bytes.length);
  let at = bytes.length - 1;
  for (let lines = 0; at > 0; at--) {
    if (bytes[at - 1] === 0x0a && ++lines === count) return bytes.subarray(at);
  }
  return bytes;
}

async function readOrEmpty(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch {
    return Buffer.alloc(0);
  }
}
