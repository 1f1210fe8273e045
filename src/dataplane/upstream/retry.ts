//! Which outcomes of a try are worth another one, when, and how many of them in all.

import type { Prng } from "../../base/prng.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { GrpcRetryCondition, RetryPolicy } from "../../snapshot/routing.ts";
import type { UpstreamFailureKind } from "./upstream.ts";

/** As much of an answer as another try depends on. */
export type AnswerHead = Pick<ResponseHead, "status" | "headers">;

/** Of a request's body at most this much is kept to be sent again; a longer one is sent once. */
export const REPLAY_BODY_BYTES_MAX = 262_144;

const STATUS_CONFLICT = 409;
const STATUS_SERVER_ERROR_MIN = 500;
const GATEWAY_ERRORS: ReadonlySet<number> = new Set([502, 503, 504]);

/** As in Envoy: a try that got no answer is a server error, too. */
export function mayRetryFailure(policy: RetryPolicy, kind: UpstreamFailureKind): boolean {
  const { on } = policy;
  if (on.includes("5xx") || on.includes("gateway-error")) return true;
  if (kind === "connect" || kind === "tls")
    return on.includes("connect-failure") || on.includes("reset");
  if (kind === "refused" && on.includes("connect-failure")) return true;
  return on.includes("reset");
}

/** `grpc-status` by what asks for another try. */
const GRPC_CONDITIONS: Readonly<Record<string, GrpcRetryCondition>> = {
  "1": "cancelled",
  "4": "deadline-exceeded",
  "8": "resource-exhausted",
  "13": "internal",
  "14": "unavailable",
};

export function mayRetryAnswer(policy: RetryPolicy, { status, headers }: AnswerHead): boolean {
  if (mayRetryStatus(policy, status)) return true;
  const grpcStatus = headers.get("grpc-status");
  if (grpcStatus === undefined || !Object.hasOwn(GRPC_CONDITIONS, grpcStatus)) return false;
  const condition = GRPC_CONDITIONS[grpcStatus];
  return condition !== undefined && policy.on.includes(condition);
}

function mayRetryStatus({ on, statuses }: RetryPolicy, status: number): boolean {
  if (statuses.includes(status)) return true;
  if (status >= STATUS_SERVER_ERROR_MIN && on.includes("5xx")) return true;
  if (GATEWAY_ERRORS.has(status)) return on.includes("gateway-error");
  return status === STATUS_CONFLICT && on.includes("retriable-4xx");
}

/** The pause before retry `count` (1 is the first): drawn from 0 to a limit that doubles. */
export function backOffMs(policy: RetryPolicy, count: number, prng: Prng): number {
  const limitMs = Math.min(policy.backOffMaxMs, policy.backOffBaseMs * 2 ** (count - 1));
  return prng.below(Math.max(1, Math.floor(limitMs)));
}

/** Retries may add this share to a cluster's requests … */
const RETRY_SHARE = 0.2;
/** … and this many a second on top, so that a cluster with few requests has some at all. */
const RETRIES_PER_SECOND_MIN = 5;
/** What was not used is kept for at most this long. */
const SAVED_SECONDS_MAX = 10;
const TOKENS_MAX = 1_000;
const MS_PER_SECOND = 1_000;

/** Keeps retries from multiplying the load on a cluster that fails. One per worker and cluster. */
export class RetryBudget {
  #tokens = RETRIES_PER_SECOND_MIN * SAVED_SECONDS_MAX;
  #filledMs: number;

  constructor(nowMs: number) {
    this.#filledMs = nowMs;
  }

  onRequest(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + RETRY_SHARE);
  }

  /** False: no further retry now. */
  take(nowMs: number): boolean {
    const saved = Math.min(SAVED_SECONDS_MAX, (nowMs - this.#filledMs) / MS_PER_SECOND);
    this.#filledMs = nowMs;
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + saved * RETRIES_PER_SECOND_MIN);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
