//! Lanes that rules lead into: a real Envoy and the embedded gateway are asked the same, and take
//! every request into the same lane and to the same pod.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { findEnvoy } from "../support/envoy.ts";
import { LANE_HEADER, TwoGateways, lane, laneGroup } from "../support/two-gateways.ts";
import type { Fields } from "../support/two-gateways.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;

type Asked = readonly [isIn: boolean, path: string, headers?: Fields, method?: string];

const header = (value: string): Fields => [["x-tier", value]];
const cookie = (value: string): Fields => [["cookie", value]];

/** Rules, and requests that are (true) in the lane or (false) not. */
const RULES: readonly (readonly [rule: string, asked: readonly Asked[]])[] = [
  [
    "{ header: x-tier, operator: in, values: [gold, 'a.c'] }",
    [
      [true, "/", header("gold")],
      [true, "/", header("a.c")],
      [false, "/", header("abc")],
      [false, "/"],
    ],
  ],
  [
    "{ header: x-tier, operator: '!=', value: gold }",
    [
      [false, "/", header("gold")],
      [true, "/", header("silver")],
      [true, "/", header("")],
      [true, "/"],
    ],
  ],
  [
    "{ not: { header: x-tier, operator: regex, value: 'g?' } }",
    [
      [false, "/", header("g")],
      [false, "/", header("")],
      [true, "/", header("gg")],
      [true, "/"],
    ],
  ],
  [
    "{ any: [{ header: x-a, operator: prefix, value: go }, { header: x-a, operator: suffix, " +
      "value: er }, { header: x-a, operator: contains, value: o-l }] }",
    [
      [true, "/", [["x-a", "gold"]]],
      [true, "/", [["x-a", "silver"]]],
      [true, "/", [["x-a", "no-lane"]]],
      [false, "/", [["x-a", "Gold"]]],
    ],
  ],
  [
    "{ all: [{ header: x-a, operator: exists }, { not: { any: [{ header: x-b, operator: exists }, " +
      "{ method: true, operator: in, values: [PUT, POST] }] } }] }",
    [
      [true, "/", [["x-a", ""]]],
      [false, "/"],
      [
        false,
        "/",
        [
          ["x-a", "1"],
          ["x-b", ""],
        ],
      ],
      [false, "/", [["x-a", "1"]], "POST"],
      [true, "/", [["x-a", "1"]], "DELETE"],
    ],
  ],
  [
    "{ cookie: user, operator: ==, value: 'j.d' }",
    [
      [true, "/", cookie("user=j.d")],
      [true, "/", cookie("a=1; user = j.d ; b=2")],
      [false, "/", cookie("user=jxd")],
      [false, "/", cookie("user=x; user=j.d")],
      [true, "/", cookie("user=j.d; user=x")],
      [true, "/", cookie("user; users=2; use=3; xuser=4; user=j.d")],
      [false, "/", cookie("user=j.d2")],
      [false, "/", cookie("other=user=j.d")],
      [false, "/"],
    ],
  ],
  [
    "{ cookie: beta, operator: notIn, values: ['off', 'no'] }",
    [
      [true, "/"],
      [true, "/", cookie("beta=on")],
      [true, "/", cookie("alpha=off")],
      [false, "/", cookie("alpha=1;beta=off")],
    ],
  ],
  [
    "{ query: who, operator: in, values: ['J D', 'k/l'] }",
    [
      [true, "/?who=J+D"],
      [true, "/?who=%4a%20D"],
      [true, "/?a=1&who=k/l&who=x"],
      [true, "/?who=k%2Fl"],
      [false, "/?a=1&who=x&who=k/l"],
      [false, "/?who=JD"],
      [false, "/"],
    ],
  ],
  [
    "{ query: beta, operator: absent }",
    [
      [true, "/"],
      [true, "/?a=1&betas=2&x=beta"],
      [false, "/?beta"],
      [false, "/?a=1&beta=0"],
    ],
  ],
  [
    "{ path: true, operator: prefix, value: /api/v }",
    [
      [true, "/api/v1?x=1"],
      [false, "/api?x=/api/v"],
      [true, "/x/../api/v2"],
    ],
  ],
  [
    "{ path: true, operator: regex, value: '/a.*b' }",
    [
      [true, "/axb?q"],
      [false, "/a?b"],
    ],
  ],
  [
    "{ all: [{ path: true, operator: contains, value: oo }, { path: true, operator: '!=', " +
      "value: /foo }, { path: true, operator: suffix, value: s }] }",
    [
      [true, "/foods?x=1"],
      [false, "/foo?x=s"],
      [false, "/bars?x=oo"],
    ],
  ],
  ["{ host: true, operator: ==, value: shop.example.com }", [[true, "/"]]],
];

suite("lanes that rules lead into, on a real Envoy", { skip, timeout: 240_000 }, () => {
  let gateways: TwoGateways;

  before(async () => {
    gateways = await TwoGateways.start(found.kind === "found" ? found.path : "", ["gray"]);
  });
  after(() => gateways.stop());

  test("a header leads into the lane, and nobody writes the lane's header himself", async () => {
    const rule = "rule: { header: x-tier, operator: '==', value: gold }";
    await gateways.apply(laneGroup() + lane("gray", rule));
    const gray = { status: 200, pod: "shop-gray", lane: "gray" };
    const base = { status: 200, pod: "shop-base", lane: null };
    assert.deepEqual(await gateways.ask({ headers: header("gold") }), gray);
    assert.deepEqual(await gateways.ask({ headers: header("goldfish") }), base);
    assert.deepEqual(await gateways.ask(), base);
    assert.deepEqual(await gateways.ask({ headers: [[LANE_HEADER, "gray"]] }), base);
  });

  for (const [rule, asked] of RULES) {
    test(`who meets it is in the lane: ${rule}`, async () => {
      await gateways.apply(laneGroup() + lane("gray", `rule: ${rule}`));
      for (const [isIn, path, headers = [], method = "GET"] of asked) {
        const { pod } = await gateways.ask({ path, headers, method });
        const what = `${method} ${path} ${JSON.stringify(headers)}`;
        assert.equal(pod, isIn ? "shop-gray" : "shop-base", what);
      }
    });
  }
});
