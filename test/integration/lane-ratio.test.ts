//! Shares of lanes through a real gateway: who is in them, that they stay, and two base routes.
//! More requests: GRAYLANE_SHARE_REQUESTS=10000 npm test -- lane-ratio

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { makeKeyHash } from "../../src/lane/key-hash.ts";
import { Graylane, KINDS } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";

const REQUESTS = Number(process.env["GRAYLANE_SHARE_REQUESTS"] ?? 600);
const AT_ONCE = 16;

/** Two base routes to one service: the ratio may differ by them. */
const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order, namespace: default}
spec:
  gateways: [istio-system/ingressgateway]
  hosts: ["*"]
  http:
  - name: pay
    match: [{uri: {prefix: /a/pay}}]
    route: [{destination: {host: sc-a.default.svc.cluster.local}}]
  - name: order
    match: [{uri: {prefix: /a}}]
    route: [{destination: {host: sc-a.default.svc.cluster.local}}]
`;

function group(ratio: string): string {
  return `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: mse-order, namespace: default}
spec:
  entry: {gateways: [{name: ingressgateway, namespace: istio-system}]}
  services: [{name: sc-a}, {name: sc-b}, {name: sc-c}]
  baseline: {}
  context: {mode: header, routeHeader: x-mse-tag}
  ratio: ${ratio}
`;
}

function lane(ratio: string, more = ""): string {
  return `
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray, namespace: default}
spec:
  group: mse-order
  selector: {matchLabels: {alicloud.service.tag: gray}}
  rule: {header: canary, operator: "==", value: gray}
  ratio: ${ratio}
  ${more}
`;
}

const HASH = makeKeyHash({ hash: "murmur3", salt: "spring", modulo: 100 });
const BY_USER = group("{key: {header: x-user-id}, salt: spring}");

/** `gray; reason=cohort; served=gray` without what follows the reason. */
function laneOf({ headers, status, body }: Answer): string {
  assert.equal(status, 200, body);
  return String(headers["x-graylane-lane"]).split("; served=")[0] ?? "";
}

suite("a share of a lane", () => {
  let graylane: Graylane;
  const askAll = async (
    path: string,
    headersOf: (index: number) => readonly (readonly [string, string])[],
  ): Promise<Answer[]> => {
    const answers: Answer[] = [];
    for (let done = 0; done < REQUESTS; done += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, REQUESTS - done) }, (_none, index) =>
        graylane.ask({ path, headers: headersOf(done + index) }),
      );
      answers.push(...(await Promise.all(batch)));
    }
    return answers;
  };
  const apply = async (...texts: readonly string[]): Promise<void> => {
    await graylane.apply(texts.join("---\n"));
    await graylane.published();
  };
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
    await apply(ROUTES);
  });
  after(async () => {
    await graylane.stop();
  });

  test("holds the very users whose bucket is in it, whatever worker they come to", async () => {
    await apply(BY_USER, lane('{percent: "30%"}'));
    const answers = await askAll("/a", (index) => [["x-user-id", `user-${index}`]]);
    const wrong = answers.flatMap((answer, index) => {
      const isIn = HASH.bucketOf(`user-${index}`) < 300_000;
      const want = isIn ? "gray; reason=cohort" : "baseline; reason=baseline";
      return laneOf(answer) === want ? [] : [`user-${index}: ${laneOf(answer)}`];
    });
    assert.deepEqual(wrong, []);
    const gray = answers.find((answer) => laneOf(answer).startsWith("gray"));
    assert.match(gray?.body ?? "", /^Agray\[.*B\[.*Cgray\[/);
  });

  test("comes after context and rule, and the baseline has who sends no key", async () => {
    const inside = ["x-user-id", userIn(0, 300_000)] as const;
    const outside = ["x-user-id", userIn(300_000, 1_000_000)] as const;
    const cases = [
      { headers: [outside, ["canary", "gray"]], want: "gray; reason=rule" },
      { headers: [inside, ["canary", "blue"]], want: "gray; reason=cohort" },
      { headers: [["canary", "blue"]], want: "baseline; reason=baseline" },
      { headers: [["x-user-id", ""]], want: "baseline; reason=baseline" },
    ] as const;
    for (const { headers, want } of cases) {
      assert.equal(laneOf(await graylane.ask({ path: "/a", headers })), want);
    }
  });

  test("is explained with key, salt, hash, bucket and interval", async () => {
    const user = userIn(0, 300_000);
    const headers = [["x-user-id", user]] as const;
    const told = await graylane.client.explain({
      method: "GET",
      url: `${graylane.origin}/a`,
      headers,
    });
    assert.equal(told.decision?.reason, "cohort");
    const { detail } = told.decision;
    for (const part of [
      `header x-user-id is "${user}"`,
      'murmur3 with the salt "spring"',
      `bucket ${HASH.bucketOf(user)} of 1000000`,
      "in [0, 300000) of the lane gray",
    ]) {
      assert.ok(detail.includes(part), detail);
    }
  });

  test("may be another at another base route, and both are in the status", async () => {
    const routes = "[{virtualService: order, route: pay, percent: 60%}]";
    await apply(lane(`{percent: "10%", routes: ${routes}}`));
    for (const [path, limitPpm] of [
      ["/a", 100_000],
      ["/a/pay", 600_000],
    ] as const) {
      for (let index = 0; index < 200; index++) {
        const user = `user-${index}`;
        const answer = await graylane.ask({ path, headers: [["x-user-id", user]] });
        const want = HASH.bucketOf(user) < limitPpm ? "gray" : "baseline";
        assert.equal(laneOf(answer).split(";")[0], want, `${path} ${user}`);
      }
    }
    const { status } = await graylane.client.get(KINDS.LaneGroup, "default", "mse-order");
    const shares = (status as Status).allocation.tables.map(({ route, lanes }) => [
      route,
      ...lanes.map(({ lane: name, sharePpm }) => `${name} ${sharePpm}`),
    ]);
    assert.deepEqual(shares, [
      ["*", "gray 100000"],
      ["default/order/pay", "gray 600000"],
    ]);
  });

  test("per request is drawn anew for each, in the right proportion", async () => {
    await apply(group("{}"), lane('{percent: "30%"}'));
    const answers = await askAll("/a", () => [["x-user-id", "jason"]]);
    const gray = answers.filter((answer) => laneOf(answer) === "gray; reason=cohort").length;
    // Each worker draws by itself, unseeded: within 5 standard deviations in all but one of a
    // million runs.
    const deviation = Math.sqrt(REQUESTS * 0.3 * 0.7);
    assert.ok(Math.abs(gray - 0.3 * REQUESTS) < 5 * deviation, `${gray} of ${REQUESTS}`);
  });

  test("by an issued cookie gives every new client one, and knows it again", async () => {
    await apply(group("{key: {issuedCookie: {maxAgeSeconds: 3600}}}"), lane('{percent: "50%"}'));
    for (let index = 0; index < 40; index++) {
      const first = await graylane.ask({ path: "/a" });
      const [cookie = ""] = first.headers["set-cookie"] ?? [];
      assert.match(
        cookie,
        /^graylane-id=[\w-]{22}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/,
      );
      const id = cookie.split(";")[0] ?? "";
      const again = await graylane.ask({ path: "/a", headers: [["cookie", `a=b; ${id}`]] });
      assert.equal(laneOf(again), laneOf(first));
      assert.equal(again.headers["set-cookie"], undefined);
    }
  });

  test("of 0 takes nobody and of 100 % everybody, and a closed lane nobody", async () => {
    await apply(BY_USER, lane('{percent: "0%"}'));
    const sample = async (): Promise<Set<string>> => {
      const lanes = new Set<string>();
      for (let index = 0; index < 100; index++) {
        const answer = await graylane.ask({ path: "/a", headers: [["x-user-id", `u${index}`]] });
        lanes.add(laneOf(answer));
      }
      return lanes;
    };
    assert.deepEqual(await sample(), new Set(["baseline; reason=baseline"]));
    await apply(lane('{percent: "100%"}'));
    assert.deepEqual(await sample(), new Set(["gray; reason=cohort"]));
    await apply(lane('{percent: "100%"}', "enabled: false"));
    assert.deepEqual(await sample(), new Set(["baseline; reason=baseline"]));
  });
});

suite("the allocation of a lane group", () => {
  let graylane: Graylane;
  const change = async (...texts: readonly string[]): Promise<void> => {
    await graylane.apply(texts.join("---\n"));
    await graylane.published();
  };
  const intervals = async (): Promise<unknown> => {
    const { status } = await graylane.client.get(KINDS.LaneGroup, "default", "mse-order");
    return (status as Status).allocation.tables[0]?.lanes.map((each) => [
      each.lane,
      ...each.intervals,
    ]);
  };
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
  });
  after(async () => {
    await graylane.stop();
  });

  test("is saved, restored, and decides as it did", async () => {
    const blue = lane('{percent: "20%"}').replaceAll(/\bgray\b/g, "blue");
    const gray = lane('{percent: "10%"}');
    await change(BY_USER, blue, gray);
    const deleted = await graylane.cli("delete", "lane", "blue");
    assert.equal(deleted.exitCode, 0, deleted.stderr);
    await graylane.published();
    const want = [["gray", [200_000, 300_000]]];
    assert.deepEqual(await intervals(), want);
    const saved = (await graylane.cli("get", "lanegroup", "mse-order", "-o", "yaml")).stdout;

    await change(lane('{percent: "0%"}'));
    await change(gray);
    assert.deepEqual(await intervals(), [["gray", [0, 100_000]]]);

    const { exitCode, stderr } = await graylane.cli("lane", "restore", "-f", graylane.file(saved));
    assert.equal(exitCode, 0, stderr);
    await graylane.published();
    assert.deepEqual(await intervals(), want);
    for (const [from, to, answer] of [
      [0, 100_000, "baseline; reason=baseline"],
      [200_000, 300_000, "gray; reason=cohort"],
    ] as const) {
      const headers = [["x-user-id", userIn(from, to)]] as const;
      assert.equal(laneOf(await graylane.ask({ path: "/a", headers })), answer);
    }
  });
});

interface Status {
  readonly allocation: {
    readonly tables: readonly {
      readonly route: string;
      readonly lanes: readonly {
        readonly lane: string;
        readonly sharePpm: number;
        readonly intervals: readonly (readonly number[])[];
      }[];
    }[];
  };
}

function userIn(fromPpm: number, toPpm: number): string {
  for (let index = 0; ; index++) {
    const bucket = HASH.bucketOf(`user-${index}`);
    if (bucket >= fromPpm && bucket < toPpm) return `user-${index}`;
  }
}
