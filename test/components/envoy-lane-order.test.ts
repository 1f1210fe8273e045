//! What comes before and after a lane's rule on a real Envoy: other lanes, contexts, routes that
//! ask for the lane's header, fallbacks. The embedded gateway is asked the same.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { findEnvoy } from "../support/envoy.ts";
import { KINDS } from "../support/graylane.ts";
import { LANE_HEADER, TwoGateways, lane, laneGroup, routes } from "../support/two-gateways.ts";
import type { Fields, Served } from "../support/two-gateways.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;

const SHARE_REQUESTS = 400;
const GOLD: Fields = [["x-tier", "gold"]];
const tier = (value: string): string => `{ header: x-tier, operator: ==, value: ${value} }`;
const context = (value: string): Fields => [[LANE_HEADER, value]];
const toLane = (name: string): string =>
  `route: [{ destination: { host: shop, subset: ${name} } }]`;
const asks = (name: string): string => `headers: { ${LANE_HEADER}: { exact: ${name} } }`;
const PLAIN = "{ name: plain, route: [{ destination: { host: shop } }] }";
const BASE: Served = { status: 200, pod: "shop-base", lane: null };
const inLane = (name: string): Served => ({ status: 200, pod: `shop-${name}`, lane: name });

suite(
  "the order of lanes, routes and fallbacks on a real Envoy",
  { skip, timeout: 240_000 },
  () => {
    let gateways: TwoGateways;

    const demand = async (
      cases: readonly (readonly [want: Served, headers: Fields, path?: string])[],
    ): Promise<void> => {
      for (const [want, headers, path = "/"] of cases) {
        const served = await gateways.ask({ path, headers });
        assert.deepEqual(served, want, `${path} ${JSON.stringify(headers)}`);
      }
    };

    before(async () => {
      const binary = found.kind === "found" ? found.path : "";
      gateways = await TwoGateways.start(binary, ["blue", "gray"]);
    });
    after(() => gateways.stop());

    test("the first lane by priority takes it; forcedIn goes before, forcedOut keeps out", async () => {
      const any = `rule: { any: [{ header: x-device, operator: exists }, ${tier("gold")}] }`;
      const blue = `priority: 1\n  rule: ${tier("gold")}\n  forcedOut: [${tier("gold")}]`;
      await gateways.apply(
        routes() + laneGroup() + lane("blue", blue) + lane("gray", `priority: 2\n  ${any}`),
      );
      await demand([[inLane("gray"), GOLD]]);
      const forced = "forcedIn: [{ header: x-forced, operator: exists }]";
      await gateways.apply(
        lane("blue", `priority: 1\n  rule: ${tier("gold")}`) +
          lane("gray", `priority: 2\n  ${any}\n  ${forced}`),
      );
      await demand([
        [inLane("blue"), GOLD],
        [inLane("gray"), [...GOLD, ["x-forced", ""]]],
        [inLane("gray"), [["x-device", "phone"]]],
        [BASE, []],
      ]);
    });

    test("a context that clients may send comes before the rules, whatever it says", async () => {
      const group = laneGroup("  acceptFromClients: true");
      const closed = `enabled: false\n  rule: ${tier("blue")}`;
      await gateways.apply(
        routes() + group + lane("blue", closed) + lane("gray", `rule: ${tier("gold")}`),
      );
      await demand([
        [inLane("gray"), context("gray")],
        [inLane("gray"), context("gray, blue")],
        [{ ...BASE, lane: "blue" }, [...context("blue"), ...GOLD]],
        [{ ...BASE, lane: "green" }, [...context("green"), ...GOLD]],
        [{ ...BASE, lane: ", gray" }, [...context(", gray"), ...GOLD]],
        [inLane("gray"), [...context(""), ...GOLD]],
        [BASE, [["x-tier", "blue"]]],
      ]);
    });

    test("a route that asks for the lane's header is found again once the header is written", async () => {
      const gone = `{ match: [{ ${asks("blue")}, uri: { prefix: /gone } }], directResponse: { status: 410 } }`;
      const without = `{ match: [{ uri: { prefix: /only }, withoutHeaders: { ${LANE_HEADER}: { exact: gray } } }], ${toLane("blue")} }`;
      const split =
        `{ match: [{ uri: { prefix: /x } }, { ${asks("gray")}, uri: { prefix: /api } }], ` +
        `rewrite: { uri: /y }, ${toLane("gray")} }`;
      const plain =
        "{ match: [{ uri: { prefix: /a } }], route: [{ destination: { host: shop } }] }";
      await gateways.apply(
        routes(`[${gone}, ${without}, ${split}, ${plain}]`) +
          laneGroup() +
          lane("blue", `rule: ${tier("blue")}`) +
          lane("gray", `rule: ${tier("gold")}`),
      );
      const blue: Fields = [["x-tier", "blue"]];
      const none: Served = { status: 404, pod: "", lane: null };
      await demand([
        [BASE, [], "/api"],
        [inLane("gray"), GOLD, "/api"],
        [inLane("blue"), blue, "/api"],
        [inLane("gray"), [], "/x"],
        [{ status: 410, pod: "", lane: null }, blue, "/gone"],
        [inLane("blue"), [], "/only"],
        [inLane("blue"), GOLD, "/only"],
        [none, context("gray"), "/only"],
        [inLane("gray"), context("gray"), "/api"],
        [none, GOLD, "/other"],
      ]);
    });

    test("only the routes at which lanes are entered ask their rules", async () => {
      const inside =
        "{ name: in, match: [{ uri: { prefix: /in } }], route: [{ destination: { host: shop } }] }";
      const entry =
        "entry: { gateways: [{ name: entry }], routes: [{ virtualService: shop, route: in }] }";
      const group = laneGroup().replace("entry: { gateways: [{ name: entry }] }", entry);
      await gateways.apply(
        routes(`[${inside}, ${PLAIN}]`) +
          group +
          lane("blue", "enabled: true") +
          lane("gray", `rule: ${tier("gold")}`),
      );
      await demand([
        [inLane("gray"), GOLD, "/in"],
        [BASE, GOLD, "/out"],
      ]);
    });

    test("a lane without pods is served by its parent, by the baseline, or by nobody", async () => {
      const gray = (more = ""): string => lane("gray", `rule: ${tier("gold")}${more}`);
      await gateways.apply(routes() + laneGroup("  fallback: chain") + gray("\n  parent: blue"));
      await gateways.removePod("gray");
      await demand([[{ status: 200, pod: "shop-blue", lane: "gray" }, GOLD]]);
      await gateways.apply(laneGroup("  fallback: permissive"));
      await demand([[{ status: 200, pod: "shop-base", lane: "gray" }, GOLD]]);
      await gateways.apply(laneGroup("  fallback: strict"));
      await demand([
        [{ status: 503, pod: "", lane: null }, GOLD],
        [BASE, []],
      ]);
      await gateways.addPod("gray");
      await demand([[inLane("gray"), GOLD]]);
    });

    test("a share takes its part of what rules leave, at each route its own", async () => {
      const named = (name: string, more = ""): string =>
        `{ name: ${name}, match: [{ uri: { prefix: /${name} } }], ` +
        `route: [{ destination: { host: shop }, weight: 30 }, { destination: { host: shop }, weight: 70 }${more}] }`;
      const shares = (percent: string): string =>
        `ratio:\n    percent: "${percent}"\n    routes: [{ virtualService: shop, route: all, percent: "100%" }, ` +
        `{ virtualService: shop, route: none, percent: "0%" }]`;
      await gateways.apply(
        routes(`[${named("all")}, ${named("none")}, ${PLAIN}]`) +
          laneGroup("  ratio: { sticky: false }") +
          lane("blue", `rule: ${tier("gold")}`) +
          lane("gray", shares("25%")),
      );
      await demand([
        [inLane("gray"), [], "/all"],
        [BASE, [], "/none"],
        [inLane("blue"), GOLD, "/all"],
      ]);
      let count = 0;
      for (let index = 0; index < SHARE_REQUESTS; index++) {
        const served = await gateways.askEnvoy({ path: "/plain" });
        const isIn = served.lane !== null;
        assert.deepEqual(served, isIn ? inLane("gray") : BASE);
        if (isIn) count += 1;
      }
      // Six standard deviations of a binomial draw.
      assert.ok(Math.abs(count - SHARE_REQUESTS / 4) < 52, `${count} of ${SHARE_REQUESTS}`);
    });

    test("a rule that Envoy cannot say is on the lane, which is not entered; others are", async () => {
      const place = "{ geo: country, operator: ==, value: NL }";
      await gateways.apply(
        routes() +
          laneGroup() +
          lane("blue", `rule: ${place}`) +
          lane("gray", `rule: ${tier("gold")}`),
      );
      assert.deepEqual(await gateways.askEnvoy(), BASE);
      assert.deepEqual(await gateways.askEnvoy({ headers: GOLD }), inLane("gray"));
      const statusOf = async (name: string): Promise<string> => {
        const { client } = gateways.graylane;
        return JSON.stringify((await client.get(KINDS.Lane, "default", name)).status);
      };
      const refused = /GL0701.*Envoy cannot enter the lane blue by the operand geo/;
      // Statuses are written after the configuration is out.
      await gateways.graylane.until("the refusal is on the lane", async () =>
        refused.test(await statusOf("blue")),
      );
      assert.doesNotMatch(await statusOf("gray"), /GL0701/);
    });
  },
);
