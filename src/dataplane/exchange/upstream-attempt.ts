//! The tries of one exchange to get an answer from an endpoint, all within the lane that was
//! decided.

import type { Timer } from "../../base/clock.ts";
import type { Headers } from "../../http/headers.ts";
import type { Endpoint, EndpointNotes } from "../../snapshot/snapshot.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { Waiting } from "../upstream/endpoint-pool.ts";
import {
  backOffMs,
  mayRetryFailure,
  mayRetryAnswer,
  REPLAY_BODY_BYTES_MAX,
} from "../upstream/retry.ts";
import type { AnswerHead } from "../upstream/retry.ts";
import type { UpstreamFacts } from "../upstream/upstream-facts.ts";
import type { Upstream, UpstreamFailureKind, UpstreamPool } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";
import type { ForwardPlan } from "./handler.ts";

/**
 * Pauses before each further try to connect. A connection that was never made carried nothing, so
 * trying again is safe for every method; together they bridge the restart of a killed sidecar.
 */
const CONNECT_RETRY_DELAYS_MS: readonly number[] = [10, 50, 150, 400];
/** Tries after a reused connection was closed under a request. */
const RESET_RETRIES_MAX = 3;
const NOT_YET = -1;

/** Of one try: where it went, and when. */
export interface TryPlace {
  readonly pool: UpstreamPool | null;
  readonly facts: UpstreamFacts | null;
  readonly readyMs: number;
}

export class UpstreamAttempt {
  readonly #exchange: Exchange;
  readonly #plan: ForwardPlan;
  #index: number;
  #connectFailures = 0;
  #resets = 0;
  /** Tries that the route's retry policy has asked for. */
  #retries = 0;
  /** The policy would have tried again, and may not any more. */
  isExhausted = false;
  #endpoint: Endpoint | null = null;
  #pool: UpstreamPool | null = null;
  #connecting: Upstream | null = null;
  #waiting: Waiting | null = null;
  #timer: Timer | null = null;
  #tryTimer: Timer | null = null;
  /** The body so far, for another try; null when none may follow, or it is too long to keep. */
  #kept: Buffer[] | null;
  #keptBytes = 0;
  #isCounted = false;
  /** What the last try has failed of; null: it has not. */
  failedBy: UpstreamFailureKind | null = null;
  failure = "";
  /** Of the connection that carries the request, or has carried it; null: none yet. */
  facts: UpstreamFacts | null = null;
  /** When a connection was ready to take the request, if the plan is timed. */
  #readyMs = NOT_YET;
  /** When it had given the whole response, if asked. */
  #answeredMs = NOT_YET;
  #isAnswered = false;
  /** When this try began to wait for a connection; one that was idle is there at once. */
  #askedMs = NOT_YET;
  /** How long it waited; null: it waits, or there is no try. */
  poolReadyMs: number | null = null;
  trailers: Headers | null = null;

  constructor(exchange: Exchange, plan: ForwardPlan) {
    this.#exchange = exchange;
    this.#plan = plan;
    this.#kept = plan.retry === null ? null : [];
    this.#index = plan.first ?? (plan.cluster === null ? this.#random() : this.#balanced());
  }

  get service(): string {
    return this.#plan.service;
  }

  get count(): number {
    return 1 + this.#connectFailures + this.#resets + this.#retries;
  }

  /** Other endpoints may serve where one does not. */
  get hasOthers(): boolean {
    return this.#plan.endpoints.length > 1;
  }

  /** `address:port` of the endpoint in use. */
  get address(): string {
    return this.#pool?.name ?? "";
  }

  /** Looked for when asked: nothing but plug-ins wants to know. */
  get endpointNotes(): EndpointNotes | null {
    const pool = this.#pool;
    if (pool === null) return null;
    const used = this.#plan.endpoints.find(
      ({ address, port }) => address === pool.address && port === pool.port,
    );
    return used?.notes ?? null;
  }

  start(): void {
    const { cluster } = this.#plan;
    if (cluster !== null && !this.#isCounted) {
      if (!cluster.mayRequest) {
        this.#fail("upstream_overflow", `too many requests at once for ${this.service}`);
        return;
      }
      cluster.requests += 1;
      cluster.budget?.onRequest();
      this.#isCounted = true;
    }
    this.#acquire();
  }

  onReady({ facts }: Upstream): void {
    this.facts = facts;
    this.failedBy = null;
    this.#noteReady();
    if (this.#plan.isTimed === true) this.#readyMs = this.#exchange.context.clock.monotonicMs();
  }

  onFailure(kind: UpstreamFailureKind, detail: string): void {
    this.failedBy = kind;
    this.failure = detail;
    this.#noteReady();
  }

  #noteReady(): void {
    if (this.poolReadyMs !== null) return;
    const { clock } = this.#exchange.context;
    this.poolReadyMs = this.#askedMs === NOT_YET ? 0 : clock.monotonicMs() - this.#askedMs;
  }

  onAnswered(trailers: Headers | null): void {
    this.#isAnswered = true;
    this.trailers = trailers;
  }

  /**
   * From the request's first byte to the response's last; null: not known. The clock is read when
   * this is first asked: plug-ins run when that last byte comes, and at the end.
   */
  get backendMs(): number | null {
    if (!this.#isAnswered) return null;
    if (this.#answeredMs === NOT_YET) {
      this.#answeredMs = this.#exchange.context.clock.monotonicMs();
    }
    const { startedMs } = this.#exchange;
    return this.#answeredMs - (this.#readyMs === NOT_YET ? startedMs : this.#readyMs);
  }

  /** What is sent of the body stays for another try. */
  get keepsBody(): boolean {
    return this.#kept !== null;
  }

  /** Part of the request's body has been sent: another try would need it again. */
  keep(chunk: Buffer): void {
    if (this.#kept === null) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > REPLAY_BODY_BYTES_MAX) this.#kept = null;
    else this.#kept.push(chunk);
  }

  /** What another try must send first; nothing is kept of it here any more. */
  takeKept(): Buffer[] {
    const kept = this.#kept ?? [];
    if (this.#kept !== null) this.#kept = [];
    this.#keptBytes = 0;
    return kept;
  }

  /**
   * A try has failed. `sent`: what had carried nothing, or nothing that counts, is tried again;
   * `resent`: the policy asks for another try, which needs the body so far.
   */
  retryAfter(
    kind: UpstreamFailureKind,
    used: Upstream | null,
    isReplayable: boolean,
  ): "sent" | "resent" | "no" {
    const isUnsent = isUntaken(kind) || (kind === "tls" && used === null && this.hasOthers);
    const isReset = kind === "reset" || kind === "stream";
    const isSafe = isUnsent || (used?.reused === true && isReset && isReplayable);
    if (isSafe && this.retry(isReset)) return "sent";
    return this.retryFailure(kind) ? "resent" : "no";
  }

  /**
   * A try that carried nothing, or an idle connection that was closed under a safe request: tries
   * again, on the next endpoint if there is one. False when the tries are used up.
   */
  retry(wasConnected: boolean): boolean {
    this.#record(null);
    if (wasConnected) {
      if (this.#resets === RESET_RETRIES_MAX) return false;
      this.#resets += 1;
      this.#leaveEndpoint();
      this.start();
      return true;
    }
    const delayMs = CONNECT_RETRY_DELAYS_MS[this.#connectFailures];
    if (delayMs === undefined || this.#plan.retry?.retries === 0) return false;
    this.#connectFailures += 1;
    this.#leaveEndpoint();
    this.#startAfter(delayMs);
    return true;
  }

  /** The next try goes to the next endpoint. */
  #leaveEndpoint(): void {
    this.#index += 1;
    this.#connecting = null;
    this.#tryTimer?.cancel();
  }

  /** A try that failed after it began: again, if the route's policy says so. */
  retryFailure(kind: UpstreamFailureKind): boolean {
    const { retry } = this.#plan;
    if (kind !== "pending") this.#record(null);
    return retry !== null && mayRetryFailure(retry, kind) && this.#retryByPolicy();
  }

  /** An answer that the route's policy would try again. */
  isBad(answer: AnswerHead): boolean {
    const { retry } = this.#plan;
    return retry !== null && mayRetryAnswer(retry, answer);
  }

  get place(): TryPlace {
    return { pool: this.#pool, facts: this.facts, readyMs: this.#readyMs };
  }

  /** A try takes long, and is waited for: another one begins beside it, if the policy says so. */
  retryLate(): boolean {
    this.#record(null);
    const isAllowed = this.#retryByPolicy();
    // Nothing has failed yet.
    this.isExhausted = false;
    return isAllowed;
  }

  /** The try that was at `place` has the answer: what was begun since ends. */
  returnTo({ pool, facts, readyMs }: TryPlace): void {
    this.#stopTry();
    this.#pool = pool;
    this.facts = facts;
    this.failedBy = null;
    this.#readyMs = readyMs;
  }

  /** The head of an answer has come: true when it is dropped for the sake of another try. */
  retryAnswer(answer: AnswerHead): boolean {
    const { retry, cluster } = this.#plan;
    if (retry === null && cluster === null) return false;
    this.#record(answer.status);
    this.#tryTimer?.cancel();
    return retry !== null && mayRetryAnswer(retry, answer) && this.#retryByPolicy();
  }

  errorOf(kind: UpstreamFailureKind, detail: string): ProxyError {
    const where = `service ${this.service} at ${this.address}`;
    switch (kind) {
      case "connect":
        return proxyError(
          "upstream_connect_failed",
          `${where} accepted no connection (${detail}, ${this.count} tries)`,
        );
      case "refused":
        return proxyError(
          "upstream_connect_failed",
          `${where} took no request (${detail}, ${this.count} tries)`,
        );
      case "tls":
        return proxyError("upstream_tls_failed", `${where}: ${detail}`);
      case "reset":
      case "stream":
        return proxyError("upstream_reset", `${where} closed before it answered (${detail})`);
      case "truncated":
        return proxyError("upstream_reset", `${where} closed in the middle of its answer`);
      case "protocol":
        return proxyError(
          "upstream_protocol",
          `${where} broke HTTP/${this.#plan.isHttp2 ? "2" : "1.1"}: ${detail}`,
        );
      case "pending":
        return proxyError("upstream_overflow", `${where}: ${detail}`);
      case "timeout":
        return proxyError("upstream_timeout", `${where} ${detail}`);
    }
  }

  /** The exchange is over or answered otherwise. */
  abandon(): void {
    this.#stopTry();
    const { cluster } = this.#plan;
    if (!this.#isCounted || cluster === null) return;
    this.#isCounted = false;
    cluster.requests -= 1;
    if (this.#retries > 0) cluster.retries -= 1;
  }

  #stopTry(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#tryTimer?.cancel();
    this.#tryTimer = null;
    if (this.#waiting !== null) this.#pool?.cancel(this.#waiting);
    this.#waiting = null;
    this.#connecting?.abandonConnect();
    this.#connecting = null;
  }

  #random(): number {
    const { length } = this.#plan.endpoints;
    return length <= 1 ? 0 : this.#exchange.context.prng.below(length);
  }

  #balanced(): number {
    const { cluster, endpoints, hash, pools, place } = this.#plan;
    if (cluster === null || endpoints.length === 0) return 0;
    const { prng, sweeper, pools: shared } = this.#exchange.context;
    const activeCount = (endpoint: Endpoint): number => (pools ?? shared).activeCount(endpoint);
    return cluster.pick(endpoints, { prng, hash, place, activeCount }, sweeper.nowMs);
  }

  /** The endpoint of this try; undefined when there is none, or all have been ejected. */
  #current(): Endpoint | undefined {
    const { cluster, endpoints, place } = this.#plan;
    if (cluster !== null && this.count > 1 && this.#index >= 0) {
      const { nowMs } = this.#exchange.context.sweeper;
      this.#index = cluster.next(endpoints, this.#index, nowMs, place);
    }
    return this.#index < 0 ? undefined : endpoints[this.#index % endpoints.length];
  }

  #acquire(): void {
    const endpoint = this.#current();
    if (endpoint === undefined) {
      const isEjected = this.#plan.endpoints.length > 0;
      const why = isEjected ? "has no healthy endpoint for a while" : "has no endpoint";
      this.#fail("no_endpoint", `${this.service} ${why}`);
      return;
    }
    this.#endpoint = endpoint;
    const pool = this.#poolOf(endpoint);
    if (typeof pool === "string") {
      this.#fail("upstream_tls_failed", `service ${this.service} ${pool}`);
      return;
    }
    this.#pool = pool;
    this.#limitTry();
    // Where one idle connection was closed, the others may be dead, too, and not yet known to be:
    // a process that is killed takes all of its connections with it.
    this.#askedMs = NOT_YET;
    this.poolReadyMs = null;
    const acquired = pool.acquire(this.#exchange, this.#plan, this.#resets > 0);
    switch (acquired.kind) {
      case "ready":
        this.#exchange.onUpstreamReady(acquired.connection);
        return;
      case "connecting":
        this.#askedMs = this.#exchange.context.clock.monotonicMs();
        this.#connecting = acquired.connection;
        return;
      case "waiting":
        this.#askedMs = this.#exchange.context.clock.monotonicMs();
        this.#waiting = acquired.waiting;
        return;
      case "overflow":
        this.#fail("upstream_overflow", `too many requests wait for ${this.service}`);
        return;
    }
  }

  /** A text: why there is none. */
  #poolOf({ address, port }: Endpoint): UpstreamPool | string {
    const { pools, isHttp2, from } = this.#plan;
    if (pools !== null) return pools.pool(address, port, isHttp2);
    const { pools: shared } = this.#exchange.context;
    return isHttp2 ? shared.getHttp2(address, port, from) : shared.get(address, port, from);
  }

  #limitTry(): void {
    const limitMs = this.#plan.retry?.perTryTimeoutMs ?? 0;
    if (limitMs === 0) return;
    this.#tryTimer?.cancel();
    this.#tryTimer = this.#exchange.context.sweeper.clock.after(limitMs, () => {
      this.#tryTimer = null;
      if (this.#plan.retry?.isHedged === true && this.#exchange.hedge()) return;
      if (this.#waiting !== null) this.#pool?.cancel(this.#waiting);
      this.#waiting = null;
      this.#connecting?.abandonConnect();
      this.#connecting = null;
      this.#exchange.onUpstreamFailure("timeout", `gave no answer in ${limitMs} ms`);
    });
  }

  #retryByPolicy(): boolean {
    const { retry, cluster } = this.#plan;
    if (retry === null || !this.#mayReplay()) return false;
    const { prng, sweeper } = this.#exchange.context;
    const isFirst = this.#retries === 0;
    const isAllowed =
      this.#retries < retry.retries &&
      (cluster === null ||
        ((!isFirst || cluster.mayRetry) && cluster.budget?.take(sweeper.readNowMs()) !== false));
    if (!isAllowed) {
      this.isExhausted = true;
      return false;
    }
    if (isFirst && cluster !== null) cluster.retries += 1;
    this.#retries += 1;
    this.#leaveEndpoint();
    this.#startAfter(backOffMs(retry, this.#retries, prng));
    return true;
  }

  /** All of the body that has been sent has been kept. */
  #mayReplay(): boolean {
    return this.#kept !== null;
  }

  #startAfter(delayMs: number): void {
    this.#timer = this.#exchange.context.clock.after(delayMs, () => {
      this.#timer = null;
      this.#acquire();
    });
  }

  /** Of one try only the first outcome counts, though several may be asked what follows of it. */
  #record(status: number | null): void {
    const { cluster, endpoints } = this.#plan;
    const endpoint = this.#endpoint;
    this.#endpoint = null;
    const outliers = cluster?.outliers ?? null;
    if (outliers === null || endpoint === null) return;
    outliers.record(endpoint, status, endpoints, this.#exchange.context.sweeper.readNowMs());
  }

  #fail(code: "no_endpoint" | "upstream_overflow" | "upstream_tls_failed", message: string): void {
    this.#exchange.fail(proxyError(code, message));
  }
}

/** The endpoint has not looked at the request. */
function isUntaken(kind: UpstreamFailureKind): boolean {
  return kind === "connect" || kind === "refused";
}
