//! Code with fuel does what it did without, whatever it is made of; and what the rewriter does not
//! know it refuses.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { FuelGauge } from "../../src/wasm/fuel/gauge.ts";
import { addFuel, START_EXPORT } from "../../src/wasm/fuel/rewrite.ts";
import { assemble } from "../support/guest.ts";
import { builtPlugin } from "../support/plugin.ts";
import { randomProgram } from "../support/wasm-program.ts";

const OPTIONS = { memoryGrowthBytesMax: 16 * 65_536 };
const PROGRAMS = 150;
const FLIPS = 1_000;

async function fueled(bytes: Uint8Array): Promise<Uint8Array> {
  const result = await addFuel(bytes, OPTIONS);
  assert.ok(!(result instanceof Error), String(result));
  return result;
}

/** Instances with a clock that never passes: they run as long as they like. */
function instantiate(
  bytes: Uint8Array,
  imports: Record<string, Record<string, unknown>> = {},
): Record<string, unknown> {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  const gauge = new FuelGauge({ wallMs: () => 0, cpuMs: () => 0 });
  gauge.attach(exports);
  gauge.begin(1);
  (exports[START_EXPORT] as (() => void) | undefined)?.();
  return exports;
}

type Run = (...parameters: number[]) => number;

test("hash-tagging stays valid, and every index keeps its meaning", async () => {
  const bytes = readFileSync(builtPlugin("hash-tagging"));
  const before = exportNames(bytes);
  const after = exportNames(await fueled(bytes));
  assert.deepEqual(after.slice(0, before.length), before);
  assert.deepEqual(after.slice(before.length), [
    "graylane_fuel_table",
    "graylane_fuel_stop",
    "graylane_start",
  ]);
});

function exportNames(bytes: Uint8Array): string[] {
  return WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map(({ name }) => name);
}

test("an HTTP parser in C, with SIMD and without, stays valid", async () => {
  const require = createRequire(import.meta.url);
  const folder = require.resolve("undici").replace(/index\.js$/, "lib/llhttp/");
  for (const name of ["llhttp-wasm.js", "llhttp_simd-wasm.js"]) {
    const bytes = require(`${folder}${name}`) as Buffer;
    assert.ok(WebAssembly.validate(await fueled(bytes)), name);
  }
});

describe("code with fuel gives what it gave before", () => {
  const cases: readonly { name: string; text: string; runs: readonly number[][] }[] = [
    {
      name: "branches out of nested blocks and loops",
      text: `(func (export "run") (param $n i32) (result i32) (local $i i32) (local $sum i32)
        (block $out (loop $outer
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $out (i32.gt_u (local.get $i) (local.get $n)))
          (loop $inner
            (local.set $sum (i32.add (local.get $sum) (local.get $i)))
            (br_if $inner (i32.lt_u (i32.and (local.get $sum) (i32.const 7)) (i32.const 3)))
            (br_table $outer $inner $outer (i32.and (local.get $sum) (i32.const 1))))
          (br $outer)))
        (local.get $sum))`,
      runs: [[0], [1], [10], [1000]],
    },
    {
      name: "a loop with parameters and results",
      text: `(func (export "run") (param $n i32) (result i32)
        i32.const 0
        (loop $l (param i32) (result i32)
          local.get $n i32.add
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $l (local.get $n))))`,
      runs: [[1], [100]],
    },
    {
      name: "recursion and tail calls",
      text: `(func $f (export "run") (param $n i32) (result i32)
        (if (result i32) (i32.eqz (local.get $n)) (then (call $t (i32.const 500) (i32.const 0)))
          (else (i32.add (local.get $n)
            (call $f (i32.sub (local.get $n) (i32.const 1)))))))
        (func $t (param $n i32) (param $sum i32) (result i32)
        (if (i32.eqz (local.get $n)) (then (return (local.get $sum))))
        (return_call $t (i32.sub (local.get $n) (i32.const 1))
          (i32.add (local.get $sum) (local.get $n))))`,
      runs: [[0], [50]],
    },
    {
      name: "exceptions, caught at their depth",
      text: `(tag $e (param i32))
        (func $thrower (param $n i32)
          (if (i32.and (local.get $n) (i32.const 1)) (then (throw $e (local.get $n)))))
        (func (export "run") (param $n i32) (result i32) (local $sum i32)
          (loop $l
            (try $t (do (call $thrower (local.get $n)))
              (catch $e (local.set $sum (i32.add (pop i32) (local.get $sum)))))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $l (local.get $n)))
          (local.get $sum))`,
      runs: [[1], [9]],
    },
    {
      name: "bulk memory",
      text: `(data $d "abcdefgh")
        (func (export "run") (param $n i32) (result i32)
          (memory.init $d (i32.const 0) (i32.const 0) (i32.const 8))
          (memory.copy (i32.const 100) (i32.const 2) (local.get $n))
          (memory.fill (i32.const 102) (i32.const 0x7a) (i32.const 2))
          (i32.load (i32.const 100)))`,
      runs: [[0], [1], [4], [6]],
    },
    {
      name: "tables of functions",
      text: `(table $t 2 20 funcref) (elem (table $t) (i32.const 0) func $a $b)
        (elem $e func $b $a) (type $f (func (param i32) (result i32)))
        (func $a (type $f) (i32.add (local.get 0) (i32.const 1)))
        (func $b (type $f) (i32.mul (local.get 0) (i32.const 3)))
        (func (export "run") (param $n i32) (result i32)
          (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 2))
          (drop (table.grow $t (ref.func $a) (local.get $n)))
          (i32.add (table.size $t)
            (call_indirect $t (type $f) (local.get $n) (i32.and (local.get $n) (i32.const 1)))))`,
      runs: [[0], [1], [5]],
    },
    {
      name: "vectors",
      text: `(func (export "run") (param $n i32) (result i32) (local $v v128)
        (local.set $v (i32x4.splat (local.get $n)))
        (v128.store (i32.const 0) (i32x4.add (local.get $v) (v128.const i32x4 1 2 3 4)))
        (i32.add (i32x4.extract_lane 2 (v128.load32_lane 2 (i32.const 4) (local.get $v)))
          (i32x4.extract_lane 3 (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 28 29 30 31
            (local.get $v) (v128.load (i32.const 0))))))`,
      runs: [[0], [7]],
    },
    {
      name: "numbers of every kind",
      text: `(func (export "run") (param $n i32) (result i32)
        (i32.add (i32.trunc_sat_f64_s (f64.mul (f64.const 1.5) (f64.convert_i32_s (local.get $n))))
          (i32.wrap_i64 (i64.rotl (i64.const -9223372036854775808) (i64.extend_i32_u
            (i32.trunc_sat_f32_u (f32.const 64.25)))))))`,
      runs: [[0], [-3], [1000]],
    },
    {
      name: "a start section, which runs once",
      text: `(global $g (mut i32) (i32.const 1))
        (func $start (global.set $g (i32.mul (global.get $g) (i32.const 42)))) (start $start)
        (func (export "run") (param i32) (result i32) (global.get $g))`,
      runs: [[0]],
    },
  ];
  for (const { name, text, runs } of cases) {
    test(name, async () => {
      const bytes = assemble(`(module (memory (export "memory") 1) ${text})`);
      const before = instantiate(bytes)["run"] as Run;
      const after = instantiate(await fueled(bytes))["run"] as Run;
      for (const parameters of runs) assert.equal(after(...parameters), before(...parameters));
    });
  }
});

test(`${PROGRAMS} random programs give the same results and leave the same memory`, async () => {
  const prng = new SeededPrng(20261121);
  for (let count = 0; count < PROGRAMS; count++) {
    const text = randomProgram(prng);
    const bytes = assemble(text);
    const before = outcome(bytes);
    assert.deepEqual(outcome(await fueled(bytes)), before, text);
  }
});

function outcome(bytes: Uint8Array): unknown {
  const exports = instantiate(bytes);
  const results: unknown[] = [];
  for (const [a, b] of [
    [0, 0],
    [1, -1],
    [123, 456],
  ] as const) {
    try {
      results.push((exports["run"] as Run)(a, b));
    } catch (error) {
      results.push(String(error));
    }
  }
  const memory = Buffer.from((exports["memory"] as WebAssembly.Memory).buffer);
  return {
    results,
    memory: memory.toString("base64"),
    g: (exports["g"] as { value: number }).value,
  };
}

/** A module with one function whose code is given, and one of everything that code may name. */
function withCode(code: readonly number[]): Uint8Array {
  const section = (id: number, ...content: number[]): number[] => [
    id,
    ...leb(content.length),
    ...content,
  ];
  const body = [0, ...code, 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, 1, 0x60, 0, 0),
    ...section(3, 1, 0),
    ...section(4, 1, 0x70, 0, 1),
    ...section(5, 1, 0, 1),
    ...section(13, 1, 0, 0),
    ...section(6, 1, 0x7f, 1, 0x41, 0, 0x0b),
    ...section(7, 1, 1, 0x66, 0, 0),
    ...section(9, 1, 1, 0, 1, 0),
    ...section(12, 1),
    ...section(10, 1, ...leb(body.length), ...body),
    ...section(11, 1, 1, 0),
  ]);
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

const UNREACHABLE = 0x00;
/** What an instruction's immediates may be: zeros, a block that is closed, a lane, a type list. */
function* immediates(): Generator<number[]> {
  for (let zeros = 0; zeros <= 18; zeros++) yield new Array<number>(zeros).fill(0);
  yield [0x40, 0x0b];
  yield [0x40, 0x19, 0x0b];
  yield [0x40, 0x00, 0x0b];
  yield [1, 0x7f];
  yield [0x70];
  for (let align = 1; align <= 4; align++) {
    yield [align, 0];
    yield [align, 0, 0];
  }
}

test("every instruction that this engine knows is stepped over rightly, or refused", async () => {
  const opcodes: number[][] = Array.from({ length: 256 }, (_, opcode) => [opcode]);
  for (let sub = 0; sub < 32; sub++) opcodes.push([0xfc, sub], [0xfc, sub | 0x80, 0]);
  for (let sub = 0; sub < 0x120; sub++) opcodes.push([0xfd, ...leb(sub)]);
  for (let sub = 0; sub < 0x50; sub++) opcodes.push([0xfe, ...leb(sub)]);
  let known = 0;
  const refused = new Set<string>();
  for (const opcode of opcodes) {
    for (const rest of immediates()) {
      const bytes = withCode([UNREACHABLE, ...opcode, ...rest]);
      if (!WebAssembly.validate(bytes)) continue;
      known += 1;
      const result = await addFuel(bytes, OPTIONS);
      if (result instanceof Error) refused.add(`${hex(opcode)}: ${result.message}`);
      else assert.ok(WebAssembly.validate(result), `${hex(opcode)} ${hex(rest)}`);
      break;
    }
  }
  console.log(`${known} of ${opcodes.length} opcodes are valid; refused: ${refused.size}`);
  assert.ok(known > 400);
  for (const reason of refused) assert.match(reason, /^fe0[12]: memory\.atomic\.wait/);
});

function hex(bytes: readonly number[]): string {
  return Buffer.from(bytes).toString("hex");
}

test(`${FLIPS} damaged modules: none that is valid becomes invalid, none breaks the host`, async () => {
  const original = readFileSync(builtPlugin("hash-tagging"));
  const prng = new SeededPrng(7);
  let stillValid = 0;
  for (let flip = 0; flip < FLIPS; flip++) {
    const bytes = Buffer.from(original);
    bytes[8 + prng.below(bytes.length - 8)] = prng.below(256);
    const isValid = WebAssembly.validate(bytes);
    const result = await addFuel(bytes, OPTIONS);
    if (!isValid || result instanceof Error) continue;
    stillValid += 1;
    assert.ok(WebAssembly.validate(result), `flip ${flip}`);
  }
  console.log(`${stillValid} of ${FLIPS} damaged modules were valid`);
});

describe("the rewriter refuses", () => {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const object = Uint8Array.from([...header, 0, 9, 7, ...Buffer.from("linking"), 2]);
  const cases: readonly { name: string; bytes: () => Uint8Array; want: RegExp }[] = [
    {
      name: "an export with a name of the host's",
      bytes: () => assemble('(module (func (export "graylane_fuel_stop")))'),
      want: /graylane_fuel_stop is the host's own/,
    },
    {
      name: "a shared memory",
      bytes: () => assemble('(module (memory (export "memory") 1 2 shared))'),
      want: /shared memory/,
    },
    { name: "an object file", bytes: () => object, want: /object file/ },
    {
      name: "an unknown section",
      bytes: () => Uint8Array.from([...header, 14, 1, 0]),
      want: /section 14 is not known/,
    },
    {
      name: "garbage-collected types",
      bytes: () => Uint8Array.from([...header, 1, 4, 1, 0x5f, 0, 0]),
      want: /type form 0x5f: garbage-collected types are not run/,
    },
    {
      name: "a table too large to be made in a moment",
      bytes: () => assemble("(module (table 2000000 funcref))"),
      want: /a table of 2000000 entries/,
    },
    {
      name: "an unknown instruction",
      bytes: () => withCode([0xfb, 0x1e]),
      want: /instruction 0xfb is not known, at byte \d+/,
    },
    {
      name: "more functions than it would ever need",
      bytes: () =>
        Uint8Array.from([
          ...[...header, 1, 4, 1, 0x60, 0, 0],
          ...[3, ...leb(200_001 + 3), ...leb(200_001), ...new Array<number>(200_001).fill(0)],
        ]),
      want: /200001 functions are more than 200000/,
    },
  ];
  for (const { name, bytes, want } of cases) {
    test(name, async () => {
      const result = await addFuel(bytes(), OPTIONS);
      assert.ok(result instanceof Error);
      assert.match(result.message, want);
    });
  }
});

test("memory and tables grow up to their caps and no further", async () => {
  const bytes = await fueled(
    assemble(`(module (memory (export "memory") 2) (table 1 funcref)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "table") (param i32) (result i32)
        (table.grow 0 (ref.null func) (local.get 0))))`),
  );
  const exports = instantiate(bytes);
  const grow = exports["grow"] as Run;
  assert.equal(grow(16), 2);
  assert.equal(grow(1), -1);
  const table = exports["table"] as Run;
  assert.equal(table(10_000), 1);
  assert.equal(table(1), -1);
});

test("a maximum that the module has itself stays", async () => {
  const bytes = await fueled(
    assemble(`(module (memory (export "memory") 1 3)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`),
  );
  const grow = instantiate(bytes)["grow"] as Run;
  assert.deepEqual([grow(2), grow(1)], [1, -1]);
});
