//! What a listener knows of its connections, whatever protocol they speak.

import type { Socket } from "node:net";
import type { HttpCodec } from "../../snapshot/snapshot.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import type { ConnectionState } from "../connection-state.ts";
import type { TrafficContext } from "../context.ts";
import type { ExchangeHandler } from "../exchange/handler.ts";
import type { ClientNamesReader } from "./client-names.ts";
import type { ConnectionEnds } from "./proxy-header.ts";

/** Makes the role object for one request. It holds the runtime that the exchange began with. */
export type HandlerFactory = () => ExchangeHandler;

export interface ClientConnection {
  /**
   * Finishes what runs, then closes: for a worker that is going away. `isPatient`: one on which
   * nothing runs has as long as it has had.
   */
  drain(isPatient?: boolean): void;
  /** Cuts it now. */
  destroy(): void;
}

/** What a connection gets from its listener. */
export interface ConnectionParts {
  readonly context: TrafficContext;
  readonly makeHandler: HandlerFactory;
  readonly tlsServer: TlsServer | null;
  readonly clientNames: ClientNamesReader;
  /** What a proxy in front says of the client (PROXY protocol); null: the socket's own. */
  readonly ends: ConnectionEnds | null;
  /**
   * `http2`: who does not begin with HTTP/2's preface is sent away; `http1`: that preface is a bad
   * request. Undefined: both are spoken.
   */
  readonly codec?: HttpCodec | undefined;
  /** What network filters before HTTP share with it; absent: there are none. */
  readonly state?: ConnectionState;
  readonly onClosed: (connection: ClientConnection) => void;
  /** The client speaks HTTP/2: `bytes` have been read, and nobody listens to the socket. */
  readonly onHttp2: (connection: ClientConnection, socket: Socket, bytes: Buffer) => void;
}
