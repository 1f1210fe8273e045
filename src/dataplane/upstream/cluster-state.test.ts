import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterPolicy } from "../../snapshot/routing.ts";
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
