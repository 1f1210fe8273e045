import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";

const GROUP = `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop}
spec:
  entry: {gateways: [{name: gw, namespace: istio-system}]}
  services: [{name: a}]
  baseline: {}
  context: {routeHeader: x-lane}`;

const lane = (name: string, more: string): string => `
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: ${name}}
spec: {group: shop, selector: {matchLabels: {tag: ${name}}}, ${more}}`;

/** Wall time of the tests. */
const NOW_MS = 1_800_000_000_000;

function run(...texts: readonly string[]): CompileResult {
  const resources = texts.flatMap((text): Resource[] =>
    parseManifests(text, "t.yaml").documents.map(({ value, positionOf }) => {
      const { resource, faults } = validateResource(value, positionOf);
      assert.ok(resource !== null, JSON.stringify(faults));
      return resource;
    }),
  );
  return compile({ resources, modules: new Map(), nowMs: NOW_MS });
}

function groupOf({ snapshot }: CompileResult): LaneGroup {
  const group = snapshot.laneGroups["default/shop"];
  assert.ok(group !== undefined);
  return group;
}

function laneOf(result: CompileResult, name: string): Lane {
  const found = groupOf(result).lanes.find((each) => each.name === name);
  assert.ok(found !== undefined);
  return found;
}

function messages(result: CompileResult, ...codes: readonly string[]): string[] {
  return result.messages
    .filter(({ code }) => codes.includes(code))
    .map(({ severity, code, message, object }) =>
      [severity, code, object?.name ?? "", message].join(" "),
    );
}

test("a rule of one header is still written in one line", () => {
  const result = run(GROUP, lane("gray", `rule: {header: Canary, operator: "==", value: gray}`));
  assert.deepEqual(laneOf(result, "gray").rule, {
    programVersion: 2,
    condition: {
      kind: "test",
      operand: { kind: "header", name: "canary" },
      operator: "==",
      values: ["gray"],
    },
  });
});

test("a rule nests, and the spellings of one operator are one in the program", () => {
  const rule = `{all: [{not: {cookie: u, operator: not in, values: [a, a]}},
    {any: [{path: true, operator: prefix, value: /x}, {query: v, operator: ">=", value: 2}]},
    {clientIp: true, operator: cidr, values: [10.0.0.0/8]},
    {header: id, operator: percentage, value: 10, hash: murmur3}]}`;
  const { rule: compiled } = laneOf(run(GROUP, lane("gray", `rule: ${rule}`)), "gray");
  const of = compiled?.condition.kind === "all" ? compiled.condition.of : [];
  assert.deepEqual(of[0], {
    kind: "not",
    of: {
      kind: "test",
      operand: { kind: "cookie", name: "u" },
      operator: "notIn",
      values: ["a"],
    },
  });
  assert.deepEqual(
    of.map((member) => member.kind),
    ["not", "any", "test", "test"],
  );
  assert.deepEqual(of[3], {
    kind: "test",
    operand: { kind: "header", name: "id" },
    operator: "percentage",
    values: ["10"],
    hash: "murmur3",
  });
});

test("a chain of parents is resolved, and a cycle is an error that names all of it", () => {
  const chain = `${GROUP}\n  fallback: chain`;
  const good = run(chain, lane("a", "parent: b"), lane("b", "parent: c"), lane("c", ""));
  assert.deepEqual(laneOf(good, "a").parents, ["b", "c"]);
  assert.deepEqual(messages(good, "GL0321", "GL0322", "GL0323"), []);

  const cyclic = run(chain, lane("a", "parent: b"), lane("b", "parent: c"), lane("c", "parent: a"));
  assert.deepEqual(messages(cyclic, "GL0322"), [
    "error GL0322 a the parents form a cycle: a -> b -> c -> a",
    "error GL0322 b the parents form a cycle: b -> c -> a -> b",
    "error GL0322 c the parents form a cycle: c -> a -> b -> c",
  ]);
  assert.deepEqual(laneOf(cyclic, "a").parents, ["b", "c"]);

  const missing = run(chain, lane("a", "parent: z"));
  assert.deepEqual(messages(missing, "GL0321"), [
    "error GL0321 a the group has no lane z, the parent of a",
  ]);
  const unused = run(GROUP, lane("a", "parent: b"), lane("b", ""));
  assert.deepEqual(messages(unused, "GL0323"), [
    "warning GL0323 a the parent has no effect: the group's fallback is permissive",
  ]);
});

test("an expired lane is closed, says who owns it, and the next expiry is foretold", () => {
  const result = run(
    GROUP,
    lane("old", `owner: ann, expiresAt: "2027-01-15T07:59:59Z"`),
    lane("new", `expiresAt: "2027-01-15T08:00:01Z"`),
  );
  assert.equal(laneOf(result, "old").enabled, false);
  assert.equal(laneOf(result, "new").enabled, true);
  assert.equal(result.nextExpiryMs, NOW_MS + 1_000);
  assert.deepEqual(messages(result, "GL0325"), [
    "warning GL0325 old the lane old expired at 2027-01-15T07:59:59Z and is closed; " +
      "its owner is ann",
  ]);
});

test("two lanes with one rule, one tag or one label value are told with both names", () => {
  const rule = `rule: {header: u, operator: "==", value: x}`;
  const result = run(GROUP, lane("a", rule), lane("b", `tag: a, ${rule}`));
  assert.deepEqual(messages(result, "GL0324", "GL0310"), [
    "warning GL0324 b the lane a has the same rule and decides first (priority, then name), so " +
      "the rule takes nobody into the lane b",
    "error GL0310 b the tag a is the lane a's too, and that one counts",
  ]);
  const same = lane("c", "").replace("tag: c", "tag: a");
  assert.deepEqual(messages(run(GROUP, lane("a", ""), same), "GL0306"), [
    "warning GL0306 c the lane a selects the same pods (tag=a)",
  ]);
});

test("an entry route that is not there is told", () => {
  const group = GROUP.replace("}]}", "}], routes: [{virtualService: vs, route: main}]}");
  const result = run(group);
  assert.deepEqual(groupOf(result).entryRoutes, [{ virtualService: "default/vs", route: "main" }]);
  assert.equal(messages(result, "GL0327").length, 1);
});

test("a policy for a service, and isolation, are in the snapshot", () => {
  const result = run(
    `${GROUP}\n  isolated: true\n  serviceFallback: [{service: {name: a}, policy: strict}]`,
  );
  assert.deepEqual(groupOf(result).servicePolicies, { "default/a": "strict" });
  assert.equal(groupOf(result).isolated, true);
});

/** What is wrong with a rule: the code, the place, and what the sentence must say. */
const BAD: readonly (readonly [rule: string, code: string, path: string, says: RegExp])[] = [
  [`{header: a, operator: "=", value: b}`, "GL0105", "rule.operator", /one of ==, !=, in/],
  [`{header: a, operator: "=="}`, "GL0104", "rule.value", /required/],
  [`{header: a, operator: in, value: b}`, "GL0114", "rule.value", /takes values, a list/],
  [`{header: a, cookie: b, operator: exists}`, "GL0114", "rule", /has header and cookie/],
  [`{operator: exists}`, "GL0114", "rule", /has none/],
  [`{header: a, operator: exists, value: b}`, "GL0114", "rule.value", /no meaning/],
  [`{header: a, operator: regex, value: "(a"}`, "GL0112", "rule.value", /RE2/],
  [`{header: a, operator: percentage, value: 101}`, "GL0111", "rule.value", /0 to 100/],
  [`{header: a, operator: percentage, value: 0.1}`, "GL0111", "rule.value", /whole number/],
  [`{header: a, operator: percentage, value: 1, hash: md5}`, "GL0105", "rule.hash", /murmur3/],
  [`{header: a, operator: "<", value: x}`, "GL0103", "rule.value", /number/],
  [`{header: a, operator: semver, value: latest}`, "GL0113", "rule.value", /range of versions/],
  [`{clientIp: true, operator: cidr, values: [10]}`, "GL0103", "rule.values[0]", /text/],
  [`{clientIp: true, operator: cidr, values: [h]}`, "GL0113", "rule.values[0]", /network/],
  [`{path: yes, operator: exists}`, "GL0103", "rule.path", /must be true/],
  [`{all: []}`, "GL0111", "rule.all", /must not be empty/],
  [`{all: [{header: a, operator: exists}], any: []}`, "GL0114", "rule", /all and any/],
  [`{workload: a, operator: exists}`, "GL0113", "rule.workload", /one of identity, dnsName/],
  [`{workload: labels, operator: exists}`, "GL0113", "rule.workload", /one of identity/],
  [`{workload: pod.name, operator: exists}`, "GL0113", "rule.workload", /one of identity/],
  [`{workload: nmaespace, operator: exists}`, "GL0113", "rule.workload", /one of identity/],
  [`{claim: "a b", operator: exists}`, "GL0113", "rule.claim", /a path to one place/],
  [`{body: {json: a}, operator: exists}`, "GL0114", "rule.body", /not a known field/],
  [`{bodyJson: "a..b", operator: exists}`, "GL0113", "rule.bodyJson", /a path to one place/],
  [`{bodyJson: 1, operator: exists}`, "GL0103", "rule.bodyJson", /must be a text/],
  [`{bodyForm: "", operator: exists}`, "GL0111", "rule.bodyForm", /must not be empty/],
  [`{haeder: a, operator: exists}`, "GL0114", "rule.haeder", /not a known field/],
  [`{header: a, operator: "==", value: 1}`, "GL0103", "rule.value", /must be a text/],
];
for (const [rule, code, path, says] of BAD) {
  test(`the rule ${rule} is refused with ${code}`, () => {
    const [document] = parseManifests(lane("gray", `rule: ${rule}`), "t.yaml").documents;
    const { resource, faults } = validateResource(document?.value, document?.positionOf);
    const fault = faults.find((each) => each.code === code && each.path === `spec.${path}`);
    assert.equal(resource, null);
    assert.ok(fault !== undefined, JSON.stringify(faults));
    assert.match(fault.message, says);
    assert.ok(fault.position !== null, "the message has a place");
  });
}

test("a rule may nest eight levels deep, and no deeper", () => {
  const nest = (depth: number): string =>
    `${"{not: ".repeat(depth)}{header: a, operator: exists}${"}".repeat(depth)}`;
  const codes = (depth: number): string[] => {
    const [document] = parseManifests(lane("gray", `rule: ${nest(depth)}`), "t.yaml").documents;
    return validateResource(document?.value).faults.map(({ code }) => code);
  };
  assert.deepEqual(codes(8), []);
  assert.deepEqual(codes(9), ["GL0111"]);
});

const ASM = (rules: string): string => `
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLaneGroup
metadata: {name: asm}
spec: {services: [{name: a}]}
---
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLane
metadata: {name: s2, labels: {swimlane-group: asm}}
spec:
  labelSelector: {version: v2}
  ingressRules: ${rules}`;

test("ASM's ingress rules decide the lane: one of them, with all that it matches", () => {
  const { snapshot } = run(
    ASM(`[
    {match: {headers: {X-User: {exact: bob}}}},
    {online: false, match: {headers: {x-user: {exact: eve}}}},
    {hosts: ["*.shop.com"], match: {uri: {prefix: /a}, headers: {":method": {regex: P.*}}}}]`),
  );
  const group = snapshot.laneGroups["/asm"];
  const test = (kind: string, name: string, operator: string, value: string): unknown => ({
    kind: "test",
    operand: { kind, name },
    operator,
    values: [value],
  });
  assert.deepEqual(group?.lanes[0]?.rule?.condition, {
    kind: "any",
    of: [
      test("header", "x-user", "==", "bob"),
      {
        kind: "all",
        of: [
          test("method", "", "regex", "P.*"),
          test("path", "", "prefix", "/a"),
          { kind: "any", of: [test("host", "", "suffix", ".shop.com")] },
        ],
      },
    ],
  });
});

test("ASM's strict mode is an isolated group with the fallback strict", () => {
  const group = run(ASM("[]")).snapshot.laneGroups["/asm"];
  assert.deepEqual([group?.isolated, group?.fallback], [true, "strict"]);
});

const OPERANDS = (jwt: string): string =>
  GROUP + `\n  operands: {jwt: ${jwt}, geo: {database: /data/city.mmdb}}`;

test("a rule that reads a claim or a place without a source is named", () => {
  const rule = "rule: {any: [{claim: sub, operator: exists}, {geo: country, operator: exists}]}";
  const codes = (...texts: readonly string[]): string[] =>
    run(...texts)
      .messages.filter(({ code }) => code === "GL0320")
      .map(({ path }) => path);
  assert.deepEqual(codes(GROUP, lane("gray", rule)), ["spec.rule", "spec.rule"]);
  assert.deepEqual(codes(OPERANDS("{jwksUri: https://id.example/keys}"), lane("gray", rule)), []);
});

for (const [field, isNamed] of [
  ["identity", true],
  ["dnsName", true],
  ["serviceAccount", true],
  ["namespace", false],
  ["pod", false],
  ["labels.app", false],
] as const) {
  test(`a rule on the caller's ${field} where no gateway asks for certificates`, () => {
    const rule = `rule: {any: [{path: true, operator: exists}, {not: {workload: ${field},
      operator: exists}}]}`;
    const told = run(GROUP, lane("gray", rule)).messages.filter(({ code }) => code === "GL0320");
    assert.deepEqual(
      told.map(({ path }) => path),
      isNamed ? ["spec.rule"] : [],
    );
  });
}

test("the sources of claims and places are in the snapshot", () => {
  const { operands } = groupOf(run(OPERANDS("{jwksUri: https://id.example/keys, issuer: id}")));
  assert.deepEqual(operands, {
    trustedHops: 0,
    tokens: {
      issuer: "id",
      keys: { kind: "remote", uri: "https://id.example/keys" },
      from: { kind: "header", name: "authorization" },
    },
    geoDatabase: "/data/city.mmdb",
  });
});

for (const [jwt, path, says] of [
  ["{}", "jwt", /jwks/],
  ["{jwksUri: ftp://x}", "jwt.jwksUri", /http or https/],
  [`{jwks: "{}"}`, "jwt.jwks", /must be a key set/],
  [`{jwks: '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}`, "jwt.jwks", /shared secret/],
  [`{jwks: '{"keys": [{"kty": "EC", "d": "c2VjcmV0"}]}'}`, "jwt.jwks", /private key/],
  ["{jwksUri: https://x, cookie: a, query: b}", "jwt", /cookie/],
] as const) {
  test(`the source of claims ${jwt} is refused`, () => {
    const [document] = parseManifests(OPERANDS(jwt), "t.yaml").documents;
    const { resource, faults } = validateResource(document?.value, document?.positionOf);
    assert.equal(resource, null);
    const fault = faults.find((each) => each.path === `spec.operands.${path}`);
    assert.ok(fault !== undefined, JSON.stringify(faults));
    assert.match(fault.message, says);
    assert.ok(!JSON.stringify(faults).includes("c2VjcmV0"), "a key is shown");
  });
}

test("shares that are sticky by a claim need a source of claims", () => {
  const ratio = "\n  ratio: {key: {claim: sub}}";
  const [document] = parseManifests(GROUP + ratio, "t.yaml").documents;
  const { faults } = validateResource(document?.value, document?.positionOf);
  assert.deepEqual(
    faults.map(({ path }) => path),
    ["spec.operands.jwt"],
  );
  const [good] = parseManifests(OPERANDS("{jwksUri: https://x}") + ratio, "t.yaml").documents;
  assert.deepEqual(validateResource(good?.value, good?.positionOf).faults, []);
});
