import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allocate, INTERVALS_MAX, shareOf } from "./allocation.ts";
import type { AllocationTable, WantedShare } from "./allocation.ts";
import { PPM_TOTAL } from "./key-hash.ts";

const HISTORIES = 100_000;
const LANES = ["a", "b", "c"];
/** Buckets that stand for users; both ends and an even spread. */
const SAMPLES = [
  0,
  999_999,
  ...Array.from({ length: 10 }, (_none, index) => 50_021 + 99_991 * index),
];

function laneOf(table: AllocationTable, bucket: number): string | null {
  for (const { lane, intervals } of table) {
    for (const [from, to] of intervals) if (bucket >= from && bucket < to) return lane;
  }
  return null;
}

/** Sets shares one after another; what does not fit into 100 % is cut. */
function wantedOf(shares: ReadonlyMap<string, number>): WantedShare[] {
  return [...shares].map(([lane, sharePpm]) => ({ lane, sharePpm }));
}

/** What one history must show: users with the step at which each came into its lane. */
class History {
  table: AllocationTable = [];
  readonly shares: Map<string, number> = new Map();
  readonly joined: { lane: string | null; step: number }[] = SAMPLES.map(() => ({
    lane: null,
    step: 0,
  }));
  #step = 0;

  /** One change of one or more lanes at a time. */
  change(changes: readonly (readonly [lane: string, sharePpm: number])[]): void {
    const before = new Map(this.shares);
    for (const [lane, sharePpm] of changes) {
      this.shares.delete(lane);
      const used = [...this.shares.values()].reduce((sum, ppm) => sum + ppm, 0);
      const fitting = Math.min(sharePpm, PPM_TOTAL - used);
      this.shares.set(lane, fitting);
    }
    const { table, refused } = allocate(this.table, wantedOf(this.shares));
    assert.deepEqual(refused, []);
    this.table = table;
    this.#check(before);
  }

  #check(before: ReadonlyMap<string, number>): void {
    this.#step += 1;
    const oldFree = PPM_TOTAL - [...before.values()].reduce((sum, ppm) => sum + ppm, 0);
    const growth = this.#sum((lane, ppm) => Math.max(0, ppm - (before.get(lane) ?? 0)));
    for (const [lane, ppm] of this.shares) assert.equal(shareOf(this.table, lane), ppm);
    const left = new Map<string, number[]>();
    const stayed = new Map<string, number[]>();
    SAMPLES.forEach((bucket, index) => {
      const user = this.joined[index];
      assert.ok(user);
      const lane = laneOf(this.table, bucket);
      const was = user.lane;
      if (was !== null) {
        const list = was === lane ? stayed : left;
        list.set(was, [...(list.get(was) ?? []), user.step]);
      }
      if (was === lane) return;
      const hasShrunk = was !== null && (this.shares.get(was) ?? 0) < (before.get(was) ?? 0);
      if (was !== null) assert.ok(hasShrunk, `${was} lost a user although it did not shrink`);
      // Only when the baseline has nothing left may a user go from lane to lane.
      if (was !== null && lane !== null) assert.ok(growth > oldFree, `${was} to ${lane}`);
      user.lane = lane;
      user.step = this.#step;
    });
    for (const [lane, steps] of left) {
      const newestThatStayed = Math.max(0, ...(stayed.get(lane) ?? []));
      assert.ok(Math.min(...steps) >= newestThatStayed, `${lane} gave back an older user`);
    }
  }

  #sum(of: (lane: string, ppm: number) => number): number {
    return [...this.shares].reduce((sum, [lane, ppm]) => sum + of(lane, ppm), 0);
  }
}

const share = fc.oneof(
  fc.constantFrom(0, 1, 1_000, 10_000, 100_000, 300_000, 500_000, PPM_TOTAL),
  fc.nat(PPM_TOTAL),
);
const change = fc.tuple(fc.constantFrom(...LANES), share);

test(`in ${HISTORIES} random histories of single changes nobody moves between lanes`, () => {
  let moves = 0;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const history = new History();
      for (const one of changes) history.change([one]);
      moves += changes.length;
    }),
    { numRuns: HISTORIES },
  );
  assert.ok(moves > HISTORIES);
});

test("of several changes at once users go from lane to lane only for want of others", () => {
  const changes = fc.array(fc.array(change, { minLength: 2, maxLength: 3 }), { maxLength: 6 });
  fc.assert(
    fc.property(changes, (steps) => {
      const history = new History();
      for (const step of steps) history.change(step);
    }),
    { numRuns: 2_000 },
  );
});

const cases: readonly {
  readonly title: string;
  readonly steps: readonly Readonly<Record<string, number>>[];
  readonly want: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}[] = [
  { title: "no share is nobody", steps: [{ a: 0 }], want: {} },
  { title: "100 % is everybody", steps: [{ a: PPM_TOTAL }], want: { a: [[0, PPM_TOTAL]] } },
  { title: "1 per mille is 1,000 buckets", steps: [{ a: 1_000 }], want: { a: [[0, 1_000]] } },
  {
    title: "the first deal is one range after another, as in the systems with cumulative bounds",
    steps: [{ a: 200_000, b: 300_000 }],
    want: { a: [[0, 200_000]], b: [[200_000, 500_000]] },
  },
  {
    title: "the first of two lanes grows behind the second",
    steps: [
      { a: 200_000, b: 300_000 },
      { a: 250_000, b: 300_000 },
    ],
    want: {
      a: [
        [0, 200_000],
        [500_000, 550_000],
      ],
      b: [[200_000, 500_000]],
    },
  },
  {
    title: "a lane that shrinks gives back its newest interval first",
    steps: [
      { a: 200_000, b: 300_000 },
      { a: 250_000, b: 300_000 },
      { a: 100_000, b: 300_000 },
    ],
    want: { a: [[0, 100_000]], b: [[200_000, 500_000]] },
  },
  {
    title: "a lane that grows again continues where it ends",
    steps: [{ a: 100_000 }, { a: 50_000 }, { a: 70_000, b: 10 }],
    want: { a: [[0, 70_000]], b: [[70_000, 70_010]] },
  },
  {
    title: "a lane that is gone leaves its buckets to the baseline",
    steps: [{ a: 100_000, b: 100_000 }, { b: 100_000 }],
    want: { b: [[100_000, 200_000]] },
  },
  {
    title: "what a lane gives back is dealt last in the same change",
    steps: [{ a: 500_000 }, { a: 100_000, b: 600_000 }],
    want: {
      a: [[0, 100_000]],
      b: [
        [500_000, PPM_TOTAL],
        [100_000, 200_000],
      ],
    },
  },
];

for (const { title, steps, want } of cases) {
  test(title, () => {
    let table: AllocationTable = [];
    for (const shares of steps) {
      table = allocate(table, wantedOf(new Map(Object.entries(shares)))).table;
    }
    const got = Object.fromEntries(table.map(({ lane, intervals }) => [lane, intervals]));
    assert.deepEqual(got, want);
  });
}

test("a table with too many pieces refuses to grow, says which lane, and still shrinks", () => {
  const pieces = Array.from({ length: INTERVALS_MAX }, (_none, index) => index);
  const old: AllocationTable = [
    { lane: "a", intervals: pieces.map((piece) => [4 * piece, 4 * piece + 1] as const) },
    { lane: "b", intervals: [[500_000, 500_001]] },
    { lane: "c", intervals: [[500_001, 500_002]] },
  ];
  const a = { lane: "a", sharePpm: INTERVALS_MAX };
  const c = { lane: "c", sharePpm: 1 };
  const grown = allocate(old, [a, { lane: "b", sharePpm: 5 }, c]);
  assert.deepEqual(grown.refused, ["b"]);
  assert.equal(shareOf(grown.table, "b"), 1);
  const shrunk = allocate(old, [{ lane: "a", sharePpm: 10 }, { lane: "b", sharePpm: 5 }, c]);
  assert.deepEqual(shrunk.refused, []);
  assert.equal(shareOf(shrunk.table, "a"), 10);
});

test("shares above 100 % are a mistake of the caller's", () => {
  const wanted = [
    { lane: "a", sharePpm: PPM_TOTAL },
    { lane: "b", sharePpm: 1 },
  ];
  assert.throws(() => allocate([], wanted), { name: "AssertionError" });
});
