//! An address that we accept on, with the connections that came in there.

import { createServer, Socket } from "node:net";
import type { Server } from "node:net";
import { createServer as createTlsServer, Server as TlsListener, TLSSocket } from "node:tls";
import type { SecureContext } from "node:tls";
import type { TrafficContext } from "../context.ts";
import type { OverloadGuard } from "../overload.ts";
import type { ClientConnection, ConnectionParts, HandlerFactory } from "./client-connection.ts";
import { clientNamesReader } from "./client-names.ts";
import { DownstreamConnection } from "./downstream-connection.ts";
import type { EvenShare } from "./even-share.ts";
import { handshakeFault, NO_SUCH_NAME, NOT_KNOWN } from "./handshake-fault.ts";
import { Http2Connection } from "./http2-connection.ts";
import { NetworkConnection } from "../network/network-connection.ts";
import type { NetworkRuntime } from "../network/network-connection.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";
import type { HttpCodec } from "../../snapshot/snapshot.ts";
import type { TlsServer } from "../../snapshot/tls.ts";
import { ProxiedSocket } from "./proxied-socket.ts";
import type { ConnectionEnds } from "./proxy-header.ts";
import { SharedPort } from "./shared-port.ts";
import type { TlsContexts } from "./tls-contexts.ts";

/** Open client connections where no guard says how many; more are closed at once and counted. */
export const CONNECTIONS_PER_LISTENER_MAX = 20_000;
const LISTEN_BACKLOG = 4_096;
/** A client has this long to finish its TLS handshake. */
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** ALPN: what is spoken here. A client that offers only other protocols is refused. */
const TLS_PROTOCOLS: readonly string[] = ["h2", "http/1.1"];

/** `tlsServer` is the one whose certificate was shown. */
type Accept = (socket: Socket, tlsServer?: TlsServer) => void;

const PLAIN_OPTIONS = { allowHalfOpen: true, noDelay: true } as const;

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
  /** Connections that the system could not hand over. */
  failedCount = 0;
  readonly #server: Server | TlsListener;
  readonly #connections = new Set<ClientConnection>();
  #isDraining = false;
  #isPatient = false;
  #tls: TlsContexts | null;
  #network: () => NetworkRuntime | null = () => null;
  #codec: () => HttpCodec | undefined = () => undefined;
  #proxyProtocol: () => EdgeSettings["proxyProtocol"] = () => undefined;
  /** What PROXY headers said, by the client's own socket. */
  readonly #ends = new WeakMap<Socket, ConnectionEnds>();
  readonly #share: EvenShare | undefined;
  #sharedPort: SharedPort | null = null;
  /** Takes the port out of the share. */
  #unshare: () => void = () => undefined;

  constructor(
    address: ListenAddress,
    context: TrafficContext,
    makeHandler: HandlerFactory,
    tls: TlsContexts | null = null,
  ) {
    this.address = address;
    this.#tls = tls;
    const { overload, share } = context;
    this.#share = share;
    const common = {
      context,
      makeHandler,
      onClosed: (closed: ClientConnection): void => {
        context.observer.onConnection(-1);
        if (overload !== undefined) overload.connectionCount -= 1;
        this.#connections.delete(closed);
      },
    };
    const accept: Accept = (socket, tlsServer) => {
      const waits = socket.isPaused();
      const refusal = this.#refusal(overload);
      if (refusal !== null) {
        context.observer.onRefusedConnection(refusal);
        socket.destroy();
        return;
      }
      if (overload !== undefined) overload.connectionCount += 1;
      context.observer.onConnection(1);
      const parts: ConnectionParts = {
        ...common,
        tlsServer: tlsServer ?? null,
        clientNames: clientNamesReader(socket, tlsServer ?? null),
        ends: this.#endsOf(socket),
        codec: this.#codec(),
        onHttp2: (before, taken, bytes) => {
          this.#connections.delete(before);
          taken.unshift(bytes);
          this.#add(new Http2Connection(taken, parts));
        },
      };
      const network = this.#network();
      if (network !== null) {
        this.#add(new NetworkConnection(socket, parts, network));
        return;
      }
      const isHttp2 = "alpnProtocol" in socket && socket.alpnProtocol === "h2";
      this.#add(
        isHttp2 ? new Http2Connection(socket, parts) : new DownstreamConnection(socket, parts),
      );
      // Its PROXY header has been read, and the rest waits.
      if (waits) socket.resume();
    };
    this.#server =
      tls === null ? createServer(PLAIN_OPTIONS, accept) : this.#secure(tls, accept, context);
    this.#readProxyHeaders(common);
    if (share !== undefined) {
      this.#server.on("connection", (socket: Socket) => {
        socket.once("close", () => {
          share.onClose();
        });
        share.onAccept();
      });
    }
    // Out of file descriptors, for example: what cannot be accepted now is accepted later.
    this.#server.on("error", () => {
      this.failedCount += 1;
    });
  }

  #refusal(overload: OverloadGuard | undefined): "overflow" | "overload" | null {
    if (overload !== undefined) return overload.refusesConnection();
    return this.#connections.size >= CONNECTIONS_PER_LISTENER_MAX ? "overflow" : null;
  }

  #add(connection: ClientConnection): void {
    this.#connections.add(connection);
    if (this.#isDraining) connection.drain(this.#isPatient);
  }

  /** Asked at each new connection which filters see its bytes before anybody else. */
  setNetwork(network: () => NetworkRuntime | null): void {
    this.#network = network;
  }

  /** Asked at each new connection which version of HTTP is spoken; undefined: both are. */
  setCodec(codec: () => HttpCodec | undefined): void {
    this.#codec = codec;
  }

  /** Asked at each new connection whether it begins with a header of the PROXY protocol. */
  setProxyProtocol(proxyProtocol: () => EdgeSettings["proxyProtocol"]): void {
    this.#proxyProtocol = proxyProtocol;
  }

  /** Before whoever takes the connection: TLS, or HTTP. */
  #readProxyHeaders({ context, onClosed }: Pick<ConnectionParts, "context" | "onClosed">): void {
    const { overload, observer } = context;
    const takers = this.#server.listeners("connection");
    const take = (socket: Socket): void => {
      for (const taker of takers) Reflect.apply(taker, this.#server, [socket]);
    };
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (socket: Socket) => {
      const mode = this.#proxyProtocol();
      const refusal = mode === undefined ? null : this.#refusal(overload);
      if (mode === undefined || refusal !== null) {
        // Who takes it refuses it, too.
        take(socket);
        return;
      }
      if (overload !== undefined) overload.connectionCount += 1;
      observer.onConnection(1);
      this.#add(
        new ProxiedSocket(socket, {
          context,
          isOptional: mode === "allowed",
          onDone: onClosed,
          onHeader: (ends) => {
            if (ends !== null) this.#ends.set(socket, ends);
            take(socket);
          },
        }),
      );
    });
  }

  #endsOf(socket: Socket): ConnectionEnds | null {
    const raw = rawOf(socket);
    return (raw === null ? undefined : this.#ends.get(raw)) ?? null;
  }

  /** `tls` from now on, for new connections. Those that are open keep theirs. */
  setTls(tls: TlsContexts): void {
    this.#tls = tls;
    if (this.#server instanceof TlsListener) this.#server.setSecureContext(tls.withoutName());
  }

  /** What cannot be changed while it listens: plain, TLS, or TLS that asks for certificates. */
  static kindOf(tls: TlsContexts | null): "plain" | "tls" | "mutual" {
    if (tls === null) return "plain";
    return tls.asksClients ? "mutual" : "tls";
  }

  get kind(): "plain" | "tls" | "mutual" {
    return TrafficListener.kindOf(this.#tls);
  }

  #secure(tls: TlsContexts, accept: Accept, context: TrafficContext): TlsListener {
    const refuse = (socket: Socket, why: string): void => {
      this.failedCount += 1;
      const detail = `${socket.remoteAddress ?? "a client"}: ${why}`;
      context.observer.onRefusedConnection("tls_handshake", detail);
      socket.destroy();
    };
    const options = {
      ...PLAIN_OPTIONS,
      ...tls.withoutName(),
      handshakeTimeout: context.handshakeMs ?? TLS_HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: [...TLS_PROTOCOLS],
      requestCert: tls.asksClients,
      // Asked of each server name apart, below.
      rejectUnauthorized: false,
      SNICallback: (
        name: string,
        answer: (error: Error | null, context?: SecureContext) => void,
      ) => {
        const choice = this.#tls?.choose(name) ?? null;
        if (choice === null) answer(new Error(NO_SUCH_NAME));
        else answer(null, choice.context);
      },
    };
    const server = createTlsServer(options, (socket: TLSSocket) => {
      const choice = this.#tls?.choose(nameOf(socket)) ?? null;
      if (choice !== null && isKnown(socket, choice.server)) {
        accept(socket, choice.server);
        return;
      }
      refuse(socket, choice === null ? NO_SUCH_NAME : NOT_KNOWN);
    });
    server.on("tlsClientError", (error, socket) => {
      const why = handshakeFault(error, rawOf(socket));
      if (why !== null) {
        refuse(socket, why);
        return;
      }
      this.failedCount += 1;
      socket.destroy();
    });
    return server;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** The port in use, which the system chose when 0 was asked for. */
  get port(): number {
    const bound = this.#server.address();
    return bound === null || typeof bound === "string" ? this.address.port : bound.port;
  }

  /** What it accepts with; null while it does not. */
  get handle(): object | null {
    if (this.#sharedPort !== null) return this.#sharedPort.anyHandle;
    const handle: unknown = Reflect.get(this.#server, "_handle");
    return typeof handle === "object" ? handle : null;
  }

  /** Null when it listens. `inherited`: what to accept with, of a socket that listens already. */
  open(inherited: object | null = null): Promise<ListenFailure | null> {
    const { host, port } = this.address;
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        resolve({ code: error.code ?? error.message, address: this.address });
      };
      this.#server.once("error", onError);
      const onListening = (): void => {
        this.#server.removeListener("error", onError);
        if (this.#share !== undefined) {
          this.#sharedPort = new SharedPort(this.#server, LISTEN_BACKLOG);
          this.#unshare = this.#share.add(this.#sharedPort);
        }
        resolve(null);
      };
      if (inherited !== null) this.#server.listen(inherited, LISTEN_BACKLOG, onListening);
      else this.#server.listen({ host, port, backlog: LISTEN_BACKLOG }, onListening);
    });
  }

  /**
   * Accepts nothing new and lets every running exchange end. Resolves when all have. `isPatient`:
   * idle connections may be asked once more for as long as any idle one.
   */
  drain(isPatient = false): Promise<void> {
    this.#isDraining = true;
    this.#isPatient = isPatient;
    for (const connection of this.#connections) connection.drain(isPatient);
    this.#unshare();
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  /** Cuts everything now. */
  close(): void {
    this.#unshare();
    this.#server.close();
    for (const connection of [...this.#connections]) connection.destroy();
  }
}

/** TLS has another socket around the client's. */
function rawOf(socket: Socket): Socket | null {
  const raw: unknown = socket instanceof TLSSocket ? Reflect.get(socket, "_parent") : socket;
  return raw instanceof Socket ? raw : null;
}

/** The server name that the client asked for; `""` without one. */
function nameOf(socket: TLSSocket): string {
  const name: unknown = socket.servername;
  return typeof name === "string" ? name : "";
}

/** A resumed session without a certificate counts as authorized in Node: so look at both. */
function isKnown(socket: TLSSocket, { clientCa }: TlsServer): boolean {
  if (clientCa === "") return true;
  return socket.authorized && socket.getPeerX509Certificate() !== undefined;
}
