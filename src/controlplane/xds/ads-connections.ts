//! The connections of Envoys. Over most speaks gRPC: who stalls on one is cut off. Over the others
//! modules are fetched.

import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Outbox } from "./outbox.ts";
import { StallWatch } from "./stall-watch.ts";
import type { StallReason, Watched } from "./stall-watch.ts";

/** What HTTP/2, and so gRPC, begins with (RFC 9113, 3.4); no method of HTTP/1.1 is `PRI`. */
const PREFACE = Buffer.from("PRI ");

export interface ConnectionsOptions {
  readonly clock: Clock;
  /** More than these are closed at once. */
  readonly connectionsMax: number;
  readonly onConnection: (socket: Socket) => void;
  /** It does not begin as gRPC does. */
  readonly onPlain: (socket: Socket) => void;
  /** Called before the connection is cut. */
  readonly onStall: (peer: string, reason: StallReason) => void;
  /** So many have been open already. */
  readonly onFull: () => void;
}

export class AdsConnections {
  readonly #options: ConnectionsOptions;
  readonly #watch: StallWatch;
  /** Of the streams of each connection, by the peer's `address:port`, as gRPC names it. */
  readonly #outboxes = new Map<string, Set<Outbox>>();
  #server: Server | null = null;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#watch = new StallWatch(options.clock);
  }

  /** Resolves to the port; rejects when it cannot be had. */
  listen(host: string, port: number): Promise<number> {
    const server = createServer((socket) => {
      this.#accept(socket);
    });
    server.maxConnections = this.#options.connectionsMax;
    server.on("drop", this.#options.onFull);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        this.#server = server;
        const address = server.address();
        resolve(typeof address === "object" ? (address?.port ?? port) : port);
      });
    });
  }

  /** Accepts no more; what is open stays so. */
  close(): void {
    this.#server?.close();
    this.#server = null;
  }

  /** What is to be sent to that peer. */
  addOutbox(peer: string, outbox: Outbox): void {
    this.#outboxes.get(peer)?.add(outbox);
  }

  removeOutbox(peer: string, outbox: Outbox): void {
    this.#outboxes.get(peer)?.delete(outbox);
  }

  #accept(socket: Socket): void {
    const peer = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
    const outboxes = new Set<Outbox>();
    this.#outboxes.set(peer, outboxes);
    const watched: Watched = {
      bytesRead: () => socket.bytesRead,
      bytesWritten: () => socket.bytesWritten,
      unsentBytes: () => [...outboxes].reduce((sum, { unsentBytes }) => sum + unsentBytes, 0),
      cut: (reason) => {
        this.#options.onStall(peer, reason);
        socket.destroy();
      },
    };
    this.#watch.add(watched);
    socket.once("close", () => {
      this.#watch.remove(watched);
      if (this.#outboxes.get(peer) === outboxes) this.#outboxes.delete(peer);
    });
    socket.on("error", () => {
      // It is over, which "close" says.
    });
    untilBegun(socket, (isGrpc) => {
      if (isGrpc) {
        this.#options.onConnection(socket);
        return;
      }
      this.#watch.remove(watched);
      this.#options.onPlain(socket);
    });
  }
}

/** Reads as much as tells what it speaks, and puts it back. */
function untilBegun(socket: Socket, begun: (isGrpc: boolean) => void): void {
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    socket.unshift(chunk);
    const length = Math.min(chunk.length, PREFACE.length);
    const isGrpc = chunk.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (isGrpc && length < PREFACE.length) return;
    socket.off("readable", look);
    begun(isGrpc);
  };
  socket.on("readable", look);
}
