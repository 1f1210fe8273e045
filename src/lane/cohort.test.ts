import assert from "node:assert/strict";
import { test } from "node:test";
import type { CohortDeal, CohortKey, Cohorts } from "../snapshot/cohort.ts";
import { SeededPrng } from "../base/prng.ts";
import { cohortLane, explainCohort, prepareCohorts } from "./cohort.ts";
import type { CohortInput } from "./cohort.ts";

const GRAY = { fromPpm: 0, toPpm: 300_000, lane: "gray" };
const GREEN = { fromPpm: 300_000, toPpm: 500_000, lane: "green" };

function deal(key: CohortKey): CohortDeal {
  return { key, hash: "murmur3", salt: "default/shop", modulo: 100 };
}

const USER = deal({ kind: "header", name: "x-user-id" });

function cohorts(more: Partial<Cohorts> = {}): Cohorts {
  return { deal: USER, tables: { "*": [GRAY, GREEN] }, routes: {}, ...more };
}

function input(
  values: Readonly<Record<string, string>> = {},
  more: Partial<CohortInput> = {},
): CohortInput {
  return {
    routeId: "default/shop/http[0]",
    read: (kind, name) => values[`${kind} ${name}`],
    issueId: () => undefined,
    below: () => assert.fail("nothing is drawn for a sticky share"),
    ...more,
  };
}

const user = (name: string): CohortInput => input({ "header x-user-id": name });

test("a key is always in the same lane, and the lanes have their shares of the keys", () => {
  const prepared = prepareCohorts(cohorts());
  const count: Record<string, number> = {};
  for (let number = 0; number < 10_000; number++) {
    const lane = cohortLane(prepared, user(`user-${number}`)) ?? "baseline";
    assert.equal(lane, cohortLane(prepared, user(`user-${number}`)) ?? "baseline");
    count[lane] = (count[lane] ?? 0) + 1;
  }
  // 99.9 % of binomial(10,000, 0.3) lies within 3.29 x 45.8 of 3,000; of 0.2, within 3.29 x 40.
  const { gray = 0, green = 0 } = count;
  assert.ok(gray >= 2_849 && gray <= 3_151, `${gray} in gray`);
  assert.ok(green >= 1_868 && green <= 2_132, `${green} in green`);
});

test("without stickiness each request draws, and a lane has its share of the requests", () => {
  const prepared = prepareCohorts(cohorts({ deal: null }));
  const prng = new SeededPrng(4711);
  const draw = input({}, { below: (limit) => prng.below(limit) });
  let gray = 0;
  for (let request = 0; request < 10_000; request++) {
    if (cohortLane(prepared, draw) === "gray") gray += 1;
  }
  assert.ok(gray >= 2_849 && gray <= 3_151, `${gray} in gray`);
});

test("a draw stands in the interval from its first bucket to before its last", () => {
  const prepared = prepareCohorts(cohorts({ deal: null }));
  const lanes = [0, 299_999, 300_000, 499_999, 500_000, 999_999].map((bucket) =>
    cohortLane(prepared, input({}, { below: () => bucket })),
  );
  assert.deepEqual(lanes, ["gray", "gray", "green", "green", null, null]);
});

test("0 is nobody and 100 % is everybody", () => {
  const all = { fromPpm: 0, toPpm: 1_000_000, lane: "gray" };
  const everybody = prepareCohorts(cohorts({ tables: { "*": [all] } }));
  const nobody = prepareCohorts(cohorts({ tables: {} }));
  for (let number = 0; number < 10_000; number++) {
    assert.equal(cohortLane(everybody, user(`${number}`)), "gray");
    assert.equal(cohortLane(nobody, user(`${number}`)), null);
  }
});

test("a base route with shares of its own has those, and the others have the common ones", () => {
  const all = { fromPpm: 0, toPpm: 1_000_000, lane: "green" };
  const tables = { "*": [], "default/shop/cart": [all] };
  const routes = { "default/shop/http[1]": "default/shop/cart" };
  const prepared = prepareCohorts(cohorts({ tables, routes }));
  const at = (routeId: string | null): string | null =>
    cohortLane(prepared, { ...user("jason"), routeId });
  assert.equal(at("default/shop/http[1]"), "green");
  assert.equal(at("default/shop/http[0]"), null);
  assert.equal(at(null), null);
});

const all = [{ fromPpm: 0, toPpm: 1_000_000, lane: "gray" }];
const keys: readonly {
  readonly title: string;
  readonly key: CohortKey;
  readonly values: Readonly<Record<string, string>>;
  readonly lane: string | null;
}[] = [
  { title: "a header", key: USER.key, values: { "header x-user-id": "1" }, lane: "gray" },
  { title: "no header", key: USER.key, values: {}, lane: null },
  { title: "an empty header", key: USER.key, values: { "header x-user-id": "" }, lane: null },
  {
    title: "a cookie",
    key: { kind: "cookie", name: "uid" },
    values: { "cookie uid": "1" },
    lane: "gray",
  },
  {
    title: "the client's address",
    key: { kind: "clientIp" },
    values: { "clientIp ": "192.0.2.1" },
    lane: "gray",
  },
];

for (const { title, key, values, lane } of keys) {
  test(`with ${title} for its key a request is in ${lane ?? "the baseline"}`, () => {
    const prepared = prepareCohorts(cohorts({ deal: deal(key), tables: { "*": all } }));
    assert.equal(cohortLane(prepared, input(values)), lane);
  });
}

const ISSUED = { kind: "issuedCookie", name: "graylane-id", maxAgeSeconds: 60 } as const;

test("a cookie is issued to whoever has none or a strange one, and decides at once", () => {
  const prepared = prepareCohorts(cohorts({ deal: deal(ISSUED), tables: { "*": all } }));
  const issued: string[] = [];
  const issueId = (): string => {
    issued.push("A1b2C3d4E5f6G7h8");
    return "A1b2C3d4E5f6G7h8";
  };
  const ask = (id: string): string | null =>
    cohortLane(prepared, input({ "cookie graylane-id": id }, { issueId }));
  assert.equal(ask("0123456789abcdef0123"), "gray");
  assert.equal(issued.length, 0);
  assert.equal(ask("short"), "gray");
  assert.equal(ask("0123456789abcdef; Path=/"), "gray");
  assert.equal(cohortLane(prepared, input({}, { issueId })), "gray");
  assert.equal(issued.length, 3);
});

test("no cookie is issued where nothing has a share", () => {
  const prepared = prepareCohorts(cohorts({ deal: deal(ISSUED), tables: { "*": [] } }));
  const issueId = (): string => assert.fail("issued");
  assert.equal(cohortLane(prepared, input({}, { issueId })), null);
});

test("the explanation has key, hash, bucket and interval, and agrees with the decision", () => {
  const prepared = prepareCohorts(cohorts());
  for (let number = 0; number < 100; number++) {
    const asked = user(`user-${number}`);
    const explained = explainCohort(prepared, asked);
    assert.equal(explained.hit?.lane ?? null, cohortLane(prepared, asked));
    assert.equal(explained.keyValue, `user-${number}`);
    const { bucketPpm, hash } = explained;
    assert.equal(bucketPpm, Math.floor((Number(hash) * 1_000_000) / 2 ** 32));
  }
  assert.deepEqual(explainCohort(prepared, input()), {
    table: "*",
    deal: USER,
    keyValue: null,
    hash: null,
    bucketPpm: null,
    intervals: [GRAY, GREEN],
    hit: null,
  });
});
