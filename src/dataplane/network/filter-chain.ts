//! The network filters of one connection, in Envoy's order and with its rules: bytes that a filter
//! holds back stay in the one buffer of their direction, and all filters, from the first one on,
//! are shown them again together with the next ones.

import { BodyBuffer } from "../../wasm/body-buffer.ts";

/** Answers true to go on with the next filter, false to stop here. */
export interface NetworkFilter {
  onNewConnection(): boolean;
  /** Bytes of the client. */
  onData(data: BodyBuffer, endOfStream: boolean): boolean;
  /** Bytes to the client. */
  onWrite(data: BodyBuffer, endOfStream: boolean): boolean;
}

/** What is at the two ends of the filters. */
export interface ChainEnds {
  /** Every filter has let the connection in. False: bytes must wait for `terminalTakes`. */
  onOpen(): boolean;
  toTerminal(chunks: readonly Buffer[], endOfStream: boolean): void;
  toClient(chunks: readonly Buffer[], endOfStream: boolean): void;
}

export class FilterChain {
  readonly #filters: readonly NetworkFilter[];
  readonly #ends: ChainEnds;
  readonly #down = new BodyBuffer();
  readonly #up = new BodyBuffer();
  /** Filters that have been told of the connection: the first ones. */
  #toldCount = 0;
  #isOpen = false;
  #takes = false;
  #hasEnded = false;
  #isClosed = false;

  constructor(filters: readonly NetworkFilter[], ends: ChainEnds) {
    this.#filters = filters;
    this.#ends = ends;
  }

  /** Bytes of the client that wait. */
  get heldDownBytes(): number {
    return this.#down.size;
  }

  /** Bytes to the client that wait. */
  get heldUpBytes(): number {
    return this.#up.size;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  start(): void {
    this.#read(0);
  }

  /** `chunk` is copied. */
  feed(chunk: Buffer): void {
    this.#down.append(new BodyBuffer(chunk));
    this.#read(0);
  }

  /** The client has ended its side. */
  feedEnd(): void {
    this.#hasEnded = true;
    this.#read(0);
  }

  /** What waits goes on behind this filter, whatever it answers now. */
  continueBehind(filter: NetworkFilter): void {
    this.#read(this.#filters.indexOf(filter) + 1);
  }

  terminalTakes(): void {
    this.#takes = true;
    if (this.#hasData) this.#read(0);
  }

  /** From the terminal to the client: the last filter is the first to see it. */
  write(chunk: Buffer, endOfStream: boolean): void {
    this.#up.append(new BodyBuffer(chunk));
    for (const filter of [...this.#filters].reverse()) {
      if (this.#isClosed || !filter.onWrite(this.#up, endOfStream)) return;
    }
    if (!this.#isClosed) this.#ends.toClient(this.#up.take(), endOfStream);
  }

  /** Nothing goes through any more. */
  close(): void {
    this.#isClosed = true;
  }

  get #hasData(): boolean {
    return this.#down.size > 0 || this.#hasEnded;
  }

  #read(from: number): void {
    for (const [index, filter] of this.#filters.entries()) {
      if (index < from) continue;
      if (!this.#tell(filter, index)) return;
      if (this.#hasData && !this.#show(filter)) return;
    }
    if (!this.#isClosed) this.#pass();
  }

  #tell(filter: NetworkFilter, index: number): boolean {
    if (this.#isClosed) return false;
    if (index < this.#toldCount) return true;
    this.#toldCount = index + 1;
    return filter.onNewConnection();
  }

  #show(filter: NetworkFilter): boolean {
    return !this.#isClosed && filter.onData(this.#down, this.#hasEnded);
  }

  #pass(): void {
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#takes = this.#ends.onOpen();
    }
    if (this.#takes && this.#hasData) this.#ends.toTerminal(this.#down.take(), this.#hasEnded);
  }
}
