//! `graylane plugin test`: names that a plug-in looks up, and what a case says of its exchange's
//! connections and route.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCaseFile } from "../../src/plugin-tools/case-file.ts";
import { runSuite, updatedText } from "../../src/plugin-tools/case-suite.ts";
import type { CaseResult } from "../../src/plugin-tools/case-suite.ts";
import { formatFault } from "../../src/resources/format-fault.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { guest } from "../support/guest.ts";

const PATHS = [
  "source.address",
  "destination.address",
  "connection.requested_server_name",
  "connection.tls_version",
  "connection.uri_san_peer_certificate",
  "upstream.address",
  "upstream.local_address",
  "xds.route_name",
  "xds.virtual_host_name",
  "xds.cluster_name",
  "response.code_details",
];
const PATHS_AT = 1024;
const PATH_BYTES = 64;
const NONE_AT = 128;

/** Logs each property as text; `-` where there is none. */
const TELL = PATHS.map(
  (path, index) => `
    (if (call $get (i32.const ${PATHS_AT + index * PATH_BYTES}) (i32.const ${path.length})
        (i32.const 8) (i32.const 12))
      (then (drop (call $log (i32.const 2) (i32.const ${NONE_AT}) (i32.const 1))))
      (else (drop (call $log (i32.const 2) (i32.load (i32.const 8)) (i32.load (i32.const 12))))))`,
).join("");
const PATH_DATA = PATHS.map(
  (path, index) =>
    `(data (i32.const ${PATHS_AT + index * PATH_BYTES}) "${path.replaceAll(".", "\\00")}")`,
).join("\n");

/** A request with a field looks `db.test` up and waits; one without logs what it can read. */
const READER = guest({
  imports: `
    (import "env" "envoy_resolve_dns" (func $resolve (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $read
      (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 64) "db.test") (data (i32.const ${NONE_AT}) "-") ${PATH_DATA}
    (global $id (mut i32) (i32.const 0))
    (func $tell ${TELL})
    (func (export "proxy_on_request_headers") (param $id i32) (param $n i32) (param i32)
      (result i32)
      (global.set $id (local.get $id))
      (if (i32.eq (local.get $n) (i32.const 4)) (then (call $tell) (return (i32.const 0))))
      (drop (call $resolve (i32.const 64) (i32.const 7) (i32.const 0)))
      (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (if (i32.eqz (i32.load (i32.const 0))) (then (call $tell)))
      (i32.const 0))
    (func (export "envoy_on_resolve_dns") (param i32 i32) (param $size i32)
      (drop (call $read (i32.const 8) (i32.const 0) (local.get $size)
        (i32.const 8) (i32.const 12)))
      (drop (call $log (i32.const 2)
        (if (result i32) (local.get $size) (then (i32.load (i32.const 8)))
          (else (i32.const ${NONE_AT})))
        (if (result i32) (local.get $size) (then (i32.load (i32.const 12)))
          (else (i32.const 1)))))
      (drop (call $effective (global.get $id)))
      (drop (call $continue (i32.const 0))))`,
});

const CASES = `
plugin: reader.wasm
cases:
- name: a name has two addresses
  request: {headers: {x-look: up}}
  dns: [{name: DB.test, addresses: [10.0.0.1, "::1"], ttl: 7}]
  expect:
    action: continue
    logs: ["info: \\x02\\0\\0\\0\\x07\\0\\0\\0\\x07\\0\\0\\010.0.0.1:0\\0[::1]:0\\0"]
    dns: [db.test]
- name: a name has no address
  request: {headers: {x-look: up}}
  dns: [{name: db.test, addresses: []}]
  expect: {action: continue, logs: ["info: \\0\\0\\0\\0"]}
- name: nobody can tell
  request: {headers: {x-look: up}}
  dns: [{name: db.test, failed: true}]
  expect: {action: continue, logs: ["info: -"]}
- name: no answer is for that name
  request: {headers: {x-look: up}}
  dns: [{name: other.test, addresses: [10.0.0.1]}]
  expect: {action: continue, logs: ["info: -"], dns: [db.test]}
- name: what the case says is read, and of the upstream when there is one
  connection:
    source: 203.0.113.7:41234
    destination: "[2001:db8::1]:443"
    tls: {serverName: shop.example, peer: {uri: "spiffe://a/ns/b/sa/c"}}
  upstream: {address: 10.0.0.9:8080, localAddress: 10.0.0.1:33333}
  route: {name: orders, virtualHost: shop, cluster: "outbound|80||orders"}
  expect:
    logs:
    - "info: 203.0.113.7:41234"
    - "info: [2001:db8::1]:443"
    - "info: shop.example"
    - "info: TLSv1.3"
    - "info: spiffe://a/ns/b/sa/c"
    - "info: -"
    - "info: -"
    - "info: orders"
    - "info: shop"
    - "info: outbound|80||orders"
    - "info: -"
    - "info: 203.0.113.7:41234"
    - "info: [2001:db8::1]:443"
    - "info: shop.example"
    - "info: TLSv1.3"
    - "info: spiffe://a/ns/b/sa/c"
    - "info: 10.0.0.9:8080"
    - "info: 10.0.0.1:33333"
    - "info: orders"
    - "info: shop"
    - "info: outbound|80||orders"
    - "info: via_upstream"
- name: differences are told
  request: {headers: {x-look: up}}
  dns: [{name: db.test, failed: true}]
  expect: {dns: [other.test]}
`;

async function run(text: string): Promise<readonly CaseResult[]> {
  const module = await loadModule(READER, { name: "reader" });
  assert.ok(!(module instanceof LoadFault), "the guest is well-formed");
  const { suite, faults } = parseCaseFile(text, { file: "a.cases.yaml", folder: "/plugins" });
  assert.ok(suite !== null, faults.map(formatFault).join("\n"));
  return runSuite(module, suite, () => 0);
}

test("names are answered, and connections and routes are what the case says", async () => {
  const results = await run(CASES);
  for (const { one, differences: found } of results.slice(0, -1)) {
    assert.deepEqual(found, [], one.name);
  }
  assert.deepEqual(results.at(-1)?.differences, ['dns: expected ["other.test"], got ["db.test"]']);
});

test("what --update writes of look-ups holds", async () => {
  const bare = CASES.replaceAll(/ {2}expect:.*\n( {4}.*\n)*/g, "");
  const text = updatedText(bare, await run(bare));
  for (const { one, differences: found } of await run(text)) assert.deepEqual(found, [], one.name);
});

const BAD = [
  {
    name: "a look-up without addresses",
    part: "  dns: [{name: a}]",
    fault:
      "4:9: error GL0620: cases[0].dns[0].addresses is missing; it must be a list of addresses",
  },
  {
    name: "addresses beside a failure",
    part: "  dns: [{name: a, addresses: [], failed: true}]",
    fault: "4:42: error GL0620: cases[0].dns[0].failed is true; it must be left out beside",
  },
  {
    name: "an address that is none",
    part: "  dns: [{name: a, addresses: [db.test]}]",
    fault: '4:31: error GL0620: cases[0].dns[0].addresses[0] is "db.test"; it must be an address',
  },
  {
    name: "an address without a port",
    part: "  connection: {source: 10.0.0.1}",
    fault:
      '4:24: error GL0620: cases[0].connection.source is "10.0.0.1"; it must be an address with',
  },
  {
    name: "an upstream without an address",
    part: "  upstream: {localAddress: 10.0.0.1:80}",
    fault: "4:13: error GL0620: cases[0].upstream.address is missing; it must be a text",
  },
  {
    name: "a field of a connection that there is not",
    part: "  connection: {sni: a}",
    fault: "4:16: error GL0620: cases[0].connection.sni is not supported",
  },
  {
    name: "a version of TLS that there is not",
    part: "  upstream: {address: 10.0.0.1:80, tls: {version: TLSv9}}",
    fault: '4:51: error GL0620: cases[0].upstream.tls.version is "TLSv9"; it must be one of TLSv1',
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
