import assert from "node:assert/strict";
import { test } from "node:test";

import { SeededPrng } from "../../src/base/prng.ts";
import { caseNames, loadCase, outputOf, readGolden } from "./golden.ts";

const SHUFFLES = 5;

for (const name of caseNames()) {
  test(`${name} compiles to its golden snapshot and messages`, async () => {
    const { snapshot, messages } = outputOf(await loadCase(name));
    assert.equal(messages, await readGolden(name, ".messages.txt"), "npm run golden renews it");
    assert.equal(snapshot, await readGolden(name, ".snapshot.json"), "npm run golden renews it");
  });

  test(`${name} compiles to the same, whatever the order of its objects`, async () => {
    const input = await loadCase(name);
    const want = outputOf(input);
    const prng = new SeededPrng(42);
    for (let shuffle = 0; shuffle < SHUFFLES; shuffle++) {
      const resources = shuffled(input.resources, prng);
      assert.deepEqual(outputOf({ ...input, resources }), want);
    }
  });
}

/** Fisher and Yates. */
function shuffled<T>(list: readonly T[], prng: SeededPrng): T[] {
  const result = [...list];
  for (let index = result.length - 1; index > 0; index--) {
    const other = prng.below(index + 1);
    [result[index], result[other]] = [result[other]!, result[index]!];
  }
  return result;
}
