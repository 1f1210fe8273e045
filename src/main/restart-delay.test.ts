import assert from "node:assert/strict";
import { test } from "node:test";
import { RestartDelay } from "./restart-delay.ts";

const CASES: readonly {
  readonly name: string;
  readonly livedMs: readonly number[];
  readonly want: readonly number[];
}[] = [
  { name: "one that has served is replaced at once", livedMs: [2_000, 2_000], want: [0, 0] },
  {
    name: "in a crash loop the pause doubles, up to ten seconds",
    livedMs: [0, 1_999, 0, 0, 0, 0, 0, 0, 0, 0],
    want: [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000],
  },
  {
    name: "one that has served ends the crash loop",
    livedMs: [0, 0, 5_000, 0, 0],
    want: [50, 100, 0, 50, 100],
  },
];

for (const { name, livedMs, want } of CASES) {
  test(name, () => {
    const delay = new RestartDelay();
    assert.deepEqual(
      livedMs.map((ms) => delay.after(ms)),
      want,
    );
  });
}
