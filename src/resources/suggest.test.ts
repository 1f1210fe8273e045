import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./suggest.ts";

const known = ["match", "route", "timeout", "directResponse", "imagePullPolicy", "matchLabels"];

const cases: readonly { word: string; want: string | null }[] = [
  { word: "mach", want: "match" },
  { word: "matchs", want: "match" },
  { word: "rotue", want: "route" },
  { word: "match-labels", want: "matchLabels" },
  { word: "matchlabels", want: "matchLabels" },
  { word: "imagePulPolcy", want: "imagePullPolicy" },
  { word: "weight", want: null },
  { word: "", want: null },
  { word: "x".repeat(10_000), want: null },
];

for (const { word, want } of cases) {
  test(`for "${word.slice(0, 20)}" ${want ?? "nothing"} is meant`, () => {
    assert.equal(nearest(word, known), want);
  });
}
