//! A Wasm plug-in as a network filter, and what it sees of its connection.

import type { BodyBuffer } from "../../wasm/body-buffer.ts";
import type { ConnectionContext } from "../../wasm/connection-context.ts";
import type { DeclaredProperty, PropertyType } from "../../wasm/declared-properties.ts";
import { CloseType, ConnectionAction, LifeSpan, StreamKind } from "../../wasm/enums.ts";
import type { Status } from "../../wasm/enums.ts";
import type { HeaderMap, StreamHost } from "../../wasm/stream-host.ts";
import type { ConnectionState } from "../connection-state.ts";
import { objectName, storedName, storedType } from "../filter/filter-state.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import type { NetworkFilter } from "./filter-chain.ts";

/** The connection as its filters see it. */
export interface FilteredConnection {
  readonly state: ConnectionState;
  /** Of the connection itself; null when it is unknown. */
  property(path: readonly string[]): Uint8Array | null;
  continueBehind(filter: NetworkFilter): void;
  /** Writes what is on its way to the client, and closes. */
  close(): void;
}

export class PluginFilter implements NetworkFilter, StreamHost {
  readonly explaining = false;
  readonly #slot: PluginSlot;
  readonly #connection: FilteredConnection;
  #context: ConnectionContext | null = null;
  #isHolding = false;

  constructor(slot: PluginSlot, connection: FilteredConnection) {
    this.#slot = slot;
    this.#connection = connection;
  }

  // --- as a filter ---

  onNewConnection(): boolean {
    this.#context = this.#slot.instance?.createConnection(this) ?? null;
    if (this.#context === null) return this.#fail();
    return this.#answer(this.#context.onNewConnection());
  }

  onData(data: BodyBuffer, endOfStream: boolean): boolean {
    return (
      this.#context === null || this.#answer(this.#context.onDownstreamData(data, endOfStream))
    );
  }

  onWrite(data: BodyBuffer, endOfStream: boolean): boolean {
    const context = this.#context;
    if (context === null) return true;
    const goesOn = this.#answer(context.onUpstreamData(data, endOfStream));
    // As in Envoy, which tells the end of the upstream's bytes as its close.
    if (endOfStream) context.onUpstreamClose(CloseType.unknown);
    return goesOn;
  }

  /** The client's connection is closed: the context ends. */
  onClosed(type: CloseType): void {
    const context = this.#context;
    this.#context = null;
    context?.onDownstreamClose(type);
    // The other way round than for an exchange, as in Envoy.
    context?.onDone();
    context?.onLog();
    context?.delete();
  }

  #answer(action: ConnectionAction): boolean {
    if (action === ConnectionAction.trapped) return this.#fail();
    this.#isHolding = action === ConnectionAction.stop;
    return !this.#isHolding;
  }

  /** The plug-in cannot run. */
  #fail(): boolean {
    if (this.#slot.plugin.failMode === "open") return true;
    this.#connection.close();
    return false;
  }

  // --- for the plug-in ---

  property(path: readonly string[]): Uint8Array | null {
    const name = storedName(path);
    const set = name === null ? undefined : this.#connection.state.stored(name);
    return set ?? this.#connection.property(path);
  }

  /** Whatever the life span, there is only the connection's. */
  setProperty(name: string, value: Uint8Array, declared: DeclaredProperty): Status {
    const kept = { ...declared, lifeSpan: LifeSpan.connection };
    return this.#connection.state.filterState.setProperty(name, value, kept);
  }

  propertyType(path: readonly string[]): PropertyType {
    return storedType(this.#connection.state.filterState, path);
  }

  setFilterState(key: string, value: Uint8Array): Status {
    const { filterState } = this.#connection.state;
    return filterState.setObject(objectName(key), value, LifeSpan.connection);
  }

  continueStream(kind: StreamKind): void {
    if (kind !== StreamKind.downstream) return;
    this.#isHolding = false;
    this.#connection.continueBehind(this);
  }

  closeStream(kind: StreamKind): void {
    if (kind === StreamKind.downstream || kind === StreamKind.upstream) this.#connection.close();
  }

  onVmTrap(): void {
    if (this.#fail() && this.#isHolding) this.continueStream(StreamKind.downstream);
  }

  headerMap(): HeaderMap | null {
    return null;
  }

  createTrailers(): HeaderMap | null {
    return null;
  }

  clearRouteCache(): void {
    // There is no route.
  }

  sendLocalResponse(): void {
    // There is no request to answer: nothing is sent, as in Envoy.
  }
}
