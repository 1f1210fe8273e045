//! `graylane plugin inspect` tells of a module what the hosts do with it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inspectModule } from "../../src/plugin-tools/inspect.ts";
import { describeModule } from "../../src/plugin-tools/report-text.ts";
import { assemble, guest } from "../support/guest.ts";
import { builtPlugin } from "../support/plugin.ts";

test("a good module is taken by both hosts, and shows what it imports and exports", async () => {
  const bytes = guest({
    imports: `(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))`,
    body: `(func (export "proxy_on_tick") (param i32)) (func (export "helper"))`,
  });
  const report = await inspectModule(bytes, "good.wasm");
  assert.deepEqual([report.graylane.accepted, report.envoy.accepted], [true, true]);
  assert.equal(report.abiVersion, "0.2.1");
  assert.deepEqual(report.facts?.memory, { pages: 1, pagesMax: null });
  assert.equal(report.facts.functionCount, 4);
  const text = describeModule(report);
  assert.match(text, /^imports: +2, 1 of them of WASI$/m);
  assert.match(text, /^ {2}proxy_on_tick +i32 -> void$/m);
  assert.match(text, /1 other exports, which no host calls/);
});

test("every import that cannot be linked is named, not only the first", async () => {
  const bytes = guest({
    imports: `(import "env" "proxy_log" (func (param i32)))
      (import "env" "proxy_fly" (func))
      (import "env" "limit" (global i32))`,
    body: `(func (export "proxy_on_tick"))`,
  });
  const report = await inspectModule(bytes, "bad.wasm");
  assert.equal(report.graylane.accepted, false);
  assert.equal(report.envoy.accepted, false);
  assert.match(report.graylane.reason, /import type mismatch: env\.proxy_log/);
  assert.deepEqual(
    report.imports.map(({ problem }) => problem),
    [
      "the host's is i32 i32 i32 -> i32",
      "ABI 0.2.1 has no such host function",
      "only functions can be imported",
    ],
  );
  const tick = report.exports.find(({ name }) => name === "proxy_on_tick");
  assert.equal(tick?.problem, "the host calls it as i32 -> void");
});

const VERSIONS = [
  { abi: "0_1_0", graylane: true, envoy: true },
  { abi: "0_2_100", graylane: true, envoy: false },
  { abi: "0_3_0", graylane: false, envoy: false },
  { abi: "", graylane: false, envoy: false },
];

for (const { abi, graylane, envoy } of VERSIONS) {
  test(`a module with ABI ${abi || "none"}: Graylane ${said(graylane)}, Envoy ${said(envoy)}`, async () => {
    const report = await inspectModule(guest({ abi }), "a.wasm");
    assert.deepEqual([report.graylane.accepted, report.envoy.accepted], [graylane, envoy]);
    assert.equal(report.abiVersion, abi === "" ? null : abi.replaceAll("_", "."));
  });
}

test("a module that has a memory for itself only is refused", async () => {
  const bytes = assemble(`(module (memory 1 2) (func (export "proxy_abi_version_0_2_0")))`);
  const report = await inspectModule(bytes, "a.wasm");
  assert.equal(report.graylane.reason, "Wasm module is missing its exported memory");
  assert.deepEqual(report.facts?.memory, { pages: 1, pagesMax: 2 });
});

test("what is no module has a reason and nothing else", async () => {
  const report = await inspectModule(Buffer.from("#!/bin/sh"), "a.wasm");
  assert.match(report.graylane.reason, /not a Wasm module: it begins with "#!\/bin\/sh"/);
  assert.equal(report.facts, null);
  assert.match(describeModule(report), /^Graylane: +refuses it: The file is not a Wasm module/m);
});

test("a component is told from a module, with how to build a module", async () => {
  const bytes = Buffer.from("0061736d0d000100", "hex");
  const { graylane, envoy } = await inspectModule(bytes, "a.wasm");
  assert.match(graylane.reason, /is a WebAssembly component, not a module/);
  assert.match(graylane.remedy, /wasip1/);
  assert.equal(envoy.accepted, false);
});

test("an official plug-in is taken, and its report is the same as JSON", async () => {
  const report = await inspectModule(readFileSync(builtPlugin("hash-tagging")), "a.wasm");
  assert.equal(report.graylane.accepted, true);
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

test("producers and custom sections are listed", async () => {
  const module = guest({});
  const producers = section(0, [...text("producers"), 1, ...text("language"), 1, ...pair("Zig")]);
  const report = await inspectModule(Buffer.concat([module, producers]), "a.wasm");
  assert.equal(report.language, "Zig");
  assert.deepEqual(report.facts?.producers, [{ field: "language", name: "Zig", version: "1" }]);
  const broken = section(0, [...text("producers"), 9, 200]);
  const other = await inspectModule(Buffer.concat([module, broken]), "a.wasm");
  assert.deepEqual(other.facts?.producers, []);
  assert.equal(other.graylane.accepted, true);
});

function said(accepted: boolean): string {
  return accepted ? "takes it" : "refuses it";
}

function section(id: number, bytes: readonly number[]): Buffer {
  return Buffer.from([id, bytes.length, ...bytes]);
}

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value)];
}

function pair(name: string): number[] {
  return [...text(name), ...text("1")];
}
