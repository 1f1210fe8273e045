import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterHealth } from "./cluster-health.ts";
import type { CheckOutcome } from "./cluster-health.ts";

const CHECK = {
  timeoutMs: 100,
  intervalMs: 1_000,
  unhealthyIntervalMs: 2_000,
  unhealthyEdgeIntervalMs: 200,
  healthyEdgeIntervalMs: 300,
  jitterMs: 0,
  jitterPercent: 0,
  initialJitterMs: 0,
  unhealthyThreshold: 3,
  healthyThreshold: 2,
  ask: { kind: "tcp", send: "", receive: [] },
} as const;
const ENDPOINT = { address: "10.0.0.1", port: 80 };
const KEY = "10.0.0.1:80";

const CASES: readonly {
  readonly name: string;
  readonly isTrusted: boolean;
  readonly outcomes: readonly CheckOutcome[];
  /** After each outcome: is it out? */
  readonly want: readonly boolean[];
}[] = [
  {
    name: "the first outcome decides alone about an endpoint that serves already",
    isTrusted: true,
    outcomes: ["bad", "good", "good"],
    want: [true, true, false],
  },
  {
    name: "a new endpoint serves after its first good answer",
    isTrusted: false,
    outcomes: ["good", "bad", "bad"],
    want: [false, false, false],
  },
  {
    name: "a new endpoint that fails stays out until it has done well often enough",
    isTrusted: false,
    outcomes: ["bad", "good", "good"],
    want: [true, true, false],
  },
  {
    name: "failures in a row take it out, and a good answer between begins the count anew",
    isTrusted: true,
    outcomes: ["good", "bad", "bad", "good", "bad", "bad", "bad"],
    want: [false, false, false, false, false, false, true],
  },
  {
    name: "an answer that says no counts at once",
    isTrusted: true,
    outcomes: ["good", "refused"],
    want: [false, true],
  },
];

for (const { name, isTrusted, outcomes, want } of CASES) {
  test(name, () => {
    const failing = new Map<string, number>();
    const health = new ClusterHealth({ check: CHECK, failing });
    health.add(KEY, isTrusted);
    assert.equal(health.isUnhealthy(ENDPOINT), !isTrusted);
    const seen = outcomes.map((outcome) => {
      health.record(KEY, outcome);
      assert.equal(failing.has(KEY), health.isUnhealthy(ENDPOINT));
      assert.equal(health.isCalm, !health.isUnhealthy(ENDPOINT));
      return health.isUnhealthy(ENDPOINT);
    });
    assert.deepEqual(seen, want);
    health.remove(KEY);
    assert.equal(failing.size, 0);
    assert.equal(health.isCalm, true);
  });
}

test("the pause is another at an edge, and while the endpoint is out", () => {
  const health = new ClusterHealth({ check: CHECK, failing: null });
  health.add(KEY, true);
  const outcomes: CheckOutcome[] = ["good", "good", "bad", "bad", "bad", "bad", "good", "good"];
  assert.deepEqual(
    outcomes.map((outcome) => health.record(KEY, outcome)),
    [300, 1_000, 200, 1_000, 2_000, 2_000, 300, 1_000],
  );
});

test("an endpoint of two clusters is well for others when it is in both", () => {
  const failing = new Map<string, number>();
  const [one, two] = [1, 2].map(() => new ClusterHealth({ check: CHECK, failing }));
  one?.add(KEY, false);
  two?.add(KEY, false);
  one?.record(KEY, "good");
  assert.equal(failing.has(KEY), true);
  two?.record(KEY, "good");
  assert.equal(failing.has(KEY), false);
});
