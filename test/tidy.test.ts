//! Checks the shape of the source tree itself: import direction, file size, leftovers.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { test } from "node:test";

/** What the tools of plug-in authors are made of, beside the gateway's own filters. */
const PURE = ["base", "http", "wasm", "telemetry", "resources", "snapshot"];

/** Each folder of src/ and the folders it may import. A folder may always import itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  http: ["base"],
  http2: ["base", "http"],
  wasm: ["base"],
  telemetry: ["base"],
  resources: ["base"],
  snapshot: ["base"],
  route: ["base", "snapshot"],
  lane: ["base", "snapshot"],
  compile: ["base", "resources", "snapshot", "lane"],
  "compile-envoy": ["base", "resources", "snapshot", "route", "lane"],
  dataplane: ["base", "http", "http2", "wasm", "telemetry", "snapshot", "route", "lane"],
  controlplane: [
    ...["base", "telemetry", "resources", "snapshot", "compile", "compile-envoy", "lane"],
  ],
  "plugin-tools": [...PURE, "dataplane"],
  envoy: ["base", "telemetry", "resources", "snapshot"],
  local: ["base", "telemetry", "resources", "snapshot"],
  agent: ["base", "lane", "snapshot"],
  api: ["base", "resources"],
  server: ["base", "telemetry", "api", "resources", "compile", "lane", "controlplane"],
  cli: ["base", "resources", "compile", "snapshot", "route", "lane", "api"],
};

/** Composition roots: the only folder where both planes may meet; imported by nothing. */
const MAIN = "main";
const LINES_PER_FILE_MAX = 500;
const COLUMNS_MAX = 100;
const LEFTOVER = /\b(FIXME|XXX|console\.log|@ts-ignore|eslint-disable(?!-next-line \S+ --))/;
/** Hundreds of files, of which the build makes one (src/resources/typebox.ts); types cost nothing. */
const SLOW_TO_LOAD = /^import (?!type ).* from "typebox";$/;
const SCHEMA_BUILDER = join("resources", "typebox.ts");
const SRC = resolve("src");

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(SRC, name));

for (const file of files) {
  const name = relative(SRC, file);
  const lines = readFileSync(file, "utf8").split("\n");

  test(`tidy ${name}`, () => {
    assert.ok(lines.length <= LINES_PER_FILE_MAX + 1, `${name} has ${lines.length} lines`);
    lines.forEach((line, index) => {
      const place = `${name}:${index + 1}`;
      assert.ok(line.length <= COLUMNS_MAX, `${place} is wider than ${COLUMNS_MAX} columns`);
      const isSlow = SLOW_TO_LOAD.test(line) && name !== SCHEMA_BUILDER;
      assert.ok(!isSlow, `${place}: import src/${SCHEMA_BUILDER} instead, which starts faster`);
      assert.ok(!LEFTOVER.test(line), `${place} has a leftover: ${line.trim()}`);
    });
    for (const target of importedFolders(file, lines)) assertMayImport(folderOf(file), target);
  });
}

function* importedFolders(file: string, lines: readonly string[]): Generator<string> {
  for (const line of lines) {
    const path = /(?:\bfrom |\bimport\()"(\.{1,2}\/[^"]+)"/.exec(line)?.[1];
    if (path !== undefined) yield folderOf(resolve(dirname(file), path));
  }
}

function folderOf(path: string): string {
  return relative(SRC, path).split(sep)[0] ?? "";
}

function assertMayImport(from: string, to: string): void {
  if (from === to) return;
  assert.notEqual(to, MAIN, `src/${from}/ may not import src/${MAIN}/: it is wiring`);
  if (from === MAIN) return;
  const allowed = MAY_IMPORT[from];
  assert.ok(allowed, `src/${from}/ is not in MAY_IMPORT: say where it stands`);
  assert.ok(allowed.includes(to), `src/${from}/ may not import src/${to}/`);
}
