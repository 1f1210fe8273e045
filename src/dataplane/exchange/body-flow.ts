//! Bodies that filters look at, between an exchange and its filter chain: what has passed the
//! filters is framed anew, so that a changed body never has a wrong length.
//!
//! A body with a known length waits for its first bytes from the chain before its head is sent:
//! a filter that collects the whole body has then said how long it is. A filter that changes a body
//! which is already on its way with its old length breaks the message; the exchange is cut then.

import type { Headers } from "../../http/headers.ts";
import { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BodyChain } from "../filter/body-chain.ts";
import type { BodySink } from "../filter/body-chain.ts";
import type { GatewayPass } from "../filter/gateway-pass.ts";
import { proxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";
import type { ForwardPlan } from "./handler.ts";

/** Of a request's body this much may wait for its route; then the client waits. */
export const READY_BYTES_MAX = 65_536;

/** The request's body: from the client through the filters to the upstream. */
export class RequestFlow implements BodySink {
  readonly chain: BodyChain = new BodyChain(this);
  readonly #exchange: Exchange;
  readonly #pass: GatewayPass;
  #plan: ForwardPlan | null = null;
  /** What has passed before the head could be sent. */
  #ready: BodyBuffer | null = new BodyBuffer();
  #isReadyFull = false;
  #isChainFull = false;
  #hasPassed = false;
  #hasEnded = false;
  #trailers: Headers | null = null;
  #unsentBytes = Number.POSITIVE_INFINITY;

  /** Takes the exchange's request body over from its first byte. */
  constructor(exchange: Exchange, pass: GatewayPass) {
    this.#exchange = exchange;
    this.#pass = pass;
    exchange.requestTap = this.chain;
    pass.requestChain = this.chain;
  }

  get isOver(): boolean {
    return this.#pass.isRequestOver;
  }

  get bytesHeldMax(): number {
    return this.#pass.requestBytesHeldMax;
  }

  /** The request has its destination. */
  forward(plan: ForwardPlan): void {
    this.#plan = plan;
    this.#open();
  }

  onHeadReleased(): void {
    this.#pass.resume();
  }

  onPassed(body: BodyBuffer, endOfStream: boolean): void {
    this.#hasPassed = true;
    this.#hasEnded = endOfStream;
    if (this.#ready !== null) {
      this.#ready.append(body);
      this.#open();
      this.#holdReady();
    } else this.#send(body);
  }

  onTrailersPassed(trailers: Headers): void {
    this.#hasPassed = true;
    this.#hasEnded = true;
    this.#trailers = trailers;
    if (this.#ready !== null) this.#open();
    else this.#send(new BodyBuffer());
  }

  onTooLarge(): void {
    const message = `a plug-in wants the whole body; at most ${this.bytesHeldMax} bytes are held`;
    this.#pass.fail(proxyError("request_body_too_large", message));
  }

  onHeldMuch(isMuch: boolean): void {
    this.#isChainFull = isMuch;
    this.#exchange.holdRequestBody(isMuch || this.#isReadyFull);
  }

  /** The route may make the request wait: what has passed the filters meanwhile is bounded. */
  #holdReady(): void {
    const isFull = this.#ready !== null && this.#ready.size >= READY_BYTES_MAX;
    if (isFull === this.#isReadyFull) return;
    this.#isReadyFull = isFull;
    this.#exchange.holdRequestBody(isFull || this.#isChainFull);
  }

  #open(): void {
    const ready = this.#ready;
    const { headers } = this.#exchange.head;
    const isSized = headers.has("content-length");
    if (this.#plan === null || ready === null || (isSized && !this.#hasPassed)) return;
    this.#ready = null;
    if (isSized) {
      if (this.#hasEnded && this.#trailers === null) {
        headers.set("content-length", String(ready.size));
      } else if (ready.isModified || this.#trailers !== null) headers.remove("content-length");
      const length = headers.get("content-length");
      if (length !== undefined) this.#unsentBytes = Number(length);
    }
    this.#exchange.forward(this.#plan);
    if (this.#hasPassed) this.#send(ready);
    this.#holdReady();
  }

  #send(body: BodyBuffer): void {
    const exchange = this.#exchange;
    this.#unsentBytes -= body.size;
    const isShort = this.#hasEnded && this.#unsentBytes > 0 && Number.isFinite(this.#unsentBytes);
    if (this.#unsentBytes < 0 || isShort) {
      const message = "a plug-in changed the length of a request body that was on its way";
      this.#pass.fail(proxyError("plugin_body_length", message));
      return;
    }
    for (const chunk of body.chunks) exchange.passRequestBody(chunk);
    if (this.#hasEnded && !exchange.isOver) exchange.passRequestEnd(this.#trailers);
  }
}

/** The response's body: from the upstream, or from us, through the filters to the client. */
export class ResponseFlow implements BodySink {
  readonly chain: BodyChain = new BodyChain(this);
  readonly #exchange: Exchange;
  readonly #pass: GatewayPass;
  readonly #headers: Headers;
  #isHeadPassed = false;
  #isOpen = false;
  #unsentBytes = Number.POSITIVE_INFINITY;

  constructor(exchange: Exchange, pass: GatewayPass, headers: Headers) {
    this.#exchange = exchange;
    this.#pass = pass;
    this.#headers = headers;
    exchange.responseTap = this.chain;
    pass.responseChain = this.chain;
  }

  get isOver(): boolean {
    return this.#pass.isResponseOver;
  }

  get bytesHeldMax(): number {
    return this.#pass.responseBytesHeldMax;
  }

  /** Every filter has let the head pass. */
  onHeadPassed(): void {
    this.#isHeadPassed = true;
    if (!this.#headers.has("content-length")) this.#open(null);
  }

  onHeadReleased(): void {
    this.#pass.resumeResponse();
  }

  onPassed(body: BodyBuffer, endOfStream: boolean): void {
    if (!this.#isHeadPassed) return;
    if (!this.#isOpen) {
      if (!endOfStream && body.isModified) this.#headers.remove("content-length");
      this.#open(endOfStream ? body.size : null);
    }
    this.#unsentBytes -= body.size;
    const isShort = endOfStream && this.#unsentBytes > 0 && Number.isFinite(this.#unsentBytes);
    if (this.#unsentBytes < 0 || isShort) {
      // The length is out already: only cutting tells the client that the body is not whole.
      this.#pass.reset();
      return;
    }
    for (const chunk of body.chunks) this.#exchange.passResponseBody(chunk);
    if (endOfStream) this.#exchange.passResponseEnd(null);
  }

  onTrailersPassed(trailers: Headers): void {
    if (!this.#isOpen) {
      this.#headers.remove("content-length");
      this.#open(null);
    }
    this.#exchange.passResponseEnd(trailers);
  }

  onTooLarge(): void {
    const message = `a plug-in wants the whole body; at most ${this.bytesHeldMax} bytes are held`;
    this.#pass.fail(proxyError("response_body_too_large", message));
  }

  onHeldMuch(isMuch: boolean): void {
    if (isMuch) this.#exchange.pauseResponse();
    else this.#exchange.resumeResponse();
  }

  #open(bodyBytes: number | null): void {
    this.#isOpen = true;
    if (bodyBytes !== null && this.#headers.has("content-length")) {
      this.#headers.set("content-length", String(bodyBytes));
    }
    const length = this.#headers.get("content-length");
    if (length !== undefined) this.#unsentBytes = Number(length);
    this.#exchange.startResponse();
  }
}
