//! A client's connection to a listener with network filters: the filters, and behind them HTTP or a
//! TCP proxy.

import type { Socket } from "node:net";
import type { ClientConnection, ConnectionParts } from "../listener/client-connection.ts";
import { DownstreamConnection } from "../listener/downstream-connection.ts";
import { Http2Connection } from "../listener/http2-connection.ts";
import { TCP_CLUSTER_OBJECT } from "../../wasm/envoy-objects.ts";
import { utf8 } from "../../wasm/field-text.ts";
import { objectName } from "../filter/filter-state.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import { TUNNEL_IDLE_TIMEOUT_MS } from "../deadlines.ts";
import type { Expirable } from "../deadlines.ts";
import type { ListenerNotes } from "../../snapshot/snapshot.ts";
import { FilteredSocket } from "./filtered-socket.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import type { TcpTarget } from "./tcp-proxy.ts";

/** The filters of a listener, made ready. */
export interface NetworkRuntime {
  readonly plugins: readonly PluginSlot[];
  readonly bufferBytesMax: number;
  /** Null: HTTP. */
  readonly target: TcpTarget | null;
  /** Another cluster in its place, for as long as the first; null: there is no such cluster. */
  readonly targetOf: (cluster: string) => TcpTarget | null;
  readonly notes: ListenerNotes | undefined;
}

export class NetworkConnection implements ClientConnection, Expirable {
  /** For filters to let it in. */
  readonly deadlineMs: number;
  readonly #parts: ConnectionParts;
  readonly #network: NetworkRuntime;
  readonly #socket: FilteredSocket;
  #http: ClientConnection | null = null;
  #isDraining = false;

  constructor(raw: Socket, parts: ConnectionParts, network: NetworkRuntime) {
    const { sweeper } = parts.context;
    this.#parts = parts;
    this.#network = network;
    this.deadlineMs = sweeper.after(TUNNEL_IDLE_TIMEOUT_MS);
    sweeper.add(this);
    const { plugins, bufferBytesMax, target, notes } = network;
    const { node } = parts.context;
    const settings = { plugins, bufferBytesMax, isHttp: target === null, node, notes };
    this.#socket = new FilteredSocket(raw, settings, (socket) => this.#open(socket));
    this.#socket.on("close", () => {
      sweeper.remove(this);
      this.#http?.destroy();
      parts.onClosed(this);
    });
    this.#socket.start();
  }

  /** HTTP ends its exchange; bytes of other protocols say nowhere where they could be cut. */
  drain(isPatient?: boolean): void {
    this.#isDraining = true;
    if (this.#http !== null) this.#http.drain(isPatient);
    else if (!this.#socket.isOpen) this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onDeadline(): void {
    this.destroy();
  }

  #open(socket: FilteredSocket): boolean {
    const { context } = this.#parts;
    context.sweeper.remove(this);
    const { target } = this.#network;
    if (target !== null) {
      new TcpProxy(context, socket, this.#wishedTarget(target)).start();
      return false;
    }
    this.#http = new DownstreamConnection(socket as unknown as Socket, {
      ...this.#parts,
      state: socket.state,
      // Told when the client's own connection is closed.
      onClosed: () => undefined,
      onHttp2: (_before, taken, bytes) => {
        taken.unshift(bytes);
        this.#openHttp2(socket);
      },
    });
    if (this.#isDraining) this.#http.drain();
    return true;
  }

  /** A plug-in may have chosen another cluster. Null: one that is not there. */
  #wishedTarget(target: TcpTarget): TcpTarget | null {
    const wish = this.#socket.state.stored(objectName(TCP_CLUSTER_OBJECT));
    return wish === undefined ? target : this.#network.targetOf(utf8(wish));
  }

  #openHttp2(socket: FilteredSocket): void {
    const parts = { ...this.#parts, state: socket.state, onClosed: () => undefined };
    this.#http = new Http2Connection(socket as unknown as Socket, parts);
    socket.protocol = "HTTP/2";
    if (this.#isDraining) this.#http.drain();
  }
}
