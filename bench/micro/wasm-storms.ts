//! What storms of plug-ins cost, by the real clock (rows W8 and W10 of docs/reliability.md): ticks
//! of many VMs, and the memory that 20,000 calls of one host function in one callback leave behind.
//!
//!   node --expose-gc dist/bench/micro/wasm-storms.js
//!
//! Each VM has the services that a gateway worker lends; shared data and queues are those of one
//! worker alone. Memory: resident, after a collection and at most, in a process for each storm.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { delay, systemClock } from "../../src/base/clock.ts";
import { PluginLines } from "../../src/dataplane/plugin-lines.ts";
import { pluginServices } from "../../src/dataplane/worker/plugin-services.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { loadModule } from "../../src/wasm/module.ts";
import type { PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { PluginServices } from "../../src/wasm/vm.ts";
import { guest } from "../../test/support/guest.ts";

const VMS = 100;
const SECONDS = 10;
const CALLS = 20_000;
const MIB = 1024 * 1024;

/** Ticks each millisecond, as it asks; each tick goes round so often, and is counted. */
const ticking = (rounds: number): Uint8Array =>
  guest({
    imports: `(import "env" "proxy_set_tick_period_milliseconds"
      (func $period (param i32) (result i32)))
      (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_increment_metric" (func $add (param i32 i64) (result i32)))`,
    body: `(data (i32.const 64) "ticks")
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $define (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 32)))
        (i32.eqz (call $period (i32.const 1))))
      (func (export "proxy_on_tick") (param i32) (local $i i32)
        (drop (call $add (i32.load (i32.const 32)) (i64.const 1)))
        (local.set $i (i32.const ${rounds}))
        (loop $l
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br_if $l (i32.gt_s (local.get $i) (i32.const 0)))))`,
  });

interface Storm {
  readonly name: string;
  readonly imports: string;
  /** One call; the round's number is at address 16. */
  readonly call: string;
  readonly configure?: string;
}

const STORMS: readonly Storm[] = [
  {
    name: "log lines of 1 KiB",
    imports: '(import "env" "proxy_log" (func $f (param i32 i32 i32) (result i32)))',
    call: "(call $f (i32.const 2) (i32.const 1024) (i32.const 1024))",
  },
  {
    name: "metrics",
    imports: `(import "env" "proxy_define_metric"
      (func $f (param i32 i32 i32 i32) (result i32)))`,
    call: "(call $f (i32.const 0) (i32.const 16) (i32.const 100) (i32.const 32))",
  },
  {
    name: "shared values of 32 kB",
    imports: `(import "env" "proxy_set_shared_data"
      (func $f (param i32 i32 i32 i32 i32) (result i32)))`,
    call: `(call $f (i32.const 16) (i32.const 4) (i32.const 1024) (i32.const 32000)
      (i32.const 0))`,
  },
  ...[4, 32_768].map((bytes) => ({
    name: `items of ${bytes} bytes in a queue`,
    imports: `(import "env" "proxy_register_shared_queue"
        (func $register (param i32 i32 i32) (result i32)))
      (import "env" "proxy_enqueue_shared_queue" (func $f (param i32 i32 i32) (result i32)))`,
    configure: "(call $register (i32.const 64) (i32.const 7) (i32.const 32))",
    call: `(call $f (i32.load (i32.const 32)) (i32.const 64) (i32.const ${bytes}))`,
  })),
];

function storming({ imports, call, configure = "(i32.const 0)" }: Storm): Uint8Array {
  return guest({
    imports,
    body: `(data (i32.const 64) "cluster")
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.eqz ${configure}))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $i i32)
        (loop $l
          (i32.store (i32.const 16) (local.get $i))
          (drop ${call})
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const ${CALLS}))))
        (i32.const 0))`,
  });
}

/** Each storm may last longer than a gateway's callback: it is its memory that is asked for. */
function services(): PluginServices {
  const lent = pluginServices(systemClock, silentLogger, { lines: new PluginLines() });
  return { ...lent, budgets: { callbackMs: 5_000, startMs: 5_000 } };
}

async function load(bytes: Uint8Array): Promise<PluginModule> {
  const module = await loadModule(bytes, { name: "storm" });
  if (module instanceof LoadFault) throw new Error(module.message);
  return module;
}

function start(module: PluginModule, own: PluginServices, vmId: string): Plugin {
  const none = Buffer.alloc(0);
  const settings = { name: "storm", rootId: "", vmId, env: {} };
  const plugin = Plugin.start(
    module,
    { ...settings, configuration: none, vmConfiguration: none },
    own,
  );
  if (plugin instanceof LoadFault) throw new Error(plugin.message);
  return plugin;
}

async function residentMib(): Promise<number> {
  // What is collected first may hold what is collected next.
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await delay(systemClock, 20);
  }
  return process.memoryUsage().rss / MIB;
}

async function tellTicks(name: string, rounds: number): Promise<void> {
  const own = services();
  const module = await load(ticking(rounds));
  const plugins = Array.from({ length: VMS }, (_, index) => start(module, own, `vm-${index}`));
  await delay(systemClock, 1_000);
  const before = { ticks: ticksOf(own), cpu: process.cpuUsage(), ms: performance.now() };
  await delay(systemClock, SECONDS * 1_000);
  const { user, system } = process.cpuUsage(before.cpu);
  const tookMs = performance.now() - before.ms;
  const perSecond = ((ticksOf(own) - before.ticks) / tookMs) * 1_000;
  const share = (user + system) / 10 / tookMs;
  for (const plugin of plugins) plugin.stop();
  process.stdout.write(
    `${VMS} VMs that ask for a tick each millisecond, ${name}: ` +
      `${(perSecond / VMS).toFixed(1)} ticks a second each, ${share.toFixed(1)} % of a core\n`,
  );
}

function ticksOf({ metrics }: PluginServices): number {
  return [...metrics].reduce((sum, { name, value }) => (name === "ticks" ? sum + value : sum), 0);
}

async function tellStorm(storm: Storm): Promise<void> {
  const own = services();
  const plugin = start(await load(storming(storm)), own, "vm");
  const before = await residentMib();
  const stream = plugin.createStream(new FakeStreamHost([[":path", "/"]]));
  if (stream?.onRequestHeaders(true) !== 0) throw new Error(`${storm.name}: it did not end`);
  stream.finish();
  const grown = (await residentMib()) - before;
  const peak = process.resourceUsage().maxRSS / 1024 - before;
  plugin.stop();
  process.stdout.write(
    `${CALLS} ${storm.name}: resident memory grown by ${grown.toFixed(1)} MiB, ` +
      `in between by ${peak.toFixed(1)} MiB\n`,
  );
}

const only = STORMS[Number(process.argv[2] ?? -1)];
if (only !== undefined) await tellStorm(only);
else {
  await tellTicks("each tick a few instructions", 1);
  await tellTicks("each tick about 2 ms", 2_000_000);
  const script = fileURLToPath(import.meta.url);
  STORMS.forEach((_, index) => {
    const args = [...process.execArgv, script, String(index)];
    process.stdout.write(execFileSync(process.execPath, args));
  });
}
