//! Two connections joined byte for byte after a protocol switch (RFC 9110 section 7.8), with
//! back-pressure, half-close and one end.

import type { TrafficObserver } from "../observer.ts";

/** One of the two connections. */
export interface TunnelEnd {
  /** False when its buffer is full: wait for the sink's `onDrain`. */
  write(bytes: Buffer): boolean;
  /** No more bytes go there (FIN); bytes may still come. */
  endWriting(): void;
  pauseReading(): void;
  resumeReading(): void;
  /** Closes it when what was written has gone out. */
  closeSoon(): void;
}

/** What a connection tells the tunnel about itself. */
export interface TunnelSink {
  /** The bytes are valid during the call, unless they are written on. */
  onBytes(chunk: Buffer): void;
  onDrain(): void;
  /** The peer ended its side. */
  onPeerEnd(): void;
  /** It is closed, for whatever reason; also after `closeSoon`. */
  onClosed(): void;
}

export interface TunnelCounts {
  readonly fromDownstreamBytes: number;
  readonly fromUpstreamBytes: number;
}

class Direction implements TunnelSink {
  bytes = 0;
  hasEnded = false;
  isClosed = false;
  readonly #from: TunnelEnd;
  readonly #to: TunnelEnd;
  readonly #onClosed: () => void;

  constructor(from: TunnelEnd, to: TunnelEnd, onClosed: () => void) {
    this.#from = from;
    this.#to = to;
    this.#onClosed = onClosed;
  }

  onBytes(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (!this.#to.write(chunk)) this.#from.pauseReading();
  }

  /** The buffer towards `from` is empty again: what was being copied there may be read on. */
  onDrain(): void {
    this.#to.resumeReading();
  }

  onPeerEnd(): void {
    this.hasEnded = true;
    this.#to.endWriting();
  }

  onClosed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#onClosed();
  }
}

export class Tunnel {
  /** For the bytes and events of the downstream connection. */
  readonly downstreamSink: TunnelSink;
  readonly upstreamSink: TunnelSink;

  /** `onOver` is called once, when the first of the two is closed; the other is closed with it. */
  constructor(downstream: TunnelEnd, upstream: TunnelEnd, onOver: (counts: TunnelCounts) => void) {
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      onOver({ fromDownstreamBytes: down.bytes, fromUpstreamBytes: up.bytes });
      // After a FIN each way both flush and close by themselves; else the other has no one to
      // speak to any more.
      if (down.hasEnded && up.hasEnded) return;
      downstream.closeSoon();
      upstream.closeSoon();
    };
    const down = new Direction(downstream, upstream, end);
    const up = new Direction(upstream, downstream, end);
    this.downstreamSink = down;
    this.upstreamSink = up;
  }
}

interface TunnelEnds {
  readonly downstream: TunnelEnd & { enterTunnel(sink: TunnelSink): void };
  readonly upstream: TunnelEnd & { enterTunnel(sink: TunnelSink): void };
  readonly observer: Pick<TrafficObserver, "onTunnel">;
}

/** Makes one of two connections, and counts it as long as it is there. */
export function joinTunnel(
  { downstream, upstream, observer }: TunnelEnds,
  onOver: (counts: TunnelCounts) => void,
): void {
  observer.onTunnel(1);
  const tunnel = new Tunnel(downstream, upstream, (counts) => {
    observer.onTunnel(-1);
    onOver(counts);
  });
  upstream.enterTunnel(tunnel.upstreamSink);
  downstream.enterTunnel(tunnel.downstreamSink);
}
