//! A request on its way to the upstream: what waits for a connection, and what another try needs.

import { chunkHeader, LAST_CHUNK, serializeTrailers } from "../../http/serialize.ts";
import type { Headers } from "../../http/headers.ts";
import type { UpstreamConnection } from "../upstream/upstream-connection.ts";
import type { MirrorCall } from "./mirror.ts";
import type { UpstreamAttempt } from "./upstream-attempt.ts";

const NO_MIRRORS: readonly MirrorCall[] = [];

export class RequestSender {
  /** The end has passed the filters: it may be sent on. */
  isPassed: boolean;
  readonly #hasBody: boolean;
  #text = "";
  #isChunked = false;
  #trailers: Headers | null = null;
  readonly #unsent: Buffer[] = [];
  #attempt: UpstreamAttempt | null = null;
  #mirrors: readonly MirrorCall[] = NO_MIRRORS;

  constructor(hasBody: boolean) {
    this.#hasBody = hasBody;
    this.isPassed = !hasBody;
  }

  /** The head is settled, and whether the body goes in chunks. */
  begin(text: string, isChunked: boolean, attempt: UpstreamAttempt): void {
    this.#text = text;
    this.#isChunked = isChunked;
    this.#attempt = attempt;
  }

  /** Sends copies, whose body may have begun to come. */
  mirrorTo(calls: readonly MirrorCall[]): void {
    this.#mirrors = calls;
    for (const mirror of calls) {
      for (const chunk of this.#unsent) mirror.body(chunk);
      if (this.isPassed) mirror.bodyEnd();
    }
  }

  /** Sends a part of the body, or keeps it for later. False: no more for now. */
  body(upstream: UpstreamConnection | null, chunk: Buffer): boolean {
    for (const mirror of this.#mirrors) mirror.body(chunk);
    if (upstream !== null) return this.#write(upstream, chunk);
    this.#unsent.push(chunk);
    return false;
  }

  end(upstream: UpstreamConnection | null, trailers: Headers | null): void {
    for (const mirror of this.#mirrors) mirror.bodyEnd();
    this.isPassed = true;
    this.#trailers = trailers;
    if (upstream !== null) this.#writeEnd(upstream);
  }

  /** Sends all that there is. True: more of the body is wanted, and may be read. */
  sendTo(connection: UpstreamConnection): boolean {
    let writable = connection.writeText(this.#text);
    if (!this.#hasBody) return false;
    for (const chunk of this.#unsent) writable = this.#write(connection, chunk) && writable;
    this.#unsent.length = 0;
    if (!this.isPassed) return writable;
    this.#writeEnd(connection);
    return false;
  }

  /** The last try's part of the body comes first in the next one. */
  rewind(): void {
    if (this.#attempt !== null) this.#unsent.unshift(...this.#attempt.takeKept());
  }

  abandon(): void {
    for (const mirror of this.#mirrors) mirror.abandon();
  }

  #write(upstream: UpstreamConnection, chunk: Buffer): boolean {
    this.#attempt?.keep(chunk);
    if (!this.#isChunked) return upstream.write(chunk);
    upstream.writeText(chunkHeader(chunk.length));
    upstream.write(chunk);
    return upstream.writeText("\r\n");
  }

  #writeEnd(upstream: UpstreamConnection): void {
    if (!this.#isChunked) return;
    const trailers = this.#trailers;
    upstream.writeText(trailers === null ? LAST_CHUNK : serializeTrailers(trailers));
  }
}
