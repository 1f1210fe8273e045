//! A filter of ours that holds a request back until its body is there, so that rules can read it.

import type { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BodyAction } from "../../wasm/enums.ts";
import type { BodyStage } from "./body-chain.ts";

/** Add it to a `BodyChain` with the head state `stop`: the head passes when the body is ready. */
export class WholeBodyStage implements BodyStage {
  /** The body, once it is there; null when it is longer than may be held. */
  bytes: Buffer | null = null;
  #isDone = false;
  readonly #bytesMax: number;
  #held: BodyBuffer | null = null;

  /** Waits for the body's end, or for more than `bytesMax` bytes, whichever comes first. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  onBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    if (this.#isDone) return BodyAction.continue;
    this.#held = body;
    if (!endOfStream && body.size <= this.#bytesMax) return BodyAction.buffer;
    this.#take();
    return BodyAction.continue;
  }

  /** The body ended with trailers: what came of it is all there is. */
  onTrailers(): BodyAction {
    if (!this.#isDone) this.#take();
    return BodyAction.continue;
  }

  #take(): void {
    this.#isDone = true;
    const held = this.#held;
    this.#held = null;
    if (held === null) this.bytes = Buffer.alloc(0);
    else if (held.size <= this.#bytesMax) this.bytes = Buffer.from(held.bytes);
  }
}
