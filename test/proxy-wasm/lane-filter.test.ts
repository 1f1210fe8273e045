//! The plug-in lane-filter decides what the decision program of `src/lane` decides: by the vectors
//! that both run, and by programs and requests drawn at random.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { RULES_HEADER } from "../../src/compile-envoy/filter-program.ts";
import { prepareCondition } from "../../src/lane/program.ts";
import type { Condition } from "../../src/snapshot/snapshot.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { startPlugin, testServices } from "../support/plugin.ts";
import { FilterDraw } from "../support/filter-draw.ts";
import type { FilterRequest } from "../support/filter-draw.ts";
import { Filter, isMetHere } from "../support/lane-filter.ts";

const PROGRAMS = Number(process.env["GRAYLANE_FILTER_PROGRAMS"] ?? "60");
const RULES = 8;
const REQUESTS = 40;

interface Vector {
  readonly name: string;
  readonly trustedHops?: number;
  readonly bodyBytesMax?: number;
  readonly condition: Condition;
  readonly met: readonly FilterRequest[];
  readonly unmet: readonly FilterRequest[];
}

const vectors = JSON.parse(
  readFileSync("plugins/lane-filter/vectors.json", "utf8"),
) as readonly Vector[];

for (const { name, condition, met, unmet, trustedHops = 0, bodyBytesMax } of vectors) {
  test(`vector: ${name}`, async () => {
    const operands = { trustedHops, ...(bodyBytesMax === undefined ? {} : { bodyBytesMax }) };
    const filter = await Filter.start([condition], operands);
    const ours = prepareCondition(condition);
    for (const [requests, expected] of [
      [met, true],
      [unmet, false],
    ] as const) {
      for (const request of requests) {
        const text = JSON.stringify(request);
        assert.equal(isMetHere(ours, request, operands), expected, `TypeScript: ${text}`);
        assert.deepEqual(filter.met(request), [expected], `plug-in: ${text}`);
      }
    }
  });
}

test("every operator has a vector that is met and one that is not", () => {
  const operators = new Set<string>();
  for (const { condition, met, unmet } of vectors) {
    if (condition.kind === "test" && met.length > 0 && unmet.length > 0) {
      operators.add(condition.operator);
    }
  }
  assert.deepEqual([...operators].sort(), [...FilterDraw.operators].sort());
});

/** The condition and all within it: what differs is told by its smallest part. */
function partsOf(condition: Condition): Condition[] {
  if (condition.kind === "test") return [condition];
  const members = condition.kind === "not" ? [condition.of] : condition.of;
  return [...members.flatMap(partsOf), condition];
}

test(`${PROGRAMS} programs drawn at random decide as the TypeScript engine does`, async () => {
  let metCount = 0;
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const draw = new FilterDraw(new SeededPrng(seed));
    const trustedHops = draw.below(3);
    const rules = Array.from({ length: RULES }, () => draw.condition(2)).flatMap(partsOf);
    const filter = await Filter.start(rules, { trustedHops });
    const ours = rules.map(prepareCondition);
    for (let index = 0; index < REQUESTS; index++) {
      const request = draw.request();
      const got = filter.met(request);
      for (const [at, isMet] of ours.entries()) {
        const expected = isMetHere(isMet, request, { trustedHops });
        if (expected) metCount += 1;
        if (got[at] === expected) continue;
        const what = JSON.stringify({ condition: rules[at], request, trustedHops });
        assert.fail(`seed ${seed}: ${what}: expected ${String(expected)}`);
      }
    }
  }
  assert.ok(metCount > PROGRAMS * REQUESTS, `too few are met: ${metCount}`);
});

for (const [name, configuration, words] of [
  ["another version", { version: 2 }, /version must be 1/],
  ["no header", { header: "" }, /header must be a text/],
  ["an operator that is not known", rule({ operator: "like" }), /operator like is not known/],
  ["an operand that is not known", rule({ operand: { kind: "geo" } }), /operand.kind geo/],
  ["a kind that is not known", rule({ kind: "none" }), /kind none is not known/],
  ["a step that leads nowhere", steps([[2, 7, 0, 255]]), /a step leads nowhere/],
  ["an automaton without steps", steps([]), /first must be one of the steps/],
  ["a network of too many bits", networks(33), /bits must be at most/],
] as const) {
  test(`a program is refused for ${name}`, async () => {
    const services = testServices();
    const all = { version: 1, header: RULES_HEADER, rules: [], ...configuration };
    const plugin = await startPlugin("lane-filter", JSON.stringify(all), services);
    assert.ok(!(plugin instanceof Plugin));
    assert.match(services.lines.join("\n"), words);
  });
}

function rule(more: object): object {
  const operand = { kind: "header", name: "x" };
  const condition = { kind: "test", operand, operator: "==", values: ["a"], ...more };
  return { rules: [{ id: "a", condition }] };
}

function steps(list: readonly (readonly number[])[]): object {
  return rule({ operator: "regex", first: 0, steps: list });
}

function networks(bits: number): object {
  return rule({ operator: "cidr", networks: [{ bytes: [10, 0, 0, 0], bits }] });
}
