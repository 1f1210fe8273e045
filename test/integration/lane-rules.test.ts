//! The content rules of the published walk-through of a canary release by content: each operator
//! of its table, with the article's own example and outcome; explain must foretell every request.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { SeededPrng } from "../../src/base/prng.ts";
import type { Prng } from "../../src/base/prng.ts";
import { mmdb } from "../../src/dataplane/testing/mmdb.ts";
import { Graylane, KINDS } from "../support/graylane.ts";

const SEED = 20_261_121;
/** Random rules; each is asked that many random requests. */
const RANDOM_RULES = 12;
const REQUESTS_EACH = 20;

type Headers = readonly (readonly [name: string, value: string])[];

const lane = (more: string): string => `
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray, namespace: default}
spec:
  group: mse-order
  tag: gray
  selector: {matchLabels: {alicloud.service.tag: gray}}
  ${more}
`;

const IS_XIAOMING = `{header: name, operator: "==", value: xiaoming}`;
const IS_GRAY = `{header: canary, operator: "==", value: gray}`;

/** Each operator of the article's table: its example, and requests with the expected lane. */
const TABLE: readonly {
  readonly title: string;
  readonly rule: string;
  readonly gray: readonly Headers[];
  readonly base: readonly Headers[];
}[] = [
  {
    title: "name == xiaoming",
    rule: `{header: name, operator: "==", value: xiaoming}`,
    gray: [[["name", "xiaoming"]]],
    base: [[["name", "xiaoming1"]], []],
  },
  {
    title: "name != xiaoming, which a request without name meets too",
    rule: `{header: name, operator: "!=", value: xiaoming}`,
    gray: [[["name", "xiaoming1"]], []],
    base: [[["name", "xiaoming"]]],
  },
  {
    title: "name in [xiaoming,xiaohong]",
    rule: `{header: name, operator: in, values: [xiaoming, xiaohong]}`,
    gray: [[["name", "xiaoming"]], [["name", "xiaohong"]]],
    base: [[["name", "xiaobai"]], []],
  },
  {
    title: "percentage 10 of name: 111 is in the canary",
    rule: `{header: name, operator: percentage, value: 10}`,
    gray: [[["name", "111"]]],
    base: [[["name", "jason"]], []],
  },
  {
    title: "a regular expression for 32 letters and digits",
    rule: `{header: name, operator: regex, value: "[a-zA-Z0-9]{32}"}`,
    gray: [[["name", "1234567890abcdef1234567890ABCDEF"]]],
    base: [[["name", "1234567890abcdef1234567890ABCDE"]], []],
  },
  {
    title: "meet all conditions",
    rule: `{all: [${IS_XIAOMING}, ${IS_GRAY}]}`,
    gray: [
      [
        ["name", "xiaoming"],
        ["canary", "gray"],
      ],
    ],
    base: [[["name", "xiaoming"]], [["canary", "gray"]], []],
  },
  {
    title: "meet any condition",
    rule: `{any: [${IS_XIAOMING}, ${IS_GRAY}]}`,
    gray: [[["name", "xiaoming"]], [["canary", "gray"]]],
    base: [[["name", "xiaohong"]], []],
  },
];

const JSON_TYPE = "application/json";
const PARTS_TYPE = "multipart/form-data; boundary=x";
const FORM_TYPE = "application/x-www-form-urlencoded";
const NAMES = ["xiaoming", "xiaohong", "111", "jason", "2.1.0", "10.1.2.3", "42", "", "李雷"];

function pick<T>(prng: Prng, values: readonly T[]): T {
  return values[prng.below(values.length)] as T;
}

function randomCondition(prng: Prng): string {
  const operand = pick(prng, [
    "header: name",
    "header: canary",
    "cookie: user",
    "query: v",
    "path: true",
    "method: true",
    "clientIp: true",
    "bodyJson: user.name",
    "bodyForm: name",
  ]);
  const test = pick(prng, [
    `operator: "==", value: ${JSON.stringify(pick(prng, ["xiaoming", "111", "/a", "GET"]))}`,
    `operator: "!=", value: jason`,
    `operator: in, values: [xiaohong, "42", /a/1]`,
    `operator: not in, values: [xiaohong, "111"]`,
    `operator: prefix, value: "1"`,
    `operator: suffix, value: g`,
    `operator: contains, value: a`,
    `operator: regex, value: "[a-z]+|1.*"`,
    `operator: exists`,
    `operator: absent`,
    `operator: ">=", value: 40`,
    `operator: semver, value: ">=2.0.0"`,
    `operator: cidr, values: [10.1.0.0/16, 127.0.0.0/8]`,
    `operator: percentage, value: 50`,
  ]);
  return `{${operand}, ${test}}`;
}

function randomRule(prng: Prng, depth = 2): string {
  const kind = depth === 0 ? 0 : prng.below(4);
  if (kind === 0) return randomCondition(prng);
  if (kind === 1) return `{not: ${randomRule(prng, depth - 1)}}`;
  const members = [randomRule(prng, depth - 1), randomRule(prng, depth - 1)];
  return `{${kind === 2 ? "all" : "any"}: [${members.join(", ")}]}`;
}

interface Asked {
  readonly path: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body?: string;
}

function randomRequest(prng: Prng): Asked {
  const headers: (readonly [string, string])[] = [];
  if (prng.below(3) > 0) headers.push(["name", pick(prng, NAMES)]);
  if (prng.below(3) === 0) headers.push(["canary", pick(prng, NAMES)]);
  if (prng.below(3) === 0) headers.push(["cookie", `a=b; user=${pick(prng, ["111", "42", "x"])}`]);
  const query = prng.below(2) === 0 ? "" : `?v=${encodeURIComponent(pick(prng, NAMES))}`;
  const path = pick(prng, ["/a", "/a/1"]) + query;
  if (prng.below(2) === 0) return { path, method: "GET", headers };
  const name = pick(prng, NAMES);
  const body = pick(prng, [
    { type: JSON_TYPE, body: JSON.stringify({ user: { name } }) },
    { type: JSON_TYPE, body: `{"user": ` },
    { type: FORM_TYPE, body: `a=b&name=${encodeURIComponent(name)}` },
  ]);
  headers.push(["content-type", body.type]);
  return { path, method: "POST", headers, body: body.body };
}

suite("the content rules of the mse-order walk-through", () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
  });
  after(async () => {
    await graylane.stop();
  });

  async function apply(more: string): Promise<void> {
    await graylane.apply(lane(more));
    await graylane.published();
  }

  /** The services that answered in gray, `AC`, `""` for the base; as explain foretold. */
  async function grayOf({ path, method, headers, body }: Asked): Promise<string> {
    const content = body === undefined ? {} : { body };
    const foretold = await graylane.client.explain({
      method,
      url: graylane.origin + path,
      headers,
      ...content,
    });
    const onTheWire = headers.map(
      ([name, value]) => [name, Buffer.from(value).toString("latin1")] as const,
    );
    const answer = await graylane.ask({ path, method, headers: onTheWire, ...content });
    assert.equal(answer.status, 200, answer.body);
    const gray = [...answer.body.matchAll(/([ABC])gray/g)].map(([, app = ""]) => app).join("");
    const what = JSON.stringify({ path, method, headers, body, detail: foretold.decision?.detail });
    assert.equal(foretold.decision?.lane ?? "", gray === "" ? "" : "gray", what);
    return gray;
  }

  const get = (headers: Headers): Asked => ({ path: "/a", method: "GET", headers });

  for (const { title, rule, gray, base } of TABLE) {
    test(title, async () => {
      await apply(`rule: ${rule}`);
      for (const headers of gray) assert.equal(await grayOf(get(headers)), "AC", String(headers));
      for (const headers of base) assert.equal(await grayOf(get(headers)), "", String(headers));
    });
  }

  test("a closed lane takes nobody, and an enabled one takes them again", async () => {
    const rule = TABLE[0]?.rule ?? "";
    await apply(`enabled: false\n  rule: ${rule}`);
    assert.equal(await grayOf(get([["name", "xiaoming"]])), "");
    await apply(`enabled: true\n  rule: ${rule}`);
    assert.equal(await grayOf(get([["name", "xiaoming"]])), "AC");
  });

  test("the status counts the nodes that were found for the tag", async () => {
    await apply(`rule: ${TABLE[0]?.rule ?? ""}`);
    await graylane.until("the gray nodes of A and C are counted", async () => {
      const { status } = await graylane.client.get(KINDS.Lane, "default", "gray");
      const { services, members } = status as {
        readonly services: string;
        readonly members: readonly { readonly service: string; readonly ready: number }[];
      };
      const counts = members.map(({ service, ready }) => `${service} ${ready}`);
      return services === "2/3" && counts.join() === "default/sc-a 1,default/sc-b 0,default/sc-c 1";
    });
    const { stdout } = await graylane.cli("get", "lane");
    assert.match(stdout, /gray .*mse-order .*gray .*true .*2\/3 services/);
  });

  test("an expired lane takes nobody", async () => {
    await apply(`expiresAt: "2020-01-01T00:00:00Z"\n  rule: ${TABLE[0]?.rule ?? ""}`);
    assert.equal(await grayOf(get([["name", "xiaoming"]])), "");
    const described = await graylane.cli("describe", "lane", "gray");
    assert.match(described.stdout, /GL0325/);
    await apply(`expiresAt: "2100-01-01T00:00:00Z"\n  rule: ${TABLE[0]?.rule ?? ""}`);
    assert.equal(await grayOf(get([["name", "xiaoming"]])), "AC");
  });

  test("who is forced in comes without a rule, and who is forced out not by it", async () => {
    await apply(`rule: {header: name, operator: exists}
  forcedIn: [{cookie: user, operator: "==", value: tester}]
  forcedOut: [{header: name, operator: in, values: [jason]}]`);
    assert.equal(await grayOf(get([["cookie", "user=tester"]])), "AC");
    assert.equal(await grayOf(get([["name", "bob"]])), "AC");
    assert.equal(await grayOf(get([["name", "jason"]])), "");
    const forced: Headers = [
      ["name", "jason"],
      ["cookie", "user=tester"],
    ];
    assert.equal(await grayOf(get(forced)), "");
  });

  test("a value in a JSON body, and a field of a form", async () => {
    const post = (type: string, body: string): Asked => {
      return { path: "/a", method: "POST", headers: [["content-type", type]], body };
    };
    await apply(`rule: {any: [{bodyJson: "user.names[1]", operator: "==", value: xiaoming},
    {bodyForm: name, operator: in, values: [xiaohong, 李雷]}]}`);
    const json = JSON.stringify({ user: { names: ["x", "xiaoming"] } });
    assert.equal(await grayOf(post(JSON_TYPE, json)), "AC");
    assert.equal(await grayOf(post(FORM_TYPE, "name=%E6%9D%8E%E9%9B%B7")), "AC");
    const parts = (disposition: string): string =>
      `--x\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n李雷\r\n--x--\r\n`;
    assert.equal(await grayOf(post(PARTS_TYPE, parts('name="name"'))), "AC");
    assert.equal(await grayOf(post(PARTS_TYPE, parts('name="name"; filename="f"'))), "");
    assert.equal(await grayOf(post(FORM_TYPE, json)), "");
    assert.equal(await grayOf(post(JSON_TYPE, JSON.stringify({ user: "x".repeat(65_536) }))), "");
    const { stdout } = await graylane.cli(
      ...["explain", "-d", "name=xiaohong", `${graylane.origin}/a`],
    );
    assert.match(
      stdout,
      /bodyJson user.names\[1\] == "xiaoming" \(absent, since the body is no JSON/,
    );
    assert.match(stdout, /bodyForm name in \["xiaohong", "李雷"\] \("xiaohong": met\)/);
  });

  test("a claim of a verified token, and the place of the client's address", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const { privateKey: strangers } = await generateKeyPair("ES256");
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "k" }] });
    const database = join(graylane.stateDirectory, "places.mmdb");
    writeFileSync(database, mmdb({ "10.1.0.0/16": { country: { iso_code: "CN" } } }));
    const operands = { clientIp: { trustedHops: 1 }, jwt: { jwks }, geo: { database } };
    await graylane.patch(KINDS.LaneGroup, ["default", "mse-order"], (group) => ({
      ...group,
      spec: { ...(group["spec"] as object), operands },
    }));
    await apply(`rule: {any: [{claim: "roles[0]", operator: "==", value: beta},
    {geo: country, operator: in, values: [CN]}]}`);
    const bearer = async (key: typeof privateKey, role: string): Promise<Headers> => {
      const token = new SignJWT({ roles: [role] }).setProtectedHeader({ alg: "ES256", kid: "k" });
      return [["authorization", `Bearer ${await token.sign(key)}`]];
    };
    assert.equal(await grayOf(get(await bearer(privateKey, "beta"))), "AC");
    assert.equal(await grayOf(get(await bearer(privateKey, "other"))), "");
    assert.equal(await grayOf(get(await bearer(strangers, "beta"))), "");
    assert.equal(await grayOf(get([["x-forwarded-for", "10.1.2.3"]])), "AC");
    assert.equal(await grayOf(get([["x-forwarded-for", "10.2.2.3"]])), "");
    writeFileSync(database, "no database");
    await apply(`rule: {any: [{claim: "roles[0]", operator: "==", value: alpha},
    {geo: country, operator: in, values: [CN]}]}`);
    await graylane.until("the unreadable database is told", async () => {
      const { stdout } = await graylane.cli("describe", "lanegroup", "mse-order");
      return /GL0328.*places\.mmdb/s.test(stdout);
    });
    assert.equal(await grayOf(get([["x-forwarded-for", "10.1.2.3"]])), "AC", "the last one serves");
  });

  test("graylane explain tells each condition with the value it was given", async () => {
    await apply(`rule: {all: [{header: name, operator: percentage, value: 10},
    {not: {query: v, operator: "==", value: old}}]}`);
    const { stdout } = await graylane.cli("explain", "-H", "name: 111", `${graylane.origin}/a`);
    assert.match(stdout, /header name percentage "10" \("111", hash \d+ is in 20000 of 1000000/);
    assert.match(stdout, /not \[query v == "old" \(absent: not met\)\] \(met\)/);
  });

  test(`explain and data plane agree on ${RANDOM_RULES} random rules`, async () => {
    const prng = new SeededPrng(SEED);
    let grayCount = 0;
    for (let rule = 0; rule < RANDOM_RULES; rule += 1) {
      await apply(`rule: ${randomRule(prng)}`);
      const requests = Array.from({ length: REQUESTS_EACH }, () => randomRequest(prng));
      const lanes = await Promise.all(requests.map(grayOf));
      grayCount += lanes.filter((gray) => gray !== "").length;
    }
    // Else the rules were not random enough to show anything.
    const all = RANDOM_RULES * REQUESTS_EACH;
    assert.ok(grayCount > all / 10 && grayCount < (all * 9) / 10, `${grayCount} of ${all}`);
  });
});
