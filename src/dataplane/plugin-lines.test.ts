import assert from "node:assert/strict";
import { test } from "node:test";
import { LINE_CHARS_MAX, PLUGIN_LINES_MAX, PluginLines } from "./plugin-lines.ts";

function line(message: string): Parameters<PluginLines["add"]>[1] {
  return { timeMs: 1_000, level: 2, rootId: "", message };
}

test("a plug-in's lines are kept apart from others', and asked for from a number on", () => {
  const lines = new PluginLines();
  for (const text of ["a", "b", "c"]) lines.add("one", line(text));
  lines.add("two", line("d"));
  const texts = (plugin: string, number: number): string[] =>
    lines.after(plugin, number).map(({ message }) => message);
  assert.deepEqual(texts("one", 0), ["a", "b", "c"]);
  assert.deepEqual(texts("one", 2), ["c"]);
  assert.deepEqual(texts("one", 3), []);
  assert.deepEqual(texts("two", 0), ["d"]);
  assert.deepEqual(texts("three", 0), []);
});

test("the oldest lines go when there are too many, or too long ones", () => {
  const lines = new PluginLines();
  for (let count = 0; count <= PLUGIN_LINES_MAX; count++) lines.add("many", line(String(count)));
  assert.equal(lines.after("many", 0).length, PLUGIN_LINES_MAX);
  assert.equal(lines.after("many", 0)[0]?.number, 2);
  for (let count = 0; count < 100; count++) lines.add("long", line("x".repeat(LINE_CHARS_MAX)));
  assert.equal(lines.after("long", 0).length, 16);
});

test("a line that is too long is cut, and says so", () => {
  const lines = new PluginLines();
  lines.add("one", line("x".repeat(LINE_CHARS_MAX + 7)));
  assert.match(lines.after("one", 0)[0]?.message ?? "", /^x+… \(7 more\)$/);
});

test("of too many plug-ins the first goes", () => {
  const lines = new PluginLines();
  for (let count = 0; count <= 256; count++) lines.add(`plugin-${count}`, line("a"));
  assert.equal(lines.after("plugin-0", 0).length, 0);
  assert.equal(lines.after("plugin-1", 0).length, 1);
  assert.equal(lines.after("plugin-256", 0).length, 1);
});
