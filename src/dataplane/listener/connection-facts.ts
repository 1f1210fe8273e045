//! What plug-ins may ask of the client's connection. Read when asked: most requests never do.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { ConnectionEnds } from "./proxy-header.ts";

export class ConnectionFacts {
  static #lastId = 0;
  readonly #socket: Socket;
  /** What a proxy in front says; null: the connection's own. */
  readonly #ends: ConnectionEnds | null;
  #id = 0;

  constructor(socket: Socket, ends: ConnectionEnds | null) {
    this.#socket = socket;
    this.#ends = ends;
  }

  /** A number of its own in this process. */
  get id(): number {
    if (this.#id === 0) this.#id = ConnectionFacts.#lastId += 1;
    return this.#id;
  }

  get remotePort(): number {
    return (this.#ends ?? this.#socket).remotePort ?? 0;
  }

  get localAddress(): string {
    return (this.#ends ?? this.#socket).localAddress ?? "";
  }

  get localPort(): number {
    return (this.#ends ?? this.#socket).localPort ?? 0;
  }

  get isSecure(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  /** `TLSv1.3`; `""` without TLS. */
  get tlsVersion(): string {
    return this.#socket instanceof TLSSocket ? (this.#socket.getProtocol() ?? "") : "";
  }

  /** The name that the client asked for (SNI). */
  get serverName(): string {
    const name = this.#socket instanceof TLSSocket ? this.#socket.servername : null;
    return typeof name === "string" ? name : "";
  }
}
