//! Which plug-ins share a VM, what that means when one of them breaks, and what an update does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { VmPool } from "../../src/wasm/vm-pool.ts";
import { guest } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";
import type { TestServices } from "../support/plugin.ts";

/**
 * Counts the roots that were configured in this VM and answers requests with a line of that count.
 * A configuration of 2 bytes is refused, one of 3 traps; a request of more than one field traps.
 */
const GUEST = guest({
  imports: `(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data"
      (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data"
      (func $read (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "0123456789") (global $roots (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
      (if (i32.eq (local.get $size) (i32.const 3)) (then unreachable))
      (global.set $roots (i32.add (global.get $roots) (i32.const 1)))
      (i32.ne (local.get $size) (i32.const 2)))
    (func (export "proxy_on_request_headers") (param $id i32) (param $count i32) (param i32)
      (result i32)
      (if (i32.gt_u (local.get $count) (i32.const 1)) (then unreachable))
      (drop (call $log (i32.const 2) (i32.add (i32.const 16) (global.get $roots)) (i32.const 1)))
      ;; 1 (stop) when the value is not there; then it is set.
      (i32.ne (i32.const 0)
        (call $read (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 68) (i32.const 72)))
      (drop (call $set (i32.const 16) (i32.const 3) (i32.const 16) (i32.const 1) (i32.const 0))))`,
});

interface Options {
  readonly vmId?: string;
  readonly configuration?: string;
  readonly key?: string;
}

async function setUp(): Promise<{
  services: TestServices & { vms: VmPool };
  start: (name: string, options?: Options) => Plugin | LoadFault;
}> {
  const module = await loadModule(GUEST, { name: "p" });
  assert.ok(module instanceof PluginModule);
  const services = { ...testServices(), vms: new VmPool() };
  return {
    services,
    start: (name, { vmId = "", configuration = "", key = name } = {}) =>
      Plugin.start(
        module,
        {
          ...{ key, name, rootId: name, vmId, env: {}, vmConfiguration: Buffer.from("") },
          configuration: Buffer.from(configuration),
        },
        services,
      ),
  };
}

function ready(plugin: Plugin | LoadFault): Plugin {
  assert.ok(plugin instanceof Plugin, plugin instanceof LoadFault ? plugin.message : "");
  return plugin;
}

/** One request; `fields` more than one make the guest trap. */
function ask(plugin: Plugin, fields = 1): number {
  const pairs = Array.from({ length: fields }, (_, index) => [`h${index}`, "v"] as const);
  const stream = plugin.createStream(new FakeStreamHost(pairs));
  assert.ok(stream !== null);
  const action = stream.onRequestHeaders(true);
  stream.finish();
  return action;
}

test("plug-ins of one vm_id and code share a VM; another vm_id has one of its own", async () => {
  const { services, start } = await setUp();
  const first = ready(start("first"));
  const second = ready(start("second"));
  const other = ready(start("other", { vmId: "x" }));
  for (const plugin of [first, second, other]) ask(plugin);
  assert.deepEqual(services.lines, ["info: 2", "info: 2", "info: 1"]);
  assert.equal(services.vms.size, 2);
});

for (const [what, keys, seen] of [
  ["two plug-ins that are called alike share a VM", ["one", "other"], ["info: 2", "info: 2"]],
  ["two versions of one plug-in do not", ["one", "one"], ["info: 1", "info: 1"]],
] as const) {
  test(what, async () => {
    const { services, start } = await setUp();
    for (const plugin of keys.map((key) => ready(start("", { key })))) ask(plugin);
    assert.deepEqual(services.lines, seen);
  });
}

test("shared data of one vm_id is not seen in another", async () => {
  const { start } = await setUp();
  const first = ready(start("first"));
  const second = ready(start("second"));
  const other = ready(start("other", { vmId: "x" }));
  assert.deepEqual([ask(first), ask(second), ask(other), ask(other)], [1, 0, 1, 0]);
});

test("a trap takes down those that share the VM and nobody else; both come back in one", async () => {
  const { services, start } = await setUp();
  const first = ready(start("first"));
  const second = ready(start("second"));
  const other = ready(start("other", { vmId: "x" }));
  assert.equal(ask(first, 2), -1);
  assert.deepEqual([first.isReady, second.isReady, other.isReady], [false, false, true]);
  assert.match(services.lines.join("\n"), /went down with plug-in first, which shares its VM/);
  services.clock.advance(1_000);
  services.lines.length = 0;
  ask(first);
  ask(second);
  assert.deepEqual(services.lines, ["info: 2", "info: 2"]);
});

for (const [what, configuration] of [
  ["refused", "no"],
  ["trapped upon", "bad"],
] as const) {
  test(`a configuration that is ${what} does not touch the VM in which others serve`, async () => {
    const { start, services } = await setUp();
    const first = ready(start("first"));
    const fault = start("second", { configuration });
    assert.ok(fault instanceof LoadFault);
    assert.equal(first.isReady, true);
    ask(first);
    assert.equal(services.lines.at(-1), "info: 1");
  });
}

test("an update of a plug-in that is alone in its VM starts afresh, and the old one drains", async () => {
  const { start, services } = await setUp();
  const old = ready(start("only"));
  const stream = old.createStream(new FakeStreamHost([["a", "b"]]));
  const next = ready(start("only", { configuration: "{new}" }));
  old.stop();
  assert.equal(ask(next), 1);
  assert.equal(stream?.onRequestHeaders(true), 0);
  stream.finish();
  assert.deepEqual(services.lines, ["info: 1", "info: 1"]);
  next.stop();
  assert.equal(services.vms.size, 0);
});

test("an update of one that shares its VM stays there, where the others' state is", async () => {
  const { start, services } = await setUp();
  const old = ready(start("first"));
  const second = ready(start("second"));
  const next = ready(start("first", { configuration: "{new}" }));
  old.stop();
  ask(next);
  ask(second);
  assert.deepEqual(services.lines, ["info: 3", "info: 3"]);
  assert.equal(services.vms.size, 1);
});

test("one that could not be started is tried again with back-off", async () => {
  const { services } = await setUp();
  const module = await loadModule(GUEST, { name: "p" });
  assert.ok(module instanceof PluginModule);
  const settings = {
    ...{ name: "late", rootId: "", vmId: "", env: {}, vmConfiguration: Buffer.from("") },
    configuration: Buffer.from("no"),
  };
  const plugin = Plugin.quarantined(module, settings, services);
  assert.equal(plugin.isReady, false);
  services.clock.advance(1_000 + 2_000 + 4_000);
  assert.equal(plugin.rebuildCount, 3);
  assert.equal(plugin.hasServed, false);
  plugin.stop();
  assert.equal(services.clock.pendingCount, 0);
});
