import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesLabels, matchesRequirements, parseLabelSelector } from "./selector.ts";

const labels = { app: "mocka", version: "v1", empty: "" };

const cases: readonly { selector: string; matches: boolean | "fault" }[] = [
  { selector: "", matches: true },
  { selector: "app=mocka", matches: true },
  { selector: "app==mocka,version=v1", matches: true },
  { selector: "app = mocka , version = v2", matches: false },
  { selector: "app!=mockb", matches: true },
  { selector: "gone!=x", matches: true },
  { selector: "gone=x", matches: false },
  { selector: "empty=", matches: true },
  { selector: "version in (v1, v2)", matches: true },
  { selector: "version in (v2),app=mocka", matches: false },
  { selector: "version notin (v2,v3)", matches: true },
  { selector: "app", matches: true },
  { selector: "!gone,app", matches: true },
  { selector: "!app", matches: false },
  { selector: "toString", matches: false },
  { selector: "a b", matches: "fault" },
  { selector: "a=b c", matches: "fault" },
  { selector: "a=,", matches: "fault" },
  { selector: "a in (", matches: "fault" },
  { selector: "=x", matches: "fault" },
];

for (const { selector, matches } of cases) {
  test(`the selector "${selector}" gives ${String(matches)}`, () => {
    const parsed = parseLabelSelector(selector);
    const got =
      parsed.kind === "fault" ? "fault" : matchesRequirements(parsed.requirements, labels);
    assert.equal(got, matches);
  });
}

test("a Service's selector matches when every label is there with its value", () => {
  assert.equal(matchesLabels({ app: "mocka", version: "v1" }, labels), true);
  assert.equal(matchesLabels({ app: "mocka", version: "v2" }, labels), false);
  assert.equal(matchesLabels({ app: "mocka" }, undefined), false);
  assert.equal(matchesLabels({}, undefined), true);
});
