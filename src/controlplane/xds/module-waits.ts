//! Whether an Envoy that refuses a plug-in has just not fetched its module yet, and when it has.
//!
//! Envoy refuses a plug-in whose code it does not have at once, fetches it beside that, and says in
//! the same words when the code is there and wrong. What it asks the store tells them apart.

import type { Clock, Timer } from "../../base/clock.ts";
import type { EnvoyResource } from "../../compile-envoy/envoy-config.ts";
import { versionOf } from "./type-channel.ts";

/** - begun: it is being sent. - sent: all of it. - failed: not all of it, or none. */
export type FetchPhase = "begun" | "sent" | "failed";

export interface ModuleFetches {
  /** Calls on each fetch of that Envoy. Returns what ends that. */
  watch(node: string, listener: (sha256: string, phase: FetchPhase) => void): () => void;
}

/** Envoy drops code that it has not used for a day. */
const KNOWN_MS = 12 * 3_600_000;
/** What was sent is in Envoy's cache when it has read all of it. */
const SENT_PAUSES_MS = [20, 250] as const;
/** It may be there already, or come from another replica: nobody says so. */
const UNSEEN_PAUSES_MS = [500, 1_000, 2_000, 4_000] as const;
const FAILED_PAUSES_MS = [500, 1_000, 2_000, 4_000] as const;
/** Whatever becomes of them. */
const TRIES_OF_ONE_MAX = 20;
/** As long as Envoy itself waits, and a little. */
const FETCH_MS_MAX = 65_000;
/** Envoy's words begin so for a plug-in, and for a listener that has one. */
const WORDS = /Unable to create Wasm/;
/** The counters of so many plug-ins are kept; of the oldest they begin anew. */
const TRIES_MAX = 1_000;

type Said = FetchPhase | "unseen";

interface Tries {
  readonly said: Map<string, FetchPhase>;
  readonly count: Record<Exclude<Said, "begun">, number>;
  total: number;
  timer: Timer | null;
  again: () => void;
  readonly modules: readonly string[];
}

/** Of one Envoy's stream. */
export class ModuleWaits {
  readonly #clock: Clock;
  readonly #fetches: ModuleFetches;
  #unwatch = (): void => undefined;
  /** By digest, when the Envoy is known to have had it. */
  readonly #known = new Map<string, number>();
  /** By name and version. */
  readonly #tries = new Map<string, Tries>();
  /** What the Envoy asked for in the time before it was known why. */
  readonly #early = new Map<string, FetchPhase>();

  constructor(clock: Clock, fetches: ModuleFetches) {
    this.#clock = clock;
    this.#fetches = fetches;
  }

  /** Whose stream it is is known by the first message. */
  join(node: string): void {
    this.#unwatch();
    this.#unwatch = this.#fetches.watch(node, (sha256, phase) => {
      this.#onFetch(sha256, phase);
    });
  }

  mayBeMissing(resource: EnvoyResource, error: string, again: () => void): boolean {
    const modules = (resource.fetches ?? []).map(({ sha256 }) => sha256);
    const missing = modules.filter((sha256) => !this.#isKnown(sha256));
    if (missing.length === 0 || !WORDS.test(error)) return false;
    const tries = this.#triesOf(`${resource.name} ${versionOf(resource)}`, missing);
    tries.again = again;
    tries.total += 1;
    return tries.total < TRIES_OF_ONE_MAX && this.#plan(tries);
  }

  taken({ name, fetches = [] }: EnvoyResource): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { sha256 } of fetches) this.#known.set(sha256, nowMs);
    for (const oldest of [...this.#known.keys()].slice(0, -TRIES_MAX)) this.#known.delete(oldest);
    for (const [key, { timer }] of this.#tries) {
      if (!key.startsWith(`${name} `)) continue;
      timer?.cancel();
      this.#tries.delete(key);
    }
  }

  close(): void {
    this.#unwatch();
    for (const { timer } of this.#tries.values()) timer?.cancel();
    this.#tries.clear();
  }

  #isKnown(sha256: string): boolean {
    const atMs = this.#known.get(sha256);
    return atMs !== undefined && this.#clock.monotonicMs() - atMs < KNOWN_MS;
  }

  #triesOf(key: string, modules: readonly string[]): Tries {
    const before = this.#tries.get(key);
    if (before !== undefined) return before;
    for (const [oldest, { timer }] of this.#tries) {
      if (this.#tries.size < TRIES_MAX) break;
      timer?.cancel();
      this.#tries.delete(oldest);
    }
    const said = new Map<string, FetchPhase>();
    for (const sha256 of modules) {
      const phase = this.#early.get(sha256);
      if (phase !== undefined) said.set(sha256, phase);
    }
    const count = { sent: 0, failed: 0, unseen: 0 };
    const tries: Tries = { said, count, total: 0, timer: null, again: () => undefined, modules };
    this.#tries.set(key, tries);
    return tries;
  }

  /** False: enough was tried. */
  #plan(tries: Tries): boolean {
    tries.timer?.cancel();
    tries.timer = null;
    const pauseMs = this.#pauseOf(tries);
    if (pauseMs === null) return false;
    tries.timer = this.#clock.after(pauseMs, () => {
      tries.timer = null;
      tries.again();
    });
    return true;
  }

  #pauseOf({ said, count, modules }: Tries): number | null {
    const phases = modules.map((sha256): Said => said.get(sha256) ?? "unseen");
    if (phases.includes("begun")) return FETCH_MS_MAX;
    const next = (kind: Exclude<Said, "begun">, pauses: readonly number[]): number | null => {
      count[kind] += 1;
      return pauses[count[kind] - 1] ?? null;
    };
    if (phases.includes("failed")) return next("failed", FAILED_PAUSES_MS);
    if (phases.includes("unseen")) return next("unseen", UNSEEN_PAUSES_MS);
    return next("sent", SENT_PAUSES_MS);
  }

  #onFetch(sha256: string, phase: FetchPhase): void {
    this.#early.delete(sha256);
    this.#early.set(sha256, phase);
    for (const oldest of [...this.#early.keys()].slice(0, -TRIES_MAX)) this.#early.delete(oldest);
    for (const tries of this.#tries.values()) {
      if (!tries.modules.includes(sha256)) continue;
      tries.said.set(sha256, phase);
      if (phase === "sent") tries.count.sent = 0;
      // Between two attempts; else the answer to one is on its way.
      if (tries.timer !== null && !this.#plan(tries)) tries.again();
    }
  }
}
