//! What hostile modules cost: those that are refused (W7), those that want all memory (W2), and
//! those that never end (W1). Prints the figures; they are the machine's. What is asserted is the
//! refusal, the cap, and that the plug-in comes back.
//!
//! `GRAYLANE_LOOPS` (5): loops that are stopped; `GRAYLANE_MEMORY_MIB` (32): the cap of memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { unsigned } from "../../src/wasm/fuel/byte-reader.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { guest } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";

const LOOPS = Number(process.env["GRAYLANE_LOOPS"] ?? 5);
const MEMORY_MIB = Number(process.env["GRAYLANE_MEMORY_MIB"] ?? 32);
const MIB = 1024 * 1024;
const PAGE_BYTES = 65_536;
const PHASE = "(param i32 i32 i32) (result i32)";

const SETTINGS = {
  ...{ name: "hostile", rootId: "", vmId: "", env: {} },
  ...{ configuration: Buffer.alloc(0), vmConfiguration: Buffer.alloc(0) },
};

function section(id: number, content: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(id, ...unsigned(content.length)), content]);
}

/** `first`, and `count` times `other`. */
function listOf(first: readonly number[], count: number, other: readonly number[]): Buffer {
  const others = Buffer.alloc(count * other.length, Uint8Array.from(other));
  return Buffer.concat([Uint8Array.from([...unsigned(count + 1), ...first]), others]);
}

/** A malloc, and so many functions `() -> ()`, the first of which names the ABI. */
function functionsOf(count: number, body: readonly number[]): Buffer {
  const exported = (name: string, kind: number, index: number): Uint8Array =>
    Uint8Array.of(name.length, ...Buffer.from(name), kind, index);
  const exports = [
    ...[exported("malloc", 0, 0), exported("proxy_abi_version_0_2_1", 0, 1)],
    exported("memory", 2, 0),
  ];
  const malloc = [4, 0, 0x41, 0, 0x0b];
  return Buffer.concat([
    Buffer.from("\0asm\x01\0\0\0", "latin1"),
    section(1, Uint8Array.of(2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f)),
    section(3, listOf([1], count, [0])),
    section(5, Uint8Array.of(1, 0, 1)),
    section(7, Buffer.concat([Uint8Array.of(exports.length), ...exports])),
    section(10, listOf(malloc, count, [...unsigned(body.length), ...body])),
  ]);
}

const EMPTY_BODY = [0, 0x0b];
/** No locals; `(loop (br_if 0 (i32.const 0)))` many times. */
const LOOPS_BODY = [
  0,
  ...Array.from({ length: 12_500 }, () => [0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b]).flat(),
  0x0b,
];

const REFUSED: readonly {
  readonly name: string;
  readonly bytes: () => Uint8Array;
  readonly want: RegExp;
}[] = [
  {
    name: "a file larger than 64 MiB",
    bytes: () => new Uint8Array(64 * MIB + 1),
    want: /67108865 bytes, more than/,
  },
  {
    name: "a million functions",
    bytes: () => functionsOf(999_999, EMPTY_BODY),
    want: /1000000 functions are more than/,
  },
  {
    name: "more functions than the engine takes",
    bytes: () => functionsOf(1_000_000, EMPTY_BODY),
    want: /1000001/,
  },
  {
    name: "little code that is long to compile: loops, one behind the other",
    bytes: () => functionsOf(200, LOOPS_BODY),
    want: /its code with a counter in each function and loop is larger than 33554432 bytes/,
  },
  {
    name: "a thousand million locals",
    bytes: () => functionsOf(1, [1, ...unsigned(1_000_000_000), 0x7f, 0x0b]),
    want: /local count too large/,
  },
  {
    name: "a table of ten million entries",
    bytes: () => guest({ body: "(table 10000000 funcref)" }),
    want: /table/,
  },
  {
    name: "an import that nobody has",
    bytes: () => guest({ imports: '(import "env" "nothing" (func))' }),
    want: /missing import: env\.nothing/,
  },
];

for (const { name, bytes, want } of REFUSED) {
  test(`${name}: refused with the reason`, async (context) => {
    const file = bytes();
    const before = process.memoryUsage().rss;
    const startMs = performance.now();
    const fault = await loadModule(file, { name: "hostile" });
    const tookMs = performance.now() - startMs;
    assert.ok(fault instanceof LoadFault);
    assert.match(fault.message, want);
    tell(context, `refused in ${tookMs.toFixed(0)} ms`, before);
  });
}

test("a guest that grows and fills its memory ends at the cap", async (context) => {
  const body = `(func (export "proxy_on_request_headers") ${PHASE} (local $at i32)
    (loop $grow
      (loop $fill
        (i32.store (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $fill (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
      (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.const 0))`;
  const options = { name: "hostile", memoryGrowthBytesMax: MEMORY_MIB * MIB };
  const module = await loadModule(guest({ body }), options);
  assert.ok(module instanceof PluginModule);
  const budgets = { callbackMs: 60_000, startMs: 60_000 };
  const plugin = Plugin.start(module, SETTINGS, { ...testServices(), budgets });
  assert.ok(plugin instanceof Plugin);
  const before = process.memoryUsage().rss;
  assert.equal(plugin.createStream(new FakeStreamHost([]))?.onRequestHeaders(true), 0);
  assert.equal(plugin.memoryBytes, MEMORY_MIB * MIB + PAGE_BYTES);
  tell(context, `${(MEMORY_MIB * MIB) / PAGE_BYTES} times a page more`, before);
});

test("loops that never end are stopped, one VM after the other", async (context) => {
  const body = `(func (export "proxy_on_request_headers") ${PHASE}
    (loop $forever (br $forever)) unreachable)`;
  const module = await loadModule(guest({ body }), { name: "hostile" });
  assert.ok(module instanceof PluginModule);
  const services = testServices();
  const plugin = Plugin.start(module, SETTINGS, services);
  assert.ok(plugin instanceof Plugin);
  const before = process.memoryUsage().rss;
  const started = process.cpuUsage();
  for (let count = 0; count < LOOPS; count++) {
    const stream = plugin.createStream(new FakeStreamHost([]));
    assert.equal(stream?.onRequestHeaders(true), -1);
    assert.match(stream.trap?.message ?? "", /budget of 50 ms/);
    stream.finish();
    services.clock.advance(60_000);
    assert.equal(plugin.isReady, true);
    services.lines.length = 0;
  }
  const { user, system } = process.cpuUsage(started);
  assert.equal(plugin.rebuildCount, LOOPS);
  const eachMs = (user + system) / 1_000 / LOOPS;
  tell(context, `${LOOPS} loops, ${eachMs.toFixed(1)} ms of processor time each`, before);
});

function tell(context: TestContext, what: string, rssBefore: number): void {
  const grown = (process.memoryUsage().rss - rssBefore) / MIB;
  context.diagnostic(`${what}; resident memory grown by ${grown.toFixed(0)} MiB`);
}
