//! A client's connection behind network filters, as a stream: what is read from it has passed the
//! filters, and what is written passes them before the client gets it.

import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { CloseType } from "../../wasm/enums.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import type { ListenerNotes } from "../../snapshot/snapshot.ts";
import { ConnectionState } from "../connection-state.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";
import { FilterChain } from "./filter-chain.ts";
import type { NetworkFilter } from "./filter-chain.ts";
import { networkProperty } from "./network-properties.ts";
import type { NetworkUpstream, NetworkView } from "./network-properties.ts";
import { PluginFilter } from "./plugin-filter.ts";
import type { FilteredConnection } from "./plugin-filter.ts";

export interface FilterSettings {
  readonly plugins: readonly PluginSlot[];
  /** What they may hold back in one direction before nothing more is read. */
  readonly bufferBytesMax: number;
  /** HTTP takes no half of a connection: who ends its side has gone. */
  readonly isHttp: boolean;
  readonly node: ProxyNode | undefined;
  readonly notes: ListenerNotes | undefined;
}

export class FilteredSocket extends Duplex implements FilteredConnection, NetworkView {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Shared with HTTP behind the filters. */
  readonly state: ConnectionState = new ConnectionState();
  /** Set when the upstream is known; stays null for HTTP, where each request has its own. */
  upstream: NetworkUpstream | null = null;
  isWithoutCluster = false;
  protocol = "";
  /** Of what has passed the filters: as a socket counts them. */
  bytesRead = 0;
  bytesWritten = 0;
  receivedBytes = 0;
  sentBytes = 0;
  readonly #raw: Socket;
  readonly #settings: FilterSettings;
  readonly #filters: readonly PluginFilter[];
  readonly #chain: FilterChain;
  #isWanted = false;
  #hasClientEnded = false;
  #hasEnded = false;
  #isReadToEnd = false;
  #closeType: CloseType | null = null;
  /** Goes on writing: the client's socket, or a filter, has room again. */
  #onRoom: (() => void) | null = null;

  /** `onOpen`: all filters let it in. False: its bytes wait until `takeBytes`. */
  constructor(raw: Socket, settings: FilterSettings, onOpen: (socket: FilteredSocket) => boolean) {
    // It closes with the client's socket, which has bytes to send when this one has none any more.
    super({ allowHalfOpen: true, autoDestroy: false });
    this.remoteAddress = raw.remoteAddress ?? "";
    this.remotePort = raw.remotePort ?? 0;
    this.localAddress = raw.localAddress ?? "";
    this.localPort = raw.localPort ?? 0;
    this.#raw = raw;
    this.#settings = settings;
    this.#filters = settings.plugins.map((slot) => new PluginFilter(slot, this));
    this.#chain = new FilterChain(this.#filters, {
      onOpen: () => onOpen(this),
      toTerminal: (chunks, endOfStream) => {
        this.#toTerminal(chunks, endOfStream);
      },
      toClient: (chunks, endOfStream) => {
        this.#toClient(chunks, endOfStream);
      },
    });
    this.#listen();
  }

  get id(): number {
    return this.state.id;
  }

  get isHttp(): boolean {
    return this.#settings.isHttp;
  }

  get node(): ProxyNode | undefined {
    return this.#settings.node;
  }

  get notes(): ListenerNotes | undefined {
    return this.#settings.notes;
  }

  /** Asks the filters whether the connection may come in. */
  start(): void {
    this.#chain.start();
    this.#pace();
  }

  /** The terminal takes bytes from now on. */
  takeBytes(): void {
    this.#chain.terminalTakes();
    this.#pace();
  }

  get isOpen(): boolean {
    return this.#chain.isOpen;
  }

  destroySoon(): void {
    this.#closeType ??= CloseType.local;
    this.#chain.close();
    this.#raw.destroySoon();
  }

  /** Cuts it, so that the client sees that something broke. */
  reset(): void {
    this.#closeType ??= CloseType.local;
    this.#chain.close();
    this.#raw.resetAndDestroy();
  }

  // --- for the filters ---

  property(path: readonly string[]): Uint8Array | null {
    return networkProperty(this, path);
  }

  continueBehind(filter: NetworkFilter): void {
    this.#chain.continueBehind(filter);
    this.#pace();
  }

  close(): void {
    this.destroySoon();
  }

  // --- as a stream ---

  override _read(): void {
    this.#isWanted = true;
    this.#pace();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytesWritten += chunk.length;
    this.#chain.write(chunk, false);
    this.#whenThereIsRoom(done);
  }

  override _final(done: () => void): void {
    if (this.#settings.isHttp) this.#toClient([], true);
    else this.#chain.write(Buffer.alloc(0), true);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#closeType ??= CloseType.local;
    this.#raw.destroy();
    this.#release();
    done(error);
  }

  #listen(): void {
    const raw = this.#raw;
    raw.pause();
    raw.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#chain.feed(chunk);
      this.#pace();
    });
    raw.on("drain", () => {
      this.#onRoom?.();
    });
    raw.on("end", () => {
      this.#onClientEnd();
    });
    raw.on("error", () => {
      this.#closeType ??= CloseType.remote;
    });
    raw.on("close", () => {
      this.#onClosed();
    });
  }

  #onClientEnd(): void {
    this.#hasClientEnded = true;
    if (this.#settings.isHttp) {
      this.#closeType ??= CloseType.remote;
      if (this.isOpen) this.#toTerminal([], true);
      else this.#raw.destroy();
      return;
    }
    if (this.#hasEnded) this.#closeType ??= CloseType.remote;
    this.#chain.feedEnd();
    this.#pace();
  }

  #onClosed(): void {
    this.#chain.close();
    const type = this.#closeType ?? CloseType.local;
    for (const filter of this.#filters) filter.onClosed(type);
    this.destroy();
  }

  #toTerminal(chunks: readonly Buffer[], endOfStream: boolean): void {
    if (chunks.length > 0) {
      if (this.isHttp && this.protocol === "") this.protocol = "HTTP/1.1";
      const bytes = joined(chunks);
      this.bytesRead += bytes.length;
      this.#isWanted = this.push(bytes);
    }
    if (!endOfStream || this.#isReadToEnd) return;
    this.#isReadToEnd = true;
    this.push(null);
  }

  #toClient(chunks: readonly Buffer[], endOfStream: boolean): void {
    if (chunks.length > 0) {
      const bytes = joined(chunks);
      this.sentBytes += bytes.length;
      this.#raw.write(bytes);
    }
    if (!endOfStream) return;
    this.#hasEnded = true;
    if (this.#hasClientEnded) this.#closeType ??= CloseType.local;
    this.#raw.end();
  }

  /**
   * Reads on while somebody wants bytes, up to what filters may hold. A TCP proxy wants none before
   * its upstream is there, so that filters before it see none either, as in Envoy.
   */
  #pace(): void {
    const isWanted = this.#isWanted || (this.#settings.isHttp && !this.isOpen);
    if (isWanted && this.#chain.heldDownBytes < this.#settings.bufferBytesMax) this.#raw.resume();
    else this.#raw.pause();
  }

  #whenThereIsRoom(done: () => void): void {
    const hasRoom = (): boolean =>
      !this.#raw.writableNeedDrain && this.#chain.heldUpBytes < this.#settings.bufferBytesMax;
    if (hasRoom()) {
      done();
      return;
    }
    this.#onRoom = (): void => {
      if (!hasRoom()) return;
      this.#onRoom = null;
      done();
    };
  }

  #release(): void {
    const onRoom = this.#onRoom;
    this.#onRoom = null;
    onRoom?.();
  }
}

/** What a filter has put together goes out together. */
function joined(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}
