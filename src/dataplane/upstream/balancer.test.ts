import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { SeededPrng } from "../../base/prng.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { LoadBalancer } from "../../snapshot/routing.ts";
import { Balancer, hashText } from "./balancer.ts";

const endpoints = (count: number): Endpoint[] =>
  Array.from({ length: count }, (_, index) => ({
    address: `10.0.0.${index}`,
    port: 80,
    pod: `default/p${index}`,
    labels: {},
  }));
const key = { kind: "source" } as const;
const RING: LoadBalancer = { kind: "ring-hash", key, ringSizeMin: 1_024 };
const MAGLEV: LoadBalancer = { kind: "maglev", key, tableSize: 5_003 };
const KEYS = Array.from({ length: 2_000 }, (_, index) => hashText(`user-${index}`));

function input(hash: number | null = null, active: readonly number[] = []) {
  return {
    prng: new SeededPrng(7),
    hash,
    activeCount: ({ address }: Endpoint) => active[Number(address.split(".")[3])] ?? 0,
  };
}

test("round robin takes each endpoint in turn", () => {
  const set = endpoints(3);
  const balancer = new Balancer({ kind: "round-robin" });
  const picked = Array.from({ length: 6 }, () => balancer.pick(set, input()));
  assert.deepEqual([...picked].sort(), [0, 0, 1, 1, 2, 2]);
  assert.deepEqual(picked.slice(0, 3), picked.slice(3));
});

test("of two endpoints the one with less to do is taken, always", () => {
  const balancer = new Balancer({ kind: "least-request" });
  const busy = { ...input(null, [5, 1]), prng: new SeededPrng(1) };
  for (let index = 0; index < 50; index++) assert.equal(balancer.pick(endpoints(2), busy), 1);
});

for (const policy of [RING, MAGLEV]) {
  test(`${policy.kind} gives a key the same endpoint, and all endpoints a fair share`, () => {
    const set = endpoints(5);
    const balancer = new Balancer(policy);
    const counts = [0, 0, 0, 0, 0];
    for (const hash of KEYS) {
      const index = balancer.pick(set, input(hash));
      assert.equal(balancer.pick(set, input(hash)), index);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    for (const count of counts) assert.ok(count > 200 && count < 700, counts.join());
  });

  test(`${policy.kind} moves few keys between the endpoints that stay when one goes`, () => {
    const set = endpoints(5);
    const fewer = set.slice(0, 4);
    const balancer = new Balancer(policy);
    const moved = KEYS.filter((hash) => {
      const before = balancer.pick(set, input(hash));
      return before < 4 && balancer.pick(fewer, input(hash)) !== before;
    });
    assert.ok(moved.length < KEYS.length * 0.2, `${moved.length} moved`);
  });

  test(`${policy.kind} draws at random for a request without a key`, () => {
    const balancer = new Balancer(policy);
    const prng = new SeededPrng(3);
    const picked = new Set(
      Array.from({ length: 50 }, () => balancer.pick(endpoints(3), { ...input(), prng })),
    );
    assert.equal(picked.size, 3);
  });
}

describe("weights of 6, 1 and 1", () => {
  const set = endpoints(3).map((each, index) => (index === 0 ? { ...each, weight: 6 } : each));
  for (const policy of [
    { kind: "round-robin" },
    { kind: "least-request" },
    RING,
    MAGLEV,
  ] as const satisfies readonly LoadBalancer[]) {
    test(`are followed by ${policy.kind}, with and without keys`, () => {
      const balancer = new Balancer(policy);
      const prng = new SeededPrng(5);
      for (const hashes of [KEYS, KEYS.map(() => null)]) {
        const counts = [0, 0, 0];
        for (const hash of hashes) {
          const index = balancer.pick(set, { ...input(hash), prng });
          counts[index] = (counts[index] ?? 0) + 1;
        }
        const [first = 0, ...others] = counts.map((count) => count / KEYS.length);
        assert.ok(Math.abs(first - 0.75) < 0.05, counts.join());
        for (const other of others) assert.ok(Math.abs(other - 0.125) < 0.05, counts.join());
      }
    });
  }

  test("are in each short run of turns", () => {
    const balancer = new Balancer({ kind: "round-robin" });
    for (let run = 0; run < 20; run++) {
      const picked = Array.from({ length: 8 }, () => balancer.pick(set, input()));
      const heavy = picked.filter((index) => index === 0).length;
      assert.ok(heavy >= 5 && heavy <= 7, picked.join());
    }
  });

  test("of two the one with less to do for its weight is taken", () => {
    const two = set.slice(0, 2);
    const balancer = new Balancer({ kind: "least-request" });
    const picked = (active: readonly number[]): number => {
      const prng = new SeededPrng(9);
      let light = 0;
      for (let count = 0; count < 1_000; count++) {
        light += balancer.pick(two, { ...input(null, active), prng });
      }
      return light;
    };
    // The light one gets 1/7; of the draws that have both, all or none.
    assert.ok(picked([60, 1]) > 200);
    assert.ok(picked([5, 1]) < 50);
  });
});
