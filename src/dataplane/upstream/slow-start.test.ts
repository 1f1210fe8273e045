import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../base/prng.ts";
import type { SlowStart } from "../../snapshot/routing.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import { ClusterState } from "./cluster-state.ts";

const SLOW: SlowStart = { windowMs: 10_000, percentMin: 10, aggression: 1 };
const DRAWS = 4_000;

const endpoints = (count: number): Endpoint[] =>
  Array.from({ length: count }, (_, index) => ({
    address: `10.0.0.${index}`,
    port: 80,
    pod: "",
    labels: {},
  }));

function stateWith(kind: "round-robin" | "least-request", slow: Partial<SlowStart>): ClusterState {
  const loadBalancer = { kind, slowStart: { ...SLOW, ...slow } };
  return new ClusterState({ loadBalancer }, 0, { ejected: new Map(), health: null });
}

/** The share of the last endpoint in percent, at a time. */
function lastShare(state: ClusterState, set: readonly Endpoint[], nowMs: number): number {
  const input = { prng: new SeededPrng(5), hash: null, activeCount: () => 0 };
  let count = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    if (state.pick(set, input, nowMs) === set.length - 1) count += 1;
  }
  return (count / DRAWS) * 100;
}

for (const kind of ["round-robin", "least-request"] as const) {
  test(`a new endpoint gets its share little by little: ${kind}`, () => {
    const state = stateWith(kind, {});
    assert.ok(Math.abs(lastShare(state, endpoints(2), 0) - 50) < 5, "those of the beginning");
    const three = endpoints(3);
    const early = lastShare(state, three, 1);
    const half = lastShare(state, three, 5_000);
    const warm = lastShare(state, three, 10_001);
    // 10 % of a third and 50 % of a third, of what is then in use.
    assert.ok(early > 2.5 && early < 8, `${early} % at first`);
    assert.ok(half > 15 && half < 28, `${half} % after half of the time`);
    assert.ok(Math.abs(warm - 100 / 3) < 4, `${warm} % in the end`);
  });
}

test("more aggression gives more sooner", () => {
  const share = (aggression: number): number => {
    const state = stateWith("round-robin", { aggression });
    lastShare(state, endpoints(2), 0);
    lastShare(state, endpoints(3), 0);
    const set = endpoints(3);
    return lastShare(state, set, 2_500);
  };
  assert.ok(share(2) > share(1) + 3);
});

test("an endpoint alone serves, however new it is", () => {
  const state = stateWith("round-robin", { percentMin: 0 });
  lastShare(state, endpoints(2), 0);
  const alone = [{ ...endpoints(1)[0], address: "10.0.9.9" } as Endpoint];
  assert.equal(lastShare(state, alone, 1), 100);
});

test("endpoints that stay are warm, whatever else comes and goes", () => {
  const state = stateWith("round-robin", {});
  lastShare(state, endpoints(3), 0);
  assert.ok(Math.abs(lastShare(state, endpoints(3), 1) - 100 / 3) < 4);
});
