//! The process of clients that drip their heads or their bodies, or do not read their answers.
//!
//! It is apart from the client whose answers are timed, and gives way to it: what is measured is the
//! proxy, not how busy the slow ones are.

import { connect } from "node:net";
import type { Socket } from "node:net";
import { setPriority } from "node:os";
import { LARGE_PATH } from "../end-to-end/large-body.ts";
import { ATTACKERS_NICENESS } from "./attack-process.ts";

export interface SlowOrder {
  readonly port: number;
  readonly heads: number;
  readonly bodies: number;
  readonly readers: number;
}

export interface SlowReport {
  readonly name: string;
  readonly clients: readonly {
    readonly localPort: number;
    /** From its first byte; null when it has not seen its end. */
    readonly goneAfterMs: number | null;
  }[];
}

const DRIP_EVERY_MS = 1_000;
/** At once; more would overflow the queue of connections that wait to be accepted. */
const OPENING_MAX = 200;

interface SlowKind {
  readonly name: string;
  readonly count: number;
  readonly opening: string;
  /** Sent every second. */
  readonly drip: string;
  /** Whether it takes what is answered. */
  readonly reads: boolean;
}

function kindsOf({ heads, bodies, readers }: SlowOrder): readonly SlowKind[] {
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n`;
  return [
    {
      ...{ name: "slow heads", count: heads, drip: "x", reads: true },
      opening: `${get("/")}x-slow: `,
    },
    {
      ...{ name: "slow bodies", count: bodies, drip: "x", reads: true },
      opening: "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n",
    },
    {
      ...{ name: "slow readers", count: readers, drip: "", reads: false },
      // More than the system's buffers hold.
      opening: `${get(LARGE_PATH)}\r\n`.repeat(6),
    },
  ];
}

/** One that is slow until it is cut off. */
class SlowClient {
  /** From its first byte; null while it is there. */
  goneAfterMs: number | null = null;
  readonly opened: Promise<void>;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, { opening, drip, reads }: SlowKind) {
    const socket = connect(port, "127.0.0.1");
    this.#socket = socket;
    if (reads) socket.resume();
    else socket.pause();
    let startMs = performance.now();
    this.opened = new Promise((done) => {
      socket.once("connect", () => {
        startMs = performance.now();
        socket.write(opening, () => {
          done();
        });
      });
      socket.once("close", () => {
        this.goneAfterMs ??= performance.now() - startMs;
        clearInterval(this.#timer);
        done();
      });
    });
    socket.on("error", () => undefined);
    this.#timer = setInterval(() => {
      if (drip !== "" && socket.writable) socket.write(drip);
    }, DRIP_EVERY_MS);
  }

  /** 0 once it is closed. */
  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}

async function openAll(port: number, kind: SlowKind): Promise<SlowClient[]> {
  const clients: SlowClient[] = [];
  while (clients.length < kind.count) {
    const count = Math.min(OPENING_MAX, kind.count - clients.length);
    const more = Array.from({ length: count }, () => new SlowClient(port, kind));
    await Promise.all(more.map(({ opened }) => opened));
    clients.push(...more);
  }
  return clients;
}

let opened: (readonly [SlowKind, readonly SlowClient[]])[] = [];

function report(): readonly SlowReport[] {
  return opened.map(([{ name }, clients]) => ({
    name,
    clients: clients.map(({ localPort, goneAfterMs }) => ({ localPort, goneAfterMs })),
  }));
}

async function attack(order: SlowOrder): Promise<void> {
  const open = async (kind: SlowKind): Promise<readonly [SlowKind, SlowClient[]]> => [
    kind,
    await openAll(order.port, kind),
  ];
  opened = await Promise.all(kindsOf(order).map(open));
  process.send?.(null);
}

setPriority(ATTACKERS_NICENESS);
process.on("message", (order: SlowOrder | null) => {
  if (order !== null) {
    void attack(order);
    return;
  }
  process.send?.(report());
  process.disconnect();
  for (const [, clients] of opened) for (const client of clients) client.stop();
});
