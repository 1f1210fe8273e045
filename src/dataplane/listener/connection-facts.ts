//! What plug-ins may ask of the client's connection. Read when asked: most requests never do.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { tlsFactsOf } from "../tls-facts.ts";
import type { TlsFacts, TlsView } from "../tls-facts.ts";
import { ConnectionState } from "../connection-state.ts";
import type { ConnectionEnds } from "./proxy-header.ts";

/** As much of it as properties are read of. */
export interface ConnectionView {
  readonly localAddress: string;
  readonly localPort: number;
  /** A number of its own in this process. */
  readonly id: number;
  /** Absent: nothing outlasts an exchange. */
  readonly state?: ConnectionState;
  readonly remotePort: number;
  /** Null: in clear. */
  readonly tls: TlsView | null;
  /** The name that the client asked for (SNI). */
  readonly serverName: string;
}

export class ConnectionFacts implements ConnectionView {
  /** Kept: a socket that is closed has forgotten its own end. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly #socket: Socket;
  /** What a proxy in front says; null: the connection's own. */
  readonly #ends: ConnectionEnds | null;
  #state: ConnectionState | null;
  #tls: TlsFacts | null | undefined;

  constructor(
    socket: Socket,
    { ends, state }: { readonly ends: ConnectionEnds | null; readonly state?: ConnectionState },
  ) {
    this.#socket = socket;
    this.#ends = ends;
    this.#state = state ?? null;
    const { localAddress, localPort } = ends ?? socket;
    this.localAddress = localAddress ?? "";
    this.localPort = localPort ?? 0;
  }

  get id(): number {
    return this.state.id;
  }

  get state(): ConnectionState {
    return (this.#state ??= new ConnectionState());
  }

  get remotePort(): number {
    return (this.#ends ?? this.#socket).remotePort ?? 0;
  }

  get tls(): TlsFacts | null {
    if (this.#tls === undefined) this.#tls = tlsFactsOf(this.#socket);
    return this.#tls;
  }

  /** What its TLS is stays known when it is closed. */
  holdTls(withOwn: boolean): void {
    this.tls?.hold(withOwn);
  }

  get serverName(): string {
    const name = this.#socket instanceof TLSSocket ? this.#socket.servername : null;
    return typeof name === "string" ? name : "";
  }
}
