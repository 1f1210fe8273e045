//! The public keys with which tokens are verified: given inline, or fetched and kept.
//!
//! Nothing waits for a refresh: old keys serve until new ones are there. A request waits only while
//! there are none at all, or when its token names a key that is not known, and then only for an
//! attempt that may be made now: attempts have pauses between them.

import { createLocalJWKSet } from "jose";
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";

/** Keys of this age are fetched anew when the next token comes. */
const REFRESH_AFTER_MS = 300_000;
/** Keys of this age, which could not be fetched anew, are no longer believed. */
const BELIEVED_MS = 86_400_000;
/** Between two successful fetches: a stranger's token must not make us fetch at will. */
const PAUSE_MS = 30_000;
const FAILURE_PAUSE_MIN_MS = 1_000;
const FAILURE_PAUSE_MAX_MS = 60_000;

/** Gives the text of a key set. Rejects when there is none; bounded in time and size. */
export type KeyFetcher = (uri: string) => Promise<string>;

export class TokenKeys {
  /** Null: there are none. */
  resolve: JWTVerifyGetKey | null = null;
  /** Why there are none; `""` when there are. */
  fault = "the keys have not been fetched yet";
  /** Counts the sets: what was verified with an older one is verified anew. */
  generation = 0;
  readonly #uri: string;
  readonly #fetchKeys: KeyFetcher;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #fetchedMs = -Infinity;
  #nextMs = -Infinity;
  #failureCount = 0;
  #pending: Promise<void> | null = null;

  constructor(
    uri: string,
    deps: {
      readonly fetchKeys: KeyFetcher;
      readonly clock: Clock;
      readonly logger: Logger;
    },
  ) {
    this.#uri = uri;
    this.#fetchKeys = deps.fetchKeys;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /** Begins a refresh of old keys, and drops those that are too old. Waits for nothing. */
  renew(): void {
    const ageMs = this.#clock.monotonicMs() - this.#fetchedMs;
    if (ageMs < REFRESH_AFTER_MS) return;
    void this.fetch();
    if (ageMs < BELIEVED_MS || this.resolve === null) return;
    this.resolve = null;
    this.generation += 1;
  }

  /** The attempt under way, or a new one; null: none may be made now. Never rejects. */
  fetch(): Promise<void> | null {
    if (this.#pending !== null) return this.#pending;
    if (this.#clock.monotonicMs() < this.#nextMs) return null;
    this.#pending = this.#attempt().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #attempt(): Promise<void> {
    try {
      this.resolve = resolverOf(await this.#fetchKeys(this.#uri));
      this.generation += 1;
      this.#fetchedMs = this.#clock.monotonicMs();
      this.#nextMs = this.#fetchedMs + PAUSE_MS;
      this.#failureCount = 0;
      this.fault = "";
    } catch (error) {
      const pauseMs = Math.min(
        FAILURE_PAUSE_MIN_MS * 2 ** this.#failureCount,
        FAILURE_PAUSE_MAX_MS,
      );
      this.#failureCount += 1;
      this.#nextMs = this.#clock.monotonicMs() + pauseMs;
      this.fault = `no keys from ${this.#uri}: ${error instanceof Error ? error.message : "?"}`;
      this.#logger.warn(this.fault, { retryMs: pauseMs, keptKeys: this.resolve !== null });
    }
  }
}

/** Throws when the text is no key set. */
export function resolverOf(text: string): JWTVerifyGetKey {
  return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
}
