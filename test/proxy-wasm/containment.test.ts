//! Hostile guests in the host alone: each is stopped, its VM thrown away, and a new one made after
//! the back-off. That a test ends at all is the proof for those that would run for ever.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, test } from "node:test";
import { BodyBuffer } from "../../src/wasm/body-buffer.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { LoadFault } from "../../src/wasm/fault.ts";
import { DEFAULT_BUDGETS } from "../../src/wasm/fuel/gauge.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { StreamContext } from "../../src/wasm/stream-context.ts";
import { TickThrottle } from "../../src/wasm/tick-throttle.ts";
import { guest } from "../support/guest.ts";
import type { GuestParts } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";
import type { TestServices } from "../support/plugin.ts";

const BUDGETS = { callbackMs: 20, startMs: 40 };
const FOREVER = "(loop $forever (br $forever))";
const REQUEST = '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)';
const GET_HEADER = `(import "env" "proxy_get_header_map_value"
  (func $get (param i32 i32 i32 i32 i32) (result i32)))`;
const PATH_DATA = '(data (i32.const 16) ":path")';
const GET_PATH = `(call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 32)
  (i32.const 36))`;

function callback(name: string, type: string, body: string): string {
  return `(func $${name} (export "proxy_on_${name}") ${type} ${body})`;
}

async function load(bytes: Uint8Array, options: object = {}): Promise<PluginModule> {
  const module = await loadModule(bytes, { name: "hostile", ...options });
  assert.ok(module instanceof PluginModule, module instanceof LoadFault ? module.message : "");
  return module;
}

function settings(name: string, configuration = ""): Parameters<typeof Plugin.start>[1] {
  return {
    name,
    version: "sha256:0123",
    rootId: "",
    configuration: Buffer.from(configuration),
    vmId: "",
    vmConfiguration: Buffer.from(""),
    env: {},
  };
}

interface Hostile {
  readonly plugin: Plugin;
  readonly services: TestServices;
}

async function start(parts: GuestParts, extra: object = {}): Promise<Hostile> {
  const services = { ...testServices(), budgets: BUDGETS, ...extra };
  const plugin = Plugin.start(await load(guest(parts)), settings("hostile"), services);
  assert.ok(plugin instanceof Plugin, plugin instanceof LoadFault ? plugin.message : "");
  return { plugin, services };
}

function host(): FakeStreamHost {
  const one = new FakeStreamHost([[":path", "/a"]], [[":status", "200"]]);
  one.properties.set("request.id", Buffer.from("id-7"));
  return one;
}

function open(plugin: Plugin): StreamContext {
  const stream = plugin.createStream(host());
  assert.ok(stream !== null);
  return stream;
}

const TOO_LONG = /it ran for longer than its budget of 20 ms/;
const PHASE = "(param i32 i32 i32) (result i32)";
const body = (): BodyBuffer => {
  const buffer = new BodyBuffer();
  return buffer;
};

describe("a guest that never returns is stopped", () => {
  const drive = {
    request: (stream: StreamContext) => stream.onRequestHeaders(true),
    response: (stream: StreamContext) => stream.onResponseHeaders(true),
    requestBody: (stream: StreamContext) => stream.onRequestBody(body(), true),
    responseBody: (stream: StreamContext) => stream.onResponseBody(body(), true),
    finish: (stream: StreamContext) => {
      stream.finish();
    },
  };
  const cases: readonly { name: string; parts: GuestParts; run: keyof typeof drive }[] = [
    {
      name: "in request headers",
      parts: { body: callback("request_headers", PHASE, `${FOREVER} unreachable`) },
      run: "request",
    },
    {
      name: "in response headers",
      parts: { body: callback("response_headers", PHASE, `${FOREVER} unreachable`) },
      run: "response",
    },
    {
      name: "in the request's body",
      parts: { body: callback("request_body", PHASE, `${FOREVER} unreachable`) },
      run: "requestBody",
    },
    {
      name: "in the response's body",
      parts: { body: callback("response_body", PHASE, `${FOREVER} unreachable`) },
      run: "responseBody",
    },
    {
      name: "in log",
      parts: { body: callback("log", "(param i32)", FOREVER) },
      run: "finish",
    },
    {
      name: "in done",
      parts: { body: callback("done", "(param i32) (result i32)", `${FOREVER} unreachable`) },
      run: "finish",
    },
    {
      name: "in delete",
      parts: { body: callback("delete", "(param i32)", FOREVER) },
      run: "finish",
    },
    {
      name: "in the allocator, which the host calls from within a callback",
      parts: {
        imports: GET_HEADER,
        malloc: `(func (export "malloc") (param i32) (result i32) ${FOREVER} unreachable)`,
        body: `${PATH_DATA} ${callback("request_headers", PHASE, GET_PATH)}`,
      },
      run: "request",
    },
    {
      name: "by calls that call on, each as the last thing it does",
      parts: {
        body: `(func $on (param i32) (result i32) (return_call $back (local.get 0)))
          (func $back (param i32) (result i32) (return_call $on (local.get 0)))
          ${callback("request_headers", PHASE, "(call $on (i32.const 0))")}`,
      },
      run: "request",
    },
    {
      name: "and catches whatever is thrown at it",
      parts: {
        body: `(tag $e) ${callback(
          "request_headers",
          PHASE,
          `(loop $again
            (try (do (loop $inner (br $inner)))
              (catch_all (br $again)))
            (br $again)) unreachable`,
        )}`,
      },
      run: "request",
    },
    {
      name: "and throws to itself",
      parts: {
        body: `(tag $e) ${callback(
          "request_headers",
          PHASE,
          `(loop $again (try (do (throw $e)) (catch_all (br $again))) (br $again)) unreachable`,
        )}`,
      },
      run: "request",
    },
    {
      name: "and fills its memory over and over",
      parts: {
        body: callback(
          "request_headers",
          PHASE,
          `(drop (memory.grow (i32.const 200)))
          (loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 13000000)) (br $again))
          unreachable`,
        ),
      },
      run: "request",
    },
    {
      name: "and calls the host over and over, through a table",
      parts: {
        imports: GET_HEADER,
        body: `${PATH_DATA} (table $t 1 funcref) (elem (table $t) (i32.const 0) func $get)
          (type $f (func (param i32 i32 i32 i32 i32) (result i32)))
          ${callback(
            "request_headers",
            PHASE,
            `(loop $again
              (global.set $top (i32.const 4096))
              (drop (call_indirect $t (type $f) (i32.const 0) (i32.const 16) (i32.const 5)
                (i32.const 32) (i32.const 36) (i32.const 0))) (br $again)) unreachable`,
          )}`,
      },
      run: "request",
    },
  ];
  for (const { name, parts, run } of cases) {
    test(name, async () => {
      const { plugin, services } = await start(parts);
      const stream = open(plugin);
      drive[run](stream);
      assert.match(stream.trap?.message ?? "", TOO_LONG);
      assert.equal(plugin.isReady, false);
      services.clock.advance(1_000);
      assert.equal(plugin.isReady, true, "rebuilt after the first back-off");
    });
  }
});

test("a tick that never returns is stopped, and the exchanges of its VM are told", async () => {
  const { plugin, services } = await start({
    imports: `(import "env" "proxy_set_tick_period_milliseconds"
      (func $period (param i32) (result i32)))`,
    body: [
      callback(
        "configure",
        "(param i32 i32) (result i32)",
        "(drop (call $period (i32.const 100))) (i32.const 1)",
      ),
      callback("tick", "(param i32)", FOREVER),
      callback("request_headers", PHASE, "(i32.const 1)"),
    ].join("\n"),
  });
  const waiting = host();
  const stream = plugin.createStream(waiting);
  assert.equal(stream?.onRequestHeaders(true), 1);
  services.clock.advance(100);
  assert.deepEqual(waiting.events, ["vm trapped"]);
  assert.equal(stream.trap?.callback, "proxy_on_tick");
  stream.finish();
});

const STARTS: readonly { name: string; parts: GuestParts }[] = [
  {
    name: "configure",
    parts: {
      body: callback("configure", "(param i32 i32) (result i32)", `${FOREVER} unreachable`),
    },
  },
  {
    name: "vm_start",
    parts: { body: callback("vm_start", "(param i32 i32) (result i32)", `${FOREVER} unreachable`) },
  },
  { name: "_initialize", parts: { body: `(func (export "_initialize") ${FOREVER})` } },
  { name: "the start section", parts: { body: `(func $s ${FOREVER}) (start $s)` } },
];
for (const { name, parts } of STARTS) {
  test(`a plug-in that never returns from ${name} does not start`, async () => {
    const services = { ...testServices(), budgets: BUDGETS };
    const fault = Plugin.start(await load(guest(parts)), settings("hostile"), services);
    assert.ok(fault instanceof LoadFault);
    assert.match(fault.message, /it ran for longer than its budget of 40 ms/);
  });
}

describe("a guest that breaks is thrown away", () => {
  const cases: readonly { name: string; body: string; want: RegExp; more?: string }[] = [
    { name: "by unreachable", body: "unreachable", want: /^unreachable$/ },
    {
      name: "by a division by zero",
      body: "(i32.div_u (i32.const 1) (local.get 2))",
      want: /divide by zero/,
    },
    {
      name: "by reading out of its memory",
      body: "(i32.load (i32.const -4))",
      want: /memory access out of bounds/,
    },
    {
      name: "by recursion without an end",
      body: "(i32.add (i32.const 1) (call $request_headers (i32.const 0) (i32.const 0) (i32.const 0)))",
      want: /Maximum call stack size exceeded/,
    },
    {
      name: "by calling an empty entry of a table",
      more: "(table 1 funcref) (type $v (func))",
      body: "(call_indirect (type $v) (i32.const 0)) (i32.const 0)",
      want: /table index is out of bounds|null function|signature mismatch/,
    },
    {
      name: "by filling more at once than could be stopped",
      body: "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x7fffffff)) (i32.const 0)",
      want: /^unreachable$/,
    },
  ];
  for (const { name, body: code, want, more = "" } of cases) {
    test(name, async () => {
      const parts = { body: `${more} ${callback("request_headers", PHASE, code)}` };
      const { plugin } = await start(parts);
      const stream = open(plugin);
      assert.equal(stream.onRequestHeaders(false), -1);
      assert.match(stream.trap?.message ?? "", want);
      assert.equal(plugin.isReady, false);
    });
  }
});

test("ten thousand traps leave one plug-in that can be rebuilt, and no memory behind", async () => {
  const module = await load(guest({ body: `${REQUEST} unreachable)` }));
  const services = { ...testServices(), budgets: BUDGETS };
  const plugin = Plugin.start(module, settings("hostile"), services);
  assert.ok(plugin instanceof Plugin);
  for (let count = 0; count < 10_000; count++) {
    const stream = open(plugin);
    assert.equal(stream.onRequestHeaders(true), -1);
    stream.finish();
    services.clock.advance(60_000);
    services.lines.length = 0;
  }
  assert.equal(plugin.rebuildCount, 10_000);
  assert.equal(services.clock.pendingCount, 0);
});

test("memory grows to its cap, and a guest that wants more is told no", async () => {
  const module = await load(
    guest({
      body: `(global $pages (export "pages") (mut i32) (i32.const 0))
        ${callback(
          "request_headers",
          PHASE,
          `(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
          (i32.const 0)`,
        )}`,
    }),
    { memoryGrowthBytesMax: 20 * 65_536 },
  );
  const services = { ...testServices(), budgets: BUDGETS };
  const plugin = Plugin.start(module, settings("hostile"), services);
  assert.ok(plugin instanceof Plugin);
  assert.equal(open(plugin).onRequestHeaders(true), 0);
  assert.equal(plugin.memoryBytes, 21 * 65_536);
});

describe("an allocator that lies", () => {
  const cases = [
    { name: "gives nothing", malloc: "(i32.const 0)" },
    { name: "gives an address past the end", malloc: "(i32.const 65536)" },
    {
      name: "gives an address so near the end that the text does not fit",
      malloc: "(i32.const 65535)",
    },
    { name: "gives a negative address", malloc: "(i32.const -8)" },
  ];
  for (const { name, malloc } of cases) {
    test(`and ${name} makes the call fail, no more`, async () => {
      const { plugin } = await start({
        imports: GET_HEADER,
        malloc: `(func (export "malloc") (param i32) (result i32) ${malloc})`,
        // The callback's answer is the status, and only 0 goes on.
        body: `${PATH_DATA} ${callback("request_headers", PHASE, `(i32.eq (i32.const 6) ${GET_PATH})`)}`,
      });
      assert.equal(open(plugin).onRequestHeaders(true), 1);
      assert.equal(plugin.isReady, true);
    });
  }

  test("and gives the address of the out parameters themselves harms only the guest", async () => {
    const { plugin } = await start({
      imports: GET_HEADER,
      malloc: '(func (export "malloc") (param i32) (result i32) (i32.const 32))',
      body: `${PATH_DATA} ${callback("request_headers", PHASE, GET_PATH)}`,
    });
    assert.equal(open(plugin).onRequestHeaders(true), 0);
    assert.equal(plugin.isReady, true);
  });

  test("and calls the host is answered", async () => {
    const { plugin, services } = await start({
      imports: `${GET_HEADER} (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
      malloc: `(func (export "malloc") (param i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 16) (i32.const 5))) (i32.const 4096))`,
      body: `${PATH_DATA} ${callback("request_headers", PHASE, GET_PATH)}`,
    });
    assert.equal(open(plugin).onRequestHeaders(true), 0);
    assert.deepEqual(services.lines, ["info: :path"]);
  });
});

test("by default a callback has 50 ms", async () => {
  const { plugin, services } = await start(
    { body: callback("request_headers", PHASE, FOREVER) },
    { budgets: undefined },
  );
  assert.equal(open(plugin).onRequestHeaders(true), -1);
  assert.match(services.lines[0] ?? "", /longer than its budget of 50 ms/);
});

describe("ticks", () => {
  const ticking = (periodMs: number): GuestParts => ({
    imports: `(import "env" "proxy_set_tick_period_milliseconds"
      (func $period (param i32) (result i32)))
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
    body: [
      callback(
        "configure",
        "(param i32 i32) (result i32)",
        `(drop (call $period (i32.const ${periodMs}))) (i32.const 1)`,
      ),
      callback(
        "tick",
        "(param i32)",
        "(drop (call $log (i32.const 2) (i32.const 0) (i32.const 0)))",
      ),
    ].join("\n"),
  });

  test("come every 10 ms at most", async () => {
    const { services } = await start(ticking(1));
    services.clock.advance(1_000);
    assert.equal(services.lines.length, 100);
  });

  test("take a fifth of the time at most, however many VMs there are", async () => {
    const services = { ...testServices(), budgets: BUDGETS };
    const busy = {
      ...services,
      ticks: new TickThrottle(services.clock),
      // Each tick's work takes 2 ms of the clock.
      log: () => {
        services.clock.advance(2);
        services.lines.push("tick");
      },
    };
    const module = await load(guest(ticking(1)));
    for (let count = 0; count < 20; count++) {
      const plugin = Plugin.start(module, settings(`p${count}`), busy);
      assert.ok(plugin instanceof Plugin);
    }
    const startMs = services.clock.monotonicMs();
    services.clock.advance(10_000);
    const tookMs = services.clock.monotonicMs() - startMs;
    assert.ok(services.lines.length * 2 <= tookMs / 5 + 100, `${services.lines.length} ticks`);
    assert.ok(services.lines.length > 500, `${services.lines.length} ticks`);
  });
});

test("a process that is stopped in the middle of a callback kills no innocent plug-in", async () => {
  // Wakes this process again and again, until the test is over.
  const waker = spawn("sh", ["-c", `while sleep 0.3; do kill -CONT ${process.pid} || exit; done`]);
  const parts = {
    imports: '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))',
    // Some thousand units of work, a stop in the middle of it, and as much again.
    body: `(func $work (local $i i32)
        (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 120000)))))
      ${callback(
        "request_headers",
        PHASE,
        `(call $work) (drop (call $log (i32.const 2) (i32.const 0) (i32.const 0))) (call $work)
        (i32.const 0)`,
      )}`,
  };
  let stoppedMs = 0;
  const log = (): void => {
    const startMs = performance.now();
    while (performance.now() - startMs < 100) process.kill(process.pid, "SIGSTOP");
    stoppedMs = performance.now() - startMs;
  };
  const { plugin } = await start(parts, { log, budgets: DEFAULT_BUDGETS });
  const stream = open(plugin);
  assert.equal(stream.onRequestHeaders(true), 0);
  assert.equal(plugin.isReady, true);
  waker.kill();
  console.log(`stopped for ${stoppedMs.toFixed(0)} ms, and not killed`);
});
