//! Hedging, as Envoy's `hedge_on_per_try_timeout`: a try that takes longer than one may is not
//! ended, but waited for beside the next one. The first good answer of all is the client's.

import type { ResponseHead } from "../../http/response-parser.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { AnswerHead } from "../upstream/retry.ts";
import type { Upstream, UpstreamUser } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestSender } from "./request-sender.ts";
import type { TryPlace, UpstreamAttempt } from "./upstream-attempt.ts";

export class Hedges {
  readonly #exchange: Exchange;
  readonly #attempt: UpstreamAttempt;
  /** As many as the policy has retries, at most. */
  readonly #late = new Set<LateTry>();
  /** The newest try has failed, and none will follow; null: it may still bring the answer. */
  #failure: ProxyError | null = null;

  constructor(exchange: Exchange, attempt: UpstreamAttempt) {
    this.#exchange = exchange;
    this.#attempt = attempt;
  }

  /** Begins another try. False: none may follow, so that this one is waited for as it is. */
  begin(connection: Upstream, sender: RequestSender): boolean {
    const { place } = this.#attempt;
    if (!this.#attempt.retryLate()) return false;
    sender.rewind();
    const late = new LateTry(this, connection, place);
    this.#late.add(late);
    connection.handOver(late);
    return true;
  }

  /** The newest try has failed for good. True: a late one may still bring an answer. */
  awaits(failure: ProxyError): boolean {
    if (this.#late.size === 0) return false;
    this.#failure = failure;
    return true;
  }

  /** The same when it was answered in a way that the policy would try again. */
  awaitsBetter(answer: AnswerHead): boolean {
    if (!this.#attempt.isBad(answer)) return false;
    return this.awaits(proxyError("upstream_reset", `the last try was answered ${answer.status}`));
  }

  /** Nobody waits for them any more. */
  end(): void {
    for (const { connection } of this.#late) connection.abort();
    this.#late.clear();
  }

  onAnswer(late: LateTry, head: ResponseHead): void {
    this.#late.delete(late);
    const hasOthers = this.#failure === null || this.#late.size > 0;
    if (hasOthers && this.#attempt.isBad(head)) {
      late.connection.abort();
      return;
    }
    this.end();
    this.#exchange.takeLate(late.connection, late.place, head);
  }

  onFailure(late: LateTry): void {
    this.#late.delete(late);
    if (this.#late.size === 0 && this.#failure !== null) this.#exchange.fail(this.#failure);
  }

  onAssertion(late: LateTry, error: unknown): void {
    this.#late.delete(late);
    this.#exchange.onUpstreamAssertion(error);
  }
}

/** Hears of its connection until the answer begins. */
class LateTry implements UpstreamUser {
  readonly connection: Upstream;
  readonly place: TryPlace;
  readonly #hedges: Hedges;

  constructor(hedges: Hedges, connection: Upstream, place: TryPlace) {
    this.#hedges = hedges;
    this.connection = connection;
    this.place = place;
  }

  onResponseHead(head: ResponseHead): void {
    this.#hedges.onAnswer(this, head);
  }

  onUpstreamFailure(): void {
    this.#hedges.onFailure(this);
  }

  onUpstreamAssertion(error: unknown): void {
    this.#hedges.onAssertion(this, error);
  }

  onUpstreamReady(): void {
    // Its request has been sent.
  }

  onUpstreamDrain(): void {
    // Its request has been sent.
  }

  onInformational(): void {
    // It is not known whether its answer will be the client's.
  }

  onResponseBody(): void {
    // The exchange has taken the connection with the head.
  }

  onResponseEnd(): void {
    // The same.
  }

  onUpstreamBatchEnd(): void {
    // Nothing is written on.
  }
}
