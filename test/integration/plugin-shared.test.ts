//! What plug-ins share among the workers of a real `graylane up`: a number that requests count up
//! by compare-and-set, and a queue whose items one worker takes out, also after that was killed.
//! And what `/stats/prometheus` says of such a plug-in.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { WorkerStatus } from "../../src/api/types.ts";
import { ask, Graylane } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const REQUESTS = 120;
const folder = mkdtempSync(join(tmpdir(), "graylane-shared-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/**
 * Each request adds 1 to `n` and puts an item into the queue; `on_queue_ready` takes one out and
 * adds 1 to `q`. The answer's status is 200 more than `n`, or with `x-q` 200 more than `q`.
 */
const COUNTER = guest({
  imports: `
    (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $put (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $take (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value"
      (func $header (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_send_local_response"
      (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`,
  // Freed at each callback's start: nothing that the host gave is kept.
  malloc: `(global $top (mut i32) (i32.const 4096))
    (func (export "malloc") (param $size i32) (result i32)
      (global.get $top)
      (global.set $top (i32.add (global.get $top) (local.get $size))))`,
  body: `(data (i32.const 16) "nqx-q") (data (i32.const 80) "seen.total")
    (func $read (param $key i32) (result i32)
      (if (call $get (local.get $key) (i32.const 1) (i32.const 32) (i32.const 36) (i32.const 40))
        (then (i32.store (i32.const 40) (i32.const 0)) (return (i32.const 0))))
      (i32.load (i32.load (i32.const 32))))
    (func $add (param $key i32)
      (loop $again
        (global.set $top (i32.const 4096))
        (i32.store (i32.const 48) (i32.add (i32.const 1) (call $read (local.get $key))))
        (br_if $again (i32.eq (i32.const 8) (call $set (local.get $key) (i32.const 1)
          (i32.const 48) (i32.const 4) (i32.load (i32.const 40)))))))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
      (drop (call $define (i32.const 0) (i32.const 80) (i32.const 10) (i32.const 60)))
      (i32.eqz (call $register (i32.const 16) (i32.const 2) (i32.const 56))))
    (func (export "proxy_on_queue_ready") (param i32) (param $token i32)
      (global.set $top (i32.const 4096))
      (if (i32.eqz (call $take (local.get $token) (i32.const 32) (i32.const 36)))
        (then (call $add (i32.const 17)))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (local $key i32)
      (global.set $top (i32.const 4096))
      (local.set $key (i32.const 17))
      (if (call $header (i32.const 0) (i32.const 18) (i32.const 3) (i32.const 32) (i32.const 36))
        (then
          (local.set $key (i32.const 16))
          (call $add (i32.const 16))
          (drop (call $increment (i32.load (i32.const 60)) (i64.const 1)))
          (drop (call $put (i32.load (i32.const 56)) (i32.const 16) (i32.const 1)))))
      (drop (call $reply (i32.add (i32.const 200) (call $read (local.get $key)))
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const -1)))
      (i32.const 1))`,
});

const MANIFEST = (url: string): string => `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: counter, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  url: file://${url}
`;

interface Cost {
  readonly callbacks: number;
  readonly memoryBytes: number;
  /** The counter that the plug-in itself has defined. */
  readonly requestsSeen: number;
}

async function cost(graylane: Graylane): Promise<Cost> {
  const admin = /http:\/\/[\d.]+:\d+(?=\/stats\/prometheus)/.exec(graylane.output)?.[0] ?? "";
  const { body } = await ask(admin, { path: "/stats/prometheus" });
  const value = (name: string): number =>
    Number(
      new RegExp(`^${name}(?:\\{plugin="istio-system/counter"\\})? (\\d+)$`, "m").exec(body)?.[1],
    );
  return {
    callbacks: value("graylane_plugin_callbacks_total"),
    memoryBytes: value("graylane_plugin_memory_bytes"),
    requestsSeen: value("seen_total"),
  };
}

/** Without keep-alive: each request may come to another worker. */
const AGENT = new Agent({ keepAlive: false, maxSockets: 16 });

async function count(graylane: Graylane): Promise<number> {
  const { status, body } = await ask(graylane.origin, {}, AGENT);
  assert.ok(status > 200, `${status} ${body}`);
  return status - 200;
}

async function takenOut(graylane: Graylane): Promise<number> {
  const { status } = await ask(graylane.origin, { headers: [["x-q", "1"]] }, AGENT);
  return status - 200;
}

async function gatewayWorkers(graylane: Graylane): Promise<readonly WorkerStatus[]> {
  const { workers } = await graylane.client.runtimeStatus();
  return workers.filter(({ role }) => role === "gateway");
}

test("data and queues are shared by all gateway workers, and outlive each of them", async () => {
  writeFileSync(join(folder, "counter.wasm"), COUNTER);
  writeFileSync(join(folder, "counter.yaml"), MANIFEST(join(folder, "counter.wasm")));
  const graylane = await Graylane.start({ files: [join(folder, "counter.yaml")] });
  let memory = "";
  try {
    memory = readFileSync(join(graylane.stateDirectory, "shared-memory"), "utf8");
    assert.equal((await gatewayWorkers(graylane)).length, 2);
    assert.equal(await count(graylane), 1);
    const seen = await Promise.all(Array.from({ length: REQUESTS }, () => count(graylane)));
    assert.equal(Math.max(...seen), REQUESTS + 1, "no count is lost");
    await graylane.until("all items taken", async () => {
      return (await takenOut(graylane)) === REQUESTS + 1;
    });

    const { callbacks, memoryBytes, requestsSeen } = await cost(graylane);
    assert.ok(callbacks > REQUESTS, `${callbacks} callbacks`);
    assert.equal(memoryBytes, 2 * 65_536);
    assert.equal(requestsSeen, REQUESTS + 1);
    for (const { pid, id } of await gatewayWorkers(graylane)) {
      process.kill(pid ?? 0, "SIGKILL");
      await graylane.until("the worker is replaced", async () => {
        const gateways = await gatewayWorkers(graylane);
        return gateways.length === 2 && gateways.every((one) => one.id !== id);
      });
      await graylane.published();
    }
    assert.equal(await count(graylane), REQUESTS + 2);
    await graylane.until("the new owner takes out", async () => {
      return (await takenOut(graylane)) === REQUESTS + 2;
    });
  } finally {
    await graylane.stop();
  }
  assert.ok(memory.length > 0 && !existsSync(memory), `${memory} is removed at the end`);
});
