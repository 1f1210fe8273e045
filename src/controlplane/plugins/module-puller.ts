//! Keeps what was pulled, pulls what is missing, and tries again what failed.
//!
//! Pulling goes on beside everything else: whoever asks gets what is known now, and is told when
//! more is known. A server that is down holds up nobody's configuration.

import type { Clock, Timer } from "../../base/clock.ts";
import type { ModuleSource } from "./fetch-module.ts";
import { isWasm } from "./module-cache.ts";
import type { ModuleCache, ResolvedModule } from "./module-cache.ts";
import type { PullFault } from "./pull-fault.ts";

/** A server that is down is asked again after this; each failure doubles it up to the maximum. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** What is not there, or refused, is rarely there a second later. */
const REFUSED_RETRY_MS_MIN = 10_000;
const REFUSED_RETRY_MS_MAX = 300_000;
/** How long the first asker of a new module waits: with a near registry one pass is enough. */
const FIRST_WAIT_MS = 2_000;
/** How many modules are pulled or remembered at one time. */
const ENTRIES_MAX = 1_000;

/** One module to be had. */
export interface PullRequest extends ModuleSource {
  /** A module that is in the cache under this url is as good as a new one. */
  readonly mayUseCached: boolean;
  /** Another text is another request: a changed object pulls again. */
  readonly revision: string;
}

export type PullState =
  | { readonly kind: "ready"; readonly module: ResolvedModule; readonly fault: PullFault | null }
  | { readonly kind: "pulling" }
  | { readonly kind: "failed"; readonly fault: PullFault };

export interface ModulePullerOptions {
  readonly cache: ModuleCache;
  readonly clock: Clock;
  /** Never rejects. */
  readonly fetch: (
    source: ModuleSource,
    signal: AbortSignal,
  ) => Promise<{ readonly bytes: Uint8Array } | PullFault>;
  /** The answer of `state` has changed for some request. */
  readonly onChange: () => void;
}

interface Entry {
  readonly request: PullRequest;
  readonly abort: AbortController;
  state: PullState;
  attempt: Promise<void>;
  retry: Timer | null;
  failureCount: number;
}

export class ModulePuller {
  readonly #options: ModulePullerOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: ModulePullerOptions) {
    this.#options = options;
  }

  /** What is known; starts a pull when nothing is. */
  async state(request: PullRequest): Promise<PullState> {
    const key = keyOf(request);
    const known = this.#entries.get(key);
    if (known !== undefined) return known.state;
    const cached = await cachedState(this.#options.cache, request);
    if (cached.kind === "ready") return cached;
    const entry = this.#entries.get(key) ?? this.#start(key, request);
    await this.#atMost(entry.attempt, FIRST_WAIT_MS);
    return entry.state;
  }

  /** What is known, without any effect. */
  async peek(request: PullRequest): Promise<PullState> {
    return this.#entries.get(keyOf(request))?.state ?? cachedState(this.#options.cache, request);
  }

  /** Gives up what is not among the requests any more. */
  keepOnly(requests: readonly PullRequest[]): void {
    const wanted = new Set(requests.map(keyOf));
    for (const [key, entry] of this.#entries) if (!wanted.has(key)) this.#end(key, entry);
  }

  stop(): void {
    this.keepOnly([]);
  }

  #start(key: string, request: PullRequest): Entry {
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size < ENTRIES_MAX) break;
      this.#end(oldest, entry);
    }
    const entry: Entry = {
      request,
      abort: new AbortController(),
      state: { kind: "pulling" },
      attempt: Promise.resolve(),
      retry: null,
      failureCount: 0,
    };
    this.#entries.set(key, entry);
    entry.attempt = this.#attempt(entry);
    return entry;
  }

  async #attempt(entry: Entry): Promise<void> {
    const { request, abort } = entry;
    const outcome = await this.#pull(request, abort.signal);
    if (abort.signal.aborted) return;
    const before = entry.state;
    if ("sha256" in outcome) {
      entry.failureCount = 0;
      entry.state = { kind: "ready", module: outcome, fault: null };
    } else {
      entry.state = await this.#failed(entry, outcome);
    }
    if (!isSame(before, entry.state)) this.#options.onChange();
  }

  async #pull(request: PullRequest, signal: AbortSignal): Promise<ResolvedModule | PullFault> {
    const { cache, fetch } = this.#options;
    const fetched = await fetch(request, signal);
    if ("error" in fetched) return fetched;
    if (!isWasm(fetched.bytes)) return notWasm(request.url, fetched.bytes);
    try {
      const module = await cache.keep(fetched.bytes);
      await cache.notePulled(cacheKey(request.url, request.sha256), module.sha256);
      return module;
    } catch (cause) {
      return {
        code: "GL0402",
        error: `${request.url} cannot be kept: ${cause instanceof Error ? cause.message : "?"}`,
        remedy: "Check the state directory: is its disk full, may it be written?",
        isTemporary: true,
      };
    }
  }

  /** A server that is down leaves what was pulled from it before; what it refuses is refused. */
  async #failed(entry: Entry, fault: PullFault): Promise<PullState> {
    const { clock, cache } = this.#options;
    const [min, max] = fault.isTemporary
      ? [RETRY_MS_MIN, RETRY_MS_MAX]
      : [REFUSED_RETRY_MS_MIN, REFUSED_RETRY_MS_MAX];
    const delayMs = Math.min(min * 2 ** entry.failureCount, max);
    entry.failureCount += 1;
    entry.retry = clock.after(
      delayMs,
      () => {
        entry.attempt = this.#attempt(entry);
      },
      { unref: true },
    );
    const { url, sha256 } = entry.request;
    const old = fault.isTemporary ? await cache.pulledFrom(cacheKey(url, sha256)) : null;
    return old === null ? { kind: "failed", fault } : { kind: "ready", module: old, fault };
  }

  #end(key: string, entry: Entry): void {
    entry.abort.abort();
    entry.retry?.cancel();
    this.#entries.delete(key);
  }

  #atMost(attempt: Promise<void>, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(waitMs, resolve, { unref: true });
      void attempt.finally(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}

/** What the cache has; `pulling` when it has nothing. */
export async function cachedState(cache: ModuleCache, request: PullRequest): Promise<PullState> {
  const { url, sha256, mayUseCached } = request;
  // The digest of an image is not that of its module: this finds web modules only.
  const byDigest = sha256 === "" ? null : await cache.find(sha256);
  const module = byDigest ?? (mayUseCached ? await cache.pulledFrom(cacheKey(url, sha256)) : null);
  return module === null ? { kind: "pulling" } : { kind: "ready", module, fault: null };
}

function keyOf({ url, sha256, dockerConfig, revision }: PullRequest): string {
  return JSON.stringify([url, sha256, dockerConfig, revision]);
}

/** A module that was checked against a digest must not stand for the url without one. */
function cacheKey(url: string, sha256: string): string {
  return sha256 === "" ? url : `${url} ${sha256}`;
}

function isSame(one: PullState, other: PullState): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function notWasm(url: string, bytes: Uint8Array): PullFault {
  return {
    code: "GL0403",
    error: `${url} is not a WebAssembly module: ${firstBytes(bytes)}`,
    remedy: "Publish the .wasm file that the compiler wrote.",
    isTemporary: false,
  };
}

export function firstBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return "it is empty";
  return `it begins with ${Buffer.from(bytes.subarray(0, 8)).toString("hex")}`;
}
