//! What an exchange needs of its client: the seam between it and the codecs of HTTP/1.1 and HTTP/2.

import type { Headers } from "../../http/headers.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import type { TrafficContext } from "../context.ts";
import type { BodyTaker } from "../upstream/upstream.ts";
import type { ClientNamesReader } from "../listener/client-names.ts";
import type { ConnectionFacts } from "../listener/connection-facts.ts";
import type { BodyFraming } from "./response-framing.ts";
import type { TunnelEnd, TunnelSink } from "./tunnel.ts";

/** A connection of HTTP/1.1, or one stream of HTTP/2. */
export interface Downstream {
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly localPort: number;
  /** The client speaks TLS. */
  readonly isSecure: boolean;
  /** Set when the listener has several: the hosts that this connection may ask for. */
  readonly tlsServer: TlsServer | null;
  /** Who the client is by its certificate. */
  readonly clientNames: ClientNamesReader;
  readonly facts: ConnectionFacts;
  readonly isDraining: boolean;
  /** Null where protocols cannot be switched. */
  readonly switchable: SwitchableEnd | null;
  /** Of responses: handed over, and not yet taken by the client's system. */
  readonly unsentBytes: number;
  /** `onFull`: the client takes no more until `onDownstreamDrain`. */
  makeWriter(onFull: () => void): ResponseWriter;
  pauseReading(): void;
  resumeReading(): void;
  /** The response has been handed over whole. */
  onExchangeEnd(keepAlive: boolean): void;
  /** Breaks off, so that the client cannot take what it has for the whole. */
  destroy(): void;
}

export interface SwitchableEnd extends TunnelEnd {
  writeText(text: string): boolean;
  /** The exchange has written a 101: from here on the bytes are `sink`'s. */
  enterTunnel(sink: TunnelSink): void;
}

/** Writes interim responses and one final response in the client's protocol. */
export interface ResponseWriter extends BodyTaker {
  /** Of bodies, without their framing. */
  bodyBytes: number;
  /** It is no progress of the exchange: no deadline moves. */
  interim(status: number, reason: string, headers: Headers): void;
  head(response: FinalHead): void;
  body(chunk: Buffer): void;
  end(trailers: Headers | null): void;
  /** All that one read of the upstream brought has been written. */
  flush(): void;
  /** What is not written yet is not written any more. */
  drop(): void;
}

export interface FinalHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
  readonly framing: BodyFraming;
}
