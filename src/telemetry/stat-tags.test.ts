import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePrometheus } from "./prometheus.ts";
import type { FamilySnapshot, MetricType } from "./metrics.ts";
import { compileStatTag, withStatTags } from "./stat-tags.ts";
import type { StatTag } from "./stat-tags.ts";

function defined(definedAs: string, value: number, type: MetricType = "counter"): FamilySnapshot {
  const name = definedAs.replace(/[^a-z_]/g, "_");
  const series = [{ labelValues: [], values: [value] }];
  return { ...{ name, definedAs, help: "h", type, labelNames: [], bounds: [] }, series };
}

function tag(label: string, regex: string): StatTag {
  const compiled = compileStatTag(label, regex);
  if (typeof compiled === "string") assert.fail(compiled);
  return compiled;
}

const TAGS = [tag("value", "(_value=([a-z]+))"), tag("reporter", "(_reporter=([a-z]+))")];

/** The lines of values, as Envoy's `/stats/prometheus` has them. */
function lines(families: readonly FamilySnapshot[], tags: readonly StatTag[]): string[] {
  const text = encodePrometheus(withStatTags({ families }, tags), "{}");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

const CASES: readonly {
  readonly name: string;
  readonly families: readonly FamilySnapshot[];
  readonly tags?: readonly StatTag[];
  readonly expected: readonly string[];
}[] = [
  {
    name: "names that differ in values of labels only are one family",
    families: [
      defined("counts_value=a_reporter=sdk", 3),
      defined("counts_value=b_reporter=sdk", 5),
    ],
    expected: ['counts{value="a",reporter="sdk"} 3', 'counts{value="b",reporter="sdk"} 5'],
  },
  {
    name: "a name that no expression finds anything in stays",
    families: [defined("plain.count", 1)],
    expected: ["plain_count{} 1"],
  },
  {
    name: "the one group of an expression is both what goes and the value",
    families: [defined("x_abc", 1)],
    tags: [tag("rest", "_([a-z]+)$")],
    expected: ['x_{rest="abc"} 1'],
  },
  {
    name: "a fixed value is given to all that plug-ins define, and to nothing else",
    families: [
      defined("x", 1),
      { ...{ name: "y", help: "h", type: "gauge", labelNames: [], bounds: [] }, series: [] },
    ],
    tags: [{ label: "place", value: "here" }],
    expected: ['x{place="here"} 1'],
  },
  {
    name: "one that would be of another type in the same family keeps its whole name",
    families: [defined("x_value=a", 1), defined("x_value=b", 2, "gauge")],
    expected: ['x{value="a"} 1', "x_value_b{} 2"],
  },
];

for (const { name, families, tags = TAGS, expected } of CASES) {
  test(name, () => {
    assert.deepEqual(lines(families, tags), expected);
  });
}

test("an expression that cannot be used is said to be so", () => {
  assert.equal(compileStatTag("a", "b"), "it has no group");
  const wrong = compileStatTag("a", "(");
  assert.match(typeof wrong === "string" ? wrong : "", /missing/);
});
