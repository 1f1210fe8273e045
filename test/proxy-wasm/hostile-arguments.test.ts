//! Every host function with arguments at the edges and at random: each call is answered with a
//! status, and none throws or reads outside the guest's memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../src/base/prng.ts";
import { createImports } from "../../src/wasm/abi/imports.ts";
import { BodyBuffer } from "../../src/wasm/body-buffer.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { RootContext } from "../../src/wasm/root-context.ts";
import { runNow } from "../../src/base/steps.ts";
import { startVm, Vm } from "../../src/wasm/vm.ts";
import { guest } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";

const RANDOM_CALLS = 1_000_000;
const PAGE = 65_536;
const EDGES = [0, 1, 8, PAGE - 4, PAGE - 1, PAGE, 0x7fff_ffff, -0x8000_0000, -8, -1];
/** What BigInt parameters are given. */
const LARGE = [0n, 1n, -1n, 0x7fff_ffff_ffff_ffffn, -0x8000_0000_0000_0000n];

type HostFunction = (...parameters: (number | bigint)[]) => unknown;

async function setUp(): Promise<{ vm: Vm; functions: [name: string, run: HostFunction][] }> {
  const module = await loadModule(
    guest({
      abi: "0_2_100",
      malloc: '(func (export "malloc") (param i32) (result i32) (i32.const 1024))',
      body: `(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (i32.const 1))`,
    }),
    { name: "p" },
  );
  assert.ok(module instanceof PluginModule);
  const settings = { vmId: "", vmConfiguration: Buffer.from("vm"), env: { A: "b" } };
  const vm = runNow(startVm(module, settings, testServices()));
  assert.ok(vm instanceof Vm);
  const root = RootContext.create(vm, {
    ...{ name: "p", rootId: "r", configuration: Buffer.from("{}") },
  });
  assert.ok(root instanceof RootContext);
  const stream = root.createStream(new FakeStreamHost([[":path", "/"]], [[":status", "200"]]));
  stream.onRequestHeaders(false);
  stream.onRequestBody(new BodyBuffer(Buffer.from("content")), false);
  // From here on the functions are called as if from within a callback of that stream.
  vm.enter(root, stream);
  const faces = Object.values(createImports(vm)) as Record<string, HostFunction>[];
  return { vm, functions: faces.flatMap((face) => Object.entries(face)) };
}

/** Called with numbers, a function that wants a BigInt throws a TypeError of its own: retried. */
function call(run: HostFunction, name: string, parameters: readonly number[], large: bigint): void {
  const attempts: (number | bigint)[][] = [[...parameters]];
  for (let index = 0; index < run.length; index++) {
    attempts.push(parameters.map((value, at) => (at === index ? large : value)));
  }
  let last: unknown;
  for (const attempt of attempts) {
    try {
      const status = run(...attempt);
      assert.ok(
        status === undefined || typeof status === "number",
        `${name} gave ${typeof status}`,
      );
      return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      last = error;
    }
  }
  throw last;
}

test("edges of pointers and lengths are answered by every host function", async () => {
  const { functions } = await setUp();
  let calls = 0;
  for (const [name, run] of functions) {
    for (const edge of EDGES) {
      for (const other of EDGES) {
        for (let pattern = 0; pattern < 4; pattern++) {
          const parameters = Array.from({ length: run.length }, (_, index) =>
            ((index + pattern) & (pattern > 1 ? 2 : 1)) === 0 ? edge : other,
          );
          call(run, name, parameters, 1n);
          calls += 1;
        }
      }
    }
  }
  console.log(`${functions.length} host functions, ${calls} calls`);
  assert.ok(functions.length > 80);
});

test("random arguments are answered by every host function", async () => {
  const { functions, vm } = await setUp();
  const prng = new SeededPrng(4);
  for (let count = 0; count < RANDOM_CALLS; count++) {
    const [name, run] = functions[prng.below(functions.length)] as (typeof functions)[number];
    const parameters = Array.from({ length: run.length }, () =>
      prng.below(3) === 0 ? (EDGES[prng.below(EDGES.length)] as number) : prng.below(PAGE) | 0,
    );
    call(run, name, parameters, LARGE[prng.below(LARGE.length)] as bigint);
  }
  vm.leave();
});
