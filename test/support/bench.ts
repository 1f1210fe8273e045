//! A VM for tests of host functions: the test calls them in the guest's place.

import assert from "node:assert/strict";
import { createImports } from "../../src/wasm/abi/imports.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { RootContext } from "../../src/wasm/root-context.ts";
import type { StreamContext } from "../../src/wasm/stream-context.ts";
import { Vm } from "../../src/wasm/vm.ts";
import type { PluginServices } from "../../src/wasm/vm.ts";
import { guest } from "./guest.ts";
import { testServices } from "./plugin.ts";
import type { TestServices } from "./plugin.ts";

type HostFunction = (...parameters: (number | bigint)[]) => number;

/** Where the bench puts what a guest would have in its memory. */
export const OUT = 64;
export const SCRATCH = 1024;
export const OUTSIDE = 0x7fff_0000;

export interface BenchParts {
  readonly services?: Pick<PluginServices, "redis" | "dns">;
  /** Of the guest, beside the callbacks of headers. */
  readonly imports?: string;
  readonly body?: string;
}

/** A VM whose host functions the test calls in the guest's place. */
export class Bench {
  readonly vm: Vm;
  readonly root: RootContext;
  readonly stream: StreamContext;
  readonly host: FakeStreamHost;
  readonly services: TestServices;
  readonly #env: Record<string, HostFunction>;
  readonly #wasi: Record<string, HostFunction>;
  #top = SCRATCH;

  private constructor(vm: Vm, root: RootContext, host: FakeStreamHost, services: TestServices) {
    this.vm = vm;
    this.root = root;
    this.host = host;
    this.services = services;
    this.stream = root.createStream(host);
    const imports = createImports(vm) as unknown as Record<string, Record<string, HostFunction>>;
    this.#env = imports["env"] ?? {};
    this.#wasi = imports["wasi_snapshot_preview1"] ?? {};
  }

  static async make(
    abi = "0_2_1",
    { services: more = {}, imports = "", body: rest = "" }: BenchParts = {},
  ): Promise<Bench> {
    // A guest that stops in every callback keeps its maps readable.
    const headers = abi === "0_1_0" ? "(param i32 i32)" : "(param i32 i32 i32)";
    const stop = `${headers} (result i32) (i32.const 1)`;
    const body = `
      (func (export "proxy_on_request_headers") ${stop})
      (func (export "proxy_on_response_headers") ${stop})
      ${rest}`;
    const module = await loadModule(guest({ abi, imports, body }), { name: "bench" });
    assert.ok(module instanceof PluginModule, JSON.stringify(module));
    const services = { ...testServices(), ...more };
    const settings = { vmId: "vm", vmConfiguration: Buffer.from("vm conf"), env: { A: "b" } };
    const vm = new Vm(module, settings, services);
    const plugin = { name: "bench", rootId: "r", configuration: Buffer.from("plugin conf") };
    const root = RootContext.create(vm, plugin);
    assert.ok(root instanceof RootContext);
    const request = [
      [":path", "/"],
      ["x-a", "1"],
      ["x-a", "2"],
    ] as const;
    return new Bench(vm, root, new FakeStreamHost(request, [[":status", "200"]]), services);
  }

  /** Calls with strings put into guest memory as (pointer, length). */
  call(name: string, ...parameters: (number | bigint | string | Uint8Array)[]): number {
    const flat = parameters.flatMap((value) =>
      typeof value === "string" || value instanceof Uint8Array ? this.put(value) : [value],
    );
    const run = this.#env[name] ?? this.#wasi[name];
    assert.ok(run !== undefined, `${name} is registered`);
    return run(...flat);
  }

  put(value: string | Uint8Array): [pointer: number, length: number] {
    const bytes = Buffer.from(value as string, "latin1");
    const pointer = this.#top;
    this.#top += bytes.length;
    this.vm.memory.bytes.set(bytes, pointer);
    return [pointer, bytes.length];
  }

  /** Runs `body` as if inside a callback of the stream. */
  inStream<T>(body: () => T): T {
    this.vm.enter(this.root, this.stream);
    const result = body();
    this.vm.leave();
    return result;
  }

  /** The bytes that the last call handed over. */
  received(): Buffer {
    const { memory } = this.vm;
    const pointer = memory.u32At(OUT);
    return Buffer.from(memory.bytes.subarray(pointer, pointer + memory.u32At(OUT + 4)));
  }

  has(name: string): boolean {
    return this.#env[name] !== undefined;
  }
}
