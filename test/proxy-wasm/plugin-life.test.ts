//! A plug-in's life: what cannot be loaded and why, and what happens after a trap.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { UsageTable } from "../../src/wasm/plugin-usage.ts";
import type { StreamContext } from "../../src/wasm/stream-context.ts";
import { guest } from "../support/guest.ts";
import { builtPlugin, testServices } from "../support/plugin.ts";
import type { TestServices } from "../support/plugin.ts";

const text = (value: string): Uint8Array => Buffer.from(value);

const REFUSED: readonly {
  readonly claim: string;
  readonly bytes: () => Uint8Array;
  readonly message: string;
}[] = [
  {
    claim: "text",
    bytes: () => text("<html>not found</html>"),
    message: 'The file is not a Wasm module: it begins with "<html>not found<"',
  },
  {
    claim: "an archive",
    bytes: () => Uint8Array.of(0x1f, 0x8b, 8, 0),
    message: "The file is not a Wasm module: it begins with bytes 1f8b0800",
  },
  {
    claim: "nothing",
    bytes: () => text(""),
    message: "The file is not a Wasm module: it is empty",
  },
  {
    claim: "a module cut short",
    bytes: () => readFileSync(builtPlugin("hash-tagging")).subarray(0, 500),
    message: "Failed to load Wasm code: ",
  },
  {
    claim: "a module of no ABI version",
    bytes: () => guest({ abi: "" }),
    message: "Missing or unknown Proxy-Wasm ABI version",
  },
  {
    claim: "a module of a version to come",
    bytes: () => guest({ abi: "0_3_0" }),
    message: "Missing or unknown Proxy-Wasm ABI version",
  },
  {
    claim: "an import that nobody has",
    bytes: () => guest({ imports: '(import "env" "proxy_fly" (func))' }),
    message: "Failed to load Wasm module due to a missing import: env.proxy_fly",
  },
  {
    claim: "an import of another ABI version",
    bytes: () => guest({ imports: '(import "env" "proxy_clear_route_cache" (func))' }),
    message: "Failed to load Wasm module due to a missing import: env.proxy_clear_route_cache",
  },
  {
    claim: "an import of a memory",
    bytes: () => guest({ imports: '(import "env" "table" (table 1 funcref))' }),
    message: "Failed to load Wasm module due to a missing import: env.table",
  },
  {
    claim: "an import of another type",
    bytes: () => guest({ imports: '(import "env" "proxy_log" (func (param i32)))' }),
    message:
      "Failed to load Wasm module due to an import type mismatch: env.proxy_log, " +
      "want: i32 -> void, but host exports: i32 i32 i32 -> i32",
  },
  {
    claim: "a callback of another type",
    bytes: () =>
      guest({
        abi: "0_1_0",
        body: callback("request_headers", "(param i32 i32 i32) (result i32)"),
      }),
    message:
      "Bad function signature for: proxy_on_request_headers, want: i32 i32 -> i32, " +
      "but the module exports: i32 i32 i32 -> i32",
  },
  {
    claim: "a module without an allocator",
    bytes: () => guest({ malloc: "" }),
    message: "Wasm module is missing malloc function",
  },
];

for (const { claim, bytes, message } of REFUSED) {
  test(`${claim} is refused with the reason`, async () => {
    const fault = await loadModule(bytes(), { name: "p" });
    assert.ok(fault instanceof LoadFault);
    assert.ok(fault.message.startsWith(message), fault.message);
  });
}

test("an export that the host does not know is ignored", async () => {
  const body = '(func (export "proxy_on_grpc_trailing_metadata") (param f64))';
  assert.ok((await loadModule(guest({ body }), { name: "p" })) instanceof PluginModule);
});

test("the three functions of ABI 0.1.0 that have no result in the specification link", async () => {
  const imports = '(import "env" "proxy_clear_route_cache" (func))';
  const bytes = guest({ abi: "0_1_0", imports });
  assert.ok((await start(bytes)).plugin instanceof Plugin);
});

function callback(name: string, type: string, body = "(i32.const 0)"): string {
  return `(func (export "proxy_on_${name}") ${type} ${body})`;
}

async function start(bytes: Uint8Array): Promise<{
  plugin: Plugin | LoadFault;
  services: TestServices;
}> {
  const module = await loadModule(bytes, { name: "p" });
  assert.ok(module instanceof PluginModule, module instanceof LoadFault ? module.message : "");
  const services = testServices();
  const settings = {
    name: "p",
    rootId: "",
    configuration: text("{}"),
    vmId: "",
    vmConfiguration: text(""),
    env: {},
  };
  return { plugin: Plugin.start(module, settings, services), services };
}

async function ready(bytes: Uint8Array): Promise<{ plugin: Plugin; services: TestServices }> {
  const { plugin, services } = await start(bytes);
  assert.ok(plugin instanceof Plugin);
  return { plugin, services };
}

function open(plugin: Plugin): StreamContext {
  const stream = plugin.createStream(new FakeStreamHost([[":path", "/"]]));
  assert.ok(stream !== null);
  return stream;
}

const REFUSES = [
  { export: "vm_start", kind: "vm_start_refused" },
  { export: "configure", kind: "configure_refused" },
];
for (const { export: name, kind } of REFUSES) {
  test(`a plug-in that answers false to ${name} does not start`, async () => {
    const body = callback(name, "(param i32 i32) (result i32)");
    const { plugin } = await start(guest({ body }));
    assert.ok(plugin instanceof LoadFault);
    assert.equal(plugin.kind, kind);
  });
}

test("a trap while starting is a fault that names the callback", async () => {
  const body = callback("configure", "(param i32 i32) (result i32)", "(unreachable)");
  const { plugin } = await start(guest({ body }));
  assert.ok(plugin instanceof LoadFault);
  assert.equal(plugin.message, "The plug-in trapped in proxy_on_configure: unreachable");
});

/** Traps when the stream's id is even; context ids are 1 for the root, then 2, 3, …. */
const TRAPS_EVERY_OTHER = guest({
  body: callback(
    "request_headers",
    "(param $id i32) (param i32 i32) (result i32)",
    `(if (i32.eqz (i32.and (local.get $id) (i32.const 1))) (then (unreachable)))
     (i32.const 0)`,
  ),
});

test("a trap fails its VM's exchanges; the VM is rebuilt after a doubling back-off", async () => {
  const { plugin, services } = await ready(TRAPS_EVERY_OTHER);
  const first = open(plugin);
  const second = open(plugin);
  assert.equal(second.onRequestHeaders(true), 0);
  assert.equal(first.onRequestHeaders(true), -1);
  assert.equal(first.trap?.callback, "proxy_on_request_headers");
  assert.equal(second.onRequestHeaders(true), -1);
  first.finish();
  second.finish();
  assert.equal(plugin.isReady, false);
  assert.equal(plugin.createStream(new FakeStreamHost([])), null);
  services.clock.advance(999);
  assert.equal(plugin.isReady, false);
  services.clock.advance(1);
  assert.equal(plugin.isReady, true);
  assert.equal(open(plugin).onRequestHeaders(true), -1);
  services.clock.advance(1_999);
  assert.equal(plugin.isReady, false);
  services.clock.advance(1);
  assert.equal(plugin.rebuildCount, 2);
  services.clock.advance(60_000);
  assert.equal(open(plugin).onRequestHeaders(true), -1);
  services.clock.advance(1_000);
  assert.equal(plugin.isReady, true, "a VM that lived a minute is rebuilt soon again");
  assert.match(services.lines[0] ?? "", /^error: trapped in proxy_on_request_headers: unreachable/);
});

test("endless recursion is a trap like any other", async () => {
  const body = `
    (func $again (param i32 i32 i32) (result i32)
      (i32.add (i32.const 1)
        (call $again (local.get 0) (local.get 1) (local.get 2))))
    (export "proxy_on_request_headers" (func $again))`;
  const { plugin } = await ready(guest({ body }));
  const stream = open(plugin);
  assert.equal(stream.onRequestHeaders(true), -1);
  assert.match(stream.trap?.message ?? "", /Maximum call stack size exceeded/);
});

const say = (at: number): string =>
  `(drop (call $log (i32.const 2) (i32.const ${at}) (i32.const 4)))`;

/** Sets a period of 100 ms, and logs tick, done and gone. */
const TICKS = guest({
  imports: `
    (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
  body: [
    '(data (i32.const 16) "tickdonegone")',
    callback(
      "configure",
      "(param i32 i32) (result i32)",
      "(drop (call $period (i32.const 100))) (i32.const 1)",
    ),
    callback("tick", "(param i32)", say(16)),
    callback("done", "(param i32) (result i32)", `${say(20)} (i32.const 1)`),
    callback("delete", "(param i32)", say(24)),
  ].join("\n"),
});

test("ticks come with the period that configure has set, and end with the plug-in", async () => {
  const { plugin, services } = await ready(TICKS);
  services.clock.advance(250);
  assert.deepEqual(services.lines, ["info: tick", "info: tick"]);
  plugin.stop();
  assert.equal(services.clock.pendingCount, 0);
  assert.deepEqual(services.lines.slice(2), ["info: done", "info: gone"]);
});

test("a stopped plug-in serves the exchanges it has and ends after the last one", async () => {
  const { plugin, services } = await ready(TICKS);
  const stream = open(plugin);
  plugin.stop();
  assert.equal(plugin.createStream(new FakeStreamHost([])), null);
  assert.equal(stream.onRequestHeaders(true), 0);
  assert.deepEqual(services.lines, []);
  stream.finish();
  assert.deepEqual(services.lines, ["info: done", "info: gone", "info: done", "info: gone"]);
});

test("a guest that grows its memory is read through fresh views", async () => {
  const body = callback(
    "request_headers",
    "(param i32 i32 i32) (result i32)",
    `(drop (memory.grow (i32.const 1)))
     (i32.store8 (i32.const 70000) (i32.const 65))
     (drop (call $log (i32.const 2) (i32.const 70000) (i32.const 1)))
     (i32.const 0)`,
  );
  const imports = '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))';
  const { plugin, services } = await ready(guest({ imports, body }));
  for (let round = 0; round < 3; round++) open(plugin).onRequestHeaders(true);
  assert.deepEqual(services.lines, ["info: A", "info: A", "info: A"]);
});

const RESULTS = [
  { abi: "0_2_1", result: 2, action: 0 },
  { abi: "0_2_1", result: 1, action: 1 },
  { abi: "0_2_1", result: 4, action: 1 },
  { abi: "0_2_1", result: -1, action: 1 },
  { abi: "0_2_100", result: 1, action: 2 },
];
for (const { abi, result, action } of RESULTS) {
  test(`ABI ${abi}: a headers callback that answers ${result} is action ${action}`, async () => {
    const type = "(param i32 i32 i32) (result i32)";
    const body = callback("request_headers", type, `(i32.const ${result})`);
    const { plugin } = await ready(guest({ abi, body }));
    assert.equal(open(plugin).onRequestHeaders(true), action);
  });
}

test("what a plug-in costs is counted: entries, fuel, and time in long callbacks", async () => {
  const code = `(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 200000))
    (loop $again
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0))`;
  const module = await loadModule(guest({ body: code }), { name: "p" });
  assert.ok(module instanceof PluginModule);
  let wallMs = 0;
  const usage = new UsageTable();
  const guestTime = { wallMs: () => (wallMs += 1), cpuMs: () => 0 };
  const settings = {
    ...{ name: "p", rootId: "", vmId: "", env: {} },
    ...{ vmConfiguration: text(""), configuration: text("") },
  };
  const services = { ...testServices(), usage, guestTime };
  const plugin = Plugin.start(module, settings, services);
  assert.ok(plugin instanceof Plugin);
  plugin.createStream(new FakeStreamHost([[":path", "/"]]))?.onRequestHeaders(true);
  const { entries, fuel, ms } = usage.of("p");
  // Context, start and configure of the root are not exported: only what is entered counts.
  assert.ok(entries >= 1 && entries <= 5, `${entries}`);
  assert.ok(fuel >= 200_000 && fuel <= 300_000, `${fuel}`);
  assert.ok(ms >= 4, `${ms}`);
});

test("a plug-in of Higress gets a new VM when it asks for one, and not more often", async () => {
  const renew = `(drop (call $set (i32.const 2048) (i32.const 17) (i32.const 2065) (i32.const 4)))`;
  const bytes = guest({
    abi: "0_2_100",
    imports: `(import "env" "proxy_set_property"
      (func $set (param i32 i32 i32 i32) (result i32)))`,
    body: `(data (i32.const 2048) "wasm_need_rebuildtrue")
      (global $seen (mut i32) (i32.const 0))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        ${renew}
        (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (if (i32.gt_u (global.get $seen) (i32.const 2)) (then unreachable))
        (i32.const 0))`,
  });
  const module = await loadModule(bytes, { name: "p" });
  assert.ok(module instanceof PluginModule);
  const services = testServices();
  const settings = { ...{ name: "p", rootId: "", vmId: "", env: {} }, configuration: text("") };
  const plugin = Plugin.start(module, { ...settings, vmConfiguration: text("") }, services);
  assert.ok(plugin instanceof Plugin);
  const exchange = (): StreamContext | null => plugin.createStream(new FakeStreamHost([]));
  const old = exchange();
  // In the old VM for 9 s: its second request. A third would trap there.
  services.clock.advance(9_000);
  assert.equal(exchange()?.onRequestHeaders(true), 0);
  services.clock.advance(1_000);
  assert.equal(exchange()?.onRequestHeaders(true), 0);
  services.clock.advance(0);
  for (let count = 0; count < 2; count++) assert.equal(exchange()?.onRequestHeaders(true), 0);
  assert.equal(plugin.lastTrap, null);
  assert.equal(old?.onRequestHeaders(true), -1, "what had begun goes on in the old VM");
  assert.ok(plugin.isReady);
  plugin.stop();
});

/** Configures in so many rounds, each of which asks for fuel; traps in request headers. */
function slowStart(rounds: number): Uint8Array {
  return guest({
    body: `(func $work (local $i i32)
        (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 60000)))))
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (local $i i32)
        (loop $l (call $work) (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const ${rounds})))) (i32.const 1))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)`,
  });
}

/** Time that passes each time somebody looks at it. */
function passingTime(stepMs: number): NonNullable<TestServices["guestTime"]> {
  let nowMs = 0;
  const look = (): number => (nowMs += stepMs);
  return { wallMs: look, cpuMs: look };
}

const SLOW_SETTINGS = {
  ...{ name: "slow", rootId: "", vmId: "", env: {} },
  ...{ configuration: Buffer.alloc(0), vmConfiguration: Buffer.alloc(0) },
};

test("a plug-in that did not come to the end of its start has less time when it is tried again", async () => {
  const module = await loadModule(slowStart(10_000), { name: "slow" });
  assert.ok(module instanceof PluginModule);
  const services = { ...testServices(), guestTime: passingTime(50) };
  const fault = Plugin.start(module, SLOW_SETTINGS, services);
  assert.match(fault instanceof LoadFault ? fault.message : "", /budget of 5000 ms/);
  Plugin.quarantined(module, SLOW_SETTINGS, services);
  services.clock.advance(1_000);
  assert.match(services.lines.at(-1) ?? "", /could not be rebuilt: .*budget of 1000 ms/);
});

test("a plug-in whose start took long has enough time to be made again", async () => {
  const module = await loadModule(slowStart(20), { name: "slow" });
  assert.ok(module instanceof PluginModule);
  // Some three seconds by this clock.
  const services = { ...testServices(), guestTime: passingTime(50) };
  const plugin = Plugin.start(module, SLOW_SETTINGS, services);
  assert.ok(plugin instanceof Plugin);
  assert.equal(plugin.createStream(new FakeStreamHost([]))?.onRequestHeaders(true), -1);
  services.clock.advance(1_000);
  assert.equal(plugin.isReady, true, services.lines.at(-1));
  assert.equal(plugin.rebuildCount, 1);
});

test("a plug-in whose start took long is made anew elsewhere, or here when nobody can", async () => {
  const module = await loadModule(slowStart(20), { name: "slow" });
  assert.ok(module instanceof PluginModule);
  const services = { ...testServices(), guestTime: passingTime(50) };
  const plugin = Plugin.start(module, SLOW_SETTINGS, services);
  assert.ok(plugin instanceof Plugin);
  let asked = 0;
  plugin.onLongRestart = () => asked++;
  assert.equal(plugin.createStream(new FakeStreamHost([]))?.onRequestHeaders(true), -1);
  // It asks again with the back-off of any plug-in, and starts nothing.
  for (const [afterMs, times] of [
    [999, 0],
    [1, 1],
    [1_999, 1],
    [1, 2],
  ] as const) {
    services.clock.advance(afterMs);
    assert.deepEqual([asked, plugin.rebuildCount, plugin.isReady], [times, 0, false]);
  }
  plugin.startHere();
  assert.deepEqual([plugin.rebuildCount, plugin.isReady], [1, true]);
  services.clock.advance(60_000);
  assert.equal(asked, 2);
});

test("a plug-in that starts quickly is made anew where it is", async () => {
  const module = await loadModule(slowStart(1), { name: "quick" });
  assert.ok(module instanceof PluginModule);
  const services = { ...testServices(), guestTime: passingTime(0) };
  const plugin = Plugin.start(module, SLOW_SETTINGS, services);
  assert.ok(plugin instanceof Plugin);
  plugin.onLongRestart = () => assert.fail("nobody is asked");
  assert.equal(plugin.createStream(new FakeStreamHost([]))?.onRequestHeaders(true), -1);
  services.clock.advance(1_000);
  assert.equal(plugin.isReady, true);
});

test("one that failed in a part of its start that took long is tried again elsewhere", async () => {
  const module = await loadModule(slowStart(10_000), { name: "slow" });
  assert.ok(module instanceof PluginModule);
  const services = { ...testServices(), guestTime: passingTime(50) };
  const fault = Plugin.start(module, SLOW_SETTINGS, services);
  assert.ok(fault instanceof LoadFault);
  const plugin = Plugin.quarantined(module, SLOW_SETTINGS, services, fault.longestMs);
  let asked = 0;
  plugin.onLongRestart = () => asked++;
  services.clock.advance(1_000);
  assert.deepEqual([asked, plugin.rebuildCount], [1, 0]);
});
