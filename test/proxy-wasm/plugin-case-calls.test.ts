//! `graylane plugin test`: calls of gRPC and Redis are answered as a case says, and compared.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCaseFile } from "../../src/plugin-tools/case-file.ts";
import { runSuite, updatedText } from "../../src/plugin-tools/case-suite.ts";
import type { CaseResult } from "../../src/plugin-tools/case-suite.ts";
import { formatFault } from "../../src/resources/format-fault.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { encodePairs } from "../../src/wasm/header-pairs.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { guest } from "../support/guest.ts";

const METADATA = encodePairs([["x-key", "7"]]);
const GET = "*2\\0d\\0a$3\\0d\\0aGET\\0d\\0a$1\\0d\\0ak\\0d\\0a";
const GET_LENGTH = 20;

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}

const logged = (at: number, length: number): string =>
  `(drop (call $log (i32.const 2) (i32.const ${at}) (i32.const ${length})))`;

/**
 * A request without fields asks Redis, one with a field makes a call of gRPC, one with two opens a
 * stream, says two things, and ends its side. What comes is logged.
 */
const CALLER = guest({
  abi: "0_2_100",
  imports: `
    (import "env" "proxy_redis_init" (func $init (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_redis_call" (func $redis (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_call" (func $call
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_stream" (func $stream
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_grpc_send" (func $send (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $read
      (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
  body: `
    (data (i32.const 16) "redis?db=2") (data (i32.const 32) "auth") (data (i32.const 40) "a.B")
    (data (i32.const 48) "Check") (data (i32.const 56) "hi") (data (i32.const 60) "one")
    (data (i32.const 64) "lost") (data (i32.const 72) "closed") (data (i32.const 80) "refused")
    (data (i32.const 256) "${escaped(METADATA)}") (data (i32.const 512) "${GET}")
    (global $id (mut i32) (i32.const 0))
    (func $go (drop (call $effective (global.get $id))) (drop (call $continue (i32.const 0))))
    (func $tell (param $buffer i32) (param $size i32)
      (drop (call $read (local.get $buffer) (i32.const 0) (local.get $size)
        (i32.const 8) (i32.const 12)))
      (drop (call $log (i32.const 2) (i32.load (i32.const 8)) (i32.load (i32.const 12)))))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $init (i32.const 16) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 1000)))
      (i32.const 1))
    (func (export "proxy_on_request_headers") (param $id i32) (param $n i32) (param i32)
      (result i32) (local $wrong i32)
      (global.set $id (local.get $id))
      (if (i32.eq (local.get $n) (i32.const 4)) (then (local.set $wrong
        (call $redis (i32.const 16) (i32.const 5) (i32.const 512) (i32.const ${GET_LENGTH})
          (i32.const 0)))))
      (if (i32.eq (local.get $n) (i32.const 5)) (then (local.set $wrong
        (call $call (i32.const 32) (i32.const 4) (i32.const 40) (i32.const 3) (i32.const 48)
          (i32.const 5) (i32.const 256) (i32.const ${METADATA.length}) (i32.const 56) (i32.const 2)
          (i32.const 1000) (i32.const 0)))))
      (if (i32.eq (local.get $n) (i32.const 6)) (then
        (local.set $wrong (call $stream (i32.const 32) (i32.const 4) (i32.const 40) (i32.const 3)
          (i32.const 48) (i32.const 5) (i32.const 256) (i32.const ${METADATA.length})
          (i32.const 0)))
        (drop (call $send (i32.load (i32.const 0)) (i32.const 60) (i32.const 3) (i32.const 0)))
        (drop (call $send (i32.load (i32.const 0)) (i32.const 128) (i32.const 1) (i32.const 1)))))
      (if (local.get $wrong) (then ${logged(80, 7)} (return (i32.const 0))))
      (i32.const 1))
    (func (export "proxy_on_redis_call_response") (param i32 i32 i32) (param $size i32)
      (if (local.get 2) (then ${logged(64, 4)}) (else (call $tell (i32.const 9) (local.get 3))))
      (call $go))
    (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
      (call $tell (i32.const 5) (local.get 2))
      (if (i32.eq (i32.and (local.get 1) (i32.const 3)) (i32.const 1)) (then (call $go))))
    (func (export "proxy_on_grpc_close") (param i32 i32 i32) ${logged(72, 6)}
      (if (local.get 2) (then ${logged(80, 7)}))
      (call $go))`,
});

const CASES = `
plugin: caller.wasm
cases:
- name: Redis answers a text
  redis: [{cluster: redis, command: [get], answer: abc}]
  expect:
    action: continue
    logs: ["info: $3\\r\\nabc\\r\\n"]
    redis: [{cluster: redis, database: 2, command: [GET, k]}]
- name: Redis answers a list
  redis: [{cluster: redis, answer: [1, null, {status: OK}, {error: ERR no}, []]}]
  expect: {logs: ["info: *5\\r\\n:1\\r\\n$-1\\r\\n+OK\\r\\n-ERR no\\r\\n*0\\r\\n"]}
- name: a connection to Redis is lost
  redis: [{cluster: redis, lost: true}]
  expect: {logs: ["info: lost"]}
- name: no answer fits the command
  redis: [{cluster: redis, command: [SET], answer: null}]
  expect: {logs: ["info: lost"], redis: [{command: [GET, k]}]}
- name: there is no Redis
  expect: {logs: ["info: refused"], redis: []}
- name: a call of gRPC is answered
  request: {headers: {x-one: a}}
  grpc: [{cluster: auth, method: Check, answer: {messages: [yes it is]}}]
  expect:
    action: continue
    logs: ["info: yes it is"]
    grpc:
    - {cluster: auth, service: a.B, method: Check, metadata: {x-key: "7"}, messages: [hi]}
- name: a call of gRPC fails
  request: {headers: {x-one: a}}
  grpc: [{cluster: auth, answer: {status: 7, statusMessage: not you}}]
  expect: {logs: ["info: closed", "info: refused"], grpc: [{state: ended}]}
- name: the cluster of a call of gRPC is unknown
  request: {headers: {x-one: a}}
  grpc: [{cluster: auth, service: other.Service, answer: {messages: [yes it is]}}]
  expect: {logs: ["info: refused"]}
- name: a stream is greeted, each message answered, and the end told
  request: {headers: {x-one: a, x-two: b}}
  grpc: [{cluster: auth, answer: {messages: [hello], replies: [first, {hex: 7365 636f6e64}]}}]
  expect:
    action: continue
    logs: ["info: hello", "info: first", "info: second", "info: closed"]
    grpc: [{messages: [one, {hex: "00"}], state: ended}]
- name: a stream stays open
  request: {headers: {x-one: a, x-two: b}}
  grpc: [{cluster: auth, answer: {replies: [first], open: true}}]
  expect: {action: pause, logs: ["info: first"]}
- name: differences are told
  request: {headers: {x-one: a}}
  grpc: [{cluster: auth, answer: {messages: [yes]}}]
  expect:
    redis: [{cluster: redis}]
    grpc: [{cluster: other, metadata: {x-key: "8"}, messages: [hi, {hex: "00"}], state: open}]
`;

async function run(text: string): Promise<readonly CaseResult[]> {
  const module = await loadModule(CALLER, { name: "caller" });
  assert.ok(!(module instanceof LoadFault), "the guest is well-formed");
  const { suite, faults } = parseCaseFile(text, { file: "a.cases.yaml", folder: "/plugins" });
  assert.ok(suite !== null, faults.map(formatFault).join("\n"));
  return runSuite(module, suite, () => 0);
}

test("gRPC and Redis answer as the case says, and what was asked is compared", async () => {
  const results = await run(CASES);
  for (const { one, differences: found } of results.slice(0, -1)) {
    assert.deepEqual(found, [], one.name);
  }
  assert.deepEqual(results.at(-1)?.differences, [
    'grpc[0].cluster: expected "other", got "auth"',
    'grpc[0].state: expected "open", got "ended"',
    'grpc[0].metadata.x-key: expected "8", got "7"',
    'grpc[0].messages: expected ["hi","hex 00"], got ["hi"]',
    "redis: expected 1, got 0: none",
  ]);
});

test("what --update writes of these calls holds", async () => {
  const bare = CASES.replaceAll(/ {2}expect:.*\n( {4}.*\n)*/g, "");
  const text = updatedText(bare, await run(bare));
  assert.match(text, /messages: \[ one, \{ hex: "00" \} \]|messages:\n.*one\n/);
  for (const { one, differences: found } of await run(text)) assert.deepEqual(found, [], one.name);
});

const BAD = [
  {
    name: "an answer of Redis that is missing",
    part: "  redis: [{cluster: redis}]",
    fault: "4:11: error GL0620: cases[0].redis[0].answer is missing; it must be Redis' reply",
  },
  {
    name: "an answer of Redis beside its loss",
    part: "  redis: [{cluster: redis, answer: null, lost: true}]",
    fault: "4:48: error GL0620: cases[0].redis[0].lost is true; it must be left out beside answer",
  },
  {
    name: "a value that Redis does not have",
    part: "  redis: [{cluster: redis, answer: [1.5]}]",
    fault: "4:37: error GL0620: cases[0].redis[0].answer[0] is 1.5; it must be a text, a whole",
  },
  {
    name: "a reply of Redis that is two things",
    part: "  redis: [{cluster: redis, answer: {status: OK, error: ERR}}]",
    fault: "4:36: error GL0620: cases[0].redis[0].answer is a map; it must be a map of either",
  },
  {
    name: "a reply of Redis that is nested too deep",
    part: `  redis: [{cluster: redis, answer: ${"[".repeat(40)}${"]".repeat(40)}}]`,
    fault: "4:68: error GL0620: cases[0].redis[0].answer[0][0]",
  },
  {
    name: "a message with half a byte",
    part: '  grpc: [{cluster: a, answer: {messages: [{hex: "0a1"}]}}]',
    fault: '4:49: error GL0620: cases[0].grpc[0].answer.messages[0].hex is "0a1"; it must be pairs',
  },
  {
    name: "a status that gRPC does not have",
    part: "  grpc: [{cluster: a, answer: {status: 17}}]",
    fault:
      "4:40: error GL0620: cases[0].grpc[0].answer.status is 17; it must be a whole number from",
  },
  {
    name: "a field of a call that there is not",
    part: "  expect: {grpc: [{mesages: [a]}]}",
    fault: "4:20: error GL0620: cases[0].expect.grpc[0].mesages is not supported",
  },
];

for (const { name, part, fault } of BAD) {
  test(`${name} is named with its place`, () => {
    const text = `plugin: a.wasm\ncases:\n- name: x\n${part}\n`;
    const { suite, faults } = parseCaseFile(text, { file: "a.cases.yaml", folder: "/plugins" });
    assert.equal(suite, null);
    const shown = faults.map(formatFault);
    assert.ok(
      shown.some((each) => each.startsWith(`a.cases.yaml:${fault}`)),
      shown.join("\n"),
    );
  });
}
