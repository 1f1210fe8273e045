import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, Test } from "../snapshot/snapshot.ts";
import { ALTERNATIVES_MAX, clausesOf } from "./lane-condition.ts";
import type { Clause } from "./lane-condition.ts";
import { cookiePattern, otherwiseSpelled } from "./operand-pattern.ts";

function header(operator: Test["operator"], ...values: readonly string[]): Test {
  return { kind: "test", operand: { kind: "header", name: "x-a" }, operator, values };
}

function clauses(condition: Condition): readonly Clause[] {
  const outcome = clausesOf(condition);
  if (outcome.kind === "refused") assert.fail(outcome.what);
  return outcome.clauses;
}

function refusal(condition: Condition): string {
  const outcome = clausesOf(condition);
  return outcome.kind === "refused" ? outcome.what : "";
}

test("members of all stand in one alternative, members of any in alternatives of their own", () => {
  const any: Condition = { kind: "any", of: [header("==", "1"), header("==", "2")] };
  const both = clauses({ kind: "all", of: [any, { kind: "not", of: header("exists") }] });
  assert.deepEqual(
    both.map(({ headers }) =>
      headers.map(({ string_match, present_match }) => [string_match, present_match]),
    ),
    [
      [
        [{ exact: "1" }, undefined],
        [undefined, true],
      ],
      [
        [{ exact: "2" }, undefined],
        [undefined, true],
      ],
    ],
  );
});

test("not turns all into any, and a test into what is missing or different", () => {
  const both: Condition = { kind: "all", of: [header("==", "1"), header("==", "2")] };
  assert.equal(clauses({ kind: "not", of: both }).length, 2);
  // An empty field is not a missing one: two alternatives.
  assert.equal(clauses({ kind: "not", of: header("==", "") }).length, 2);
  assert.equal(clauses(header("!=", "1")).length, 1);
});

test("an empty all is met by everything, an empty any by nothing", () => {
  assert.deepEqual(clauses({ kind: "all", of: [] }), [{ headers: [], query: [], pathRegex: null }]);
  assert.deepEqual(clauses({ kind: "any", of: [] }), []);
});

test("what Envoy's matchers would decide otherwise is refused with its name", () => {
  const on = (kind: Test["operand"]["kind"], operator: Test["operator"], value: string): Test => ({
    kind: "test",
    operand: { kind, name: "n" },
    operator,
    values: [value],
  });
  const cases: readonly (readonly [Test, RegExp])[] = [
    [on("clientIp", "cidr", "10.0.0.0/8"), /operand clientIp/],
    [on("bodyJson", "==", "1"), /operand bodyJson/],
    [on("header", "percentage", "5"), /percentage on the header n/],
    [on("header", ">", "5"), /> on the header n/],
    [on("cookie", "regex", "a.*"), /regex on a cookie/],
    [on("query", "!=", "a"), /what a query parameter is not/],
    [on("query", "contains", "a"), /contains on a query parameter/],
    [on("query", "==", "5%"), /percent-encoded/],
    [on("host", "prefix", "a"), /prefix on the host/],
  ];
  for (const [one, want] of cases) assert.match(refusal(one), want);
});

test("a rule of too many alternatives is refused", () => {
  const of = Array.from({ length: ALTERNATIVES_MAX + 1 }, (_, index) => header("==", `${index}`));
  assert.match(refusal({ kind: "any", of }), /more than 64 alternatives/);
  assert.equal(clauses({ kind: "any", of: of.slice(1) }).length, ALTERNATIVES_MAX);
});

test("the first cookie of a name is found, and no other", () => {
  const pattern = new RegExp(`^${cookiePattern("id-1", "(?:yes)")}$`);
  const cases: readonly (readonly [string, boolean])[] = [
    ["id-1=yes", true],
    [" id-1 = yes ;x", true],
    ["a=b;id-1=yes;id-1=no", true],
    ["id-1=no; id-1=yes", false],
    ["id-1 =no; id-1=yes", false],
    ["id-1; id=1; id-12=3; iD-1=no; =x; id-1=yes", true],
    ["id-1=yesterday", false],
    ["x=id-1=yes", false],
    ["", false],
  ];
  for (const [field, want] of cases) assert.equal(pattern.test(field), want, field);
});

test("a text in a query is known in every spelling", () => {
  const pattern = new RegExp(`^${otherwiseSpelled("a +/")}$`);
  for (const spelling of ["a+%2B/", "a%20%2b%2F", "%61 %2B%2f"]) assert.match(spelling, pattern);
  for (const other of ["a++/", "A+%2B/"]) assert.doesNotMatch(other, pattern);
  assert.equal(otherwiseSpelled("5%"), null);
  assert.equal(otherwiseSpelled("é"), null);
});
