//! `graylane plugin profile` on a small guest: every callback and host call is in the report.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCli } from "../../src/cli/program.ts";
import { cliDependencies } from "../../src/main/cli-dependencies.ts";
import { guest } from "../support/guest.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-profile-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Asks for a header twice, and adds one to the answer; traps on a body. */
const MODULE = guest({
  imports: `(import "env" "proxy_get_header_map_value"
      (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "x-user")
    (func $ask (drop (call $get (i32.const 0) (i32.const 16) (i32.const 6)
      (i32.const 32) (i32.const 36))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $ask) (call $ask) (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 16) (i32.const 6)))
      (i32.const 0))`,
});
const file = join(folder, "small.wasm");
writeFileSync(file, MODULE);

async function profile(...words: readonly string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const terminal = {
    stdout: { write: (part: string) => (text += part) },
    stderr: { write: (part: string) => (text += part) },
  };
  const dependencies = cliDependencies(terminal, new AbortController().signal);
  const code = await runCli(["plugin", "profile", "--requests", "200", ...words], dependencies);
  return { code, text };
}

test("it counts each callback and host call of a request, and writes the stacks", async () => {
  for (const ending of ["svg", "folded", "cpuprofile"]) {
    const path = join(folder, `stacks.${ending}`);
    const { code, text } = await profile(file, "-H", "x-user: jack", "-o", path);
    assert.equal(code, 0, text);
    assert.match(text, /^200 requests: [\d.]+ µs each in the plug-in/m);
    assert.match(text, /^proxy_on_request_headers +1 +[\d.]+ /m);
    assert.match(text, /^proxy_on_response_headers +1 +[\d.]+ /m);
    assert.match(text, /^proxy_get_header_map_value +2 +[\d.]+ /m);
    assert.match(text, /^proxy_add_header_map_value +1 +[\d.]+ /m);
    const written = readFileSync(path, "utf8");
    if (ending === "svg") assert.match(written, /^<svg [^]*<\/svg>\n$/);
    if (ending === "cpuprofile") assert.ok("nodes" in (JSON.parse(written) as object));
  }
});

test("a file of cases gives the requests", async () => {
  const cases = join(folder, "small.cases.yaml");
  const one = (name: string): string => `  - {name: ${name}, request: {headers: {x-user: a}}}\n`;
  writeFileSync(cases, `plugin: small.wasm\ncases:\n${one("a")}${one("b")}`);
  const { code, text } = await profile(cases);
  assert.equal(code, 0, text);
  assert.match(text, /^200 requests of 2 kinds: /m);
});

const refused: readonly (readonly [name: string, words: readonly string[], says: RegExp])[] = [
  ["a plug-in that traps", [file, "-d", "body"], /trapped in proxy_on_request_body/],
  ["a file that is not there", [join(folder, "no.wasm")], /there is no such file/],
  ["another kind of output", [file, "-o", "x.png"], /FILE\.svg \(flame graph\)/],
  ["a folder that is not there", [file, "-o", join(folder, "no", "x.svg")], /ENOENT/],
  ["no number of requests", [file, "--requests", "many"], /not a number from 1/],
];

for (const [name, words, says] of refused) {
  test(`${name} is said, and the exit code is not 0`, async () => {
    const { code, text } = await profile(...words);
    assert.notEqual(code, 0);
    assert.match(text, says);
  });
}
