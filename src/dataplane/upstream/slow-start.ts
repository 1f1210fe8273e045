//! Endpoints that have just come get few requests at first, and ever more (Envoy's slow start).
//!
//! An endpoint is drawn as always, and drawn again with the chance that it is not yet warm. So it
//! costs nothing while no endpoint is new.

import type { Prng } from "../../base/prng.ts";
import type { SlowStart } from "../../snapshot/routing.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";

/** Endpoints whose beginning is remembered; the one that was seen first is forgotten first. */
const REMEMBERED_MAX = 16_384;
/** Draws for one request: where all endpoints are new, the last drawn has it. */
const DRAWS_MAX = 16;
const PERCENT = 100;
const PPM_TOTAL = 1_000_000;

export class WarmUp {
  readonly #settings: SlowStart;
  /** By `address:port`: when it was first seen. */
  readonly #sinceMs = new Map<string, number>();
  /** By set of endpoints: when the last of them is warm. */
  readonly #warmAtMs = new WeakMap<readonly Endpoint[], number>();

  constructor(settings: SlowStart) {
    this.#settings = settings;
  }

  /** `draw` gives the index of an endpoint, another one each time as far as it can. */
  pick(
    endpoints: readonly Endpoint[],
    { prng, nowMs }: { readonly prng: Prng; readonly nowMs: number },
    draw: () => number,
  ): number {
    let drawn = draw();
    const warmAtMs = this.#warmAtMs.get(endpoints) ?? this.#learn(endpoints, nowMs);
    if (nowMs >= warmAtMs) return drawn;
    for (let count = 1; count < DRAWS_MAX; count++) {
      const endpoint = endpoints[drawn];
      const share = endpoint === undefined ? 1 : this.#share(endpoint, nowMs);
      if (share >= 1 || prng.below(PPM_TOTAL) < share * PPM_TOTAL) return drawn;
      drawn = draw();
    }
    return drawn;
  }

  /** Those of a whole set are met before parts of it are drawn from. */
  meet(endpoints: readonly Endpoint[], nowMs: number): void {
    if (!this.#warmAtMs.has(endpoints)) this.#learn(endpoints, nowMs);
  }

  /** Those that the worker begins with are all equally new, so that none has to wait. */
  #learn(endpoints: readonly Endpoint[], nowMs: number): number {
    const isFirst = this.#sinceMs.size === 0;
    let newestMs = Number.NEGATIVE_INFINITY;
    for (const endpoint of endpoints) {
      const key = keyOf(endpoint);
      const sinceMs = this.#sinceMs.get(key) ?? (isFirst ? Number.NEGATIVE_INFINITY : nowMs);
      this.#sinceMs.set(key, sinceMs);
      newestMs = Math.max(newestMs, sinceMs);
    }
    for (const key of this.#sinceMs.keys()) {
      if (this.#sinceMs.size <= REMEMBERED_MAX) break;
      this.#sinceMs.delete(key);
    }
    const warmAtMs = newestMs + this.#settings.windowMs;
    this.#warmAtMs.set(endpoints, warmAtMs);
    return warmAtMs;
  }

  #share(endpoint: Endpoint, nowMs: number): number {
    const { windowMs, aggression, percentMin } = this.#settings;
    const ageMs = nowMs - (this.#sinceMs.get(keyOf(endpoint)) ?? Number.NEGATIVE_INFINITY);
    if (ageMs >= windowMs) return 1;
    return Math.max(percentMin / PERCENT, (Math.max(1, ageMs) / windowMs) ** (1 / aggression));
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
