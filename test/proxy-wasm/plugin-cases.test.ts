//! `graylane plugin test`: what a plug-in is seen to do, against what its cases expect.

import assert from "node:assert/strict";
import { test } from "node:test";
import { differences } from "../../src/plugin-tools/case-check.ts";
import { parseCaseFile } from "../../src/plugin-tools/case-file.ts";
import type { CaseFile } from "../../src/plugin-tools/case-file.ts";
import { runSuite, updatedText } from "../../src/plugin-tools/case-suite.ts";
import type { CaseResult } from "../../src/plugin-tools/case-suite.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { encodePairs } from "../../src/wasm/header-pairs.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { formatFault } from "../../src/resources/format-fault.ts";
import { guest } from "../support/guest.ts";

const CALL = encodePairs([
  [":method", "POST"],
  [":path", "/token"],
  [":authority", "jwt"],
  ["x-a", "1"],
]);

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}

/** Calls "token" from the request's headers and waits; the answer lets go. `/trap` traps. */
const CALLER = guest({
  imports: `
    (import "env" "proxy_http_call" (func $call
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add
      (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $reply
      (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`,
  body: `
    (data (i32.const 16) "token") (data (i32.const 32) "x-seen") (data (i32.const 48) "yes")
    (data (i32.const 64) "body") (data (i32.const 256) "${escaped(CALL)}")
    (global $stream (mut i32) (i32.const 0))
    (func (export "proxy_on_request_headers") (param $id i32) (param $n i32) (param i32)
      (result i32)
      (drop (call $log (i32.const 2) (i32.const 48) (i32.const 3)))
      (if (i32.eq (local.get $n) (i32.const 5)) (then unreachable))
      (if (i32.eq (local.get $n) (i32.const 6)) (then
        (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 48) (i32.const 3)
          (i32.const 0) (i32.const 0) (i32.const -1)))
        (return (i32.const 1))))
      (global.set $stream (local.get $id))
      (drop (call $call (i32.const 16) (i32.const 5) (i32.const 256) (i32.const ${CALL.length})
        (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
      (i32.const 1))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
      (drop (call $effective (global.get $stream)))
      (drop (call $add (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 48) (i32.const 3)))
      (drop (call $continue (i32.const 0))))`,
});

const CASES = `
plugin: caller.wasm
cases:
- name: the answer lets the request go on
  calls: [{cluster: token, answer: {status: 200, body: abc}}]
  expect:
    action: continue
    request: {headers: {x-seen: "yes", x-gone: null}}
    response: {status: 200}
    localReply: none
    logs: ["/^info: y/"]
    calls: [{cluster: token, method: POST, path: /token, headers: {x-a: "1"}, body: body}]
- name: without an answer it waits
  expect: {action: pause, calls: [{cluster: token}]}
- name: a trap is told
  request: {headers: {x-one: a}}
  expect: {action: trap, response: {status: 500}}
- name: it answers by itself
  request: {headers: {x-one: a, x-two: b}}
  expect: {action: reply, localReply: {status: 418, body: "yes"}}
- name: every difference is told
  request: {headers: {x-one: a, x-two: b}}
  expect:
    action: continue
    request: {headers: {x-a: b}}
    localReply: {status: 200, headers: {x-b: c}, body: no}
    logs: []
    calls: [{cluster: token}]
- name: nothing is expected yet
`;

function parse(text: string): { suite: CaseFile | null; faults: string[] } {
  const { suite, faults } = parseCaseFile(text, { file: "a.cases.yaml", folder: "/plugins" });
  return { suite, faults: faults.map(formatFault) };
}

async function run(text: string): Promise<readonly CaseResult[]> {
  const module = await loadModule(CALLER, { name: "caller" });
  assert.ok(!(module instanceof LoadFault));
  const { suite, faults } = parse(text);
  assert.ok(suite !== null, faults.join("\n"));
  return runSuite(module, suite, () => 0);
}

test("cases hold or fail by what the plug-in did", async () => {
  const results = await run(CASES);
  assert.deepEqual(
    results.slice(0, 2).map(({ differences: found }) => found),
    [[], []],
  );
  const [, , trap, reply, wrong, empty] = results;
  assert.deepEqual(trap?.differences, ["response.status: expected 500, got 503"]);
  assert.match(trap.seen.trouble, /trapped in proxy_on_request_headers: unreachable/);
  assert.deepEqual(reply?.differences, []);
  assert.deepEqual(wrong?.differences, [
    'action: expected "continue", got "reply"',
    "request: expected, but there is none",
    "localReply.status: expected 200, got 418",
    'localReply.headers.x-b: expected "c", got none',
    'localReply.body: expected "no", got "yes"',
    "logs: expected none, got \n      info: yes",
    "calls: expected 1, got 0: none",
  ]);
  assert.match(empty?.differences[0] ?? "", /expects nothing yet/);
});

test("what --update writes holds, and leaves comments and good cases as they are", async () => {
  const commented = CASES.replace("- name: a trap", "# Watch this.\n- name: a trap");
  const text = updatedText(commented, await run(commented));
  assert.match(text, /# Watch this\./);
  assert.match(text, /logs: \[\s*"\/\^info: y\/"\s*\]/);
  const results = await run(text);
  assert.deepEqual(
    results.flatMap(({ differences: found }) => found),
    [],
  );
});

const BAD = [
  {
    name: "a field that no case has is named with its place",
    text: "plugin: a.wasm\ncases:\n- name: x\n  requests: {}\n",
    fault: "a.cases.yaml:4:3: error GL0620: cases[0].requests is not supported",
  },
  {
    name: "a value of a wrong kind is named with what it must be",
    text: "plugin: a.wasm\ncases:\n- name: x\n  request:\n    path: 7\n",
    fault: "a.cases.yaml:5:11: error GL0620: cases[0].request.path is 7; it must be a text",
  },
  {
    name: "an action must be one of those that there are",
    text: "plugin: a.wasm\ncases:\n- name: x\n  expect: {action: stop}\n",
    fault: 'a.cases.yaml:4:20: error GL0620: cases[0].expect.action is "stop"; it must be one of',
  },
  {
    name: "a file without cases says so",
    text: "plugin: a.wasm\n",
    fault: "a.cases.yaml:1:1: error GL0620: cases is missing; it must be a list of 1 to 10000",
  },
  {
    name: "text that is no YAML has its place",
    text: "plugin: [\n",
    fault: "a.cases.yaml:2:1: error GL0006: the text is not valid YAML",
  },
  { name: "an empty file says so", text: "", fault: "a.cases.yaml:1:1: error GL0620: the file" },
];

for (const { name, text, fault } of BAD) {
  test(name, () => {
    const { suite, faults } = parse(text);
    assert.equal(suite, null);
    assert.ok(
      faults.some((each) => each.startsWith(fault)),
      faults.join("\n"),
    );
  });
}

test("a bad regular expression in logs is a difference, not a crash", async () => {
  const [result] = await run("plugin: a\ncases:\n- name: x\n  expect: {logs: ['/(/']}\n");
  assert.equal(result?.differences.length, 1);
  assert.deepEqual(differences(result.one.expect ?? assert.fail(), result.seen).length, 1);
});
