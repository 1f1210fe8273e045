//! Which endpoint of a set gets a request: the policies of a DestinationRule.
//!
//! Hash rings and Maglev tables are built when a set of endpoints is first used, and kept as long
//! as the set: its array is the same until the endpoints change.

import { murmur3x86 } from "../../base/murmur3.ts";
import type { Prng } from "../../base/prng.ts";
import {
  drawIndex,
  drawPoint,
  indexAt,
  weightOf,
  weightSums,
} from "../../lane/endpoint-weights.ts";
import type { Place } from "../../lane/locality.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { LoadBalancer } from "../../snapshot/routing.ts";

export interface PickInput {
  readonly prng: Prng;
  /** Of the request's key; null: it has none, so any endpoint will do. */
  readonly hash: number | null;
  /** Where the caller is; absent: nobody is nearer than others. */
  readonly place?: Place | undefined;
  /** Exchanges that an endpoint carries or keeps waiting in this worker. */
  activeCount(endpoint: Endpoint): number;
}

/** Points of one endpoint on the ring are at most this many, however few endpoints there are. */
const POINTS_PER_ENDPOINT_MAX = 1_024;
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
const SEED = 0;
const SKIP_SEED = 0x5bd1e995;

interface Ring {
  /** Sorted. */
  readonly hashes: Uint32Array;
  /** Index of the endpoint at each point. */
  readonly owners: Uint16Array | Uint32Array;
}

export class Balancer {
  readonly #policy: LoadBalancer;
  readonly #rings = new WeakMap<readonly Endpoint[], Ring>();
  readonly #tables = new WeakMap<readonly Endpoint[], Uint32Array>();
  #turn = 0;

  constructor(policy: LoadBalancer) {
    this.#policy = policy;
  }

  /** The index of the chosen endpoint. There is at least one. */
  pick(endpoints: readonly Endpoint[], input: PickInput): number {
    const count = endpoints.length;
    const policy = this.#policy;
    switch (policy.kind) {
      case "round-robin":
        this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
        return inTurn(endpoints, this.#turn);
      case "least-request":
        return leastRequest(endpoints, input);
      case "ring-hash":
        if (input.hash === null) return drawIndex(endpoints, input.prng);
        return this.#onRing(endpoints, input.hash, policy.ringSizeMin);
      case "maglev":
        if (input.hash === null) return drawIndex(endpoints, input.prng);
        return this.#inTable(endpoints, input.hash, policy.tableSize);
      case "random":
        return input.prng.below(count);
    }
  }

  #onRing(endpoints: readonly Endpoint[], hash: number, sizeMin: number): number {
    let ring = this.#rings.get(endpoints);
    if (ring === undefined) {
      ring = makeRing(endpoints, sizeMin);
      this.#rings.set(endpoints, ring);
    }
    const { hashes, owners } = ring;
    let low = 0;
    let high = hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return owners[low === hashes.length ? 0 : low] ?? 0;
  }

  #inTable(endpoints: readonly Endpoint[], hash: number, size: number): number {
    let table = this.#tables.get(endpoints);
    if (table === undefined) {
      table = makeMaglev(endpoints, size);
      this.#tables.set(endpoints, table);
    }
    return table[hash % size] ?? 0;
  }
}

/** By weight: multiples of the golden ratio fall evenly on the weights, however many there are. */
function inTurn(endpoints: readonly Endpoint[], turn: number): number {
  const sums = weightSums(endpoints);
  return sums === null ? turn % endpoints.length : indexAt(sums, (turn * GOLDEN_RATIO) % 1);
}

/** Of two drawn at random the one with less to do: nearly as good as asking all of them. */
function leastRequest(endpoints: readonly Endpoint[], { prng, ...input }: PickInput): number {
  const count = endpoints.length;
  if (count === 1) return 0;
  const sums = weightSums(endpoints);
  if (sums !== null) return leastByWeight(endpoints, sums, { prng, ...input });
  const first = prng.below(count);
  const second = (first + 1 + prng.below(count - 1)) % count;
  const a = endpoints[first];
  const b = endpoints[second];
  if (a === undefined || b === undefined) return first;
  return input.activeCount(b) < input.activeCount(a) ? second : first;
}

/** The one with less to do for its weight; both are drawn by weight. */
function leastByWeight(
  endpoints: readonly Endpoint[],
  sums: Float64Array,
  { prng, activeCount }: Omit<PickInput, "hash">,
): number {
  const first = indexAt(sums, drawPoint(prng));
  const second = indexAt(sums, drawPoint(prng));
  const a = endpoints[first];
  const b = endpoints[second];
  if (a === undefined || b === undefined || first === second) return first;
  return activeCount(b) * weightOf(a) < activeCount(a) * weightOf(b) ? second : first;
}

/** A stable 32-bit hash of a text. */
export function hashText(text: string, seed: number = SEED): number {
  return murmur3x86(Buffer.from(text), seed);
}

function makeRing(endpoints: readonly Endpoint[], sizeMin: number): Ring {
  const total = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0);
  const entries: { hash: number; owner: number }[] = [];
  endpoints.forEach((endpoint, owner) => {
    const { address, port } = endpoint;
    const own = Math.ceil((sizeMin * weightOf(endpoint)) / total);
    const points = Math.max(1, Math.min(POINTS_PER_ENDPOINT_MAX, own));
    for (let point = 0; point < points; point++) {
      entries.push({ hash: hashText(`${address}:${port}_${point}`), owner });
    }
  });
  entries.sort((a, b) => a.hash - b.hash || a.owner - b.owner);
  return {
    hashes: Uint32Array.from(entries, ({ hash }) => hash),
    owners: Uint32Array.from(entries, ({ owner }) => owner),
  };
}

/** Eisenbud and others, "Maglev", NSDI 2016, section 3.4. `size` is a prime. */
function makeMaglev(endpoints: readonly Endpoint[], size: number): Uint32Array {
  const table = new Uint32Array(size);
  const isTaken = new Uint8Array(size);
  const heaviest = endpoints.reduce((most, each) => Math.max(most, weightOf(each)), 1);
  const walks = endpoints.map((endpoint) => {
    const name = `${endpoint.address}:${endpoint.port}`;
    const step = (hashText(name, SKIP_SEED) % (size - 1)) + 1;
    return { at: hashText(name) % size, step, weight: weightOf(endpoint), due: 0 };
  });
  let filled = 0;
  for (let round = 1; ; round++) {
    for (const [index, walk] of walks.entries()) {
      // As Envoy does: who weighs half as much as the heaviest has a turn in every other round.
      if (round * walk.weight < walk.due) continue;
      walk.due += heaviest;
      while (isTaken[walk.at] === 1) walk.at = (walk.at + walk.step) % size;
      table[walk.at] = index;
      isTaken[walk.at] = 1;
      filled += 1;
      if (filled === size) return table;
    }
  }
}
