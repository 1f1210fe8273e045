import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededPrng } from "../base/prng.ts";
import type { ClusterPolicy, LocalityBalance } from "../snapshot/routing.ts";
import type { Endpoint } from "../snapshot/snapshot.ts";
import { drawIndex, indexAt, weightSums } from "./endpoint-weights.ts";
import { nearGroups } from "./locality.ts";

const OUTLIERS = {
  ...{ consecutive5xx: 5, consecutiveGatewayErrors: 0, intervalMs: 1_000 },
  ...{ baseEjectionMs: 1_000, ejectedPercentMax: 100, healthyPercentMin: 0 },
};

function endpointsAt(...places: readonly string[]): Endpoint[] {
  return places.map((place, index) => {
    const [locality = "", weight = "", label = ""] = place.split(" ");
    return {
      ...{ address: `10.0.0.${index}`, port: 80, pod: "" },
      labels: label === "" ? {} : { version: label },
      ...(locality === "" ? {} : { locality }),
      ...(weight === "" ? {} : { weight: Number(weight) }),
    };
  });
}

interface Case {
  readonly name: string;
  readonly at: string;
  readonly places: readonly string[];
  readonly locality?: LocalityBalance;
  readonly isUnwatched?: true;
  /** `level: weight: indices`; null: all alike. */
  readonly want: readonly string[] | null;
}

const HERE = "r1/z1/s1";
const SPREAD = [HERE, "r1/z1/s2", "r1/z2/s1", "r2/z1/s1", "r3"];

const CASES: readonly Case[] = [
  {
    name: "the same sub-zone goes before the zone, the region and the rest",
    at: HERE,
    places: SPREAD,
    want: ["0: 1: 0", "1: 1: 1", "2: 1: 2", "3: 1: 3", "3: 1: 4"],
  },
  {
    name: "levels that nobody is at are left out",
    at: HERE,
    places: ["r2", "r1/z2", "r2"],
    want: ["0: 1: 1", "1: 2: 0,2"],
  },
  {
    name: "a region that stands in goes before the others",
    at: HERE,
    places: SPREAD,
    locality: { failover: [{ from: "r1", to: "r3" }] },
    want: ["0: 1: 0", "1: 1: 1", "2: 1: 2", "3: 1: 4", "4: 1: 3"],
  },
  {
    name: "failover from another region does not count",
    at: HERE,
    places: ["r2", "r3", "r1"],
    locality: { failover: [{ from: "r9", to: "r3" }] },
    want: ["0: 1: 2", "1: 1: 0", "1: 1: 1"],
  },
  { name: "without places all are alike", at: HERE, places: ["", ""], want: null },
  { name: "at one place all are alike", at: HERE, places: ["r2", "r2"], want: null },
  {
    name: "nobody goes first where nobody knows who is well",
    at: HERE,
    places: SPREAD,
    isUnwatched: true,
    want: null,
  },
  { name: "it can be turned off", at: HERE, places: SPREAD, locality: { isOff: true }, want: null },
  {
    name: "labels in their order: what differs first decides",
    at: "r1/z1",
    places: ["r1/z2 1 v1", "r2/z1 1 v2", "r1/z1 1 v1", "r1/z1 1 v2"],
    locality: {
      failoverPriority: [
        "version=v2",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
      ],
    },
    want: ["0: 1: 3", "1: 1: 1", "2: 1: 0", "2: 1: 2"],
  },
  {
    name: "labels are compared with the caller's own",
    at: HERE,
    places: [" 1 v1", " 1 v7", ""],
    locality: { failoverPriority: ["version"] },
    want: ["0: 1: 1", "1: 2: 0,2"],
  },
  {
    name: "behind labels comes failover, if it is written",
    at: "r1",
    places: ["r2 1 v7", "r1 1 v1", "r1 1 v7", "r3 1 v7"],
    locality: { failoverPriority: ["version"], failover: [{ from: "r1", to: "r3" }] },
    want: ["0: 1: 2", "1: 1: 3", "2: 1: 0", "3: 1: 1"],
  },
  {
    name: "parts by place, and nothing for who is not named",
    at: HERE,
    places: ["r1/z1/a", "r1/z1/b", "r1/z2", "r2"],
    locality: { distribute: [{ from: "r1/z1", to: { "r1/z1/*": 80, "r1/z2": 20 } }] },
    isUnwatched: true,
    want: ["0: 40: 0", "0: 40: 1", "0: 20: 2"],
  },
  {
    name: "a part is shared by the weights of the places in it",
    at: HERE,
    places: ["r1/z1/a 3", "r1/z1/b", "r2"],
    locality: { distribute: [{ from: "*", to: { r1: 80, r2: 20 } }] },
    want: ["0: 60: 0", "0: 20: 1", "0: 20: 2"],
  },
  {
    name: "the first rule for the caller's place counts",
    at: HERE,
    places: ["r1", "r2"],
    locality: {
      distribute: [
        { from: "r2", to: { r2: 100 } },
        { from: "r1/*", to: { r2: 100 } },
        { from: "r1", to: { r1: 100 } },
      ],
    },
    want: ["0: 100: 1"],
  },
  {
    name: "no rule for the caller's place: all are alike, also with outlier detection",
    at: HERE,
    places: SPREAD,
    locality: { distribute: [{ from: "r2", to: { r2: 100 } }] },
    want: null,
  },
];

describe("endpoints by place", () => {
  for (const { name, at, places, locality, isUnwatched, want } of CASES) {
    test(name, () => {
      const policy: ClusterPolicy = {
        ...(locality === undefined ? {} : { locality }),
        ...(isUnwatched === true ? {} : { outliers: OUTLIERS }),
      };
      const place = { locality: at, labels: { version: "v7" } };
      const groups = nearGroups(endpointsAt(...places), policy, place);
      const told = groups?.map(
        ({ level, weight, indices }) => `${level}: ${weight}: ${indices.join()}`,
      );
      assert.deepEqual(told ?? null, want);
    });
  }
});

describe("weights", () => {
  test("that are all alike are no weights", () => {
    assert.equal(weightSums(endpointsAt("r1 5", "r2 5")), null);
    assert.equal(weightSums(endpointsAt("r1", "r2")), null);
    assert.equal(weightSums([]), null);
  });

  test("give each endpoint its part from 0 to 1", () => {
    const sums = weightSums(endpointsAt("a 2", "b", "c 5"));
    assert.ok(sums !== null);
    const points = [0, 0.249, 0.25, 0.374, 0.375, 0.999_999];
    assert.deepEqual(
      points.map((point) => indexAt(sums, point)),
      [0, 0, 1, 1, 2, 2],
    );
  });

  test("are followed at random", () => {
    const endpoints = endpointsAt("a 3", "b");
    const prng = new SeededPrng(11);
    let first = 0;
    for (let count = 0; count < 10_000; count++) first += 1 - drawIndex(endpoints, prng);
    assert.ok(first > 7_350 && first < 7_650, `${first} of 10,000`);
  });
});
