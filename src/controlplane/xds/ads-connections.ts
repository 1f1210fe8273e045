//! The connections of Envoys, which gRPC speaks over: who stalls on one is cut off.

import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Outbox } from "./outbox.ts";
import { StallWatch } from "./stall-watch.ts";
import type { StallReason, Watched } from "./stall-watch.ts";

export interface ConnectionsOptions {
  readonly clock: Clock;
  /** More than these are closed at once. */
  readonly connectionsMax: number;
  readonly onConnection: (socket: Socket) => void;
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
    this.#options.onConnection(socket);
  }
}
