//! A request on its way to the upstream: what waits for a connection, and what another try needs.

import type { Headers } from "../../http/headers.ts";
import type { BodyTaker, OutgoingHead, Upstream } from "../upstream/upstream.ts";
import type { MirrorCall } from "./mirror.ts";
import type { UpstreamAttempt } from "./upstream-attempt.ts";

const NO_MIRRORS: readonly MirrorCall[] = [];

export class RequestSender {
  /** The end has passed the filters: it may be sent on. */
  isPassed: boolean;
  readonly #hasBody: boolean;
  #head: OutgoingHead | null = null;
  #trailers: Headers | null = null;
  readonly #unsent: Buffer[] = [];
  /** There is nobody to send to, or its buffer is full. */
  #isBlocked = false;
  /** The filters have as much of the body as they may. */
  #isHeld = false;
  #attempt: UpstreamAttempt | null = null;
  #mirrors: readonly MirrorCall[] = NO_MIRRORS;

  constructor(hasBody: boolean) {
    this.#hasBody = hasBody;
    this.isPassed = !hasBody;
  }

  /** The head is settled. */
  begin(head: OutgoingHead, attempt: UpstreamAttempt): void {
    this.#head = head;
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

  /** Who takes the next part of the body; null: it may be kept. */
  takerOf(upstream: Upstream | null): BodyTaker | null {
    const isKept = this.#mirrors.length > 0 || this.#attempt?.keepsBody !== false;
    return upstream === null || isKept ? null : (upstream.bodyTaker ?? null);
  }

  /** Sends a part of the body, or keeps it for later. False: no more for now. */
  body(upstream: Upstream | null, chunk: Buffer): boolean {
    for (const mirror of this.#mirrors) mirror.body(chunk);
    if (upstream !== null) {
      this.#isBlocked = !this.#write(upstream, chunk);
      return !this.#isBlocked;
    }
    this.#unsent.push(chunk);
    this.#isBlocked = true;
    return false;
  }

  /** The upstream takes more. True: more of the body is wanted, and may be read. */
  drained(): boolean {
    this.#isBlocked = false;
    return !this.#isHeld;
  }

  /** The filters hold much, or no longer do. True: more of the body may be read. */
  hold(isMuch: boolean): boolean {
    this.#isHeld = isMuch;
    return !isMuch && !this.#isBlocked;
  }

  end(upstream: Upstream | null, trailers: Headers | null): void {
    for (const mirror of this.#mirrors) mirror.bodyEnd();
    this.isPassed = true;
    this.#trailers = trailers;
    if (upstream !== null) this.#writeEnd(upstream);
  }

  /** All of it, and its end, has been written to whoever it was sent to. */
  get isWhole(): boolean {
    return this.isPassed && this.#unsent.length === 0;
  }

  /** Sends all that there is. True: more of the body is wanted, and may be read. */
  sendTo(connection: Upstream): boolean {
    if (this.#head === null) return false;
    let writable = connection.sendHead(this.#head);
    if (!this.#hasBody) return false;
    for (const chunk of this.#unsent) writable = this.#write(connection, chunk) && writable;
    this.#unsent.length = 0;
    this.#isBlocked = !writable;
    if (!this.isPassed) return writable && !this.#isHeld;
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

  #write(upstream: Upstream, chunk: Buffer): boolean {
    this.#attempt?.keep(chunk);
    return upstream.sendBody(chunk);
  }

  #writeEnd(upstream: Upstream): void {
    upstream.sendEnd(this.#trailers);
  }
}

/** A request without body whose repetition has no further effect (RFC 9110 section 9.2.2). */
export function mayReplay({ method }: { readonly method: string }, hasBody: boolean): boolean {
  if (hasBody) return false;
  return method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE";
}

/** A plug-in may have removed the length: it means to change the body. */
export function frameRequest(headers: Headers, hasBody: boolean): void {
  if (hasBody && !headers.has("content-length")) headers.set("transfer-encoding", "chunked");
}
