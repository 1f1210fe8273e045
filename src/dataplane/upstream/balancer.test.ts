import assert from "node:assert/strict";
import { test } from "node:test";

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
