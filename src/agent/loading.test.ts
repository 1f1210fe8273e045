//! What the agent loads into the apps of other people.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { importsOf, modulesOf } from "./testing/compiled-agent.ts";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const entry = fileURLToPath(new URL(`agent.${extension}`, import.meta.url));
const LAZY = /import\("([^"]+)"\)/g;

test("the agent loads nothing but Node's modules and its own", () => {
  for (const [path, text] of modulesOf(entry)) {
    const foreign = importsOf(text).filter((name) => !/^(?:node:|\.)/.test(name));
    assert.deepEqual(foreign, [], path);
  }
});

test("what picks endpoints is loaded only where it is wanted", () => {
  const loaded = [...modulesOf(entry, (text) => text.replaceAll(LAZY, "")).keys()];
  assert.deepEqual(
    loaded.filter((path) => !/[\\/]agent[\\/][^\\/]+$/.test(path)),
    [],
  );
});
