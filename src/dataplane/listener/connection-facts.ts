//! What plug-ins may ask of the client's connection. Read when asked: most requests never do.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { tlsFactsOf } from "../tls-facts.ts";
import type { TlsFacts, TlsView } from "../tls-facts.ts";
import type { ConnectionEnds } from "./proxy-header.ts";

/** As much of it as properties are read of. */
export interface ConnectionView {
  readonly localAddress: string;
  readonly localPort: number;
  /** A number of its own in this process. */
  readonly id: number;
  readonly remotePort: number;
  /** Null: in clear. */
  readonly tls: TlsView | null;
  /** The name that the client asked for (SNI). */
  readonly serverName: string;
}

export class ConnectionFacts implements ConnectionView {
  static #lastId = 0;
  /** Kept: a socket that is closed has forgotten its own end. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly #socket: Socket;
  /** What a proxy in front says; null: the connection's own. */
  readonly #ends: ConnectionEnds | null;
  #id = 0;
  #tls: TlsFacts | null | undefined;

  constructor(socket: Socket, ends: ConnectionEnds | null) {
    this.#socket = socket;
    this.#ends = ends;
    const { localAddress, localPort } = ends ?? socket;
    this.localAddress = localAddress ?? "";
    this.localPort = localPort ?? 0;
  }

  get id(): number {
    if (this.#id === 0) this.#id = ConnectionFacts.#lastId += 1;
    return this.#id;
  }

  get remotePort(): number {
    return (this.#ends ?? this.#socket).remotePort ?? 0;
  }

  get tls(): TlsFacts | null {
    if (this.#tls === undefined) this.#tls = tlsFactsOf(this.#socket);
    return this.#tls;
  }

  get serverName(): string {
    const name = this.#socket instanceof TLSSocket ? this.#socket.servername : null;
    return typeof name === "string" ? name : "";
  }
}
