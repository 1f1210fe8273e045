import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf } from "./lines-of.ts";

async function collect(...pieces: string[]): Promise<string[]> {
  async function* source(): AsyncGenerator<string> {
    yield* await Promise.resolve(pieces);
  }
  const lines: string[] = [];
  for await (const line of linesOf(source())) lines.push(line);
  return lines;
}

const cases = [
  { name: "nothing gives no line", pieces: [], want: [] },
  { name: "a line over two pieces is one", pieces: ["ab", "cd\n"], want: ["abcd"] },
  { name: "empty lines are kept", pieces: ["a\n\nb\n"], want: ["a", "", "b"] },
  { name: "the last line needs no end", pieces: ["a\nb"], want: ["a", "b"] },
];

for (const { name, pieces, want } of cases) {
  test(name, async () => {
    assert.deepEqual(await collect(...pieces), want);
  });
}
