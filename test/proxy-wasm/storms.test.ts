//! Guests that ask for too much in one callback: each host function has a limit, and the rest is
//! refused. Also a guest that never returns from the answer of an HTTP call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pluginServices } from "../../src/dataplane/worker/plugin-services.ts";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import type { GrpcCaller, GrpcSink } from "../../src/wasm/grpc-calls.ts";
import type { HttpCaller, HttpCallResponse } from "../../src/wasm/http-calls.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { InProcessSharedQueues } from "../../src/wasm/shared-queues.ts";
import { InProcessSharedData } from "../../src/wasm/shared-data-store.ts";
import { REST_PER_NEWS, TickThrottle } from "../../src/wasm/tick-throttle.ts";
import type { PluginServices } from "../../src/wasm/vm.ts";
import { guest } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";
import type { TestServices } from "../support/plugin.ts";

const STORM = 20_000;
/** Long enough for a storm on a busy machine. */
const BUDGETS = { callbackMs: 60_000, startMs: 60_000 };

/** Runs `call` so often in request headers; the number of the round is at address 16. */
function storm(imports: string, call: string, more = "", count = STORM): Uint8Array {
  return guest({
    imports,
    body: `(data (i32.const 64) "cluster") ${more}
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $i i32)
        (loop $l
          (i32.store (i32.const 16) (local.get $i))
          (drop ${call})
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const ${count}))))
        (i32.const 0))`,
  });
}

async function run(
  bytes: Uint8Array,
  services: PluginServices,
  host = new FakeStreamHost([[":path", "/"]]),
): Promise<Plugin> {
  const module = await loadModule(bytes, { name: "p" });
  assert.ok(module instanceof PluginModule, "message" in module ? module.message : "");
  const settings = {
    ...{ name: "p", rootId: "", vmId: "v", env: {} },
    ...{ configuration: Buffer.from(""), vmConfiguration: Buffer.from("") },
  };
  const plugin = Plugin.start(module, settings, services);
  assert.ok(plugin instanceof Plugin, "message" in plugin ? plugin.message : "");
  const stream = plugin.createStream(host);
  assert.equal(stream?.onRequestHeaders(true), 0);
  stream.finish();
  return plugin;
}

const ADD = `(import "env" "proxy_add_header_map_value"
  (func $f (param i32 i32 i32 i32 i32) (result i32)))`;
for (const { name, valueBytes, countMax } of [
  { name: "short fields, by their number", valueBytes: 10, countMax: 1_024 },
  { name: "long fields, by their bytes", valueBytes: 30_000, countMax: 35 },
]) {
  test(`a header map is bounded: ${name}`, async () => {
    const host = new FakeStreamHost([[":path", "/"]]);
    const add = `(call $f (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 1024)
      (i32.const ${valueBytes}))`;
    const value = `(func (export "proxy_on_context_create") (param i32 i32)
      (memory.fill (i32.const 1024) (i32.const 97) (i32.const ${valueBytes})))`;
    await run(storm(ADD, add, value), { ...testServices(), budgets: BUDGETS }, host);
    assert.equal(host.headerMap(0)?.size, countMax);
  });
}

const LOG = '(import "env" "proxy_log" (func $f (param i32 i32 i32) (result i32)))';
test("a plug-in logs a thousand lines a second, and another one beside it as many", async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const warnings: string[] = [];
  const logger = {
    ...silentLogger,
    info: (text: string) => void lines.push(text),
    warn: (text: string) => void warnings.push(text),
  };
  const services = { ...pluginServices(clock, logger), budgets: BUDGETS };
  clock.advance(1_000);
  await run(storm(LOG, "(call $f (i32.const 2) (i32.const 64) (i32.const 4))"), services);
  assert.equal(lines.length, 1_000);
  const line = { level: 2, message: "x", rootId: "", vmId: "" } as const;
  services.log({ ...line, plugin: "another" });
  assert.equal(lines.length, 1_001);
  clock.advance(1_000);
  services.log({ ...line, plugin: "p" });
  assert.deepEqual(warnings, ["a plug-in logged too much"]);
});

test("a VM defines a thousand metrics at most", async () => {
  const define = `(import "env" "proxy_define_metric"
    (func $f (param i32 i32 i32 i32) (result i32)))`;
  const services = { ...testServices(), budgets: BUDGETS };
  const call = "(call $f (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 32))";
  await run(storm(define, call), services);
  assert.ok([...services.metrics].length <= 1_000);
});

test("shared data of one vm_id ends at 16 MiB", async () => {
  const set = `(import "env" "proxy_set_shared_data"
    (func $f (param i32 i32 i32 i32 i32) (result i32)))`;
  const sharedData = new InProcessSharedData();
  const services = { ...testServices(), budgets: BUDGETS, sharedData };
  const call = `(call $f (i32.const 16) (i32.const 4) (i32.const 1024) (i32.const 32000)
    (i32.const 0))`;
  await run(storm(set, call), services);
  let bytes = 0;
  for (let round = 0; round < STORM; round++) {
    const key = Buffer.alloc(4);
    key.writeUInt32LE(round);
    bytes += sharedData.get("v", key.toString("latin1"))?.value.length ?? 0;
  }
  assert.ok(bytes > 8 * 1024 * 1024 && bytes <= 16 * 1024 * 1024, `${bytes} bytes`);
});

const QUEUE = `(import "env" "proxy_register_shared_queue"
    (func $register (param i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $f (param i32 i32 i32) (result i32)))`;
for (const { name, valueBytes, countMax } of [
  { name: "10,000 items", valueBytes: 4, countMax: 10_000 },
  { name: "16 MiB", valueBytes: 32_768, countMax: 512 },
]) {
  test(`a queue ends at ${name}, and what is in it comes out again`, async () => {
    const told: (() => void)[] = [];
    const sharedQueues = new InProcessSharedQueues((task) => void told.push(task));
    const register = `(func (export "proxy_on_configure") (param i32 i32) (result i32)
      (i32.eqz (call $register (i32.const 64) (i32.const 7) (i32.const 32))))`;
    const call = `(call $f (i32.load (i32.const 32)) (i32.const 64) (i32.const ${valueBytes}))`;
    const services = { ...testServices(), budgets: BUDGETS, sharedQueues };
    await run(storm(QUEUE, call, register), services);
    const token = sharedQueues.resolve("v", "cluster") ?? 0;
    assert.equal(sharedQueues.enqueue(token, Buffer.alloc(valueBytes)), "full");
    for (const tell of told) tell();
    let count = 0;
    while (sharedQueues.dequeue(token) !== "empty") count += 1;
    assert.equal(count, countMax);
    assert.equal(told.length, countMax);
  });
}

test("a plug-in that puts an item into a queue for each one that it is told of has half the time", async () => {
  const clock = new FakeClock();
  let told = 0;
  const services: PluginServices = {
    ...testServices(),
    clock,
    budgets: BUDGETS,
    queueNews: new TickThrottle(clock, REST_PER_NEWS),
    sharedQueues: new InProcessSharedQueues((task) => void clock.after(0, task)),
    // Each callback takes 1 ms of the clock.
    log: () => {
      told += 1;
      clock.advance(1);
    },
  };
  const put = "(drop (call $f (i32.load (i32.const 32)) (i32.const 64) (i32.const 4)))";
  const bytes = guest({
    imports: QUEUE + LOG.replace("$f", "$log"),
    body: `(data (i32.const 64) "cluster")
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (i32.eqz (call $register (i32.const 64) (i32.const 7) (i32.const 32))))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        ${put} (i32.const 0))
      (func (export "proxy_on_queue_ready") (param i32 i32)
        (drop (call $log (i32.const 2) (i32.const 64) (i32.const 4))) ${put} ${put})`,
  });
  await run(bytes, services);
  const startMs = clock.monotonicMs();
  clock.advance(2_000);
  const tookMs = clock.monotonicMs() - startMs;
  assert.ok(told > 500 && told <= tookMs / 2 + 100, `${told} callbacks in ${tookMs} ms`);
});

test("all queues together end at 64 MiB, and there are 10,000 of them", () => {
  const queues = new InProcessSharedQueues(() => undefined);
  const owner = { onQueueReady: () => undefined };
  const tokens = Array.from({ length: 10_001 }, (_, index) =>
    queues.register("v", `q${index}`, owner),
  );
  assert.equal(tokens[10_000], null);
  assert.ok(!tokens.slice(0, 10_000).includes(null));
  const value = Buffer.alloc(1024 * 1024);
  let count = 0;
  for (const token of tokens) if (queues.enqueue(token ?? 0, value) === "ok") count += 1;
  assert.equal(count, 64);
});

const CALL = `(import "env" "proxy_http_call"
  (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`;
/** Headers at 128: `:method GET`, `:path /`, `:authority a`. */
function headersData(): string {
  const pairs = [":method", "GET", ":path", "/", ":authority", "a"].map((text) =>
    Buffer.from(text),
  );
  const sizes = Buffer.alloc(4 + 4 * pairs.length);
  sizes.writeUInt32LE(pairs.length / 2);
  pairs.forEach((text, index) => sizes.writeUInt32LE(text.length, 4 + 4 * index));
  const bytes = Buffer.concat([sizes, ...pairs.flatMap((text) => [text, Buffer.from([0])])]);
  const text = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
  return `(data (i32.const 128) "${text}") (global $length i32 (i32.const ${bytes.length}))`;
}
const CALL_OUT = `(call $f (i32.const 64) (i32.const 7) (i32.const 128) (global.get $length)
  (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 32))`;

type OnDone = (response: HttpCallResponse | null) => void;

function collecting(pending: OnDone[]): TestServices & { httpCall: HttpCaller } {
  return {
    ...testServices(),
    budgets: BUDGETS,
    httpCall: (_call, onDone) => {
      pending.push(onDone);
      return { cancel: () => undefined };
    },
  };
}

const OK = { headers: [[":status", "200"]], body: Buffer.from(""), trailers: [] } as const;
const FAILED = { ...OK, headers: [[":status", "503"]], isFailure: true } as const;

test("an exchange has a hundred calls out pending, and a VM a thousand; more are refused", async () => {
  const pending: OnDone[] = [];
  const services = collecting(pending);
  const plugin = await run(storm(CALL, CALL_OUT, headersData(), 1_000), services);
  assert.equal(pending.length, 100);
  const streams = Array.from({ length: 11 }, () => {
    const stream = plugin.createStream(new FakeStreamHost([[":path", "/"]]));
    stream?.onRequestHeaders(true);
    return stream;
  });
  assert.equal(pending.length, 1_000);
  // An answer after the stream's end is no harm, and makes room.
  for (const stream of streams) stream?.finish();
  for (const onDone of pending.splice(0)) onDone(OK);
  assert.equal(plugin.isReady, true);
  plugin.createStream(new FakeStreamHost([[":path", "/"]]))?.onRequestHeaders(true);
  assert.equal(pending.length, 100);
});

test("a call that is one too many is an internal failure, as in Envoy", async () => {
  const pending: OnDone[] = [];
  const bytes = guest({
    imports: CALL + LOG.replace("$f", "$log"),
    body: `(data (i32.const 64) "cluster") ${headersData()}
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $i i32)
        (loop $l
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.eqz ${CALL_OUT})))
        (if (i32.and (i32.eq ${CALL_OUT} (i32.const 10)) (i32.eq (local.get $i) (i32.const 101)))
          (then (drop (call $log (i32.const 2) (i32.const 64) (i32.const 7)))))
        (i32.const 0))`,
  });
  const services = collecting(pending);
  await run(bytes, services);
  assert.deepEqual(services.lines, ["info: cluster"]);
});

test("a plug-in that calls again from each failed answer does little else", async () => {
  let calls = 0;
  const services: TestServices = {
    ...testServices(),
    budgets: BUDGETS,
    httpCall: (_call, onDone) => {
      calls += 1;
      return services.clock.after(0, () => {
        onDone(FAILED);
      });
    },
  };
  // Of each failed call come two, until there are as many as may be.
  const bytes = guest({
    imports: CALL,
    body: `(data (i32.const 64) "cluster") ${headersData()}
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) ${CALL_OUT})
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop ${CALL_OUT}) (drop ${CALL_OUT}))`,
  });
  await run(bytes, services);
  services.clock.advance(8_192);
  const before = calls;
  services.clock.advance(2_048);
  const perSecond = (calls - before) / 2.048;
  // A thousand that wait a second each, and none of them more often.
  assert.ok(perSecond <= 2_000, `${perSecond} calls a second`);
  console.log(`${perSecond.toFixed(0)} failing calls a second`);
});

test("a guest that never returns from the answer of a call is stopped", async () => {
  let answer: (response: HttpCallResponse | null) => void = () => undefined;
  const services = {
    ...testServices(),
    budgets: { callbackMs: 20, startMs: 1_000 },
    httpCall: (_call: unknown, onDone: typeof answer) => {
      answer = onDone;
      return { cancel: () => undefined };
    },
  };
  const bytes = guest({
    imports: CALL,
    body: `(data (i32.const 64) "cluster") ${headersData()}
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) ${CALL_OUT})
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (loop $forever (br $forever)))`,
  });
  const plugin = await run(bytes, services);
  answer({ headers: [[":status", "200"]], body: Buffer.from(""), trailers: [] });
  assert.equal(plugin.isReady, false);
  assert.match(plugin.lastTrap?.message ?? "", /budget of 20 ms/);
  assert.equal(plugin.lastTrap?.callback, "proxy_on_http_call_response");
});

const STREAM = `(import "env" "proxy_grpc_stream"
  (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`;
const OPEN_STREAM = `(call $f (i32.const 64) (i32.const 7) (i32.const 64) (i32.const 1)
  (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 32))`;

class FakeGrpc {
  readonly sinks: GrpcSink[] = [];
  cancelled = 0;

  readonly open: GrpcCaller = (_request, sink) => {
    this.sinks.push(sink);
    return {
      send: () => true,
      end: () => undefined,
      cancel: () => {
        this.cancelled += 1;
      },
    };
  };
}

test("a hundred gRPC streams of an exchange may be open; their ends after the request's end are no harm", async () => {
  const grpc = new FakeGrpc();
  const services = { ...testServices(), budgets: BUDGETS, grpcCall: grpc.open };
  const plugin = await run(storm(STREAM, OPEN_STREAM), services);
  assert.equal(grpc.sinks.length, 100);
  for (const sink of grpc.sinks) sink.onClose(0, "");
  assert.equal(plugin.isReady, true);
});

test("calls of unknown services are refused now and told later, a hundred at most", async () => {
  const services = { ...testServices(), budgets: BUDGETS };
  // A `GrpcService` whose cluster is `x`.
  const bytes = storm(
    STREAM + LOG.replace("$f", "$log"),
    `(call $f (i32.const 128) (i32.const 5) (i32.const 64) (i32.const 1)
      (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 32))`,
    `(data (i32.const 128) "\\0a\\03\\0a\\01x")
    (func (export "proxy_on_grpc_close") (param i32 i32 i32)
      (drop (call $log (i32.const 2) (i32.const 64) (i32.const 7))))`,
  );
  const plugin = await run(bytes, services);
  assert.deepEqual(services.lines, []);
  services.clock.advance(0);
  assert.deepEqual(services.lines, Array(100).fill("info: cluster"));
  assert.equal(plugin.isReady, true);
});

const TRAPS = [
  { name: "initial metadata", export: "receive_initial_metadata", tell: "onInitialMetadata" },
  { name: "a message", export: "receive", tell: "onMessage" },
  { name: "trailing metadata", export: "receive_trailing_metadata", tell: "onTrailingMetadata" },
  { name: "the close", export: "close", tell: "onClose" },
] as const;

for (const { name, export: callback, tell } of TRAPS) {
  test(`a guest that never returns from ${name} of a stream is stopped, its streams cancelled`, async () => {
    const grpc = new FakeGrpc();
    const services = {
      ...testServices(),
      budgets: { callbackMs: 20, startMs: 1_000 },
      grpcCall: grpc.open,
    };
    const bytes = guest({
      imports: STREAM,
      body: `(data (i32.const 64) "cluster")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop ${OPEN_STREAM}) ${OPEN_STREAM})
        (func (export "proxy_on_grpc_${callback}") (param i32 i32 i32) (loop $forever (br $forever)))`,
    });
    const plugin = await run(bytes, services);
    const host = new FakeStreamHost([[":path", "/"]]);
    const waiting = plugin.createStream(host);
    const [first, second] = grpc.sinks;
    assert.ok(first !== undefined && second !== undefined);
    if (tell === "onMessage") first.onMessage(Buffer.from("x"));
    else if (tell === "onClose") first.onClose(0, "");
    else first[tell]([["x", "1"]]);
    assert.equal(plugin.isReady, false);
    assert.equal(plugin.lastTrap?.callback, `proxy_on_grpc_${callback}`);
    assert.match(plugin.lastTrap.message, /budget of 20 ms/);
    assert.equal(grpc.cancelled, 2);
    // An exchange in the same VM follows the fail mode.
    assert.deepEqual(host.events, ["vm trapped"]);
    assert.equal(waiting?.onRequestHeaders(true), -1);
    // Whatever still comes reaches nobody.
    second.onMessage(Buffer.from("late"));
    second.onClose(0, "");
  });
}
