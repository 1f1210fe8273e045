//! What plug-ins may ask of a connection to an endpoint.

import type { Socket } from "node:net";
import { tlsFactsOf } from "../tls-facts.ts";
import type { TlsFacts } from "../tls-facts.ts";

export class UpstreamFacts {
  /** Our own end, `address:port`; `""` until it is connected. Known also when it is closed. */
  localAddress = "";
  readonly #socket: Socket;
  #tls: TlsFacts | null | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Once for each connection, for a socket that is closed has forgotten it. */
  onConnected(): void {
    const { localAddress, localPort } = this.#socket;
    if (localAddress === undefined || localPort === undefined) return;
    const host = localAddress.includes(":") ? `[${localAddress}]` : localAddress;
    this.localAddress = `${host}:${localPort}`;
  }

  /** Null: in clear. */
  get tls(): TlsFacts | null {
    if (this.#tls === undefined) this.#tls = tlsFactsOf(this.#socket);
    return this.#tls;
  }
}
