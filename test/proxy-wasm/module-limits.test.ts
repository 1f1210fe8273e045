//! What hostile modules cost: those that are refused, or nearly (W7), those that want all memory
//! (W2), and those that never end (W1). Prints the figures; they are the machine's. What is asserted
//! is the refusal, that loading takes at most 512 MiB, the cap, and that the plug-in comes back.
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
/** So many locals of type i32, and the same code so many times. */
function bodyOf(locals: number, count: number, code: readonly number[]): readonly number[] {
  return [
    ...[1, ...unsigned(locals), 0x7f],
    ...Array.from({ length: count }, () => code).flat(),
    0x0b,
  ];
}

/** `(loop (br_if 0 (i32.const 0)))` */
const LOOP = [0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b];
/** `(if (local.get 0) (then) (else))` */
const IF = [0x20, 0, 0x04, 0x40, 0x05, 0x0b];
/** `(drop (i32.div_s (i32.const 1) (i32.const 0)))` */
const DIVIDE = [0x41, 1, 0x41, 0, 0x6d, 0x1a];
const LOAD_MIB_MAX = 512;

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
    bytes: () => functionsOf(200, bodyOf(1, 12_500, LOOP)),
    want: /to compile it would take more than about 448 MiB of memory/,
  },
  {
    name: "a function of 50 kB with five thousand locals: 1 GiB to compile",
    bytes: () => functionsOf(1, bodyOf(5_000, 8_533, IF)),
    want: /to compile it would take more than about 448 MiB of memory/,
  },
  {
    name: "a function of 50 kB with as many operands on the stack",
    bytes: () => {
      const gets = Array.from({ length: 5_000 }, () => [0x20, 0]).flat();
      const drops = Array.from({ length: 5_000 }, () => 0x1a);
      const ifs = Array.from({ length: 8_000 }, () => IF).flat();
      return functionsOf(1, [1, 1, 0x7f, ...gets, ...ifs, ...drops, 0x0b]);
    },
    want: /to compile it would take more than about 448 MiB of memory/,
  },
  {
    name: "a function of more than 512 KiB with its counters",
    bytes: () => functionsOf(1, bodyOf(1, 30_000, LOOP)),
    want: /function 1 has \d+ bytes with a counter in it and its loops, more than 524288/,
  },
  {
    name: "code of more than 32 MiB",
    bytes: () => functionsOf(70, bodyOf(1, 166_000, [0x41, 0, 0x1a])),
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
    assertPeak(before);
  });
}

for (const { name, bytes } of [
  {
    name: "divisions, in the largest functions that are taken",
    bytes: () => functionsOf(12, bodyOf(1, 87_000, DIVIDE)),
  },
  { name: "a branch with 300 locals", bytes: () => functionsOf(1, bodyOf(300, 26_000, IF)) },
]) {
  test(`${name}: taken, and not dear`, async (context) => {
    const file = bytes();
    const before = process.memoryUsage().rss;
    const startMs = performance.now();
    assert.ok((await loadModule(file, { name: "hostile" })) instanceof PluginModule);
    tell(context, `loaded in ${(performance.now() - startMs).toFixed(0)} ms`, before);
    assertPeak(before);
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

/** The most memory that the process has ever had counts. */
function assertPeak(rssBefore: number): void {
  const grown = process.resourceUsage().maxRSS / 1024 - rssBefore / MIB;
  assert.ok(grown <= LOAD_MIB_MAX, `grown by ${grown.toFixed(0)} MiB, more than ${LOAD_MIB_MAX}`);
}

function tell(context: TestContext, what: string, rssBefore: number): void {
  const grown = (process.memoryUsage().rss - rssBefore) / MIB;
  context.diagnostic(`${what}; resident memory grown by ${grown.toFixed(0)} MiB`);
}
