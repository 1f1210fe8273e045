import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterPolicy } from "../../snapshot/routing.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import { SeededPrng } from "../../base/prng.ts";
import { ClusterState } from "./cluster-state.ts";

const cases: readonly {
  readonly name: string;
  readonly policy: ClusterPolicy;
  readonly requests: number;
  /** As many may be in a further try at once. */
  readonly want: number;
}[] = [
  {
    name: "a budget gives its percentage of the requests under way",
    policy: { retryBudget: { percent: 20, countMin: 0 } },
    requests: 25,
    want: 5,
  },
  {
    name: "a budget gives whole tries",
    policy: { retryBudget: { percent: 20, countMin: 0 } },
    requests: 9,
    want: 1,
  },
  {
    name: "a budget gives its least number however few requests there are",
    policy: { retryBudget: { percent: 20, countMin: 3 } },
    requests: 1,
    want: 3,
  },
  {
    name: "a budget of nothing gives nothing",
    policy: { retryBudget: { percent: 0, countMin: 0 } },
    requests: 1_000,
    want: 0,
  },
  {
    name: "a budget stands in the place of a fixed number",
    policy: { retryBudget: { percent: 50, countMin: 0 }, connections: { retriesMax: 1 } },
    requests: 10,
    want: 5,
  },
  {
    name: "without a budget the fixed number counts",
    policy: { connections: { retriesMax: 2 } },
    requests: 100,
    want: 2,
  },
];

for (const { name, policy, requests, want } of cases) {
  test(name, () => {
    const state = new ClusterState(policy, 0, { ejected: new Map(), health: null });
    state.requests = requests;
    while (state.mayRetry && state.retries < 1_000) state.retries += 1;
    assert.equal(state.retries, want);
  });
}

const OUTLIERS = {
  ...{ consecutive5xx: 1, consecutiveGatewayErrors: 0, intervalMs: 1_000 },
  ...{ baseEjectionMs: 1_000, ejectedPercentMax: 100, healthyPercentMin: 0 },
};
const PLACE = { locality: "r1/z1", labels: {} };

function at(...localities: readonly string[]): Endpoint[] {
  return localities.map((locality, index) => {
    const address = `10.0.0.${index}`;
    return { address, port: 80, pod: "", labels: {}, locality };
  });
}

/** Some of whose endpoints have been ejected. */
function without(
  policy: ClusterPolicy,
  set: readonly Endpoint[],
  out: readonly number[],
): ClusterState {
  const state = new ClusterState(policy, 0, { ejected: new Map(), health: null });
  for (const index of out) {
    const endpoint = set[index];
    if (endpoint !== undefined) state.outliers?.record(endpoint, 500, set, 0);
  }
  return state;
}

/** Percent of 10,000 requests that each endpoint gets while some are out. */
function spread(policy: ClusterPolicy, set: readonly Endpoint[], out: readonly number[]): number[] {
  const state = without(policy, set, out);
  const prng = new SeededPrng(3);
  const counts = set.map(() => 0);
  for (let count = 0; count < 10_000; count++) {
    const hash = "key" in (policy.loadBalancer ?? {}) ? prng.below(0x1_0000_0000) : null;
    const index = state.pick(set, { prng, hash, place: PLACE, activeCount: () => 0 }, 1);
    if (index !== -1) counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((count) => Math.round(count / 100));
}

const NEAR = at("r1/z1", "r1/z1", "r1/z1", "r2", "r2");
const RING = { kind: "ring-hash", key: { kind: "source" }, ringSizeMin: 1_024 } as const;
const PARTS = { distribute: [{ from: "r1", to: { "r1/z1": 90, r2: 10 } }] };

const SPREADS: readonly {
  readonly name: string;
  readonly policy: ClusterPolicy;
  readonly out: readonly number[];
  readonly want: readonly number[];
}[] = [
  {
    name: "all near ones are well: nobody goes far",
    policy: { outliers: OUTLIERS },
    out: [],
    want: [33, 33, 33, 0, 0],
  },
  {
    name: "two of three bear 1.4 times their share, the next for who is out; the rest goes far",
    policy: { outliers: OUTLIERS },
    out: [0],
    want: [0, 62, 31, 3, 3],
  },
  {
    name: "no near one is well",
    policy: { outliers: OUTLIERS },
    out: [0, 1, 2],
    want: [0, 0, 0, 50, 50],
  },
  {
    name: "nobody is well",
    policy: { outliers: OUTLIERS },
    out: [0, 1, 2, 3, 4],
    want: [0, 0, 0, 0, 0],
  },
  {
    name: "so few are well that all count",
    policy: { outliers: { ...OUTLIERS, healthyPercentMin: 50 } },
    out: [0, 1, 2],
    want: [33, 33, 33, 0, 0],
  },
  {
    name: "where places do not count all are alike",
    policy: { outliers: OUTLIERS, locality: { isOff: true } },
    out: [],
    want: [20, 20, 20, 20, 20],
  },
  {
    name: "parts by place",
    policy: { outliers: OUTLIERS, locality: PARTS },
    out: [],
    want: [30, 30, 30, 5, 5],
  },
  {
    name: "a part whose place is not well goes to the others",
    policy: { outliers: OUTLIERS, locality: PARTS },
    out: [0, 1, 2],
    want: [0, 0, 0, 50, 50],
  },
  {
    name: "parts by place, with keys",
    policy: { loadBalancer: RING, outliers: OUTLIERS, locality: PARTS },
    out: [],
    want: [30, 30, 30, 5, 5],
  },
];

for (const { name, policy, out, want } of SPREADS) {
  test(`endpoints by place: ${name}`, () => {
    const got = spread(policy, NEAR, out);
    got.forEach((count, index) => {
      const tolerance = policy.loadBalancer === undefined ? 2 : 5;
      assert.ok(
        Math.abs(count - (want[index] ?? 0)) <= tolerance,
        `${got.join()}, not ${want.join()}`,
      );
    });
  });
}

test("endpoints by place: a key stays where it was", () => {
  const policy = { loadBalancer: RING, locality: PARTS };
  const state = new ClusterState(policy, 0, { ejected: new Map(), health: null });
  for (let hash = 0; hash < 100; hash++) {
    const prng = new SeededPrng(hash + 1);
    const input = { prng, hash: hash * 40_503_001, place: PLACE, activeCount: () => 0 };
    assert.equal(state.pick(NEAR, input, 1), state.pick(NEAR, input, 1));
  }
});

test("endpoints by place: another try takes a near one, then a far one, never the same", () => {
  const set = at("r2", "r1/z1", "r3", "r1/z1");
  const state = (out: readonly number[]): ClusterState => {
    return without({ outliers: OUTLIERS }, set, out);
  };
  // 1 has been tried: the next in turn is 2.
  assert.equal(state([]).next(set, 2, 1, PLACE), 3);
  assert.equal(state([3]).next(set, 2, 1, PLACE), 2);
  assert.equal(state([3, 2]).next(set, 2, 1, PLACE), 0);
  assert.equal(state([0, 2, 3]).next(set, 2, 1, PLACE), 1);
  assert.equal(state([0, 1, 2, 3]).next(set, 2, 1, PLACE), -1);
  assert.equal(state([]).next(set, 2, 1), 2);
});
