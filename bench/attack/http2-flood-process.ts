//! The process of the attackers: sends a flood as fast as the proxy reads, and tells what came of it.
//!
//! It is apart from the client whose answers are timed, and gives way to it: what is measured is the
//! proxy, not how busy the attackers are.

import { connect } from "node:net";
import type { Socket } from "node:net";
import { setPriority } from "node:os";
import { FLOODS } from "../../src/dataplane/testing/http2-floods.ts";
import type { Flood } from "../../src/dataplane/testing/http2-floods.ts";
import { PREFACE, frame } from "../../src/dataplane/testing/http2-frames.ts";
import { ATTACKERS_NICENESS } from "./attack-process.ts";

export interface FloodOrder {
  readonly port: number;
  /** The name of one of `FLOODS`. */
  readonly flood: string;
  readonly attackers: number;
}

export interface FloodReport {
  /** How many connections the proxy closed. */
  readonly cut: number;
  /** How long the longest of them was let be. */
  readonly longestMs: number;
  readonly bytes: number;
}

const ROUND_BYTES = 16_384;
const PAUSE_MS = 2;

class Attacker {
  connections = 0;
  /** How long the longest of its connections was let be. */
  longestMs = 0;
  bytes = 0;
  readonly #port: number;
  readonly #flood: Flood;
  #socket: Socket | null = null;
  #isOver = false;

  constructor(port: number, flood: Flood) {
    this.#port = port;
    this.#flood = flood;
  }

  start(): void {
    if (this.#isOver) return;
    this.connections += 1;
    const startMs = performance.now();
    const socket = connect(this.#port, "127.0.0.1");
    this.#socket = socket;
    socket.resume();
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      setTimeout(() => {
        this.start();
      }, PAUSE_MS);
    });
    const opening = this.#flood.opening ?? Buffer.alloc(0);
    socket.write(Buffer.concat([PREFACE, frame("settings", Buffer.alloc(0)), opening]));
    this.#send(socket, 0);
  }

  stop(): void {
    this.#isOver = true;
    this.#socket?.destroy();
  }

  #send(socket: Socket, first: number): void {
    if (socket.destroyed) return;
    const round: Buffer[] = [];
    let bytes = 0;
    while (bytes < ROUND_BYTES) {
      const unit = this.#flood.unit(first + round.length);
      round.push(unit);
      bytes += unit.length;
    }
    socket.write(Buffer.concat(round), () => {
      this.bytes += bytes;
      setImmediate(() => {
        this.#send(socket, first + round.length);
      });
    });
  }
}

let attackers: Attacker[] = [];

function report(): FloodReport {
  return {
    cut: attackers.reduce((sum, { connections }) => sum + connections - 1, 0),
    longestMs: Math.max(...attackers.map(({ longestMs }) => longestMs)),
    bytes: attackers.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

setPriority(ATTACKERS_NICENESS);
process.on("message", (order: FloodOrder | null) => {
  if (order === null) {
    process.send?.(report());
    process.disconnect();
    for (const attacker of attackers) attacker.stop();
    return;
  }
  const flood = FLOODS.find(({ name }) => name === order.flood);
  if (flood === undefined) throw new Error(`no flood ${order.flood}`);
  attackers = Array.from({ length: order.attackers }, () => new Attacker(order.port, flood));
  for (const attacker of attackers) attacker.start();
  process.send?.(null);
});
