//! What a bootstrap says of a plug-in beside its code: what it may call, and whether it gets the body
//! of a request that it has stopped at the headers. The same answers in Envoy and `graylane envoy`.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { Envoy, findEnvoy, httpListener, wasmFilter } from "../support/envoy.ts";
import { ask, COMMAND } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

/**
 * Stops at the headers; at the end of the body it answers: `x-set` and `x-random` are the statuses of
 * set_shared_data and random_get as letters (`a` is 0). `x-seen` is added to every response.
 */
const GUEST = guest({
  imports: `(import "env" "proxy_set_shared_data"
      (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
      (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))`,
  body: `(data (i32.const 16)
      "\\02\\00\\00\\00\\05\\00\\00\\00\\01\\00\\00\\00\\08\\00\\00\\00\\01\\00\\00\\00x-set\\00a\\00x-random\\00a\\00")
    (data (i32.const 96) "x-seen1")
    (func $letter (param $at i32) (param $status i32)
      (i32.store8 (local.get $at) (i32.add (i32.const 97) (i32.rem_u (local.get $status) (i32.const 26)))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32)
      (result i32)
      (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
      (call $letter (i32.const 42)
        (call $set (i32.const 96) (i32.const 1) (i32.const 96) (i32.const 1) (i32.const 0)))
      (call $letter (i32.const 53) (call $random (i32.const 200) (i32.const 4)))
      (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 16) (i32.const 39) (i32.const -1)))
      (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $add
        (i32.const 2) (i32.const 96) (i32.const 6) (i32.const 102) (i32.const 1)))
      (i32.const 0))`,
});

const ALL = ["proxy_on_request_headers", "proxy_on_request_body", "proxy_send_local_response"];
const CASES: readonly {
  readonly name: string;
  /** Null: everything. */
  readonly allowed: readonly string[] | null;
  /** Letters of the statuses, and whether responses were seen. */
  readonly expected: readonly [set: string, random: string, seen: string | undefined];
}[] = [
  { name: "everything", allowed: null, expected: ["a", "a", "1"] },
  // 10 and 76 % 26.
  { name: "the answer alone", allowed: ALL, expected: ["k", "y", undefined] },
  {
    name: "what it needs",
    allowed: [
      ...ALL,
      ...["proxy_set_shared_data", "random_get", "proxy_on_response_headers"],
      "proxy_add_header_map_value",
    ],
    expected: ["a", "a", "1"],
  },
];

const binary = await findEnvoy();
const ENGINES = [
  {
    name: "graylane envoy",
    program: { binary: process.execPath, words: [COMMAND, "envoy"] },
    skip: false as string | false,
  },
  {
    name: "Envoy",
    program: { binary: binary.kind === "found" ? binary.path : "" },
    skip: binary.kind === "missing" ? binary.reason : false,
  },
];

interface FilterJson {
  readonly typed_config: { readonly config: object };
}

for (const { name: engine, program, skip } of ENGINES) {
  suite(`settings of a plug-in in ${engine}`, { skip, timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), "graylane-settings-"));
    let envoy: Envoy | null = null;
    after(async () => {
      await envoy?.stop();
      rmSync(folder, { recursive: true });
    });

    test("a plug-in that stops at the headers gets the body, and calls what it may", async () => {
      const path = join(folder, "guest.wasm");
      writeFileSync(path, GUEST);
      const ports: number[] = [];
      const listeners: object[] = [];
      for (const [index, { allowed }] of CASES.entries()) {
        const port = await freePort();
        ports.push(port);
        const filter = wasmFilter("p", path, "", `vm${index}`) as FilterJson;
        const named = (allowed ?? []).map((name) => [name, {}] as const);
        Object.assign(filter.typed_config.config, {
          allow_on_headers_stop_iteration: true,
          capability_restriction_config: { allowed_capabilities: Object.fromEntries(named) },
        });
        const routes = [{ match: { prefix: "/" }, direct_response: { status: 404 } }];
        listeners.push({ ...httpListener(port, [filter], routes), name: `l${index}` });
      }
      envoy = await Envoy.start({ ...program, staticResources: { listeners }, concurrency: 1 });
      for (const [index, { name, expected }] of CASES.entries()) {
        const origin = `http://127.0.0.1:${ports[index]}`;
        const { status, headers } = await ask(origin, { method: "POST", body: "body" });
        assert.equal(status, 200, name);
        const fields = ["x-set", "x-random", "x-seen"].map((field) => headers[field]);
        assert.deepEqual(fields, expected, name);
      }
      const isNamed = /restricted proxy-wasm capability: proxy_set_shared_data/;
      assert.match(envoy.log, isNamed);
    });
  });
}
