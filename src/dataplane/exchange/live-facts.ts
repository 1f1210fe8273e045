//! What plug-ins may ask of a running exchange beside its heads. Everything is read when asked; an
//! exchange that nobody asks about keeps a few fields for it.

import type { Headers } from "../../http/headers.ts";
import type { ExchangeFacts } from "../filter/exchange-facts.ts";
import { GATEWAY_NODE } from "../../snapshot/proxy-node.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import type { EndpointNotes } from "../../snapshot/snapshot.ts";
import type { UpstreamFailureKind } from "../upstream/upstream.ts";
import type { UpstreamFacts } from "../upstream/upstream-facts.ts";
import type { Exchange } from "./exchange.ts";

export class LiveFacts implements ExchangeFacts {
  /**
   * A plug-in of this worker has asked how long an endpoint took, maybe by a name that it has put
   * together at run time: from then on all exchanges note when they begin to be sent. The first
   * answer to such a name counts from the request's coming.
   */
  static isLatencyAsked = false;
  readonly #exchange: Exchange;
  #durationMs = -1;
  #startedAtMs = -1;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get node(): ProxyNode {
    return this.#exchange.context.node ?? GATEWAY_NODE;
  }

  get startedAtMs(): number {
    const { context, startedMs } = this.#exchange;
    if (this.#startedAtMs === -1) {
      this.#startedAtMs = context.clock.nowMs() - (context.clock.monotonicMs() - startedMs);
    }
    return this.#startedAtMs;
  }

  get status(): number {
    return this.#exchange.outcome().status;
  }

  get flag(): string {
    return this.#exchange.outcome().flag;
  }

  get replyDetails(): string | null {
    return this.#exchange.replyDetails;
  }

  get requestBytes(): number {
    return this.#exchange.outcome().bytesReceived;
  }

  get responseBytes(): number {
    return this.#exchange.outcome().bytesSent;
  }

  get durationMs(): number | null {
    const { isOver, context, startedMs } = this.#exchange;
    if (!isOver) return null;
    if (this.#durationMs === -1) this.#durationMs = context.clock.monotonicMs() - startedMs;
    return this.#durationMs;
  }

  get backendMs(): number | null {
    LiveFacts.isLatencyAsked = true;
    return this.#exchange.outcome().attempt?.backendMs ?? null;
  }

  get attempts(): number {
    return this.#exchange.outcome().attempt?.count ?? 0;
  }

  get failedBy(): UpstreamFailureKind | null {
    return this.#exchange.outcome().attempt?.failedBy ?? null;
  }

  get failure(): string {
    return this.#exchange.outcome().attempt?.failure ?? "";
  }

  get isClientReset(): boolean {
    return this.#exchange.isClientReset;
  }

  get endpointNotes(): EndpointNotes | null {
    return this.#exchange.outcome().attempt?.endpointNotes ?? null;
  }

  get poolReadyMs(): number | null {
    return this.#exchange.outcome().attempt?.poolReadyMs ?? null;
  }

  get upstream(): UpstreamFacts | null {
    return this.#exchange.outcome().attempt?.facts ?? null;
  }

  get responseTrailers(): Headers | null {
    return this.#exchange.outcome().attempt?.trailers ?? null;
  }
}
