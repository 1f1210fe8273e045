import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededPrng } from "../../base/prng.ts";
import { Headers } from "../../http/headers.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import { prepareLanes } from "../../lane/prepare-lanes.ts";
import { NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import type { Lane, LaneGroup, Route, Subset } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { runLaneFilter } from "./lane-filter.ts";
import type { LaneOutcome } from "./lane-filter.ts";

const A = cluster("a");
const B = cluster("b");

function lane(name: string, changes: Partial<Lane> = {}): Lane {
  const operand = { kind: "header", name: `x-${name}` } as const;
  return laneOf(name, {
    rule: {
      programVersion: 2,
      condition: { kind: "test", operand, operator: "==", values: ["yes"] },
    },
    ...changes,
  });
}

function group(name: string, services: readonly string[], lanes: readonly Lane[]): LaneGroup {
  return laneGroupOf({
    name,
    services,
    context: { mode: "header", routeHeader: `x-tag-${name}` },
    stripFromClients: false,
    lanes,
  });
}

const ONE = group("one", ["default/a"], [lane("gray"), lane("shut", { enabled: false })]);
const TWO = group("two", ["default/b"], [lane("blue")]);

function lanesOf(...groups: readonly LaneGroup[]): PreparedLanes {
  return prepareLanes(
    gatewaySnapshot(80, [], {
      clusters: { [A.name]: A, [B.name]: B },
      endpoints: {
        [A.name]: { endpoints: [endpoint(1), endpoint(2, { lane: "gray" })] },
        [B.name]: { endpoints: [endpoint(3), endpoint(4, { lane: "blue" })] },
      },
      laneGroups: Object.fromEntries(groups.map((one) => [one.name, one])),
    }),
  );
}

function to(subset: Subset | null, clusterName = A.name): Route {
  return forwardRoute(clusterName, {
    action: {
      kind: "forward",
      destinations: [
        {
          weight: 1,
          target: { kind: "cluster", cluster: clusterName, subset },
          fallback: null,
          requestHeaders: NO_HEADER_OPERATIONS,
          responseHeaders: NO_HEADER_OPERATIONS,
        },
      ],
    },
  });
}

interface Case {
  readonly headers?: readonly (readonly [string, string])[];
  readonly groups?: readonly LaneGroup[];
  readonly match?: (headers: Headers) => Route | null;
}

function run({ headers = [], groups = [ONE], match = () => to(null) }: Case) {
  const list = new Headers();
  for (const [name, value] of headers) list.add(name, value);
  const lanes = lanesOf(...groups);
  let route: Route | null | undefined;
  let matchCount = 0;
  let droppedCount = 0;
  const outcome: LaneOutcome = runLaneFilter({
    request: { method: "GET", target: "/", authority: "a", headers: list },
    lanes,
    groups: [...lanes.groups.values()],
    prng: new SeededPrng(1),
    remoteAddress: "127.0.0.1",
    route: () => {
      if (route !== undefined) return route;
      matchCount += 1;
      return (route = match(list));
    },
    clearRoute: () => {
      route = undefined;
    },
    explanations: null,
    issueId: () => undefined,
    collected: null,
    onBaggageDropped: (count) => {
      droppedCount += count;
    },
  });
  const { decision, choice } = outcome;
  return {
    outcome,
    matchCount,
    droppedCount,
    baggage: list.get("baggage"),
    tag: list.get("x-tag-one"),
    lane: decision === null ? null : `${decision.reason} ${decision.lane ?? "-"}`,
    ports: choice?.endpoints.map(({ port }) => port) ?? null,
  };
}

const GRAY_SUBSET: Subset = { kind: "lane", group: "one", lane: "gray" };
const SHUT_SUBSET: Subset = { kind: "lane", group: "one", lane: "shut" };
const CASES: readonly (Case & {
  readonly name: string;
  readonly lane: string;
  readonly ports: readonly number[];
  readonly tag?: string;
})[] = [
  { name: "without anything it is the baseline", lane: "baseline -", ports: [1] },
  {
    name: "a rule leads into its lane and sets the route header",
    headers: [["x-gray", "yes"]],
    lane: "rule gray",
    ports: [2],
    tag: "gray",
  },
  {
    name: "a context goes before a rule",
    headers: [
      ["x-tag-one", "nobody"],
      ["x-gray", "yes"],
    ],
    lane: "baseline -",
    ports: [1],
    tag: "nobody",
  },
  {
    name: "a context that names a lane is forced",
    headers: [["x-tag-one", "gray"]],
    lane: "forced gray",
    ports: [2],
    tag: "gray",
  },
  {
    name: "a context that names a closed lane is the baseline",
    headers: [["x-tag-one", "shut"]],
    lane: "baseline -",
    ports: [1],
    tag: "shut",
  },
  {
    name: "a closed lane's rule leads nowhere",
    headers: [["x-shut", "yes"]],
    lane: "baseline -",
    ports: [1],
  },
  {
    name: "a route that names a lane goes before the context, and sets the header",
    headers: [["x-tag-one", "shut"]],
    match: () => to(GRAY_SUBSET),
    lane: "route gray",
    ports: [2],
    tag: "gray",
  },
  {
    name: "a route that names a closed lane is the baseline",
    match: () => to(SHUT_SUBSET),
    lane: "baseline -",
    ports: [1],
  },
  {
    name: "a rule's tag is seen by route matching, whose lane then is the request's",
    headers: [["x-gray", "yes"]],
    match: (headers) => (headers.get("x-tag-one") === "gray" ? to(GRAY_SUBSET) : to(null)),
    lane: "route gray",
    ports: [2],
    tag: "gray",
  },
  {
    name: "of two groups the one counts whose member is called",
    headers: [
      ["x-gray", "yes"],
      ["x-blue", "yes"],
    ],
    groups: [ONE, TWO],
    match: () => to(null, B.name),
    lane: "rule blue",
    ports: [4],
    tag: "gray",
  },
];

const BAGGAGE: LaneGroup = {
  ...ONE,
  context: {
    mode: "baggage",
    routeHeader: "x-tag-one",
    baggageKey: "lane.one",
    stripFromClients: true,
  },
};
const TWO_BAGGAGE: LaneGroup = {
  ...TWO,
  context: {
    mode: "baggage",
    routeHeader: "x-tag-two",
    baggageKey: "lane.two",
    stripFromClients: true,
  },
};

describe("baggage mode at the gateway", () => {
  test("a lane is written into the baggage beside what others have there", () => {
    const headers = [
      ["x-gray", "yes"],
      ["baggage", "user=1"],
      ["baggage", "b=2;p"],
    ] as const;
    const got = run({ headers, groups: [BAGGAGE] });
    assert.deepEqual([got.lane, got.ports], ["rule gray", [2]]);
    assert.equal(got.baggage, "lane.one=gray,user=1,b=2;p");
    assert.equal(got.tag, "gray", "the route header is set too, for routes that match on it");
  });

  test("the baseline leaves the baggage as it is", () => {
    assert.equal(run({ groups: [BAGGAGE] }).baggage, undefined);
    assert.equal(run({ groups: [BAGGAGE], headers: [["baggage", "a = b"]] }).baggage, "a = b");
  });

  test("a member that was let in is a context", () => {
    const got = run({ groups: [BAGGAGE], headers: [["baggage", "a=b,lane.one=gray"]] });
    assert.deepEqual([got.lane, got.baggage], ["forced gray", "a=b,lane.one=gray"]);
  });

  test("the lanes of two groups travel side by side", () => {
    const headers = [
      ["x-gray", "yes"],
      ["x-blue", "yes"],
    ] as const;
    const got = run({ headers, groups: [BAGGAGE, TWO_BAGGAGE] });
    assert.equal(got.baggage, "lane.two=blue,lane.one=gray");
  });

  test("what does not fit beside the lane is dropped and counted", () => {
    const others = Array.from({ length: 64 }, (_, index) => `k${index}=v`).join(",");
    const headers = [
      ["x-gray", "yes"],
      ["baggage", others],
    ] as const;
    const got = run({ headers, groups: [BAGGAGE] });
    assert.equal(got.droppedCount, 1);
    assert.match(got.baggage ?? "", /^lane\.one=gray,k0=v,.*,k62=v$/);
  });
});

describe("the lane filter", () => {
  for (const { name, lane: wanted, ports, tag, ...input } of CASES) {
    test(name, () => {
      const got = run(input);
      assert.deepEqual([got.lane, got.ports, got.tag], [wanted, ports, tag]);
    });
  }

  test("no route is no choice", () => {
    const got = run({ match: () => null, headers: [["x-gray", "yes"]] });
    assert.equal(got.outcome.route, null);
    assert.equal(got.ports, null);
  });

  test("the route is computed again only after a header was set", () => {
    assert.equal(run({}).matchCount, 1);
    assert.equal(run({ headers: [["x-gray", "yes"]] }).matchCount, 2);
  });

  test("a weighted route draws once, also when its lane's header was set meanwhile", () => {
    const destination = (subset: Subset | null) => ({
      weight: 1,
      target: { kind: "cluster", cluster: A.name, subset } as const,
      fallback: null,
      requestHeaders: NO_HEADER_OPERATIONS,
      responseHeaders: NO_HEADER_OPERATIONS,
    });
    const weighted = forwardRoute(A.name, {
      action: { kind: "forward", destinations: [destination(null), destination(GRAY_SUBSET)] },
    });
    let drawCount = 0;
    const list = new Headers();
    list.add("x-gray", "yes");
    const lanes = lanesOf(ONE);
    runLaneFilter({
      request: { method: "GET", target: "/", authority: "a", headers: list },
      lanes,
      groups: [...lanes.groups.values()],
      prng: {
        below: () => {
          drawCount += 1;
          return 0;
        },
      },
      remoteAddress: "127.0.0.1",
      route: () => weighted,
      clearRoute: () => undefined,
      explanations: null,
      issueId: () => undefined,
      collected: null,
      onBaggageDropped: () => undefined,
    });
    assert.equal(drawCount, 1);
  });
});
