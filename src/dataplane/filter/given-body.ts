//! The body of a request that is only explained: through the same chain as one from a client.

import { BODY_HELD_BYTES_MAX, BodyChain } from "./body-chain.ts";
import type { BodySink } from "./body-chain.ts";
import { proxyError } from "../proxy-error.ts";
import type { GatewayPass } from "./gateway-pass.ts";

export class GivenBody implements BodySink {
  /** Whose request the body belongs to. */
  pass: GatewayPass | null = null;
  readonly #bytes: Buffer;
  #chain: BodyChain | null = null;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Null: the request has no body. */
  chain(): BodyChain | null {
    if (this.#bytes.length === 0) return null;
    return (this.#chain ??= new BodyChain(this));
  }

  /** The whole of it, after the head. */
  send(): void {
    this.#chain?.onData(this.#bytes);
    this.#chain?.onEnd(null);
  }

  get isOver(): boolean {
    return this.pass?.isRequestOver === true;
  }

  get bytesHeldMax(): number {
    return this.pass?.requestBytesHeldMax ?? BODY_HELD_BYTES_MAX;
  }

  onHeadReleased(): void {
    this.pass?.resume();
  }

  onTooLarge(): void {
    const message = `a plug-in wants the whole body; at most ${this.bytesHeldMax} bytes are held`;
    this.pass?.fail(proxyError("request_body_too_large", message));
  }

  onPassed(): void {
    // Nothing is sent anywhere.
  }

  onTrailersPassed(): void {
    // It has none.
  }

  onHeldMuch(): void {
    // Nobody waits to send more.
  }
}
