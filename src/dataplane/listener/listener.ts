//! An address that we accept on, with the connections that came in there.

import { createServer } from "node:net";
import type { Server } from "node:net";
import type { TrafficContext } from "../context.ts";
import { DownstreamConnection } from "./downstream-connection.ts";
import type { HandlerFactory } from "./downstream-connection.ts";

/** Open client connections per listener and worker; more are closed at once and counted. */
export const CONNECTIONS_PER_LISTENER_MAX = 20_000;
const LISTEN_BACKLOG = 4_096;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Why an address could not be listened on, as the system says it (`EADDRINUSE`). */
export interface ListenFailure {
  readonly code: string;
  readonly address: ListenAddress;
}

export class TrafficListener {
  readonly address: ListenAddress;
  /** Connections refused because the listener was full. */
  refusedCount = 0;
  /** Connections that the system could not hand over. */
  failedCount = 0;
  readonly #server: Server;
  readonly #connections = new Set<DownstreamConnection>();
  #isDraining = false;

  constructor(address: ListenAddress, context: TrafficContext, makeHandler: HandlerFactory) {
    this.address = address;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (this.#connections.size >= CONNECTIONS_PER_LISTENER_MAX) {
        this.refusedCount += 1;
        socket.destroy();
        return;
      }
      context.observer.onConnection(1);
      const connection = new DownstreamConnection(socket, context, makeHandler, (closed) => {
        context.observer.onConnection(-1);
        this.#connections.delete(closed);
      });
      this.#connections.add(connection);
      if (this.#isDraining) connection.drain();
    });
    // Out of file descriptors, for example: what cannot be accepted now is accepted later.
    this.#server.on("error", () => {
      this.failedCount += 1;
    });
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** The port in use, which the system chose when 0 was asked for. */
  get port(): number {
    const bound = this.#server.address();
    return bound === null || typeof bound === "string" ? this.address.port : bound.port;
  }

  /** Null when it listens. */
  open(): Promise<ListenFailure | null> {
    const { host, port } = this.address;
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        resolve({ code: error.code ?? error.message, address: this.address });
      };
      this.#server.once("error", onError);
      this.#server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
        this.#server.removeListener("error", onError);
        resolve(null);
      });
    });
  }

  /** Accepts nothing new and lets every running exchange end. Resolves when all have. */
  drain(): Promise<void> {
    this.#isDraining = true;
    for (const connection of this.#connections) connection.drain();
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  /** Cuts everything now. */
  close(): void {
    this.#server.close();
    for (const connection of [...this.#connections]) connection.destroy();
  }
}
