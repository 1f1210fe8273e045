//! Measures a plug-in from outside: how often and for how long each callback and host call runs.

import type { GuestFunction, GuestProbe } from "../wasm/guest-probe.ts";

/** Readings that the cost of one is learnt from, in each of so many tries. */
const READINGS = 200;
const BATCHES = 20;

/** Of each function, the newest calls that the median is taken of. */
const SAMPLES_MAX = 4_096;

interface Tally {
  calls: number;
  readonly samplesMs: Float64Array;
  totalMs: number;
  slowestMs: number;
  /** Of a callback: what it spent in host calls, as measured, and how many they were. */
  hostMs: number;
  hostCalls: number;
}

/** One line of the report; times without what the measuring itself costs. */
export interface CallCost {
  readonly name: string;
  readonly calls: number;
  readonly totalMs: number;
  /** Of a callback: without its host calls. */
  readonly ownMs: number;
  /** Of a callback: with its host calls. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

export class GuestProfile implements GuestProbe {
  readonly #nowMs: () => number;
  readonly #readingMs: number;
  readonly #callbacks = new Map<string, Tally>();
  readonly #hostFunctions = new Map<string, Tally>();
  #entered: Tally | null = null;

  /** `nowMs` has to tell parts of microseconds. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#readingMs = costOfReading(nowMs);
  }

  /** Forgets what it has measured: what comes now counts. */
  reset(): void {
    for (const tally of [...this.#callbacks.values(), ...this.#hostFunctions.values()]) {
      Object.assign(tally, NOTHING);
    }
  }

  callback(name: string, run: GuestFunction): GuestFunction {
    const tally = tallyOf(this.#callbacks, name);
    const nowMs = this.#nowMs;
    return (...parameters) => {
      this.#entered = tally;
      const startMs = nowMs();
      try {
        return run(...parameters);
      } finally {
        count(tally, nowMs() - startMs);
        this.#entered = null;
      }
    };
  }

  hostFunction(name: string, run: GuestFunction): GuestFunction {
    const tally = tallyOf(this.#hostFunctions, name);
    const nowMs = this.#nowMs;
    return (...parameters) => {
      const startMs = nowMs();
      try {
        return run(...parameters);
      } finally {
        const tookMs = nowMs() - startMs;
        count(tally, tookMs);
        const entered = this.#entered;
        if (entered !== null) {
          entered.hostMs += tookMs;
          entered.hostCalls += 1;
        }
      }
    };
  }

  /** The most expensive first. */
  callbacks(): CallCost[] {
    return costsOf(this.#callbacks, this.#readingMs);
  }

  hostFunctions(): CallCost[] {
    return costsOf(this.#hostFunctions, this.#readingMs);
  }
}

/** The least of several tries: a busy machine only ever adds. */
function costOfReading(nowMs: () => number): number {
  let least = Infinity;
  for (let batch = 0; batch < BATCHES; batch++) {
    const startMs = nowMs();
    for (let count = 1; count < READINGS; count++) nowMs();
    least = Math.min(least, (nowMs() - startMs) / READINGS);
  }
  return least;
}

const NOTHING = { calls: 0, totalMs: 0, slowestMs: 0, hostMs: 0, hostCalls: 0 };

function tallyOf(tallies: Map<string, Tally>, name: string): Tally {
  const tally = tallies.get(name) ?? { ...NOTHING, samplesMs: new Float64Array(SAMPLES_MAX) };
  tallies.set(name, tally);
  return tally;
}

function count(tally: Tally, tookMs: number): void {
  tally.samplesMs[tally.calls % SAMPLES_MAX] = tookMs;
  tally.calls += 1;
  tally.totalMs += tookMs;
  if (tookMs > tally.slowestMs) tally.slowestMs = tookMs;
}

/** Between two readings lies one reading; each host call adds two to its callback. */
function costsOf(tallies: ReadonlyMap<string, Tally>, readingMs: number): CallCost[] {
  const costs: CallCost[] = [];
  for (const [name, tally] of tallies) {
    const { calls, slowestMs, hostMs, hostCalls } = tally;
    if (calls === 0) continue;
    const spentMs = readingMs * (calls + 2 * hostCalls);
    const totalMs = Math.max(0, tally.totalMs - spentMs);
    const ownMs = Math.max(0, totalMs - Math.max(0, hostMs - readingMs * hostCalls));
    const medianMs = Math.max(0, medianOf(tally) - spentMs / calls);
    costs.push({ name, calls, totalMs, ownMs, medianMs, slowestMs });
  }
  return costs.sort((a, b) => b.totalMs - a.totalMs);
}

function medianOf({ samplesMs, calls }: Tally): number {
  const kept = samplesMs.slice(0, Math.min(calls, SAMPLES_MAX)).sort();
  return kept[Math.floor(kept.length / 2)] ?? 0;
}
