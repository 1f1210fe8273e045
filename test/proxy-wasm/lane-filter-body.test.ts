//! The plug-in lane-filter reads bodies as the embedded gateway does, and holds back no request
//! that no rule on a body decides.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { RULES_HEADER } from "../../src/compile-envoy/filter-program.ts";
import { RequestBody } from "../../src/dataplane/filter/request-body.ts";
import { Headers } from "../../src/http/headers.ts";
import { prepareCondition } from "../../src/lane/program.ts";
import type { Condition, Operand } from "../../src/snapshot/snapshot.ts";
import { BodyAction } from "../../src/wasm/enums.ts";
import { BodyDraw } from "../support/body-draw.ts";
import type { FilterRequest } from "../support/filter-draw.ts";
import { Filter, isMetHere } from "../support/lane-filter.ts";

const ROUNDS = Number(process.env["GRAYLANE_FILTER_PROGRAMS"] ?? "12");
const BODIES = 60;
const RULES_MAX = 900;
const LIMIT = 32;
const OPERANDS = { trustedHops: 0, bodyBytesMax: LIMIT };

const JSON_NAMES = ["a", "b", "ü", "__proto__", "a.b", "a[0]", "a.a", "a[1].b", "c", '["a.b"]'];
const FORM_NAMES = ["a", "b", "ü", 'a"b', "\r\n%61", "a b"];
const ALL: readonly Operand[] = [
  ...JSON_NAMES.map((name) => ({ kind: "bodyJson", name }) as const),
  ...FORM_NAMES.map((name) => ({ kind: "bodyForm", name }) as const),
];

function valueHere({ kind, name }: Operand, { headers = [], body = "" }: FilterRequest) {
  const fields = new Headers();
  for (const [field, value] of headers) fields.add(field, value);
  const read = new RequestBody(Buffer.from(body, "latin1"), fields);
  if (kind === "bodyJson") return read.json(name, body.length);
  return read.form(Buffer.from(name).toString("latin1"), body.length);
}

/** Whether each of them is there, and is what one of the bodies has there. */
function rulesOn(requests: readonly FilterRequest[]): Condition[] {
  const rules = ALL.map((operand): Condition => {
    return { kind: "test", operand, operator: "exists", values: [] };
  });
  const seen = new Set<string>();
  for (const request of requests) {
    for (const operand of ALL) {
      const wire = valueHere(operand, request);
      if (wire === undefined) continue;
      const text = Buffer.from(wire, "latin1").toString();
      const key = JSON.stringify([operand, text]);
      // What is no UTF-8 cannot stand in a rule.
      if (seen.has(key) || Buffer.from(text).toString("latin1") !== wire) continue;
      seen.add(key);
      rules.push({ kind: "test", operand, operator: "==", values: [text] });
    }
  }
  return rules.slice(0, RULES_MAX);
}

test(`${ROUNDS * BODIES} bodies drawn at random are read as the embedded gateway does`, async () => {
  let metCount = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const draw = new BodyDraw(new SeededPrng(seed));
    const requests = Array.from({ length: BODIES }, () => draw.request());
    const rules = rulesOn(requests);
    const filter = await Filter.start(rules);
    const ours = rules.map(prepareCondition);
    for (const request of requests) {
      const got = filter.met(request);
      for (const [at, isMet] of ours.entries()) {
        const expected = isMetHere(isMet, request);
        if (expected) metCount += 1;
        if (got[at] === expected) continue;
        const what = JSON.stringify({ rule: rules[at], request });
        assert.fail(`seed ${seed}: ${what}: expected ${String(expected)}`);
      }
    }
  }
  assert.ok(metCount > ROUNDS * BODIES, `too few are met: ${metCount}`);
});

const RULE: Condition = {
  kind: "test",
  operand: { kind: "bodyJson", name: "a" },
  operator: "==",
  values: ["1"],
};
const HEAD: Condition = {
  kind: "test",
  operand: { kind: "header", name: "x" },
  operator: "==",
  values: ["1"],
};
const JSON_TYPE = ["content-type", "application/json"] as const;
const ASKED: FilterRequest = { method: "POST", headers: [JSON_TYPE], body: '{"a":1}' };

const UNHELD: readonly (readonly [title: string, request: FilterRequest, scope?: object])[] = [
  ["without a body", { method: "POST", headers: [JSON_TYPE] }],
  ["of a type that no rule reads", { ...ASKED, headers: [["content-type", "application/grpc"]] }],
  ["without a type", { ...ASKED, headers: [] }],
  ["with an encoding", { ...ASKED, headers: [JSON_TYPE, ["content-encoding", "gzip"]] }],
  ["whose length is over the limit", { ...ASKED, headers: [JSON_TYPE, ["content-length", "33"]] }],
  [
    "with a lane context",
    { ...ASKED, headers: [JSON_TYPE, ["x-lane", "gone"]] },
    { context: "x-lane" },
  ],
  ["at another route", { ...ASKED, route: "b" }, { routes: ["a"] }],
  ["that no route takes", ASKED, { routes: ["a"] }],
];

for (const [title, request, scope = {}] of UNHELD) {
  test(`a request ${title} is not held back for a rule on its body`, async () => {
    const filter = await Filter.start([RULE, HEAD], OPERANDS, scope);
    const headers = [...(request.headers ?? []), ["x", "1"] as const];
    const { host, stream } = filter.open({ ...request, headers });
    assert.equal(stream.onRequestHeaders(request.body === undefined), 0);
    assert.deepEqual(filter.metBy(host), [false, true]);
    if (request.body !== undefined) {
      assert.equal(filter.give(stream, request), BodyAction.continue);
      assert.deepEqual(filter.metBy(host), [false, true]);
    }
    stream.finish();
  });
}

for (const [title, request, scope] of [
  ["with a context that is not believed", { headers: [JSON_TYPE, ["x-lane", "gray"]] }, {}],
  ["with an empty context", { headers: [JSON_TYPE, ["x-lane", ""]] }, { context: "x-lane" }],
  ["at a route where lanes are entered", { route: "b" }, { routes: ["a", "b"] }],
  ["whose length is the limit", { headers: [JSON_TYPE, ["content-length", "32"]] }, {}],
] as const) {
  test(`a request ${title} is held back until its body is there`, async () => {
    const filter = await Filter.start([RULE], OPERANDS, scope);
    const { host, stream } = filter.open({ ...ASKED, ...request });
    assert.equal(stream.onRequestHeaders(false), 1);
    assert.equal(filter.give(stream, { body: '{"a"', parts: 1 }), BodyAction.continue);
    stream.finish();
    assert.deepEqual(filter.metBy(host), [false]);
    assert.equal(filter.met({ ...ASKED, ...request, parts: 3 })[0], true);
  });
}

test("a body that ends in trailers is read, and one that grows too long goes on at once", async () => {
  const filter = await Filter.start([RULE], OPERANDS);
  const ended = filter.open(ASKED);
  assert.equal(ended.stream.onRequestHeaders(false), 1);
  const some = { body: `{"a":1}${" ".repeat(LIMIT - 7)}` };
  assert.equal(filter.giveSome(ended.stream, some), BodyAction.watermark);
  assert.equal(ended.stream.onRequestTrailers(), BodyAction.continue);
  assert.deepEqual(filter.metBy(ended.host), [true]);

  const long = filter.open(ASKED);
  assert.equal(long.stream.onRequestHeaders(false), 1);
  assert.equal(filter.giveSome(long.stream, some), BodyAction.watermark);
  assert.equal(filter.giveSome(long.stream, { body: " " }), BodyAction.continue);
  assert.deepEqual(filter.metBy(long.host), [false]);
  assert.equal(long.host.request.get(RULES_HEADER), undefined);
  assert.equal(filter.give(long.stream, { body: "more" }), BodyAction.continue);
});

test("limits of several lane groups' rules are their own", async () => {
  const wide = await Filter.start([RULE], { trustedHops: 0, bodyBytesMax: LIMIT + 1 });
  const body = `{"a":1}${" ".repeat(LIMIT - 6)}`;
  assert.deepEqual(wide.met({ ...ASKED, body }), [true]);
  const narrow = await Filter.start([RULE], OPERANDS);
  assert.deepEqual(narrow.met({ ...ASKED, body }), [false]);
});

test("a document of a hundred thousand levels, and one of as many members, are read", async () => {
  const filter = await Filter.start([RULE], { trustedHops: 0, bodyBytesMax: 1_048_576 });
  const levels = 100_000;
  const deep = `{"b":${"[".repeat(levels)}${"]".repeat(levels)},"a":1}`;
  assert.deepEqual(filter.met({ ...ASKED, body: deep }), [true]);
  assert.deepEqual(filter.met({ ...ASKED, body: deep.replace("]]", "]") }), [false]);
  assert.deepEqual(filter.met({ ...ASKED, body: `{${'"a":2,'.repeat(levels)}"a":1}` }), [true]);
});
