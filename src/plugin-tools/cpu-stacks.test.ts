import assert from "node:assert/strict";
import { test } from "node:test";
import { foldedStacks, guestStacks } from "./cpu-stacks.ts";
import type { CpuProfileNode } from "./cpu-stacks.ts";
import { flameGraph } from "./flame-graph.ts";

const WASM = "wasm://wasm/0a1b";

function node(
  id: number,
  functionName: string,
  url: string,
  ...children: number[]
): CpuProfileNode {
  return { id, callFrame: { functionName, url, lineNumber: 0 }, children };
}

const PROFILE = {
  nodes: [
    node(1, "(root)", "", 2),
    node(2, "run", "file:///host.js", 3),
    node(3, "js-to-wasm:iii:i", WASM, 4),
    node(4, "wasm-function[76]", WASM, 5, 8),
    node(5, "my parser<T>", WASM, 6),
    node(6, "wasm-to-js:ii:i", WASM, 7),
    node(7, "proxy_log", "file:///host.js"),
    node(8, "wasm-function[9]", WASM),
  ],
  samples: [2, 4, 5, 7, 7, 8],
  timeDeltas: [1_000, 10, 20, 30, 40, 50],
};
const NAMES = new Map([["76", "proxy_on_tick"]]);

test("stacks begin at the guest, without the engine's glue, and callbacks have their names", () => {
  const root = guestStacks(PROFILE, NAMES);
  assert.equal(root.totalUs, 150);
  assert.deepEqual(foldedStacks(root).trimEnd().split("\n"), [
    "proxy_on_tick 10",
    "proxy_on_tick;my_parser<T> 20",
    "proxy_on_tick;my_parser<T>;host:proxy_log 70",
    "proxy_on_tick;wasm-function[9] 50",
  ]);
});

test("the flame graph is well-formed SVG with a frame for each function", () => {
  const svg = flameGraph(guestStacks(PROFILE, NAMES), "a <b>");
  assert.match(svg, /^<svg [^]*<\/svg>\n$/);
  assert.match(svg, /<text x="4" y="14">a &lt;b&gt;<\/text>/);
  assert.equal(svg.match(/<rect /g)?.length, 5);
  assert.match(svg, /<title>my parser&lt;T&gt; \(60\.0 %, 0\.1 ms\)<\/title>/);
  assert.match(flameGraph(guestStacks({ nodes: [] }, NAMES), ""), /^<svg [^]*<\/svg>\n$/);
});
