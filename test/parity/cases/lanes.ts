//! Lanes from hop to hop: who decides, and what falls back.

import type { Resource } from "../../../src/resources/object.ts";
import type { ParityCase, ParityGroup, Want } from "../case.ts";
import { LANES, LANE_HEADER, TO_A, lane, laneGroup, routes, subsetsOf, to } from "../topology.ts";
import { BASE, BLUE, GRAY, context, go, walk } from "./walk.ts";

const HOPS: ParityGroup = {
  name: "hops of a permissive group",
  objects: [TO_A, laneGroup(), ...LANES],
  cases: [
    walk("no lane: the baseline serves each hop", [], BASE),
    walk("a lane without a copy of the last service", go("gray"), GRAY),
    walk("a lane without a copy in the middle is entered again", go("blue"), BLUE),
    walk("a client's own lane header is removed", context("gray"), BASE),
    walk("a rule goes before the client's lane header", [...context("blue"), ...go("gray")], GRAY),
    {
      name: "the same service twice in one chain",
      ask: { headers: [...go("blue"), ["x-hops", "b:8000,a:8000,c:8000"]] },
      want: { hops: "a-blue b-base a-blue c-blue" },
    },
    ...["b", "b.default", "b.default.svc", "b.default.svc.cluster.local", "B.Default.svc"].map(
      (host): ParityCase => ({
        name: `an app calls ${host}`,
        ask: { headers: [...go("gray"), ["x-hops", `${host}:8000/p?q=1`]] },
        want: { hops: "a-gray b-gray" },
      }),
    ),
    {
      name: "an app calls a port that the service does not have",
      ask: { headers: [["x-hops", "b:9999"]] },
      want: { hops: "a-base 503" },
    },
    {
      name: "the answer of a later hop is its own",
      ask: { headers: [...go("gray"), ["x-hops", "b:8000"], ["x-do", "status=404"]] },
      want: { status: 404, hops: "a-gray b-gray" },
    },
  ],
};

const POLICIES: readonly ParityGroup[] = [
  {
    name: "strict",
    objects: [TO_A, laneGroup({ fallback: "strict" }), ...LANES],
    cases: [
      walk("a service without a copy in the lane is a 503 at its hop", go("gray"), {
        hops: "a-gray b-gray 503",
      }),
      walk("the hop in the middle is a 503, too", go("blue"), { hops: "a-blue 503" }),
      walk("requests in no lane are served", [], BASE),
    ],
  },
  {
    name: "strict, and the entry has no copy",
    objects: [TO_A, laneGroup({ fallback: "strict" }), lane("gray")],
    replicas: { "a-gray": 0 },
    cases: [walk("the gateway answers 503", go("gray"), { status: 503 })],
  },
  {
    name: "a chain",
    objects: [
      TO_A,
      laneGroup({ fallback: "chain" }),
      lane("gray", { parent: "blue" }),
      lane("blue"),
    ],
    cases: [
      walk("a lane's parent stands in before the baseline", go("gray"), {
        hops: "a-gray b-gray c-blue",
        lanes: "gray gray gray",
      }),
      walk("the parent itself falls back to the baseline", go("blue"), BLUE),
    ],
  },
  {
    name: "a chain of three",
    objects: [
      TO_A,
      laneGroup({ fallback: "chain" }),
      lane("green", { selector: { matchLabels: { k4: "y" } }, parent: "gray" }),
      lane("gray", { parent: "blue" }),
      lane("blue"),
    ],
    cases: [
      walk("own pods, then the parent's, then the grandparent's", go("green"), {
        hops: "a-base b-gray c-blue",
        lanes: "green green green",
      }),
      walk("pods of a lane are not the baseline's", [], { status: 503 }),
    ],
  },
  {
    name: "a chain with a closed parent",
    objects: [
      TO_A,
      laneGroup({ fallback: "chain" }),
      lane("gray", { parent: "blue" }),
      lane("blue", { enabled: false }),
    ],
    cases: [
      walk("a closed parent does not stand in", go("gray"), GRAY),
      walk("a closed lane is not entered", go("blue"), BASE),
    ],
  },
  {
    name: "fallbacks of single services",
    objects: [
      TO_A,
      laneGroup({
        serviceFallback: [
          { service: { name: "b" }, lane: "gray" },
          { service: { name: "c" }, policy: "strict" },
        ],
      }),
      ...LANES,
    ],
    cases: [
      walk("a lane stands in for one service", go("blue"), { hops: "a-blue b-gray c-blue" }),
      walk("one service is strict", go("gray"), { hops: "a-gray b-gray 503" }),
      walk("the baseline is asked for by nobody else", [], BASE),
    ],
  },
  {
    name: "a lane that holds some services",
    objects: [TO_A, laneGroup(), lane("gray", { services: [{ name: "a" }] }), lane("blue")],
    cases: [
      walk("pods of services that it does not hold are left out", go("gray"), {
        hops: "a-gray b-base c-base",
        lanes: "gray gray gray",
      }),
    ],
  },
  {
    name: "a lane as the baseline",
    objects: [TO_A, laneGroup({ baseline: { lane: "blue" } }), ...LANES],
    cases: [
      walk("requests in no lane are served by it", [], { hops: "a-blue 503" }),
      walk("a lane falls back to it", go("gray"), { hops: "a-gray b-gray c-blue" }),
    ],
  },
  {
    name: "isolated",
    objects: [TO_A, laneGroup({ isolated: true }), ...LANES],
    cases: [
      walk("the calling pod's lane counts", go("gray"), { hops: "a-gray b-gray c-base" }),
      walk("a hop that fell back goes on in the baseline", go("blue"), {
        hops: "a-blue b-base c-base",
      }),
      walk("no lane", [], { hops: "a-base b-base c-base" }),
    ],
  },
  {
    name: "isolated and strict",
    objects: [TO_A, laneGroup({ isolated: true, fallback: "strict" }), ...LANES],
    cases: [
      walk("the calling pod's lane has no copy", go("gray"), { hops: "a-gray b-gray 503" }),
      walk("at the second hop already", go("blue"), { hops: "a-blue 503" }),
    ],
  },
  {
    name: "services outside the group",
    objects: [TO_A, laneGroup({ services: [{ name: "a" }, { name: "c" }] }), ...LANES],
    replicas: { "b-gray": 0 },
    cases: [
      walk("a service in no group is passed, and the lane goes on behind it", go("blue"), {
        hops: "a-blue b-base c-blue",
      }),
    ],
  },
];

const V1: Want = { hops: "a-gray b-gray c-base", lanes: "v1 v1 v1" };
const EU: Want = { hops: "a-blue b-base c-blue", lanes: "v1,eu v1,eu v1,eu" };

/** Its only member is `c`. */
function elsewhere(name: string, routeHeader: string): Resource {
  const entry = { gateways: [{ name: "other", namespace: "istio-system" }] };
  const services = [{ name: "c" }];
  const group = laneGroup({ entry, services, context: { mode: "header", routeHeader } });
  return { ...group, metadata: { ...group.metadata, name } };
}

const DECISIONS: readonly ParityGroup[] = [
  {
    name: "who decides",
    objects: [
      TO_A,
      laneGroup(),
      lane("gray", {
        priority: 2,
        rule: { header: "x-any", operator: "exists" },
        forcedIn: [{ header: "x-force", operator: "==", value: "gray" }],
      }),
      lane("blue", {
        priority: 1,
        rule: { header: "x-any", operator: "prefix", value: "b" },
        forcedOut: [{ header: "x-out", operator: "exists" }],
      }),
    ],
    cases: [
      walk("the smaller priority goes first", [["x-any", "bob"]], BLUE),
      walk("the next lane takes who does not meet it", [["x-any", "jack"]], GRAY),
      walk(
        "forcedIn goes before every rule",
        [
          ["x-any", "bob"],
          ["x-force", "gray"],
        ],
        GRAY,
      ),
      walk(
        "forcedOut keeps out of its own lane only",
        [
          ["x-any", "bob"],
          ["x-out", ""],
        ],
        GRAY,
      ),
    ],
  },
  {
    name: "equal priorities",
    objects: [
      TO_A,
      laneGroup(),
      ...["gray", "blue"].map((name) =>
        lane(name, { rule: { header: "x-any", operator: "exists" } }),
      ),
    ],
    cases: [walk("the first by name takes it", [["x-any", "1"]], BLUE)],
  },
  {
    name: "clients that are believed",
    objects: [
      TO_A,
      laneGroup({ acceptFromClients: true }),
      lane("gray"),
      lane("blue", { enabled: false }),
    ],
    cases: [
      walk("a client's tag decides", context("gray"), GRAY),
      walk("before every rule", [...context("green"), ...go("gray")], {
        hops: "a-base b-base c-base",
        lanes: "green green green",
      }),
      walk("the first of several tags counts", context("gray, blue"), {
        hops: "a-gray b-gray c-base",
      }),
      walk("an empty tag is none", [...context(""), ...go("gray")], GRAY),
      walk("a closed lane's tag is the baseline", context("blue"), {
        hops: "a-base b-base c-base",
      }),
    ],
  },
  {
    name: "tags with commas",
    objects: [
      TO_A,
      laneGroup({ acceptFromClients: true }),
      lane("gray", { tag: "v1" }),
      lane("blue", { tag: "v1,eu" }),
    ],
    cases: [
      walk("a whole value that is a tag goes before its first part", context("v1,eu"), EU),
      walk("the part before a comma is the tag of all other lists", context("v1,us"), V1),
      walk("a tag with a comma is no part of a list", context("v1,eu, v2"), V1),
      walk("nor is it with a comma behind it", context("v1,eu,"), V1),
      walk("a tag with a comma is told to every hop", go("blue"), EU),
    ],
  },
  {
    name: "a lane group that is entered elsewhere",
    objects: [
      TO_A,
      laneGroup({ services: [{ name: "a" }, { name: "b" }] }),
      ...LANES,
      elsewhere("payments", "x-pay"),
      lane("green", { group: "payments", selector: { matchLabels: { k3: "y" } } }),
      lane("red", { rule: { header: "x-pay", operator: "exists" } }),
    ],
    cases: [
      walk("its header is not the client's to send", [["x-pay", "green"]], {
        ...BASE,
        seen: { "x-pay": null },
      }),
      walk("nor is it where another lane is entered", [["x-pay", "green"], ...go("gray")], {
        ...GRAY,
        seen: { "x-pay": null },
      }),
    ],
  },
  {
    name: "a lane group that is entered elsewhere, and a route that asks for its header",
    objects: [
      routes([{ match: [{ headers: { "x-pay": { exact: "green" } } }], route: [to("a")] }]),
      laneGroup({ services: [{ name: "a" }, { name: "b" }] }),
      elsewhere("payments", "x-pay"),
      lane("green", { group: "payments", selector: { matchLabels: { k3: "y" } } }),
    ],
    cases: [
      walk("then it is the client's to send", [["x-pay", "green"]], {
        hops: "a-base b-base c-blue",
        seen: { "x-pay": "green" },
      }),
    ],
  },
  {
    name: "a tag that is not the lane's name",
    objects: [TO_A, laneGroup(), lane("gray", { tag: "v2.1 beta" })],
    cases: [
      walk("the tag travels", go("gray"), {
        hops: "a-gray b-gray c-base",
        lanes: "v2.1 beta v2.1 beta v2.1 beta",
      }),
    ],
  },
  {
    name: "routes at which lanes are entered",
    objects: [
      routes([
        { name: "in", match: [{ uri: { prefix: "/in" } }], route: [to("a")] },
        { name: "out", route: [to("a")] },
      ]),
      laneGroup({
        entry: {
          gateways: [{ name: "ingressgateway", namespace: "istio-system" }],
          routes: [{ virtualService: "shop", route: "in" }],
        },
      }),
      ...LANES,
    ],
    cases: [
      walk("an entry route asks the rules", go("gray"), GRAY, "/in"),
      walk("another route does not", go("gray"), BASE, "/out"),
    ],
  },
  {
    name: "routes that name lanes",
    objects: [
      routes([
        { match: [{ uri: { prefix: "/gray" } }], route: [to("a", "gray")] },
        {
          match: [{ uri: { prefix: "/asked" }, headers: { [LANE_HEADER]: { exact: "blue" } } }],
          route: [to("a", "blue")],
        },
        {
          match: [{ uri: { prefix: "/weights" } }],
          route: [
            { ...to("a", "blue"), weight: 100 },
            { ...to("a", "gray"), weight: 0 },
          ],
        },
        { route: [to("a")] },
      ]),
      laneGroup(),
      ...LANES,
    ],
    cases: [
      walk("a route that names a lane wins over the rules", go("blue"), GRAY, "/gray"),
      walk("the lane becomes the request's", [], GRAY, "/gray"),
      walk("a route is found anew once the lane's header is written", go("blue"), BLUE, "/asked"),
      walk(
        "a header that a route asks for is the client's to send",
        context("blue"),
        BLUE,
        "/asked",
      ),
      walk("weights of 100 and 0 between lanes", [], BLUE, "/weights"),
    ],
  },
  {
    name: "shares of all and of nobody",
    objects: [
      routes([
        { name: "all", match: [{ uri: { prefix: "/all" } }], route: [to("a")] },
        { name: "none", route: [to("a")] },
      ]),
      laneGroup({ ratio: { sticky: false } }),
      lane("gray", {
        ratio: {
          percent: "0%",
          routes: [{ virtualService: "shop", route: "all", percent: "100%" }],
        },
      }),
      lane("blue"),
    ],
    cases: [
      walk("100 % is everybody", [], GRAY, "/all"),
      walk("0 % is nobody", [], BASE, "/none"),
      walk("a rule goes before a share", go("blue"), BLUE, "/all"),
    ],
  },
  {
    name: "a lane's subset and a DestinationRule's",
    objects: [
      routes([
        { match: [{ uri: { prefix: "/both" } }], route: [to("a", "gray")] },
        { match: [{ uri: { prefix: "/labels" } }], route: [to("a", "base")] },
        { route: [to("a")] },
      ]),
      subsetsOf("a"),
      laneGroup(),
      ...LANES,
    ],
    cases: [
      walk("the lane wins over a subset of its name", [], GRAY, "/both"),
      walk(
        "a subset that is no lane has its pods whatever the lane",
        go("gray"),
        {
          hops: "a-base b-gray c-base",
        },
        "/labels",
      ),
    ],
  },
];

const TRACE: ParityGroup = {
  name: "lanes by a trace id",
  objects: [
    TO_A,
    laneGroup({ context: { mode: "traceId", routeHeader: LANE_HEADER, traceHeader: "x-user-id" } }),
    ...LANES,
  ],
  cases: [
    walk("the sidecars give the lane back", [...go("blue"), ["x-user-id", "u1"]], BLUE),
    walk("another id, another lane", [...go("gray"), ["x-user-id", "u2"]], GRAY),
    walk("the newest lane of an id counts", [...go("gray"), ["x-user-id", "u1"]], GRAY),
    walk("an id without a lane", [["x-user-id", "u3"]], BASE),
  ],
};

export const LANE_GROUPS: readonly ParityGroup[] = [...[HOPS, ...POLICIES, ...DECISIONS, TRACE]];
