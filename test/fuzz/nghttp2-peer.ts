//! A server of `node:http2` (nghttp2) in this process, to which frames are written by hand.

import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import {
  END_STREAM,
  PREFACE,
  TYPE,
  frame,
  readFrames,
  type Frame,
} from "../../src/dataplane/testing/http2-frames.ts";

/** A header block that came through, or the code of what ended its stream or the connection. */
export interface Reading {
  readonly fields: readonly string[] | null;
  readonly reset: number | null;
  readonly goaway: number | null;
}

/** Streams that were opened and not reset, those reset, and how the connection ended. */
export interface Taken {
  readonly taken: readonly number[];
  readonly reset: readonly number[];
  readonly goaway: number | null;
}

const LAST_PING = Buffer.from("the end!");
/** Says by its answer that all before it has been read. */
export const LAST: Buffer = frame("ping", LAST_PING);
/** Of the event loop: more than the library needs for what it reads at once. */
const TURNS_MAX = 30;
const NO_ERROR = 0;
/** Of the library's streams, and no verdict on what came. */
const INTERNAL_ERROR = 2;
const NO_PRIORITY_END = 0x05;
const PING_BYTES = 8;

/** The far end of the library's socket. */
class Wire extends Duplex {
  received: Buffer = Buffer.alloc(0);

  override _read(): void {
    // What there is has been pushed.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.received = Buffer.concat([this.received, chunk]);
    done();
    this.emit("written");
  }
}

/** One connection, whose requests are answered at once, or not at all. */
export class Nghttp2Peer {
  readonly #server: Http2Server;
  readonly #wire = new Wire();
  readonly #fields = new Map<number, readonly string[]>();
  #stream = -1;
  isOver = false;

  constructor(headerTableSize: number, answers = true) {
    this.#server = createServer({ settings: { headerTableSize } });
    this.#server.on(
      "stream",
      (stream: ServerHttp2Stream, _head: unknown, _flags: unknown, raw: string[]) => {
        this.#fields.set(stream.id ?? 0, raw);
        stream.on("error", () => undefined);
        stream.resume();
        if (answers) stream.respond({ ":status": 200 }, { endStream: true });
      },
    );
    this.#server.on("sessionError", () => undefined);
    this.#server.emit("connection", this.#wire);
    this.#wire.on("error", () => undefined);
    this.#wire.push(Buffer.concat([PREFACE, frame("settings", Buffer.alloc(0))]));
  }

  /** Sends a block as the head of a request that ends there; waits until it has been read. */
  async read(block: Buffer): Promise<Reading> {
    this.#stream += 2;
    const stream = this.#stream;
    const ping = Buffer.alloc(PING_BYTES);
    ping.writeUInt32BE(stream);
    const head = frame("headers", block, { flags: NO_PRIORITY_END, stream });
    this.#wire.push(Buffer.concat([head, frame("ping", ping)]));
    let reset: number | null = null;
    for (;;) {
      const { frames, rest } = readFrames(this.#wire.received);
      this.#wire.received = rest;
      for (const one of frames) {
        if (one.type === TYPE.reset && one.stream === stream) reset = one.payload.readUInt32BE();
        const goaway = one.type === TYPE.goaway ? one.payload.readUInt32BE(4) : null;
        if (goaway !== null) this.isOver = true;
        if (goaway === null && !isAnswerTo(one, ping)) continue;
        return { fields: this.#fields.get(stream) ?? null, reset, goaway };
      }
      await once(this.#wire, "written");
    }
  }

  /** Sends frames, with `LAST` behind; waits until they have been read, or stand unfinished. */
  async readAll(bytes: Buffer): Promise<Taken> {
    this.#wire.push(bytes);
    const reset: number[] = [];
    let goaway: number | null = null;
    let isRead = false;
    for (let turn = 0; turn < TURNS_MAX && goaway === null && !isRead; turn++) {
      await new Promise(setImmediate);
      const { frames, rest } = readFrames(this.#wire.received);
      this.#wire.received = rest;
      for (const one of frames) {
        const code = one.type === TYPE.reset ? one.payload.readUInt32BE() : NO_ERROR;
        if (code !== NO_ERROR && code !== INTERNAL_ERROR) reset.push(one.stream);
        if (one.type === TYPE.goaway) goaway = one.payload.readUInt32BE(4);
        if (isAnswerTo(one, LAST_PING)) isRead = true;
      }
    }
    const taken = [...this.#fields.keys()].filter((id) => !reset.includes(id));
    return { taken, reset, goaway };
  }

  close(): void {
    this.#wire.destroy();
    this.#server.close();
  }
}

function isAnswerTo({ type, flags, payload }: Frame, ping: Buffer): boolean {
  return type === TYPE.ping && flags === END_STREAM && payload.equals(ping);
}
