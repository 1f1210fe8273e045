//! Shares that keep a user in his lane: the same user, the same lane, in both engines.

import type { ParityGroup } from "../case.ts";
import { keySet, token } from "../tokens.ts";
import { TO_A, lane, laneGroup, routes, to } from "../topology.ts";
import { BASE, BLUE, GRAY, context, go, walk } from "./walk.ts";

type Pairs = readonly (readonly [name: string, value: string])[];

const user = (key: string): Pairs => [["x-user", key]];
/** As UTF-8: a header's characters are bytes. */
const UMLAUT = Buffer.from("Jürgen").toString("latin1");

/** With the salt `release`: bob 341748, dora 341989, ann 542629, Jürgen 676978, 1 877926. */
const BY_HEADER: ParityGroup = {
  isFresh: true,
  name: "sticky shares by a header",
  objects: [
    routes([
      { name: "few", match: [{ uri: { prefix: "/few" } }], route: [to("a")] },
      { name: "fixed", match: [{ uri: { prefix: "/fixed" } }], route: [to("a", "blue")] },
      { name: "rest", route: [to("a")] },
    ]),
    laneGroup({ ratio: { key: { header: "X-User" }, salt: "release" } }),
    lane("gray", {
      forcedOut: [{ header: "x-out", operator: "exists" }],
      ratio: {
        percent: "54.263%",
        routes: [{ virtualService: "shop", route: "few", percent: "34.175%" }],
      },
    }),
    lane("blue"),
  ],
  cases: [
    walk("a bucket below the share", user("bob"), GRAY),
    walk("the last bucket of the share, to a millionth", user("ann"), GRAY),
    walk("a bucket above the share", user("1"), BASE),
    walk("a key beyond ASCII", user(UMLAUT), BASE),
    walk("another share at another route: in", user("bob"), GRAY, "/few"),
    walk("another share at another route: out, by 239 millionths", user("dora"), BASE, "/few"),
    walk("no key is in no share", [], BASE),
    walk("an empty key is in no share", user(""), BASE),
    walk("of two keys the first counts", [...user("bob"), ...user("1")], GRAY),
    walk("of two keys the first counts: out", [...user("1"), ...user("bob")], BASE),
    walk("a rule goes before a share", [...user("bob"), ...go("blue")], BLUE),
    walk("a route's lane goes before a share", user("bob"), BLUE, "/fixed"),
    walk("whoever is forced out is in no share", [...user("bob"), ["x-out", "1"]], BASE),
    walk("a client's own lane header counts for nothing", [...user("1"), ...context("gray")], BASE),
    {
      name: "a client's own bucket counts for nothing, and no pod is told one",
      ask: { headers: [...user("1"), ["x-graylane-bucket", "0"]] },
      want: { hops: "a-base", seen: { "x-graylane-bucket": null } },
    },
    {
      name: "a client without a key has no bucket by his own word",
      ask: { headers: [["x-graylane-bucket", "0"]] },
      want: { hops: "a-base" },
    },
    {
      name: "no pod of the lane is told the bucket",
      ask: { headers: user("bob") },
      want: { hops: "a-gray", seen: { "x-graylane-bucket": null, "x-user": "bob" } },
    },
  ],
};

const cookie = (text: string): Pairs => [["cookie", text]];

/** FNV-1a mod 100: jack 2, jessie 16, stacy 25, bob 44, vance 54, jason 76 (design of ASM). */
const BY_COOKIE: ParityGroup = {
  isFresh: true,
  name: "sticky shares by a cookie, dealt as ASM does",
  objects: [
    routes([
      { match: [{ headers: { "x-lane": { exact: "gray" } } }], route: [to("a", "gray")] },
      { route: [to("a")] },
    ]),
    laneGroup({ ratio: { key: { cookie: "uid" }, hash: "fnv1a" } }),
    lane("gray", { ratio: { percent: "26%" } }),
  ],
  cases: [
    walk("the first bucket", cookie("uid=jack"), GRAY),
    walk("among other cookies", cookie("a=1; uid = jessie ;b=2"), GRAY),
    walk("the last bucket", cookie("uid=stacy"), GRAY),
    walk("of two cookies the first counts", cookie("xuid=jack; uid=bob; uid=jack"), BASE),
    walk("a bucket above the share", cookie("uid=vance"), BASE),
    walk("another cookie", cookie("uidx=jack"), BASE),
    walk("an empty cookie", cookie("uid="), BASE),
  ],
};

/** The bucket of 127.0.0.1 with the salt `release` is 716433. */
const BY_ADDRESS: ParityGroup = {
  isFresh: true,
  name: "sticky shares by the client's address",
  objects: [
    TO_A,
    laneGroup({ ratio: { key: { clientIp: {} }, salt: "release" } }),
    lane("gray", { ratio: { percent: "71.6434%" } }),
    lane("blue"),
  ],
  cases: [
    walk("the address of the connection", [], GRAY),
    walk("whoever writes x-forwarded-for is not believed", [["x-forwarded-for", "9.9.9.9"]], GRAY),
  ],
};

const claiming = (claims: object): Pairs => [["authorization", `Bearer ${token(claims)}`]];
const claimed = (sub: string): Pairs => claiming({ sub });

/** The same users as by the header. */
const BY_CLAIM: ParityGroup = {
  isFresh: true,
  name: "sticky shares by a claim",
  objects: [
    TO_A,
    laneGroup({
      ratio: { key: { claim: "sub" }, salt: "release" },
      operands: { jwt: { jwks: keySet() } },
    }),
    lane("gray", {
      forcedOut: [{ claim: "out", operator: "exists" }],
      ratio: { percent: "54.263%" },
    }),
    lane("blue"),
  ],
  cases: [
    walk("a bucket below the share", claimed("bob"), GRAY),
    walk("the last bucket of the share, to a millionth", claimed("ann"), GRAY),
    walk("a bucket above the share", claimed("1"), BASE),
    walk("a key beyond ASCII", claimed("Jürgen"), BASE),
    walk("an empty key is in no share", claimed(""), BASE),
    walk("no claim is in no share", claiming({ exp: 99_999_999_999 }), BASE),
    walk("what has expired is in no share", claiming({ sub: "bob", exp: 1 }), BASE),
    walk("a token that is not good is in no share", [["authorization", "Bearer a.b.c"]], BASE),
    walk("no token is in no share", user("bob"), BASE),
    walk("a rule goes before a share", [...claimed("bob"), ...go("blue")], BLUE),
    walk("whoever is forced out is in no share", claiming({ sub: "bob", out: 1 }), BASE),
    {
      name: "a client without a token has no bucket by his own word",
      ask: { headers: [["x-graylane-bucket", "0"]] },
      want: { hops: "a-base", seen: { "x-graylane-bucket": null } },
    },
  ],
};

const REFUSED: ParityGroup = {
  isFresh: true,
  name: "sticky shares of users who are given a cookie, which Envoys refuse",
  objects: [
    TO_A,
    laneGroup({ ratio: { key: { issuedCookie: {} } } }),
    lane("gray", { ratio: { percent: "100%" } }),
  ],
  cases: [
    {
      ...walk("no lane is entered", cookie("graylane-id=0123456789abcdef"), {
        hops: "a-gray b-gray c-base",
      }),
      onEnvoy: { hops: "a-base b-base c-base" },
    },
  ],
  refused: [{ kind: "LaneGroup", name: "shops", says: /Envoy cannot .*gives a cookie/ }],
};

export const STICKY_GROUPS: readonly ParityGroup[] = [
  BY_HEADER,
  BY_COOKIE,
  BY_ADDRESS,
  BY_CLAIM,
  REFUSED,
];
