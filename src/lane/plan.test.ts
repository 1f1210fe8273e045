import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cohorts } from "../snapshot/cohort.ts";
import { makeKeyHash } from "./key-hash.ts";
import { EXAMPLES_MAX, SharePlan } from "./plan.ts";

const DEAL = {
  key: { kind: "header", name: "x-user-id" },
  hash: "murmur3",
  salt: "spring",
  modulo: 100,
} as const;
const HASH = makeKeyHash(DEAL);
const KEYS = Array.from({ length: 1_000 }, (_none, index) => `user-${index}`);

function cohorts(shares: Readonly<Record<string, readonly [number, number]>>): Cohorts {
  const intervals = Object.entries(shares).map(([lane, [fromPpm, toPpm]]) => ({
    fromPpm,
    toPpm,
    lane,
  }));
  return { deal: DEAL, tables: { "*": intervals }, routes: {} };
}

function planOf(now: Cohorts | undefined, then: Cohorts | undefined): SharePlan {
  const plan = new SharePlan(now, then);
  for (const key of KEYS) plan.add(key, key);
  return plan;
}

const countIn = (from: number, to: number): number =>
  KEYS.filter((key) => HASH.bucketOf(key) >= from && HASH.bucketOf(key) < to).length;

test("keys that move in, out and between lanes are counted, and some are named", () => {
  const now = cohorts({ a: [0, 300_000], b: [300_000, 500_000] });
  const then = cohorts({ a: [0, 200_000], b: [250_000, 600_000] });
  const [table] = planOf(now, then).tables;
  assert.ok(table);
  assert.equal(table.in.count, countIn(500_000, 600_000));
  assert.equal(table.out.count, countIn(200_000, 250_000));
  assert.equal(table.between.count, countIn(250_000, 300_000));
  const moved = table.in.count + table.out.count + table.between.count;
  assert.equal(table.stayCount, KEYS.length - moved);
  assert.equal(table.in.examples.length, EXAMPLES_MAX);
  assert.deepEqual([table.in.examples[0]?.from, table.in.examples[0]?.to], [null, "b"]);
  assert.deepEqual(table.shares, [
    { lane: "a", nowPpm: 300_000, thenPpm: 200_000 },
    { lane: "b", nowPpm: 200_000, thenPpm: 350_000 },
  ]);
});

test("the first share and the last one are counted too", () => {
  const shares = cohorts({ a: [0, 300_000] });
  assert.equal(planOf(undefined, shares).tables[0]?.in.count, countIn(0, 300_000));
  assert.equal(planOf(shares, undefined).tables[0]?.out.count, countIn(0, 300_000));
});

test("a base route that gets shares of its own is compared with what it had", () => {
  const now = cohorts({ a: [0, 100_000] });
  const own = [{ fromPpm: 0, toPpm: 300_000, lane: "a" }];
  const then = { ...now, tables: { ...now.tables, "default/order/pay": own } };
  const plan = planOf(now, then);
  assert.deepEqual(
    plan.tables.map(({ table, in: moved }) => [table, moved.count]),
    [
      ["*", 0],
      ["default/order/pay", countIn(100_000, 300_000)],
    ],
  );
});
