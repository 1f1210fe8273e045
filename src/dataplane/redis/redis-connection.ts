//! One connection to Redis: commands go out as they come, replies come back in the same order.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../../base/clock.ts";
import type { OnRedisReply } from "../../wasm/redis-calls.ts";
import { tlsFailure } from "../upstream/tls-dial.ts";
import { NotRedis, ReplyReader } from "./reply-reader.ts";

export interface ConnectionSettings {
  /** Opened, maybe not connected yet. */
  readonly socket: Socket;
  readonly username: string;
  readonly password: string;
  readonly database: number;
  /** Until it is ready, and until the reply that is due next. */
  readonly timeoutMs: number;
}

/** Whether it can be made anew at once: its server did answer, and only the connection ended. */
export type ConnectionEnd = "ended" | "failed";

export interface ConnectionUser {
  /** The server has answered for the first time. */
  onServing(): void;
  /** Its calls are answered with null next. */
  onEnd(kind: ConnectionEnd, reason: string): void;
  /** It goes on without: the calls themselves will say so. */
  onRefusedPassword(reason: string): void;
}

interface Waiting {
  readonly onReply: OnRedisReply;
  readonly dueMs: number;
}

/** Of an error that Redis answers with, in a message. */
const REASON_BYTES_MAX = 120;
const MINUS = 0x2d;

export class RedisConnection {
  readonly #clock: Clock;
  readonly #settings: ConnectionSettings;
  readonly #user: ConnectionUser;
  readonly #reader: ReplyReader;
  /** In the order of sending. */
  readonly #waiting: Waiting[] = [];
  /** How many of `#waiting` have been answered: they are dropped together. */
  #answered = 0;
  /** Commands that came before the connection was ready. */
  #unsent: Uint8Array[] = [];
  /** Null when set-up is over, or has not begun. */
  #onSetUpReply: ((reply: Buffer | null) => void) | null = null;
  #timer: Timer | null = null;
  /** It is connected, authenticated, and has its database. */
  #isReady = false;
  #hasServed = false;
  #isRetired = false;
  #isOver = false;

  constructor(clock: Clock, settings: ConnectionSettings, user: ConnectionUser) {
    this.#clock = clock;
    this.#settings = settings;
    this.#user = user;
    this.#reader = new ReplyReader((reply) => {
      this.#onReply(reply);
    });
    const { socket } = settings;
    socket.setNoDelay(true);
    // A plug-in's connection does not keep the process alive.
    socket.unref();
    const isSecure = socket instanceof TLSSocket;
    // Nothing is said before the server's certificate has been looked at.
    socket.on(isSecure ? "secureConnect" : "connect", () => {
      this.#onConnect();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#onData(chunk);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const failure = isSecure ? tlsFailure(error) : null;
      this.#break(failure?.detail ?? error.code ?? error.message);
    });
    socket.on("close", () => {
      this.#break("it closed the connection");
    });
    this.#arm(clock.monotonicMs() + settings.timeoutMs);
  }

  /** `onReply` comes later, with null when the connection ends before. */
  send(command: Uint8Array, onReply: OnRedisReply): void {
    const dueMs = this.#clock.monotonicMs() + this.#settings.timeoutMs;
    if (!this.#isReady) this.#unsent.push(command);
    else this.#settings.socket.write(command);
    this.#expect(onReply, dueMs);
  }

  /** Ends when all that is pending has been answered. */
  retire(): void {
    this.#isRetired = true;
    if (this.#pendingCount === 0) this.#end("ended", "");
  }

  /** At once; what is pending is not answered. */
  close(): void {
    this.#waiting.length = 0;
    this.#answered = 0;
    this.#end("ended", "");
  }

  get #pendingCount(): number {
    return this.#waiting.length - this.#answered;
  }

  #onConnect(): void {
    const { username, password, database } = this.#settings;
    const setUp: [string[], (reason: string) => void][] = [];
    if (password !== "") {
      const words = username === "" ? ["AUTH", password] : ["AUTH", username, password];
      // As Envoy: a server that asks for no password refuses one, and serves.
      setUp.push([
        words,
        (reason) => {
          this.#user.onRefusedPassword(reason);
        },
      ]);
    }
    if (database !== 0) {
      const refuse = (reason: string): void => {
        this.#end("failed", `it refused database ${database}: ${reason}`);
      };
      setUp.push([["SELECT", String(database)], refuse]);
    }
    this.#setUp(setUp);
  }

  /** One after the other: a command must not reach a database that is not its own. */
  #setUp(
    steps: readonly (readonly [words: string[], onRefused: (reason: string) => void])[],
  ): void {
    const [first, ...rest] = steps;
    if (this.#isOver) return;
    if (first === undefined) {
      this.#begin();
      return;
    }
    const [words, onRefused] = first;
    this.#settings.socket.write(encodeCommand(words));
    this.#onSetUpReply = (reply) => {
      if (reply?.[0] === MINUS) onRefused(textOf(reply));
      this.#setUp(rest);
    };
  }

  #begin(): void {
    this.#isReady = true;
    const { socket } = this.#settings;
    for (const command of this.#unsent) socket.write(command);
    this.#unsent = [];
    this.#armNext();
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof NotRedis)) throw error;
      this.#end("failed", `it does not speak Redis: it sent ${error.message}`);
      return;
    }
    this.#armNext();
    if (this.#isRetired && this.#pendingCount === 0) this.#end("ended", "");
  }

  #onReply(reply: Buffer | null): void {
    // A reply may have ended the connection: by a trap of the plug-in that it was for.
    if (this.#isOver) return;
    const step = this.#onSetUpReply;
    const waiting = this.#isReady ? this.#waiting[this.#answered] : undefined;
    if (step === null && waiting === undefined) {
      this.#end("failed", `it sent what nobody had asked for: ${textOf(reply)}`);
      return;
    }
    if (!this.#hasServed) {
      this.#hasServed = true;
      this.#user.onServing();
    }
    if (waiting === undefined) {
      this.#onSetUpReply = null;
      step?.(reply);
      return;
    }
    this.#answered += 1;
    if (this.#answered === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#answered = 0;
    }
    waiting.onReply(reply);
  }

  #expect(onReply: OnRedisReply, dueMs: number): void {
    this.#waiting.push({ onReply, dueMs });
    if (this.#isReady && this.#timer === null) this.#arm(dueMs);
  }

  /** Of what is pending, the first is due first. */
  #armNext(): void {
    if (!this.#isReady || this.#isOver) return;
    this.#timer?.cancel();
    this.#timer = null;
    const next = this.#waiting[this.#answered];
    if (next !== undefined) this.#arm(next.dueMs);
  }

  #arm(dueMs: number): void {
    const delayMs = Math.max(0, dueMs - this.#clock.monotonicMs());
    const onTimeout = (): void => {
      const { timeoutMs } = this.#settings;
      const what = this.#isReady ? "it has not answered" : "it could not be reached";
      this.#end("failed", `${what} within ${timeoutMs} ms`);
    };
    this.#timer = this.#clock.after(delayMs, onTimeout, { unref: true });
  }

  #break(reason: string): void {
    this.#end(this.#hasServed ? "ended" : "failed", reason);
  }

  #end(kind: ConnectionEnd, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#settings.socket.destroy();
    const pending = this.#waiting.splice(0).slice(this.#answered);
    this.#unsent = [];
    this.#user.onEnd(kind, reason);
    for (const { onReply } of pending) onReply(null);
  }
}

function encodeCommand(words: readonly string[]): string {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join("")}`;
}

function textOf(reply: Buffer | null): string {
  if (reply === null) return "more than may be read";
  return reply
    .toString("latin1", 1, REASON_BYTES_MAX)
    .trim()
    .replaceAll(/[^\x20-\x7e]/g, "?");
}
