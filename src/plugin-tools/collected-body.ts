//! A body that is fed to a filter chain, and what has come out of it so far.

import { BodyChain } from "../dataplane/filter/body-chain.ts";
import type { BodySink } from "../dataplane/filter/body-chain.ts";
import { Headers } from "../http/headers.ts";
import type { BodyBuffer } from "../wasm/body-buffer.ts";
import type { CaseMessage } from "./case-file.ts";

export interface BodyOwner {
  isOver(): boolean;
  bytesHeldMax(): number;
  /** So many come in. */
  onBytes(count: number): void;
  onHeadReleased(): void;
  onTooLarge(): void;
}

export class CollectedBody implements BodySink {
  readonly chain: BodyChain = new BodyChain(this);
  hasEnded = false;
  readonly #chunks: Buffer[] = [];
  readonly #owner: BodyOwner;

  constructor(owner: BodyOwner) {
    this.#owner = owner;
  }

  get isOver(): boolean {
    return this.#owner.isOver();
  }

  get bytesHeldMax(): number {
    return this.#owner.bytesHeldMax();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  /** All of the message's body, chunk by chunk, with its end. */
  feed({ chunks, trailers }: CaseMessage, settle: () => void): void {
    for (const chunk of chunks) {
      if (this.isOver) return;
      const bytes = Buffer.from(chunk);
      this.#owner.onBytes(bytes.length);
      this.chain.onData(bytes);
      settle();
    }
    if (this.isOver) return;
    this.chain.onEnd(trailers === null ? null : headersOf(trailers));
    settle();
  }

  onHeadReleased(): void {
    this.#owner.onHeadReleased();
  }

  onPassed(body: BodyBuffer, endOfStream: boolean): void {
    this.#chunks.push(...body.chunks.map((chunk) => Buffer.from(chunk)));
    this.hasEnded ||= endOfStream;
  }

  onTrailersPassed(): void {
    this.hasEnded = true;
  }

  onTooLarge(): void {
    this.#owner.onTooLarge();
  }

  onHeldMuch(): void {
    // Nobody sends here who could wait.
  }
}

export function headersOf(pairs: CaseMessage["headers"]): Headers {
  const headers = new Headers();
  for (const [name, value] of pairs) headers.add(name, value);
  return headers;
}
