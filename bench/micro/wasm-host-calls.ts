//! Nanoseconds of single calls of the host, made by a guest in a loop, less the loop itself; and
//! what fuel costs a loop of nothing.
//!
//!   npx tsx bench/micro/wasm-host-calls.ts
//!
//! Processor time: best and median of several rounds.

import { RequestHeaderMap } from "../../src/dataplane/filter/request-header-map.ts";
import { Headers } from "../../src/http/headers.ts";
import { MapKind } from "../../src/wasm/enums.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { HeaderMap } from "../../src/wasm/stream-host.ts";
import { guest } from "../../test/support/guest.ts";
import { testServices } from "../../test/support/plugin.ts";

const ROUNDS = 15;
const CALLBACKS_PER_ROUND = 100;
const CALLS_PER_CALLBACK = 1_000;

/** With the header map of the data plane. */
class BenchHost extends FakeStreamHost {
  readonly #headers: HeaderMap;

  constructor() {
    super([]);
    const headers = new Headers();
    headers.add("host", "shop.example");
    headers.add("user-agent", "wrk");
    headers.add("x-user-id", "user-1");
    headers.add("x-asm-prefer-tag", "s1");
    const request = { method: "GET", target: "/", authority: "shop.example", headers };
    this.#headers = new RequestHeaderMap(request, "http");
  }

  override headerMap(kind: number): HeaderMap | null {
    return kind === MapKind.requestHeaders ? this.#headers : null;
  }
}

/** At 16 a name, at 32 a name, at 64 a value, at 80 a path. What comes back is told to 96 and 100. */
const DATA = `(data (i32.const 16) "x-user-id") (data (i32.const 32) "x-asm-prefer-tag")
  (data (i32.const 64) "s2") (data (i32.const 80) "plugin_name")`;
/** Gives the same place each time: what a call costs, and not what memory costs. */
const MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 4096))';

type Row = readonly [name: string, imported: string, parameters: readonly number[]];
const ROWS: readonly Row[] = [
  ["read a header", "proxy_get_header_map_value", [0, 16, 9, 96, 100]],
  ["replace a header", "proxy_replace_header_map_value", [0, 32, 16, 64, 2]],
  ["read all headers", "proxy_get_header_map_pairs", [0, 96, 100]],
  ["read a property", "proxy_get_property", [80, 11, 96, 100]],
  ["ask for a buffer", "proxy_get_buffer_status", [0, 96, 100]],
  ["ask for the time", "proxy_get_current_time_nanoseconds", [96]],
  ["set the context", "proxy_set_effective_context", [0]],
];

function looping(imports: string, call: string): Uint8Array {
  return guest({
    imports,
    malloc: MALLOC,
    body: `${DATA} (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (local $i i32)
      (loop $l
        (drop ${call})
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const ${CALLS_PER_CALLBACK}))))
      (i32.const 0))`,
  });
}

/** Nanoseconds of processor time per turn of the loop, sorted. */
async function measure(bytes: Uint8Array, fuel: boolean): Promise<number[]> {
  const module = await loadModule(bytes, { name: "bench", fuel });
  if (module instanceof LoadFault) throw new Error(module.message);
  const nothing = Buffer.from("");
  const settings = { name: "bench", rootId: "", vmId: "", env: {} };
  const configuration = { configuration: nothing, vmConfiguration: nothing };
  const plugin = Plugin.start(module, { ...settings, ...configuration }, testServices());
  if (plugin instanceof LoadFault) throw new Error(plugin.message);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let count = 0; count < CALLBACKS_PER_ROUND; count++) {
      const stream = plugin.createStream(new BenchHost());
      if (stream?.onRequestHeaders(true) !== 0) throw new Error("the plug-in did not continue");
      stream.finish();
    }
    const { user, system } = process.cpuUsage(before);
    rounds.push(((user + system) * 1000) / (CALLBACKS_PER_ROUND * CALLS_PER_CALLBACK));
  }
  return rounds.sort((left, right) => left - right);
}

function tell(name: string, rounds: readonly number[], base: readonly number[] = []): void {
  const [best, median] = [0, ROUNDS >> 1].map((at) => (rounds[at] ?? 0) - (base[at] ?? 0));
  console.log(`${name}: ${best?.toFixed(1)} ns at best, median ${median?.toFixed(1)} ns`);
}

const empty = looping("", "(local.get $i)");
const loop = await measure(empty, true);
tell("a turn of a loop", loop);
tell("a turn of a loop, without fuel", await measure(empty, false));
for (const [name, imported, parameters] of ROWS) {
  const types = parameters.map(() => "i32").join(" ");
  const imports = `(import "env" "${imported}" (func $f (param ${types}) (result i32)))`;
  const words = parameters.map((value) => `(i32.const ${value})`).join(" ");
  tell(`${name} (${imported})`, await measure(looping(imports, `(call $f ${words})`), true), loop);
}
