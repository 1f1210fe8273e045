//! Lanes that travel in W3C baggage, which the apps forward.

import type { ParityCase, ParityGroup, Want } from "../case.ts";
import { OUTSIDE } from "../outside.ts";
import {
  LANES,
  LANE_HEADER,
  LANE_MEMBER as MEMBER,
  TO_A,
  lane,
  laneGroup,
  object,
  routes,
  to,
} from "../topology.ts";
import { BASE, BLUE, GRAY, context, go, walk } from "./walk.ts";
import type { Fields } from "./walk.ts";

const CONTEXT = { mode: "baggage", routeHeader: LANE_HEADER } as const;

const group = (more: object = {}) => laneGroup({ context: CONTEXT, ...more });
const baggage = (...fields: readonly string[]): Fields => fields.map((one) => ["baggage", one]);
const member = (tag: string): string => `${MEMBER}=${tag}`;
const seen = (field: string | null): Want => ({ seen: { baggage: field } });

/** One request to the first service only. */
function first(name: string, headers: Fields, want: Want, path = "/"): ParityCase {
  return { name, ask: { path, headers: [...headers, ["x-hops", "-"]] }, want };
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `k${index}=v`);
}

const WRITTEN: ParityGroup = {
  name: "lanes in baggage",
  objects: [TO_A, group(), ...LANES],
  cases: [
    walk("no lane: the baggage of others passes", baggage("a=b"), { ...BASE, ...seen("a=b") }),
    walk("no lane and no baggage: none is made", [], { ...BASE, ...seen(null) }),
    walk("a lane is told to every hop", go("gray"), { ...GRAY, ...seen(member("gray")) }),
    walk("a lane without a copy in the middle", go("blue"), { ...BLUE, ...seen(member("blue")) }),
    walk("over HTTP/1.1 in several fields", [...go("gray"), ...baggage("a=b", "c=d, e=f")], {
      ...GRAY,
      ...seen(`${member("gray")},a=b,c=d,e=f`),
    }),
    {
      name: "over HTTP/2",
      ask: { isHttp2: true, headers: [...go("gray"), ...baggage("a=b"), ["x-hops", "c:8000"]] },
      want: { hops: "a-gray c-base", lanes: "gray gray", ...seen(`${member("gray")},a=b`) },
    },
    first(
      "properties, escapes and odd members of others stay as they are",
      [...go("gray"), ...baggage("a=b;p=1 ; q,c=%zz%20,odd, ,=x,\u00e9=1")],
      seen(`${member("gray")},a=b;p=1 ; q,c=%zz%20,odd,=x,\u00e9=1`),
    ),
    first("a client's member is removed", baggage(`a=b, ${member("gray")};p=1,c=d`), {
      hops: "a-base",
      ...seen("a=b,c=d"),
    }),
    first("a client's member that stands twice", baggage(member("gray"), `x=y,${member("blue")}`), {
      hops: "a-base",
      ...seen("x=y"),
    }),
    first("a client's member alone leaves nothing", baggage(member("gray")), {
      hops: "a-base",
      ...seen(null),
    }),
    first("a client's member gives way to the lane", [...go("gray"), ...baggage(member("blue"))], {
      hops: "a-gray",
      ...seen(member("gray")),
    }),
    first("a name that only begins alike is another's", baggage(`${MEMBER}s=gray,k=${MEMBER}`), {
      hops: "a-base",
      ...seen(`${MEMBER}s=gray,k=${MEMBER}`),
    }),
    first("names differ by case", baggage(`${MEMBER.toUpperCase()}=gray`), {
      hops: "a-base",
      ...seen(`${MEMBER.toUpperCase()}=gray`),
    }),
    first("a client's route header is not believed", context("gray"), { hops: "a-base" }),
    first(
      "headers of ours are nobody else's",
      [
        [`x-graylane-told-${LANE_HEADER}`, "gray"],
        [`x-graylane-found-${LANE_HEADER}`, "gray"],
        ["x-graylane-outside", "1"],
        ...baggage("a=b"),
      ],
      {
        hops: "a-base",
        seen: {
          baggage: "a=b",
          [`x-graylane-told-${LANE_HEADER}`]: null,
          [`x-graylane-found-${LANE_HEADER}`]: null,
          "x-graylane-outside": null,
        },
      },
    ),
    first(
      "64 members, of which the lane's is one",
      [...go("gray"), ...baggage(numbered(70).join())],
      {
        ...seen([member("gray"), ...numbered(63)].join()),
      },
    ),
    first(
      "8,192 bytes: whole members go, and all behind the first of them",
      [...go("gray"), ...baggage(`a=b,big=${"x".repeat(8_160)},c=d`)],
      seen(`${member("gray")},a=b`),
    ),
    first("without a lane nothing is left out", baggage(numbered(70).join()), {
      ...seen(numbered(70).join()),
    }),
    {
      name: "a call that leaves the mesh carries the baggage of others",
      ask: { headers: [...go("gray"), ...baggage("a=b"), ["x-hops", OUTSIDE]] },
      want: { hops: "a-gray outside", lanes: "gray -" },
    },
    {
      name: "a call that leaves the mesh with nothing but the lane",
      ask: { headers: [...go("gray"), ["x-hops", `b:8000,${OUTSIDE}`]] },
      want: { hops: "a-gray b-gray outside", lanes: "gray gray -" },
    },
  ],
};

const BELIEVED: ParityGroup = {
  name: "clients that are believed, in baggage",
  objects: [
    TO_A,
    group({ acceptFromClients: true }),
    lane("gray"),
    lane("blue", { enabled: false }),
    lane("other", { tag: "a, b%;c", selector: { matchLabels: { lane: "blue" } } }),
  ],
  cases: [
    walk("a client's member decides", baggage(`a=b,${member("gray")}`), {
      ...GRAY,
      ...seen(`a=b,${member("gray")}`),
    }),
    walk("before every rule", [...go("gray"), ...baggage(member("green"))], {
      hops: "a-base b-base c-base",
      lanes: "- green green",
    }),
    walk("the route header goes before the member", [...context("gray"), ...baggage(member("x"))], {
      ...GRAY,
      ...seen(member("gray")),
    }),
    walk("an empty route header is none", [...context(""), ...baggage(member("gray"))], GRAY),
    walk("the first of several tags counts", context("gray, green"), {
      hops: "a-gray b-gray c-base",
      lanes: "gray gray gray",
      ...seen(member("gray")),
    }),
    walk("an empty first tag is one", [...context(", gray"), ...go("gray")], {
      hops: "a-base b-base c-base",
    }),
    walk("an escaped tag", baggage(member("%67ra%79 ; p=1")), {
      ...GRAY,
      ...seen(member("%67ra%79 ; p=1")),
    }),
    walk("a tag of signs, in the member", baggage(member("a%2C%20b%25%3Bc")), {
      hops: "a-blue b-base c-blue",
      lanes: "a, b%;c a, b%;c a, b%;c",
      ...seen(member("a%2C%20b%25%3Bc")),
    }),
    walk("a tag of signs, in the route header", context("a, b%;c"), {
      hops: "a-blue b-base c-blue",
      ...seen(member("a%2C%20b%25%3Bc")),
    }),
    walk("of two members the first counts", baggage(member("gray"), member("green")), GRAY),
    walk("a closed lane's tag is the baseline", [...go("gray"), ...baggage(member("blue"))], {
      hops: "a-base b-base c-base",
    }),
    walk("an empty member is none", [...go("gray"), ...baggage(member(""))], GRAY),
    ...["gray%0D%0Ax-made:%20up", "%E7%81%B0", "gray%20", "\u00e9"].map((text) =>
      walk(`what can be no tag is none: ${text}`, [...go("gray"), ...baggage(member(text))], GRAY),
    ),
    walk("what can be no tag goes no further", baggage(member("x%0D%0Ax-made:%20up")), {
      ...BASE,
      seen: { "x-made": null },
    }),
  ],
};

const RETRY = { attempts: 2, retryOn: "5xx", backoff: "25ms" };
const ROUTED: ParityGroup = {
  name: "baggage and what routes say",
  objects: [
    routes([
      { match: [{ uri: { prefix: "/gray" } }], route: [to("a", "gray")] },
      {
        match: [{ uri: { prefix: "/asked" }, headers: { [LANE_HEADER]: { exact: "blue" } } }],
        route: [to("a", "blue")],
      },
      { match: [{ uri: { prefix: "/retry" } }], retries: RETRY, route: [to("a")] },
      {
        match: [{ uri: { prefix: "/set" } }],
        headers: { request: { set: { [LANE_HEADER]: "mine" } } },
        route: [to("a")],
      },
      { route: [to("a")] },
    ]),
    group(),
    lane("gray"),
    lane("blue", { rule: { header: "baggage", operator: "contains", value: "user=1" } }),
  ],
  cases: [],
};

const MESH: ParityGroup = {
  name: "baggage and routes for calls between pods",
  objects: [
    ...[TO_A, group(), ...LANES],
    object("networking.istio.io/v1/VirtualService", "b", {
      hosts: ["b"],
      http: [
        { match: [{ uri: { prefix: "/lane" } }], route: [to("b", "gray")] },
        {
          match: [{ uri: { prefix: "/asks" }, headers: { baggage: { prefix: member("gray") } } }],
          route: [to("c")],
        },
        {
          match: [{ uri: { prefix: "/header" }, headers: { [LANE_HEADER]: { exact: "gray" } } }],
          route: [to("c")],
        },
        { route: [to("b")] },
      ],
    }),
  ],
  cases: [
    called("a route that names a lane leads into it", "/lane", baggage("a=b"), {
      hops: "a-base b-gray c-base",
      lanes: "- gray gray",
    }),
    called("a route that names another lane than the call's", "/lane", go("blue"), {
      hops: "a-blue b-gray c-base",
      lanes: "blue gray gray",
    }),
    called("a route that asks for the baggage", "/asks", go("gray"), {
      hops: "a-gray c-base c-base",
    }),
    called("a route that asks for other baggage", "/asks", go("blue"), BLUE),
    called("a route that asks for the lane's header", "/header", go("gray"), {
      hops: "a-gray c-base c-base",
    }),
  ],
};

/** A call of `a` to `b` at this path, then one to `c`. */
function called(name: string, path: string, headers: Fields, want: Want): ParityCase {
  return { name, ask: { headers: [...headers, ["x-hops", `b:8000${path},c:8000`]] }, want };
}

const ISOLATED: ParityGroup = {
  name: "isolated, in baggage",
  objects: [TO_A, group({ isolated: true }), ...LANES],
  cases: [
    walk("the calling pod's lane counts", [...go("gray"), ...baggage("a=b")], {
      hops: "a-gray b-gray c-base",
      lanes: "gray gray gray",
    }),
    walk("a hop that fell back goes on in the baseline", [...go("blue"), ...baggage("a=b")], {
      hops: "a-blue b-base c-base",
      lanes: "blue blue -",
    }),
    walk("no lane", baggage("a=b"), BASE),
  ],
};

const SEVERAL: ParityGroup = {
  name: "two groups in baggage",
  objects: [
    TO_A,
    group({ acceptFromClients: true, services: [{ name: "a" }, { name: "b" }] }),
    lane("gray", { rule: undefined }),
    object("graylane.io/v1alpha1/LaneGroup", "tills", {
      entry: { gateways: [{ name: "ingressgateway", namespace: "istio-system" }] },
      services: [{ name: "c" }],
      baseline: { labelKeys: ["lane"] },
      fallback: "permissive",
      context: { mode: "baggage", routeHeader: "x-till", baggageKey: "till" },
    }),
    lane("blue", { group: "tills" }),
  ],
  cases: [
    walk("each has its member", [...go("blue"), ...baggage(`a=b,${member("gray")}`)], {
      hops: "a-gray b-gray c-blue",
      lanes: "gray gray gray",
      seen: { baggage: `till=blue,a=b,${member("gray")}`, "x-till": "blue" },
    }),
    walk("a client's member of one is removed", baggage(`till=blue,${member("gray")}`), {
      hops: "a-gray b-gray c-base",
    }),
  ],
};

const SHARES: ParityGroup = {
  name: "shares of lanes in baggage",
  objects: [
    TO_A,
    group({ ratio: { sticky: false } }),
    lane("gray", { ratio: { percent: "100%" } }),
  ],
  cases: [walk("a share of all", baggage("a=b"), { ...GRAY, ...seen(`${member("gray")},a=b`) })],
};

const REFUSED: readonly ParityGroup[] = [
  {
    name: "baggage that routes ask for, beside lanes in it",
    objects: [
      routes([
        { match: [{ headers: { baggage: { regex: ".*=gray,a=b" } } }], route: [to("c")] },
        { route: [to("a")] },
      ]),
      group(),
      ...LANES,
    ],
    cases: [
      {
        ...first("the lane is written before the route is looked for", go("gray"), {
          ...{ hops: "a-gray", seen: { baggage: member("gray") } },
        }),
        onEnvoy: { hops: "a-base", seen: { baggage: null } },
      },
      first("what is not the lane's is asked for", baggage("x=gray,a=b"), { hops: "c-base" }),
    ],
    refused: [{ kind: "LaneGroup", name: "shops", says: /Envoy cannot write W3C baggage beside/ }],
  },
  {
    name: "what routes may not do beside lanes in baggage",
    objects: [
      routes([
        {
          match: [{ uri: { prefix: "/set" } }],
          headers: { request: { add: { Baggage: "x=y" } } },
          route: [to("a")],
        },
        {
          match: [{ uri: { prefix: "/mirror" } }],
          mirrors: [{ destination: { host: "c" }, percentage: { value: 0 } }],
          route: [to("a")],
        },
        { route: [to("a")] },
      ]),
      group({ services: [{ name: "a" }, { name: "b" }] }),
      ...LANES,
    ],
    cases: ["/set", "/mirror"].map((path) => ({
      ...first(`a route that does so: ${path}`, go("gray"), { hops: "a-gray" }, path),
      onEnvoy: { status: 503, text: /^Envoy cannot .* baggage/ },
    })),
    refused: [
      { kind: "VirtualService", name: "shop", says: /Envoy cannot edit baggage by header op/ },
      { kind: "VirtualService", name: "shop", says: /Envoy cannot mirror requests whose lanes/ },
    ],
  },
];

const AT_ROUTES: readonly ParityCase[] = [
  walk("a route that names a lane", [], { ...GRAY, ...seen(member("gray")) }, "/gray"),
  walk("a route that names a lane goes before the rules", go("x"), GRAY, "/gray"),
  walk(
    "a route is found anew once the lane's header is written",
    baggage("user=1"),
    BLUE,
    "/asked",
  ),
  walk("a rule reads the baggage of others", baggage("user=1,x=y"), {
    ...BLUE,
    ...seen(`${member("blue")},user=1,x=y`),
  }),
  walk("a rule does not see what is removed", baggage(`${MEMBER}=user=1`), BASE),
  {
    name: "each try carries the lane",
    ask: {
      path: "/retry",
      headers: [
        ...go("gray"),
        ...baggage("a=b"),
        ["x-do", "fail=503x2"],
        ["x-id", "baggage-retry"],
      ],
    },
    want: {
      hops: "a-gray",
      headers: { "x-attempts": "3" },
      ...seen(`${member("gray")},a=b`),
    },
  },
  first(
    "a route's own words for the lane's header leave the member",
    go("gray"),
    { hops: "a-gray", seen: { baggage: member("gray"), [LANE_HEADER]: "mine" } },
    "/set",
  ),
];

export const BAGGAGE_GROUPS: readonly ParityGroup[] = [
  ...[WRITTEN, BELIEVED, { ...ROUTED, cases: AT_ROUTES }, MESH, ISOLATED, SEVERAL],
  ...[...REFUSED, SHARES],
];
