//! What plug-ins may ask of a connection to an endpoint.

import type { Socket } from "node:net";
import { tlsFactsOf } from "../tls-facts.ts";
import type { TlsFacts, TlsView } from "../tls-facts.ts";

/** As much of it as properties are read of. */
export interface UpstreamView {
  /** Our own end, `address:port`; `""` until it is connected. Known also when it is closed. */
  readonly localAddress: string;
  /** Null: in clear. */
  readonly tls: TlsView | null;
}

export class UpstreamFacts implements UpstreamView {
  localAddress = "";
  readonly #socket: Socket;
  #tls: TlsFacts | null | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Once for each connection, for a socket that is closed has forgotten it. */
  onConnected(): void {
    this.tls?.hold(true);
    const { localAddress, localPort } = this.#socket;
    if (localAddress === undefined || localPort === undefined) return;
    const host = localAddress.includes(":") ? `[${localAddress}]` : localAddress;
    this.localAddress = `${host}:${localPort}`;
  }

  get tls(): TlsFacts | null {
    if (this.#tls === undefined) this.#tls = tlsFactsOf(this.#socket);
    return this.#tls;
  }
}
