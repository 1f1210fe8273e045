//! A filter of ours that holds a request back until enough of its body is there to route by it.

import type { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BodyAction } from "../../wasm/enums.ts";
import type { BodyStage } from "./body-chain.ts";

/** Add it to a `BodyChain` with the head state `stop`: the head passes when the body is ready. */
export class BodyPrefixStage implements BodyStage {
  /** The first bytes of the body, once they are there. */
  prefix: Buffer | null = null;
  readonly #bytesMax: number;
  #held: BodyBuffer | null = null;

  /** Waits for `bytesMax` bytes or the body's end, whichever comes first. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  onBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    if (this.prefix !== null) return BodyAction.continue;
    this.#held = body;
    if (!endOfStream && body.size < this.#bytesMax) return BodyAction.buffer;
    this.#take();
    return BodyAction.continue;
  }

  /** The body ended with trailers: what came of it is all there is. */
  onTrailers(): BodyAction {
    if (this.prefix === null) this.#take();
    return BodyAction.continue;
  }

  #take(): void {
    const bytes = this.#held?.bytes ?? Buffer.alloc(0);
    this.#held = null;
    this.prefix = Buffer.from(bytes.subarray(0, this.#bytesMax));
  }
}
